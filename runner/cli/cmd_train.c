/* bnexp train. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "engine/config_files.h"
#include "engine/train.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/data_check.h"
#include "runner/cli/knobs.h"
#include "runner/cli/options.h"
#include "runner/cli/train_ranks.h"
#include "runner/cli/train_run.h"
#include "runner/fleet/rundir.h"
#include "runner/rank_head.h"
#include "runner/worker.h"

enum { EXIT_STOPPED = 75 };

typedef struct train_options {
    const char *what, *home;
    bn_option_list sets;
    int64_t gpus, ranks; /* 0: not given */
    bool dry, json, help;
} train_options;

/* Who trains: this process as a rank of a launcher's, or ranks that we start here. */
typedef struct crew {
    bn_ranks self;
    bn_gpus gpus; /* count 0: none were asked for */
    int count;    /* of ranks to start; 1: none but this process */
} crew;

static bn_status parse(int argc, char **argv, train_options *o, bn_error *err)
{
    const bn_option table[] = {
        {"--set", 0, BN_OPTION_LIST, &o->sets, "KNOB=VALUE", "set one knob; may be repeated"},
        {"--dry-run", 'n', BN_OPTION_FLAG, &o->dry, NULL,
         "tensors, parameters and memory; no data"},
        {"--json", 0, BN_OPTION_FLAG, &o->json, NULL, "the outcome as JSON on standard output"},
        {"--gpus", 0, BN_OPTION_INT, &o->gpus, "N",
         "share every batch among N GPUs of this machine"},
        {"--ranks", 0, BN_OPTION_INT, &o->ranks, "N",
         "share every batch among N processes on this machine's processors"},
        {"--home", 0, BN_OPTION_TEXT, &o->home, "DIR",
         "where runs and results live (default: runs)"},
    };
    const bn_option_range ranges[] = {
        {&o->gpus, 1, BN_GPUS_MAX, false},
        {&o->ranks, 1, BN_RANKS_MAX, false},
    };
    const bn_options options = {
        .usage = "bnexp train PRESET|FILE|RUN-FOLDER [options]",
        .about = "Trains one run: a preset's, or that of a TOML file of knobs, registered in the\n"
                 "home under the sweep 'train'; or goes on with the run of a folder. Ctrl-C keeps\n"
                 "a checkpoint. Under mpirun or srun all their processes train it together. exit:\n"
                 "0 finished, 75 stopped, 2 bad input, 1 other errors",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &o->help, err);
    if (status == BN_OK && o->help) bn_knobs_print(stdout);
    if (status == BN_OK && !o->help) o->what = arguments.items[0];
    return status;
}

/* PRESET or FILE, with --set over it, resolved. */
static bn_status configure(const train_options *o, bn_config *config, bn_error *err)
{
    bn_config_init(config);
    bn_status status = bn_file_exists(o->what) ? bn_knobs_read(o->what, config, err)
                                               : bn_config_preset(config, o->what, err);
    for (size_t i = 0; status == BN_OK && i < o->sets.count; i++) {
        status = bn_knobs_set(config, o->sets.items[i], err);
    }
    if (status != BN_OK) return err->status = err->status == BN_ENOENT ? BN_EINVAL : err->status;
    if (bn_config_find_files(config, NULL, err) != BN_OK) return err->status;
    return bn_config_resolve(config, err);
}

static int print_plan(const bn_config *config, bool json)
{
    bn_text text = {0};
    bn_error err = {0};
    bn_status status = bn_train_plan(config, json, &text, &err);
    if (status == BN_OK && text.failed) status = bn_fail(&err, BN_ENOMEM, "no memory for the plan");
    if (status == BN_OK) (void)printf("%s%s", text.data, json ? "\n" : "");
    bn_text_release(&text);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}

/* "tiny" of tiny or configs/tiny.toml. */
static void base_name(const char *what, char out[64])
{
    const char *slash = strrchr(what, '/');
    (void)snprintf(out, 64, "%.60s", slash ? slash + 1 : what);
    char *dot = strrchr(out, '.');
    if (dot && dot != out) *dot = '\0';
}

static bn_status find_gpus(const train_options *o, bn_gpus *gpus, bn_error *err)
{
    bn_gpus_find(gpus);
    if (o->gpus > gpus->count) {
        return bn_fail(err, BN_EINVAL, "--gpus %lld: this machine has %d that may be used%s",
                       (long long)o->gpus, gpus->count,
                       gpus->count ? "" : "; 'bnexp doctor' tells why");
    }
    gpus->count = (int)o->gpus;
    return BN_OK;
}

