#include "reporters/tensorboard.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "reporters/protobuf.h"
#include "reporters/tail_file.h"

/* Fields of tensorflow.Event, Summary and Summary.Value. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };

typedef struct board {
    const char *dir;
    bn_text text, event, summary, value;
} board;

/* CRC-32C (Castagnoli), bit-reversed polynomial. */
static uint32_t crc32c(const char *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
    return ~crc;
}

/* Stored checksums are masked: the checksum of data that holds its own checksum is weak. */
static uint32_t masked(const char *data, size_t size)
{
    uint32_t crc = crc32c(data, size);
    return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

void bn_tensorboard_frame(bn_text *out, const bn_text *event)
{
    char length[8];
    for (int i = 0; i < 8; i++) length[i] = (char)(unsigned char)(event->length >> 8 * i);
    bn_text_add_bytes(out, length, sizeof length);
    bn_le_add(out, masked(length, sizeof length), 4);
    if (event->length) bn_text_add_bytes(out, event->data, event->length);
    bn_le_add(out, masked(event->data, event->length), 4);
    if (event->failed) out->failed = true;
}

static void add_version(board *b, double wall_s)
{
    bn_text_clear(&b->event);
    bn_pb_real(&b->event, EVENT_WALL_TIME, wall_s);
    bn_pb_text(&b->event, EVENT_FILE_VERSION, "brain.Event:2");
    bn_tensorboard_frame(&b->text, &b->event);
}

static void add_record(board *b, const bn_record *record)
{
    bn_text_clear(&b->summary);
    for (size_t i = 0; i < record->count; i++) {
        bn_text_clear(&b->value);
        bn_pb_text(&b->value, VALUE_TAG, record->values[i].key);
        bn_pb_float(&b->value, VALUE_SIMPLE, (float)record->values[i].number);
        bn_pb_message(&b->summary, SUMMARY_VALUE, &b->value);
    }
    bn_text_clear(&b->event);
    bn_pb_real(&b->event, EVENT_WALL_TIME, isfinite(record->wall_s) ? record->wall_s : 0);
    bn_pb_int(&b->event, EVENT_STEP, record->step);
    bn_pb_message(&b->event, EVENT_SUMMARY, &b->summary);
    bn_tensorboard_frame(&b->text, &b->event);
}

/* DIR/<sweep>/<run>-<key>/events.out.tfevents.<seconds>.<key>: TensorBoard names a run by its
 * folder, and two runs of one sweep may have one name. */
static bn_status path_of(const board *b, const bn_run *run, char out[BN_PATH_MAX], bn_error *err)
{
    char part[3 * BN_NAME_MAX];
    (void)snprintf(part, sizeof part, "%s/%s-%s/events.out.tfevents.%010lld.%s", run->sweep_name,
                   run->name, run->key, (long long)run->created_s, run->key);
    for (char *c = part; *c; c++) {
        /* A name that climbs out of DIR is bent back. */
        if (c[0] == '.' && c[1] == '.' && (c[2] == '/' || c[2] == '\0')) *c = '_';
    }
    return bn_path_join(out, b->dir, part[0] == '/' ? part + 1 : part, err);
}

static bn_status push(void *self, const bn_feed_batch *batch, bn_text *memo, bn_error *err)
{
    board *b = self;
    char path[BN_PATH_MAX];
    int64_t mark_bytes = strtoll(batch->memo, NULL, 10); /* "" is 0 */
    if (path_of(b, &batch->run, path, err) != BN_OK) return err->status;
    bn_text_clear(&b->text);
    if (mark_bytes == 0) add_version(b, batch->run.created_s);
    for (size_t i = 0; i < batch->count; i++) add_record(b, &batch->records[i]);
    if (batch->run.next_seq == 0) return BN_OK; /* nothing to draw (yet) */
    if (bn_tail_file_add(path, mark_bytes, &b->text, err) != BN_OK) return err->status;
    bn_text_addf(memo, "%lld", (long long)mark_bytes + (long long)b->text.length);
    return BN_OK;
}

static bn_status greet(void *self, bn_error *err)
{
    const board *b = self;
    return bn_dir_make(b->dir, 0755, err);
}

static double pause_s(void *self)
{
    (void)self;
    return 0;
}

static void close_board(void *self)
{
    board *b = self;
    bn_text_release(&b->text);
    bn_text_release(&b->event);
    bn_text_release(&b->summary);
    bn_text_release(&b->value);
    free(b);
}

bn_status bn_tensorboard_open(bn_reporter *out, const char *dir, bn_error *err)
{
    static const struct bn_reporter_ops ops = {.name = "tensorboard",
                                               .greet = greet,
                                               .push = push,
                                               .pause_s = pause_s,
                                               .close = close_board};
    board *b = calloc(1, sizeof *b);
    if (!b) return bn_fail(err, BN_ENOMEM, "no memory for the tensorboard reporter");
    b->dir = dir;
    *out = (bn_reporter){&ops, b};
    return BN_OK;
}
