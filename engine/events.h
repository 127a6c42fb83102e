/* events.h - the run speaks: one JSON object a line, appended, never rewritten.
 *
 *   {"type":"begin","attempt":1,"pid":4711,"start":"...","host":"...","device":"cpu","model/params":1066240}
 *   {"type":"record","seq":12,"step":120,"wall_s":1795371430.9,"values":{"train/loss":3.1,"val/loss":"NaN"}}
 *   {"type":"end","how":"finished","reason":""}             or "stopped", "diverged"
 *
 * A line counts once its newline is there: a cut one is left for the next look. The writer never
 * reads, the reader never writes, and no other channel leads out of a run, so what the store knows
 * is what this file says. "NaN" "Infinity" "-Infinity" stand for what JSON cannot say.
 */
#ifndef BN_ENGINE_EVENTS_H
#define BN_ENGINE_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/record.h"
#include "engine/base/status.h"

enum { BN_EVENTS_LINE_MAX = 1 << 20 }; /* bytes of one line, its newline included */

typedef struct bn_events bn_events;

/* Opens path for appending, first cutting off a last line that has no newline (a crash's).
 * The caller owns *out. BN_EIO. */
BN_MUST_CHECK bn_status bn_events_open(bn_events **out, const char *path, bn_error *err);

/* extra: more members of the begin line, e.g. {"model/params", 1066240}. */
void bn_events_begin(bn_events *ev, int attempt, const char *device, const bn_value *extra,
                     size_t count);

/* Errors stick: after the first one these do nothing, and bn_events_flush reports it. */
void bn_events_record(bn_events *ev, const bn_record *record);
void bn_events_end(bn_events *ev, const char *how, const char *reason);

/* Everything said so far is handed to the system; with sync it is on the disk. */
BN_MUST_CHECK bn_status bn_events_flush(bn_events *ev, bool sync, bn_error *err);
void bn_events_close(bn_events *ev); /* NULL is fine */

#endif