static bn_status gather_crew(const train_options *o, crew *out, bn_error *err)
{
    *out = (crew){.self = bn_ranks_alone(), .count = 1};
    if (o->dry) return BN_OK;
    if (bn_train_ranks_read(&out->self, err) != BN_OK) return err->status;
    if (o->gpus == 0 && o->ranks == 0) return BN_OK;
    if (o->gpus > 0 && o->ranks > 0) {
        return bn_fail(err, BN_EINVAL,
                       "--gpus makes a rank of each GPU; --ranks is for processors");
    }
    if (out->self.world > 1) {
        return bn_fail(err, BN_EINVAL, "%s does not go with a launcher that has started %d ranks",
                       o->gpus > 0 ? "--gpus" : "--ranks", out->self.world);
    }
    out->count = (int)(o->gpus > 0 ? o->gpus : o->ranks);
    return o->gpus > 0 ? find_gpus(o, &out->gpus, err) : BN_OK;
}

static int train_with(const char *dir, const crew *with)
{
    if (with->count == 1 && with->gpus.count == 0) {
        return bn_worker_train(&(bn_worker_job){.dir = dir, .ranks = &with->self});
    }
    const char *const *gpus = with->gpus.count > 0 ? with->gpus.ids : NULL;
    return bn_rank_head_run(&(bn_rank_head){.dir = dir, .count = with->count, .gpus = gpus});
}

/* A run's process is quiet, for what it says becomes its log; a person wants to know how it ended.
 */
static void tell_folder(const char *dir, int code, bool json)
{
    const char *state = code == BN_EXIT_OK     ? "finished"
                        : code == EXIT_STOPPED ? "stopped"
                                               : "failed";
    if (json) {
        bn_text text = {0};
        bn_json out = {.text = &text};
        bn_json_object(&out);
        bn_json_key(&out, "schema_version");
        bn_json_int(&out, 1);
        bn_json_key(&out, "dir");
        bn_json_string(&out, dir);
        bn_json_key(&out, "state");
        bn_json_string(&out, state);
        bn_json_end_object(&out);
        (void)printf("%s\n", text.data ? text.data : "");
        bn_text_release(&text);
    } else if (isatty(STDOUT_FILENO) && (code == BN_EXIT_OK || code == EXIT_STOPPED)) {
        (void)printf("%s: %s; its records are in %s/%s\n", dir, state, dir, BN_RUNDIR_EVENTS);
    }
}

static int train_folder(const train_options *o, const crew *with)
{
    bn_error err = {0};
    if (o->sets.count > 0) {
        (void)bn_fail(&err, BN_EINVAL, "--set does not go with a run's folder: edit its run.toml");
        return bn_command_fail(&err);
    }
    if (!o->dry) {
        int code = train_with(o->what, with);
        if (with->self.rank == 0) tell_folder(o->what, code, o->json);
        return code;
    }
    bn_config config;
    if (bn_knobs_of_run(o->what, &config, &err) != BN_OK) return bn_command_fail(&err);
    return print_plan(&config, o->json);
}

int bn_cmd_train(int argc, char **argv)
{
    train_options o = {0};
    bn_error err = {0};
    bn_config config;
    struct stat info;
    crew with;
    char name[64];
    if (parse(argc, argv, &o, &err) != BN_OK) return bn_command_fail(&err);
    if (o.help) return BN_EXIT_OK;
    if (gather_crew(&o, &with, &err) != BN_OK) return bn_command_fail(&err);
    if (stat(o.what, &info) == 0 && S_ISDIR(info.st_mode)) return train_folder(&o, &with);
    if (configure(&o, &config, &err) != BN_OK) return bn_command_fail(&err);
    if (o.dry) return print_plan(&config, o.json);
    if (with.gpus.count > 0 && bn_config_set(&config, "train.device", "cuda", &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    if (bn_data_check(&config, (int)config.model.context, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    /* Only now: what every rank can see to be wrong ends them all at once. */
    if (with.self.rank > 0) return bn_train_ranks_follow(&with.self, bn_command_home(o.home));
    base_name(o.what, name);
    bn_train_run run = {.home = bn_command_home(o.home),
                        .name = name,
                        .config = &config,
                        .json = o.json,
                        .ranks = &with.self,
                        .gpus = with.gpus.count > 0 ? &with.gpus : NULL,
                        .rank_count = with.gpus.count > 0 ? 0 : with.count};
    return bn_train_run_do(&run);
}
