/* card.h - the card that a run computes on: which one, what it can, how it is watched. */
#ifndef BN_ENGINE_CARD_H
#define BN_ENGINE_CARD_H

#include "engine/config.h"
#include "engine/gpu_meter.h"
#include "engine/ops.h"
#include "engine/ranks.h"

/* Several ranks of a machine that see the same cards each take their own: "cuda" becomes "cuda:2"
 * for local rank 2. Ranks that see one card each are left alone, and so is every other device.
 * BN_EINVAL: fewer cards than ranks. */
BN_MUST_CHECK bn_status bn_card_share(bn_config *config, const bn_ranks *ranks, bn_error *err);

/* True for a backend on a card; then *peak_flops is the maker's figure for the config's products,
 * 0 where none is known, and *meter watches the card where the driver lets it. What is missing is
 * told to `say`, which may be NULL. */
bool bn_card_open(bn_gpu_meter *meter, double *peak_flops, bn_backend be, const bn_config *config,
                  void (*say)(void *self, const char *line), void *say_self);

#endif
