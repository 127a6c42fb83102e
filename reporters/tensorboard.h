/* tensorboard.h - runs as TensorBoard's event files: DIR/<sweep>/<run>/events.out.tfevents.*
 *
 * A file is a row of TFRecords: length, its masked CRC-32C, an Event, its masked CRC-32C. Every
 * record of a run is one Event with a scalar a metric; step and wall time are the record's.
 * TensorBoard keeps scalars as float32, so that is what is written. */
#ifndef BN_REPORTERS_TENSORBOARD_H
#define BN_REPORTERS_TENSORBOARD_H

#include "reporters/reporter.h"

/* dir is borrowed until it is closed. */
BN_MUST_CHECK bn_status bn_tensorboard_open(bn_reporter *out, const char *dir, bn_error *err);

/* One Event in its frame, for tests of the format. */
void bn_tensorboard_frame(bn_text *out, const bn_text *event);

#endif
