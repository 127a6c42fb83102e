/* store.h - the home's database: <home>/bnexp.db, SQLite in WAL mode, readable by plain sqlite3.
 *
 * Every public call of this folder is ONE transaction: when it returns BN_OK its effect is durable,
 * otherwise nothing happened. All SQL of the project is here; sqlite3.h only in db.c.
 * A store is used by one thread. One process writes at a time (the manager); readers never block
 * it.
 */
#ifndef BN_STORE_STORE_H
#define BN_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/status.h"

typedef struct bn_store bn_store;

typedef enum bn_store_mode {
    BN_STORE_READ,  /* BN_ENOENT when the home has no database */
    BN_STORE_WRITE, /* makes home and database when missing, migrates with a backup first */
} bn_store_mode;

/* Opens <home>/bnexp.db. BN_EINVAL: made by a newer bnexp, or home is on a network file system;
 * BN_ECORRUPT: not our database; BN_EAGAIN: locked by another for longer than the busy time-out. */
BN_MUST_CHECK bn_status bn_store_open(bn_store **out, const char *home, bn_store_mode mode,
                                      bn_error *err);
void bn_store_close(bn_store *store); /* NULL is fine */

const char *bn_store_home(const bn_store *store); /* absolute path of the home */

/* How many runs that have ended are not packed whole: those of a schema that packed nothing. */
BN_MUST_CHECK bn_status bn_store_unpacked(bn_store *store, int64_t *runs, bn_error *err);

/* Packs a piece of such a run, some 65,536 rows, and says whether there is more: a manager waits
 * for no more than that, and what is done stays done, whenever it ends. */
BN_MUST_CHECK bn_status bn_store_pack(bn_store *store, bool *more, bn_error *err);

/* Reads the whole database and checks it against itself. BN_ECORRUPT names the first fault. */
BN_MUST_CHECK bn_status bn_store_check(bn_store *store, bn_error *err);

/* A copy in one new file, consistent while others write. BN_EINVAL: path exists; BN_EIO. */
BN_MUST_CHECK bn_status bn_store_backup(bn_store *store, const char *path, bn_error *err);

#endif
