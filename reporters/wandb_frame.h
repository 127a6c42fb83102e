/* wandb_frame.h - LevelDB's log framing, as .wandb files have it: blocks of 32 KiB, entries cut
 * where a block ends, a plain CRC-32 over each piece. */
#ifndef BN_REPORTERS_WANDB_FRAME_H
#define BN_REPORTERS_WANDB_FRAME_H

#include <stdint.h>

#include "engine/base/text.h"

/* Adds one entry to a log that already has `place` bytes before out's first. */
void bn_wandb_frame_add(bn_text *out, int64_t place, const bn_text *entry);

#endif
