/* sweep.h - the sweeps of a home: each the runs that one sweep file asks for. */
#ifndef BN_STORE_SWEEP_H
#define BN_STORE_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum { BN_NAME_MAX = 96 }; /* bytes of a sweep's or run's name, its NUL included */

typedef enum bn_sweep_state {
    BN_SWEEP_RUNNING,
    BN_SWEEP_PAUSED,   /* start nothing new */
    BN_SWEEP_STOPPED,  /* let active runs finish, then end */
    BN_SWEEP_CANCELED, /* kill active runs */
    BN_SWEEP_FINISHED,
} bn_sweep_state;

typedef struct bn_sweep {
    int64_t id;
    char name[BN_NAME_MAX];
    char hash[65];   /* SHA-256 of the effective spec: the file and its --set overrides */
    char method[32]; /* "grid", "random", ... */
    char metric[BN_NAME_MAX];
    bool maximize;
    int64_t seed; /* of the search */
    bn_sweep_state state;
    double created_s;
    int64_t planned; /* runs it will have; 0: not known before the end */
} bn_sweep;

/* Words of the states, as the database and --json have them: "running", "paused", ... */
const char *bn_sweep_state_name(bn_sweep_state state);

/* Adds a sweep, or finds the one with the same name and hash (then *found is true and *sweep its
 * row; its file is then this one). spec is the sweep file verbatim. BN_EINVAL: the name is taken by
 * another spec. */
BN_MUST_CHECK bn_status bn_sweep_add(bn_store *store, bn_sweep *sweep, const char *spec,
                                     bool *found, bn_error *err);

/* By name. BN_ENOENT names the nearest. */
BN_MUST_CHECK bn_status bn_sweep_find(bn_store *store, const char *name, bn_sweep *out,
                                      bn_error *err);
BN_MUST_CHECK bn_status bn_sweep_get(bn_store *store, int64_t sweep, bn_sweep *out, bn_error *err);
BN_MUST_CHECK bn_status bn_sweep_set_planned(bn_store *store, int64_t sweep, int64_t planned,
                                             bn_error *err);
BN_MUST_CHECK bn_status bn_sweep_set_state(bn_store *store, int64_t sweep, bn_sweep_state state,
                                           bn_error *err);

/* All sweeps, oldest first; the caller frees *out. */
BN_MUST_CHECK bn_status bn_sweep_list(bn_store *store, bn_sweep **out, size_t *count,
                                      bn_error *err);

/* The sweep file as it was given last; the caller frees *out. */
BN_MUST_CHECK bn_status bn_sweep_spec(bn_store *store, int64_t sweep, char **out, bn_error *err);

#endif
