/* event_line.h - one line of an events file, understood. Total: any bytes give an event or a
 * reason.
 *
 * What engine/events.h writes, and what other programs may write instead:
 *   {"step":100,"values":{"loss":3.2}}     type, seq and wall_s left out
 *   {"step":100,"loss":3.2}                values left out too: every other number is one
 * Bare NaN, Infinity and -Infinity are taken as well, because Python's json writes them.
 */
#ifndef BN_RUNNER_FLEET_EVENT_LINE_H
#define BN_RUNNER_FLEET_EVENT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/record.h"

typedef enum bn_event_kind { BN_EVENT_RECORD, BN_EVENT_BEGIN, BN_EVENT_END } bn_event_kind;

typedef struct bn_event {
    bn_event_kind kind;
    int64_t seq, step;                                /* -1: left out */
    double wall_s;                                    /* NaN: left out */
    int64_t attempt;                                  /* of begin; -1: left out */
    char how[24], reason[160], host[64], device[128]; /* "" when left out */
    bn_value values[BN_RECORD_VALUES_MAX];            /* keys lie in names */
    size_t count;
    char names[BN_RECORD_VALUES_MAX][BN_METRIC_NAME_MAX];
} bn_event;

/* line: `bytes` bytes without the newline, followed by a byte that is readable. Characters that a
 * metric's name may not have become '_'. Returns NULL, or why the line says nothing. */
const char *bn_event_line_parse(const char *line, size_t bytes, bn_event *out);

#endif
