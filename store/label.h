/* label.h - what people put on runs: tags, notes, the trash. */
#ifndef BN_STORE_LABEL_H
#define BN_STORE_LABEL_H

#include "store/run.h"

enum { BN_TAG_MAX = 64 };

typedef struct bn_tag {
    int64_t run;
    char tag[BN_TAG_MAX];
} bn_tag;

/* Adding a tag twice, or taking off one that is not there, changes nothing. BN_EINVAL: empty, too
 * long, or with a blank or a comma in it. */
BN_MUST_CHECK bn_status bn_tag_add(bn_store *store, int64_t run, const char *tag, bn_error *err);
BN_MUST_CHECK bn_status bn_tag_remove(bn_store *store, int64_t run, const char *tag, bn_error *err);

/* Of one run (0: of all runs), by run and tag; the caller frees *out. */
BN_MUST_CHECK bn_status bn_tag_list(bn_store *store, int64_t run, bn_tag **out, size_t *count,
                                    bn_error *err);

enum { BN_NOTE_BYTES_MAX = 1 << 20 };

typedef struct bn_note {
    double at_s;
    const char *text; /* lies behind the array that the note is in */
} bn_note;

/* BN_EINVAL: empty, or longer than BN_NOTE_BYTES_MAX. */
BN_MUST_CHECK bn_status bn_note_add(bn_store *store, int64_t run, const char *text, bn_error *err);

/* Oldest first; the caller frees *out, texts and all. */
BN_MUST_CHECK bn_status bn_note_list(bn_store *store, int64_t run, bn_note **out, size_t *count,
                                     bn_error *err);

/* Into the trash: lists, sweeps, feeds and statistics no longer see the run, and its place in the
 * sweep is free again. dir: where its folder is from now on. BN_ESTALE: it is running. */
BN_MUST_CHECK bn_status bn_run_trash(bn_store *store, int64_t run, const char *dir, bn_error *err);

/* A sweep without runs outside the trash goes there too. BN_ESTALE: it has some. */
BN_MUST_CHECK bn_status bn_sweep_trash(bn_store *store, int64_t sweep, bn_error *err);

/* What was put there before before_s, oldest first; the caller frees *out. */
typedef struct bn_trashed {
    bn_run run;
    double trashed_s;
} bn_trashed;
BN_MUST_CHECK bn_status bn_trash_list(bn_store *store, double before_s, bn_trashed **out,
                                      size_t *count, bn_error *err);

/* Forgets a run in the trash for good, records and all. BN_ESTALE: it is not there. */
BN_MUST_CHECK bn_status bn_run_purge(bn_store *store, int64_t run, bn_error *err);

/* Forgets the sweeps in the trash that no run belongs to, and gives free space back to the disk. */
BN_MUST_CHECK bn_status bn_store_tidy(bn_store *store, bn_error *err);

#endif
