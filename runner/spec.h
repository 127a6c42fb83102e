/* spec.h - a sweep file, read: what it asks, what it varies, what it may spend.
 *
 * TOML with wandb's key names. Every mistake is one line `file:line: ...` that says what was
 * expected and the nearest valid name.
 */
#ifndef BN_RUNNER_SPEC_H
#define BN_RUNNER_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "engine/config.h"
#include "runner/search/pruner.h"
#include "runner/search/search.h"

enum { BN_SPEC_ARGS_MAX = 64, BN_SPEC_BYTES_MAX = 1 << 20 };

typedef struct bn_resources {
    int jobs;    /* runs at a time; 0: as many as threads fit the cores */
    int threads; /* of one run; 0: cores / jobs */
    int gpus;    /* of one run, pinned; 0: none */
    double timeout_s, stall_timeout_s, grace_s; /* 0: none */
    int retries;
    char retry_on[8][24]; /* states and reasons */
    int retry_on_count;
    int max_initial_failures; /* stop after so many failures before the first success; 0: never */
} bn_resources;

typedef struct bn_early {
    char type[16]; /* "" none, "hyperband", "asha", "median", "threshold" */
    int64_t min_iter, max_iter;
    int s;
    double eta;
    bool strict;
    double threshold;
    char protect[256]; /* expression: runs that are never stopped early */
} bn_early;

/* What the comparison compares against; the dashboard's and compare's default. */
typedef struct bn_baseline {
    char where[256];      /* formula over a run's parameters; "": not given */
    char pair_on[16][64]; /* a pair agrees in these */
    int pair_on_count;
} bn_baseline;

typedef struct bn_spec {
    char file[BN_CONFIG_TEXT_MAX]; /* for messages */
    char *source;                  /* the file, verbatim */
    char hash[65]; /* of what it asks, overrides included; not of comments and layout, [resources],
                      run_cap and metric.target (a raised one continues the sweep), description and
                      destinations */
    char name[96], description[512], project[128], entity[128];
    char metric[96];
    char goal[16]; /* "minimize" or "maximize" */
    bool maximize;
    double target;  /* of the metric: nothing more is started once a run has it; NaN: none */
    char impute[8]; /* what a failed run counts as for a search that learns: "worst" "best"
                       "latest" */
    int64_t seed;   /* of the search */
    bn_space space;
    bn_search_options search; /* its strings live in the spec */
    char method[32], order[16];
    int64_t run_cap; /* 0: none */
    int replicates;
    bn_config config;                /* [config] over the defaults, not resolved */
    bool builtin;                    /* the built-in engine; false: command */
    char program[BN_VALUE_TEXT_MAX]; /* wandb's program: a script when there is no command */
    char *command[BN_SPEC_ARGS_MAX]; /* [run] command, NULL ends */
    bn_resources resources;
    bn_early early;
    bn_baseline baseline;
    bn_point *enqueue; /* points that come first */
    size_t enqueue_count;
} bn_spec;

/* Reads a file of at most BN_SPEC_BYTES_MAX bytes; overrides are `count` texts "knob=value"
 * (--set), applied over [config] (or over a parameter of that name, which is then fixed, or over a
 * key such as run_cap or resources.jobs). Files that a knob names are looked for in the working
 * folder, then beside the sweep file, and must exist. Every point of a grid is resolved once, so
 * that none fails later. BN_EINVAL, BN_ENOENT; *out is then released. Release with bn_spec_release;
 * do not move *out: its search options point into it. */
BN_MUST_CHECK bn_status bn_spec_read(bn_spec *out, const char *file, const char *const *overrides,
                                     size_t count, bn_error *err);
/* The same from a text that was read before; `file` is what messages call it. */
BN_MUST_CHECK bn_status bn_spec_parse(bn_spec *out, const char *file, const char *text,
                                      const char *const *overrides, size_t count, bn_error *err);
void bn_spec_release(bn_spec *spec); /* {0} is fine */

/* The configuration of one point and replicate: config + point + seed, resolved and checked.
 * The seed of replicate r is train.seed of [config] + r: the same seeds for every point, so that
 * twins pair. */
BN_MUST_CHECK bn_status bn_spec_config(const bn_spec *spec, const bn_point *point, int replicate,
                                       bn_config *out, bn_error *err);

/* [early_terminate], for bn_pruner_judge; borrows from spec. */
bn_pruner bn_spec_pruner(const bn_spec *spec);

/* "ternary-lr1e-3-s0": from what varies, at most 64 bytes, unique within the sweep by its number.
 */
void bn_spec_run_name(const bn_spec *spec, const bn_point *point, int replicate, char out[96]);

#endif
