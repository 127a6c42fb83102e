/* cmd_dashboard.c - bnexp dashboard: the home as a page, in a folder or served live. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/config.h"
#include "reporters/serve.h"
#include "reporters/site.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"

typedef struct dashboard_flags {
    const char *home, *out;
    bool serve;
} dashboard_flags;

static bn_site_knob *page_knobs(size_t *count)
{
    const bn_knob *table = bn_knob_table(count);
    bn_site_knob *knobs = calloc(*count, sizeof *knobs);
    for (size_t i = 0; knobs && i < *count; i++) {
        knobs[i] = (bn_site_knob){.name = table[i].name,
                                  .unit = table[i].unit,
                                  .help = table[i].help,
                                  .identity = table[i].identity};
    }
    return knobs;
}

static bn_status write_site(const char *home, const char *out, const bn_site_knob *knobs,
                            size_t knob_count, bn_error *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    bn_site_job job = {.home = home,
                       .out = out,
                       .knobs = knobs,
                       .knob_count = knob_count,
                       .threads = cores > 1 ? (int)cores : 1,
                       .now_s = bn_clock_wall_s()};
    bn_site_summary summary = {0};
    if (bn_site_write(&job, &summary, err) != BN_OK) return err->status;
    (void)printf("%zu %s of %zu %s in %zu files, %.1f MiB\nopen %s/index.html\n", summary.runs,
                 summary.runs == 1 ? "run" : "runs", summary.sweeps,
                 summary.sweeps == 1 ? "sweep" : "sweeps", summary.files,
                 (double)summary.size_bytes / (1 << 20), out);
    return BN_OK;
}

/* Serves until asked to stop. The signals are blocked before the server's threads exist, so that
 * only this thread takes them. */
static bn_status serve_site(const char *home, const char *place, const bn_site_knob *knobs,
                            size_t knob_count, bn_error *err)
{
    bn_serve *serve = NULL;
    bn_serve_job job = {.home = home, .knobs = knobs, .knob_count = knob_count};
    if (bn_serve_place_read(place, &job.place, err) != BN_OK) return err->status;
    sigset_t stops;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGINT);
    (void)sigaddset(&stops, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &stops, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    if (bn_serve_open(&serve, &job, err) != BN_OK) return err->status;
    (void)printf("%s\n", bn_serve_url(serve));
    (void)fflush(stdout);
    int got = 0;
    (void)sigwait(&stops, &got);
    bn_serve_close(serve);
    return BN_OK;
}

static bn_status show(const dashboard_flags *flags, const char *place, bn_error *err)
{
    const char *home = bn_command_home(flags->home);
    size_t count = 0;
    bn_site_knob *knobs = page_knobs(&count);
    if (!knobs) return bn_fail(err, BN_ENOMEM, "no memory for the page");
    if (flags->serve) {
        (void)serve_site(home, place, knobs, count, err);
    } else {
        (void)write_site(home, flags->out, knobs, count, err);
    }
    free(knobs);
    return err->status;
}

int bn_cmd_dashboard(int argc, char **argv)
{
    dashboard_flags flags = {0};
    const bn_option table[] = {
        {"--out", 'o', BN_OPTION_TEXT, &flags.out, "DIR", "write the page into this folder"},
        {"--serve", 0, BN_OPTION_FLAG, &flags.serve, NULL, "serve it live, until Ctrl-C"},
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home to show (BNEXP_HOME, ./runs)"},
    };
    const bn_options options = {
        .usage = "bnexp dashboard --out DIR | --serve [ADDR:PORT] [--home DIR]",
        .about = "Shows what the home holds as a page: in a folder that opens in a browser from "
                 "disk or from\nany web server; or live, on 127.0.0.1 and a free port unless "
                 "ADDR:PORT says otherwise.\nBeyond this machine it asks for the token in the "
                 "printed address.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_max = 1};
    bn_option_list arguments;
    bool help = false;
    bn_error err = {0};
    if (bn_options_parse(&options, argc, argv, &arguments, &help, &err) != BN_OK) {
        return bn_command_fail(&err);
    }
    if (help) return BN_EXIT_OK;
    if (flags.serve == (flags.out != NULL) || (flags.out && arguments.count)) {
        (void)bn_fail(&err, BN_EINVAL, "say --out DIR or --serve; usage: %s", options.usage);
        return bn_command_fail(&err);
    }
    const char *place = arguments.count ? arguments.items[0] : "";
    if (show(&flags, place, &err) != BN_OK) return bn_command_fail(&err);
    return BN_EXIT_OK;
}
