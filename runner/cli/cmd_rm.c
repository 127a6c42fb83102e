/* cmd_rm.c - bnexp rm puts runs in the trash, bnexp gc empties it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/manager.h"
#include "runner/cli/options.h"
#include "runner/cli/trash.h"
#include "runner/cli/words.h"

typedef struct rm_flags {
    const char *home, *sweep;
    bool dry;
} rm_flags;

typedef struct chosen {
    bn_run *runs;
    size_t count;
    int64_t sweep; /* that was named as a whole, 0: none */
} chosen;

/* What is named, or all of a sweep. */
static bn_status choose(bn_store *store, const rm_flags *flags, const bn_option_list *names,
                        chosen *out, bn_error *err)
{
    bn_sweep sweep;
    if (flags->sweep) {
        if (bn_sweep_find(store, flags->sweep, &sweep, err) != BN_OK) return err->status;
        out->sweep = sweep.id;
        return bn_run_list(store, sweep.id, &out->runs, &out->count, err);
    }
    out->runs = calloc(BN_OPTION_LIST_MAX, sizeof *out->runs);
    if (!out->runs) return bn_fail(err, BN_ENOMEM, "rm: out of memory");
    for (; out->count < names->count; out->count++) {
        bn_run *run = &out->runs[out->count];
        if (bn_run_find(store, names->items[out->count], run, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

/* A run that is still to come belongs to the manager, if there is one. */
static bn_status check(const bn_run *runs, size_t count, const char *home, int *lock, bn_error *err)
{
    bool unfinished = false;
    *lock = -1;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].state == BN_RUN_RUNNING) {
            return bn_fail(err, BN_ESTALE, "run %s (%s) is running; stop it first", runs[i].key,
                           runs[i].name);
        }
        unfinished |= !bn_run_state_final(runs[i].state);
    }
    return unfinished ? bn_manager_lock(home, "rm", lock, err) : BN_OK;
}

static bn_status put_all(bn_store *store, const rm_flags *flags, const bn_option_list *names,
                         bn_error *err)
{
    chosen all = {0};
    int lock = -1;
    bn_status status = choose(store, flags, names, &all, err);
    if (status == BN_OK) status = check(all.runs, all.count, bn_store_home(store), &lock, err);
    for (size_t i = 0; status == BN_OK && i < all.count; i++) {
        const bn_run *run = &all.runs[i];
        if (!flags->dry) status = bn_trash_put(store, run, err);
        if (status == BN_OK) {
            (void)printf("%s %s (%s/%s)\n", flags->dry ? "would remove" : "removed", run->key,
                         run->sweep_name, run->name);
        }
    }
    if (status == BN_OK && all.sweep && !flags->dry) {
        status = bn_sweep_trash(store, all.sweep, err);
    }
    if (lock >= 0) (void)close(lock);
    free(all.runs);
    return status;
}

int bn_cmd_rm(int argc, char **argv)
{
    rm_flags flags = {0};
    bool help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--sweep", 0, BN_OPTION_TEXT, &flags.sweep, "NAME", "the sweep and all of its runs"},
        {"--dry-run", 'n', BN_OPTION_FLAG, &flags.dry, NULL, "show what would go"},
    };
    const bn_options options = {
        .usage = "bnexp rm RUN... | --sweep NAME [options]",
        .about =
            "Puts runs in the trash: nothing lists them any more, their folders wait in\n"
            ".trash until 'bnexp gc'. Their sweep does not run them again; one that is removed\n"
            "as a whole is begun anew by its file.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_max = BN_OPTION_LIST_MAX,
    };
    bn_option_list names;
    bn_store *store = NULL;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &names, &help, &err);
    if (status == BN_OK && !help && (names.count > 0) == (flags.sweep != NULL)) {
        status = bn_fail(&err, BN_EINVAL, "name runs, or one --sweep; usage: %s", options.usage);
    }
    if (status == BN_OK && !help) {
        const char *home = bn_command_home(flags.home);
        status = bn_store_open(&store, home, BN_STORE_READ, &err); /* a typo makes no new home */
        bn_store_close(store);
        store = NULL;
        if (status == BN_OK) status = bn_store_open(&store, home, BN_STORE_WRITE, &err);
        if (status == BN_OK) status = put_all(store, &flags, &names, &err);
        bn_store_close(store);
    }
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}

