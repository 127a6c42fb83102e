/* wandb_offline.h - runs as .wandb files, which wandb's own `wandb sync` takes:
 * DIR/offline-run-YYYYMMDD_HHMMSS-<key>/run-<key>.wandb
 *
 * Seven bytes of header, then LevelDB's log framing in blocks of 32 KiB (with plain CRC-32), each
 * entry a protobuf Record. What ends a run (summary, exit) is written behind a mark and cut off
 * again when the run goes on. */
#ifndef BN_REPORTERS_WANDB_OFFLINE_H
#define BN_REPORTERS_WANDB_OFFLINE_H

#include "reporters/reporter.h"
#include "reporters/wandb_settings.h"

/* Borrows all of its arguments until it is closed. */
BN_MUST_CHECK bn_status bn_wandb_offline_open(bn_reporter *out, bn_store *store, const char *dir,
                                              const bn_wandb_settings *settings, bn_error *err);

/* Adds one entry to a log that already has `place` bytes before out's first, for tests too. */
void bn_wandb_offline_frame(bn_text *out, int64_t place, const bn_text *entry);

#endif
