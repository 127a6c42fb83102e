/* wandb_offline.h - runs as .wandb files, which wandb's own `wandb sync` takes:
 * DIR/offline-run-YYYYMMDD_HHMMSS-<key>/run-<key>.wandb
 *
 * Seven bytes of header, then LevelDB's log framing in blocks of 32 KiB (with plain CRC-32), each
 * entry a protobuf Record. History, system metrics and console come as they
 * grow; what ends a run (metric definitions, summary, exit) is written behind a mark and cut off
 * again when the run goes on. */
#ifndef BN_REPORTERS_WANDB_OFFLINE_H
#define BN_REPORTERS_WANDB_OFFLINE_H

#include "reporters/wandb.h"

/* Of the options home, settings and read_want are used. Borrows all until it is closed. */
BN_MUST_CHECK bn_status bn_wandb_offline_open(bn_reporter *out, bn_store *store, const char *dir,
                                              const bn_wandb_options *options, bn_error *err);

#endif
