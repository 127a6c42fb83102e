/* What `bnexp sync --status` shows: how far a reporter is, run by run. */
#include <stdio.h>
#include <stdlib.h>

#include "runner/cli/sync.h"

static const char *delivery_of(const bn_feed_mark *mark)
{
    if (mark->blocked[0]) return "refused";
    if (mark->behind) return "behind";
    return mark->heard_seq > 0 || bn_run_state_final(mark->state) ? "delivered" : "waiting";
}

static void print_marks_json(const bn_feed_mark *marks, size_t count)
{
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "runs");
    bn_json_array(&json);
    for (size_t i = 0; i < count; i++) {
        bn_json_object(&json);
        bn_json_key(&json, "id");
        bn_json_string(&json, marks[i].key);
        bn_json_key(&json, "name");
        bn_json_string(&json, marks[i].name);
        bn_json_key(&json, "state");
        bn_json_string(&json, bn_run_state_name(marks[i].state));
        bn_json_key(&json, "records");
        bn_json_int(&json, marks[i].next_seq);
        bn_json_key(&json, "delivered");
        bn_json_int(&json, marks[i].heard_seq);
        bn_json_key(&json, "delivery");
        bn_json_string(&json, delivery_of(&marks[i]));
        bn_json_key(&json, "reason");
        bn_json_string(&json, marks[i].blocked[0] ? marks[i].blocked : NULL);
        bn_json_end_object(&json);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    (void)puts(text.failed ? "{}" : text.data);
    bn_text_release(&text);
}

static void print_marks(const bn_feed_mark *marks, size_t count)
{
    (void)printf("%-8s  %-32s  %-9s  %17s  %s\n", "ID", "RUN", "STATE", "DELIVERED", "DELIVERY");
    for (size_t i = 0; i < count; i++) {
        const bn_feed_mark *mark = &marks[i];
        (void)printf("%-8s  %-32.32s  %-9s  %8lld/%-8lld  %s%s%s\n", mark->key, mark->name,
                     bn_run_state_name(mark->state), (long long)mark->heard_seq,
                     (long long)mark->next_seq, delivery_of(mark), mark->blocked[0] ? ": " : "",
                     mark->blocked);
    }
}

bn_status bn_sync_print_status(bn_sync *s, bn_error *err)
{
    bn_feed_mark *marks = NULL;
    size_t count = 0;
    if (bn_feed_marks(s->feed, &marks, &count, err) != BN_OK) return err->status;
    if (s->json) {
        print_marks_json(marks, count);
    } else {
        print_marks(marks, count);
    }
    free(marks);
    return BN_OK;
}
