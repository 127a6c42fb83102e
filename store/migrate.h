/* migrate.h - brings a database to this program's schema, one numbered file after another.
 *
 * The files of store/schema are embedded with their SHA-256. What was applied is kept with its
 * hash, so that a database whose past is not ours is refused rather than guessed at.
 */
#ifndef BN_STORE_MIGRATE_H
#define BN_STORE_MIGRATE_H

#include "store/db.h"

enum { BN_APPLICATION_ID = 0x626e6578 }; /* "bnex" in the header of the file */

typedef struct bn_migration {
    const char *name; /* "001_init"; number i of the list makes user_version i + 1 */
    const char *sql;
    const char *sha256;
} bn_migration;

/* All of them in order: made at build time. */
const bn_migration *bn_migrations(int *count);

/* Only looks: is db ours, or still empty, and no newer than the list? BN_ECORRUPT: not ours, or its
 * past differs; BN_EINVAL: newer. */
BN_MUST_CHECK bn_status bn_migrate_check(bn_db *db, const char *path, const bn_migration *list,
                                         int count, bn_error *err);

/* In BN_DB_WRITE brings db, checked, up to date: a copy beside it first (<path>.v1-backup), then
 * all steps in one transaction; two processes may try at once. In BN_DB_READ an older one is
 * BN_EINVAL and an empty one BN_ENOENT. */
BN_MUST_CHECK bn_status bn_migrate(bn_db *db, const char *path, bn_db_mode mode,
                                   const bn_migration *list, int count, bn_error *err);

#endif
