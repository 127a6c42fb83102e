/* cmd_compare.c - bnexp compare: what each side of a sweep reaches, and how sure one may be. */
#include <stdlib.h>
#include <string.h>

#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/compare_ask.h"
#include "runner/cli/compare_print.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"

typedef struct compare_flags {
    const char *home, *sweep, *by, *baseline, *metric, *pair;
    bn_option_list joined; /* further sweeps, compared as if they were one with it */
    int64_t more[BN_OPTION_LIST_MAX];
    bool json;
} compare_flags;

/* Words of the command line come first, then [baseline] of the sweep's file, then what most sweeps
 * are about: the variants, against the float one. */
static bn_status complete(const compare_flags *flags, bn_store *store, bn_compare_ask *file,
                          bn_compared *at, bn_error *err)
{
    const char *metric = flags->metric ? flags->metric : at->sweep->metric;
    bool asked = flags->by || flags->baseline;
    at->ask = (bn_comparison_ask){.sweep = at->sweep->id,
                                  .more = flags->more,
                                  .more_count = flags->joined.count,
                                  .by = flags->by ? flags->by : "quant.variant",
                                  .baseline = flags->baseline,
                                  .pair = flags->pair,
                                  .metric = *metric ? metric : "val/loss"};
    at->ask.maximize = bn_print_goal(at->sweep, at->ask.metric) == BN_GOAL_MAXIMIZE;
    if (!asked && bn_compare_ask_read(file, store, at->sweep, err) != BN_OK) return err->status;
    if (file->has_where) {
        at->ask.by = file->by;
        at->ask.baseline = file->baseline;
    }
    if (!flags->pair && file->has_pair) at->ask.pair = file->pair;
    if (at->ask.baseline) return BN_OK;
    return bn_compare_ask_float(&at->ask.baseline, store, at->sweep->id, err);
}

static bn_status compare_sweep(const compare_flags *flags, bn_store *store, const bn_sweep *sweep,
                               bn_json *json, bn_error *err)
{
    bn_compared at = {.sweep = sweep};
    bn_compare_ask file = {0};
    bn_status status = complete(flags, store, &file, &at, err);
    if (status == BN_OK) status = bn_comparison_make(&at.made, store, &at.ask, err);
    if (status != BN_OK) return bn_fail_in(err, "sweep %s", sweep->name);
    status = bn_insight_make(&at.insight, store, &at.ask, &at.made, err);
    if (status == BN_OK && json) bn_compare_json(json, &at);
    if (status == BN_OK && !json) status = bn_compare_print(&at, err);
    bn_insight_release(&at.insight);
    bn_comparison_release(&at.made);
    return status;
}

static bn_status compare_all(const compare_flags *flags, bn_store *store, bn_json *json,
                             bn_error *err)
{
    bn_sweep *sweeps = NULL;
    size_t count = 0;
    bn_status status = bn_sweep_list(store, &sweeps, &count, err);
    for (size_t i = 0; status == BN_OK && i < count; i++) {
        if (!json && i > 0) (void)printf("\n");
        status = compare_sweep(flags, store, &sweeps[i], json, err);
        /* Of many sweeps one may well lack the knob: that is no mistake of who asks. */
        if (status != BN_EINVAL || count == 1) continue;
        if (!json) (void)printf("%s\n", err->text);
        *err = (bn_error){0};
        status = BN_OK;
    }
    free(sweeps);
    return status;
}

/* Several sweeps as one: "lr + lr-seeds". They must measure the same. */
static bn_status join(compare_flags *flags, bn_store *store, bn_sweep *sweep, bn_error *err)
{
    bn_text name;
    char words[sizeof sweep->name];
    bn_text_fixed(&name, words, sizeof words);
    bn_text_add(&name, sweep->name);
    for (size_t i = 0; i < flags->joined.count; i++) {
        bn_sweep other;
        if (bn_sweep_find(store, flags->joined.items[i], &other, err) != BN_OK) return err->status;
        bool same = strcmp(sweep->metric, other.metric) == 0 && sweep->maximize == other.maximize;
        if (!same && !flags->metric) {
            return bn_fail(err, BN_EINVAL,
                           "sweep '%s' is about %s, sweep '%s' about %s; give --metric",
                           flags->sweep, sweep->metric, other.name, other.metric);
        }
        flags->more[i] = other.id;
        bn_text_addf(&name, " + %s", other.name);
    }
    memcpy(sweep->name, words, sizeof words);
    return BN_OK;
}

static bn_status compare(compare_flags *flags, bn_error *err)
{
    bn_store *store = NULL;
    bn_sweep sweep;
    bn_text out = {0};
    bn_status status = bn_store_open(&store, bn_command_home(flags->home), BN_STORE_READ, err);
    if (status != BN_OK) return status;
    bn_json json = bn_print_begin(&out), *into = flags->json ? &json : NULL;
    bn_json_key(&json, "sweeps");
    bn_json_array(&json);
    if (flags->sweep) {
        status = bn_sweep_find(store, flags->sweep, &sweep, err);
        if (status == BN_OK) status = join(flags, store, &sweep, err);
        if (status == BN_OK) status = compare_sweep(flags, store, &sweep, into, err);
    } else {
        status = compare_all(flags, store, into, err);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(&out, "\n");
    if (status == BN_OK && flags->json) status = bn_print_text(&out, err);
    bn_text_release(&out);
    bn_store_close(store);
    return status;
}

int bn_cmd_compare(int argc, char **argv)
{
    compare_flags flags = {0};
    bool help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &flags.home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--json", 0, BN_OPTION_FLAG, &flags.json, NULL, "JSON instead of tables"},
        {"--sweep", 0, BN_OPTION_TEXT, &flags.sweep, "NAME", "only this sweep, as SWEEP"},
        {"--by", 0, BN_OPTION_TEXT, &flags.by, "KNOB,...",
         "whose values are the sides ([baseline], else quant.variant)"},
        {"--baseline", 0, BN_OPTION_TEXT, &flags.baseline, "VALUE",
         "the side to measure against ([baseline], else fp16)"},
        {"--pair", 0, BN_OPTION_TEXT, &flags.pair, "KNOB,...",
         "what twins share; each side chooses the rest (all but optim.*)"},
        {"--metric", 0, BN_OPTION_TEXT, &flags.metric, "KEY", "instead of the sweep's own"},
    };
    const bn_options options = {
        .usage = "bnexp compare [SWEEP...] [options]",
        .about =
            "Puts the sides of a sweep next to each other: each at its own best optimizer\n"
            "setting (mean over replicates), its gap to the baseline, speed and size, and the\n"
            "differences of twins: runs that agree in everything but the side. Several sweeps\n"
            "are compared as one: the same with other seeds, or with other widths.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_max = BN_OPTION_LIST_MAX,
    };
    bn_option_list arguments;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    for (size_t i = 0; status == BN_OK && i < arguments.count; i++) {
        if (flags.sweep) flags.joined.items[flags.joined.count++] = arguments.items[i];
        if (!flags.sweep) flags.sweep = arguments.items[i];
    }
    if (status == BN_OK && !help) status = compare(&flags, &err);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