/* "30d" "12h" "90m" "45s" -> seconds. */
static bn_status parse_age(const char *text, double *out, bn_error *err)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    char *end = NULL;
    double number = strtod(text, &end);
    for (size_t i = 0; end != text && number >= 0 && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) != 0) continue;
        *out = number * units[i].seconds;
        return BN_OK;
    }
    return bn_fail(err, BN_EINVAL, "--older must be like 30d, 12h or 0s, is '%.40s'", text);
}

typedef struct gc_sum {
    size_t runs;
    int64_t bytes;
} gc_sum;

static bn_status purge(bn_store *store, const bn_run *run, bool dry, gc_sum *sum, bn_error *err)
{
    char path[BN_PATH_MAX];
    int64_t bytes = 0;
    if (bn_path_join(path, bn_store_home(store), run->dir, err) != BN_OK) return err->status;
    /* Only what rm put there: a row that points elsewhere costs no folder. */
    bool ours = strncmp(run->dir, ".trash/", 7) == 0 && !strstr(run->dir, "..");
    bn_status status = BN_OK;
    if (ours) {
        status = dry ? bn_trash_size(path, &bytes, err) : bn_trash_remove(path, &bytes, err);
    }
    if (status == BN_OK && !dry) status = bn_run_purge(store, run->id, err);
    sum->runs++;
    sum->bytes += bytes;
    return status;
}

/* What lies in the trash and is too young to go. */
static bn_status print_younger(bn_store *store, const char *older, size_t gone, bool dry,
                               bn_error *err)
{
    bn_trashed *trash = NULL;
    size_t count = 0;
    bn_status status = bn_trash_list(store, INFINITY, &trash, &count, err);
    free(trash);
    if (dry && count >= gone) count -= gone;
    if (status != BN_OK || count == 0) return status;
    (void)printf("%zu run%s in the trash %s younger than %s; --older 0s takes %s too\n", count,
                 count == 1 ? "" : "s", count == 1 ? "is" : "are", older,
                 count == 1 ? "it" : "them");
    return BN_OK;
}

static bn_status collect(bn_store *store, const char *older, bool dry, bn_error *err)
{
    bn_trashed *trash = NULL;
    size_t count = 0;
    double older_s = 0;
    if (parse_age(older, &older_s, err) != BN_OK) return err->status;
    gc_sum sum = {0};
    char words[BN_WORDS_MAX];
    bn_status status = bn_trash_list(store, bn_clock_wall_s() - older_s, &trash, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        status = purge(store, &trash[i].run, dry, &sum, err);
    }
    if (status == BN_OK && !dry) status = bn_store_tidy(store, err);
    if (status == BN_OK) {
        (void)printf("%s %zu run%s for good, %s of files\n", dry ? "would remove" : "removed",
                     sum.runs, sum.runs == 1 ? "" : "s", bn_words_bytes(words, (double)sum.bytes));
        status = print_younger(store, older, sum.runs, dry, err);
    }
    free(trash);
    return status;
}

int bn_cmd_gc(int argc, char **argv)
{
    const char *home = NULL, *older = "30d";
    bool dry = false, help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--older", 0, BN_OPTION_TEXT, &older, "AGE",
         "only what was removed so long ago (30d); 0s: all"},
        {"--dry-run", 'n', BN_OPTION_FLAG, &dry, NULL, "show what would go"},
    };
    const bn_options options = {
        .usage = "bnexp gc [--older 30d] [--dry-run]",
        .about =
            "Empties the trash: rows, records and folders of removed runs go for good, and the\n"
            "database gives its free space back.",
        .table = table,
        .count = sizeof table / sizeof table[0],
    };
    bn_option_list none;
    bn_store *store = NULL;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &none, &help, &err);
    if (status == BN_OK && !help) {
        double ignored = 0;
        status = parse_age(older, &ignored, &err); /* a typo opens no home */
        if (status == BN_OK) {
            status = bn_store_open(&store, bn_command_home(home), BN_STORE_READ, &err);
        }
        bn_store_close(store);
        store = NULL;
        if (status == BN_OK) {
            status = bn_store_open(&store, bn_command_home(home), BN_STORE_WRITE, &err);
        }
        if (status == BN_OK) status = collect(store, older, dry, &err);
        bn_store_close(store);
    }
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
