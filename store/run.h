/* run.h - one training of one configuration, and what became of it. */
#ifndef BN_STORE_RUN_H
#define BN_STORE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/sweep.h"

typedef enum bn_run_state {
    BN_RUN_PENDING, /* waits for a slot (attempt > 0: for its next attempt) */
    BN_RUN_RUNNING,
    BN_RUN_FINISHED,
    BN_RUN_FAILED,    /* ended by itself with an error, or diverged */
    BN_RUN_CRASHED,   /* signal, out of memory, machine lost */
    BN_RUN_KILLED,    /* a person asked */
    BN_RUN_PREEMPTED, /* asked to be queued again */
    BN_RUN_PRUNED,    /* ended early by the sweep's rule */
    BN_RUN_SKIPPED,   /* an identical configuration has finished already */
} bn_run_state;

const char *bn_run_state_name(bn_run_state state);
BN_MUST_CHECK bn_status bn_run_state_parse(const char *name, bn_run_state *out, bn_error *err);
bool bn_run_state_final(bn_run_state state); /* no further attempt will follow by itself */

/* One knob or parameter of a run, as JSON text: 0.001, "ternary", true. */
typedef struct bn_param {
    char name[64];
    char value[192];
    bool varied; /* chosen by the search; false: fixed by [config] or a default */
} bn_param;

typedef struct bn_run {
    int64_t id;             /* row */
    char key[12];           /* 8 characters [0-9a-z]: its id for people, URLs and wandb */
    char name[BN_NAME_MAX]; /* "ternary-lr1e-3-s0" */
    int64_t sweep;          /* sweep.id */
    char sweep_name[BN_NAME_MAX];
    int number; /* 0, 1, 2 ... within its sweep */
    bn_run_state state;
    char
        reason[240]; /* "exit 3: <last line of stderr>", "signal 9", "oom", "diverged at step 40" */
    int attempt;     /* attempts begun */
    char token[96];  /* how its launcher finds it again; opaque here */
    char dir[512];   /* its folder, relative to the home */
    char variant[16];     /* quant.variant; "" for an external program without that parameter */
    char config_hash[65]; /* canonical, of the knobs that say what is trained, seed included */
    char host[64], device[128];
    int exit_code;                        /* -1: none */
    double created_s, started_s, ended_s; /* of the last attempt; NaN: not yet */
    double duration_s;                    /* all attempts together */
    int64_t mark_bytes;                   /* how much of its events file is in the store */
    int64_t next_seq;                     /* records in the store */
} bn_run;

typedef struct bn_run_new {
    int64_t sweep;
    int number;
    const char *name;
    const char *config_json; /* {"optim.lr":0.001,...}: flat, every knob */
    const bn_param *params;
    size_t param_count;
    const char *variant, *config_hash;
    const char *dir; /* relative to the home */
} bn_run_new;

/* Adds a pending run, or finds the one with this (sweep, number). Fills *run. */
BN_MUST_CHECK bn_status bn_run_add(bn_store *store, const bn_run_new *new_run, bn_run *run,
                                   bn_error *err);

/* Adds many in one transaction; those that exist are left as they are. */
BN_MUST_CHECK bn_status bn_run_add_all(bn_store *store, const bn_run_new *runs, size_t count,
                                       bn_error *err);

/* What is written with a change of state. Text members NULL or "" and -1 leave the column alone. */
typedef struct bn_run_change {
    bn_run_state from, to;
    const char *reason, *token, *host, *device;
    int exit_code;
    double now_s;
    bool begins_attempt; /* attempt += 1, started_s = now_s */
    bool ends_attempt;   /* ended_s = now_s, duration_s += ran_s */
    double ran_s; /* of the attempt that ends, by a clock that nobody sets; 0: ended - started */
} bn_run_change;

/* Moves a run; BN_ESTALE if it is no longer in `from`. */
BN_MUST_CHECK bn_status bn_run_move(bn_store *store, int64_t run, const bn_run_change *change,
                                    bn_error *err);

/* Many at once, one transaction (a tick's worth). BN_ESTALE if any is no longer in `from`. */
BN_MUST_CHECK bn_status bn_run_move_all(bn_store *store, const int64_t *runs,
                                        const bn_run_change *changes, size_t count, bn_error *err);

/* The runs of a sweep (0: of all), by number; the caller frees *out. */
BN_MUST_CHECK bn_status bn_run_list(bn_store *store, int64_t sweep, bn_run **out, size_t *count,
                                    bn_error *err);

/* By key, unambiguous key prefix of at least 3 characters, name, or sweep/name. BN_ENOENT;
 * BN_EAMBIGUOUS. */
BN_MUST_CHECK bn_status bn_run_find(bn_store *store, const char *key_or_name, bn_run *out,
                                    bn_error *err);

/* By row. BN_ENOENT. */
BN_MUST_CHECK bn_status bn_run_get(bn_store *store, int64_t run, bn_run *out, bn_error *err);

/* The first run that has finished with this configuration; *found is false when there is none, and
 * for the empty hash. */
BN_MUST_CHECK bn_status bn_run_find_finished(bn_store *store, const char *config_hash, bool *found,
                                             bn_run *out, bn_error *err);

/* Its configuration as flat JSON, and its parameters; the caller frees *out. */
BN_MUST_CHECK bn_status bn_run_config(bn_store *store, int64_t run, char **out, bn_error *err);
BN_MUST_CHECK bn_status bn_run_params(bn_store *store, int64_t run, bn_param **out, size_t *count,
                                      bn_error *err);

/* What was varied, of all runs of a sweep (0: of all), by run and name; the caller frees *out. */
typedef struct bn_run_param {
    int64_t run;
    bn_param param;
} bn_run_param;
BN_MUST_CHECK bn_status bn_run_varied(bn_store *store, int64_t sweep, bn_run_param **out,
                                      size_t *count, bn_error *err);

/* One knob of every run of a sweep (0: of all) that has it, varied or not, by run; the caller frees
 * *out. */
BN_MUST_CHECK bn_status bn_run_knob(bn_store *store, int64_t sweep, const char *name,
                                    bn_run_param **out, size_t *count, bn_error *err);

/* Lines of its events file that said nothing: how many, and why the first did not. */
#define BN_FACT_INVALID "events.invalid"

/* What a run was made from: {"git.commit", "f410f54..."}, {"binary.sha256", ...}, {"argv", ...}. A
 * fact of the same name is replaced. No secrets: anyone may read the database. */
typedef struct bn_run_fact {
    const char *name, *value; /* borrowed */
} bn_run_fact;
BN_MUST_CHECK bn_status bn_run_set_origin(bn_store *store, int64_t run, const bn_run_fact *facts,
                                          size_t count, bn_error *err);

/* From now on every attempt that begins through this store is stamped with these facts, in the
 * transaction that begins it. They are copied; BN_ENOMEM. */
BN_MUST_CHECK bn_status bn_run_stamp(bn_store *store, const bn_run_fact *facts, size_t count,
                                     bn_error *err);

/* Shows the facts one by one, by name; they live until `seen` returns. */
typedef void bn_run_fact_seen(void *self, const bn_run_fact *fact);
BN_MUST_CHECK bn_status bn_run_each_origin(bn_store *store, int64_t run, bn_run_fact_seen *seen,
                                           void *self, bn_error *err);

/* Shows one fact of every run of a sweep that has it, by number; here a fact's name is the run's.
 */
BN_MUST_CHECK bn_status bn_run_each_with(bn_store *store, int64_t sweep, const char *fact,
                                         bn_run_fact_seen *seen, void *self, bn_error *err);

/* Its attempts, first to last; the caller frees *out. */
typedef struct bn_attempt {
    int number;
    bn_run_state state;
    char reason[240], host[64], device[128];
    int exit_code;             /* -1: none */
    double started_s, ended_s; /* ended NaN: not yet */
} bn_attempt;
BN_MUST_CHECK bn_status bn_run_attempts(bn_store *store, int64_t run, bn_attempt **out,
                                        size_t *count, bn_error *err);

#endif
