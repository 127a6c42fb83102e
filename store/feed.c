#include "store/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"
#include "store/page.h"

struct bn_feed {
    bn_store *store;
    char reader[64];
    char *memo;    /* of the run in the batch */
    int64_t after; /* the last run that was acked: the next look begins behind it */
    bn_page page;
};

bn_status bn_feed_open(bn_feed **out, bn_store *store, const char *reader, bn_error *err)
{
    *out = NULL;
    bn_feed *feed = calloc(1, sizeof *feed);
    if (!feed) return bn_fail(err, BN_ENOMEM, "feed '%s': out of memory", reader);
    feed->store = store;
    (void)snprintf(feed->reader, sizeof feed->reader, "%s", reader);
    *out = feed;
    return BN_OK;
}

void bn_feed_close(bn_feed *feed)
{
    if (!feed) return;
    bn_page_release(&feed->page);
    free(feed->memo);
    free(feed);
}

#define BATCH_COLUMNS BN_RUN_COLUMNS ", ifnull(h.next_seq, 0), ifnull(h.memo, '')\n"
enum { COLUMN_NEXT_SEQ = 22, COLUMN_MEMO };

#define HEARD                                                                                      \
    "FROM run AS r\n"                                                                              \
    "JOIN sweep AS s ON s.id = r.sweep_id\n"                                                       \
    "LEFT JOIN heard AS h ON h.reader = ?1 AND h.run_id = r.id\n"

/* News: more records, or another state or attempt, than the reader has heard. A run that has never
 * begun has nothing to tell. */
#define IS_NEWS                                                                                    \
    "(r.attempt > 0 OR r.state <> 'pending')\n"                                                    \
    "  AND (h.reader IS NULL OR r.next_seq > h.next_seq OR r.state <> h.state\n"                   \
    "       OR r.attempt <> h.attempt)\n"
#define IS_OPEN "r.trashed_s IS NULL AND ifnull(h.blocked, '') = ''\n"

/* Looking begins behind the last run that was acked, so a run that never stops talking cannot keep
 * the others from being heard. */
#define NEWS(bounds)                                                                               \
    "SELECT " BATCH_COLUMNS HEARD "WHERE r.id " bounds " ?2\n"                                     \
    "  AND " IS_OPEN "  AND " IS_NEWS "ORDER BY r.id\n"                                            \
    "LIMIT 1"

static bn_status find(bn_feed *feed, const char *sql, int64_t run, bn_feed_batch *out, bool *found,
                      bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(feed->store->db, sql);
    bn_stmt_text(stmt, 1, feed->reader);
    bn_stmt_int(stmt, 2, run);
    *found = bn_stmt_row(stmt);
    if (*found) {
        bn_run_from_row(stmt, &out->run);
        out->first_seq = bn_stmt_get_int(stmt, COLUMN_NEXT_SEQ);
        free(feed->memo);
        feed->memo = strdup(bn_stmt_get_text(stmt, COLUMN_MEMO));
    }
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && *found && !feed->memo) {
        status = bn_fail(err, BN_ENOMEM, "feed '%s': out of memory", feed->reader);
    }
    return status;
}

static bn_status fill(bn_feed *feed, bn_feed_batch *out, bn_error *err)
{
    bn_status status =
        bn_page_fill(&feed->page, feed->store, out->run.id, out->first_seq, BN_FEED_RECORDS, err);
    if (status != BN_OK) return status;
    out->records = feed->page.records;
    out->count = feed->page.count;
    out->last = out->first_seq + (int64_t)out->count >= out->run.next_seq;
    out->memo = feed->memo;
    return BN_OK;
}

bn_status bn_feed_peek(bn_feed *feed, bn_feed_batch *out, bool *found, bn_error *err)
{
    static const char behind[] = NEWS(">"), before[] = NEWS("<=");
    *out = (bn_feed_batch){0};
    *found = false;
    if (bn_store_begin_read(feed->store, err) != BN_OK) return err->status;
    bn_status status = find(feed, behind, feed->after, out, found, err);
    if (status == BN_OK && !*found) status = find(feed, before, feed->after, out, found, err);
    if (status == BN_OK && *found) status = fill(feed, out, err);
    return bn_store_end_read(feed->store, status, err);
}

bn_status bn_feed_peek_run(bn_feed *feed, int64_t run, bn_feed_batch *out, bool *found,
                           bn_error *err)
{
    static const char sql[] = "SELECT " BATCH_COLUMNS HEARD "WHERE r.id = ?2 AND " IS_OPEN;
    *out = (bn_feed_batch){0};
    *found = false;
    if (bn_store_begin_read(feed->store, err) != BN_OK) return err->status;
    bn_status status = find(feed, sql, run, out, found, err);
    if (status == BN_OK && *found) status = fill(feed, out, err);
    return bn_store_end_read(feed->store, status, err);
}

bn_status bn_feed_list(bn_feed *feed, bn_feed_news **out, size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(feed->store->db, "SELECT r.id, r.sweep_id, r.state\n" HEARD
                                                "WHERE " IS_OPEN "  AND " IS_NEWS "ORDER BY r.id");
    bn_stmt_text(stmt, 1, feed->reader);
    while (bn_stmt_row(stmt)) {
        bn_feed_news *news = bn_rows_add(&rows, err);
        if (!news) break;
        news->run = bn_stmt_get_int(stmt, 0);
        news->sweep = bn_stmt_get_int(stmt, 1);
        rows.status = bn_run_state_parse(bn_stmt_get_text(stmt, 2), &news->state, err);
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_feed_marks(bn_feed *feed, bn_feed_mark **out, size_t *count, bn_error *err)
{
    bn_rows rows = {.size_bytes = sizeof **out};
    bn_stmt *stmt = bn_db_stmt(feed->store->db,
                               "SELECT r.id, r.key, r.name, r.state, r.next_seq,\n"
                               "       ifnull(h.next_seq, 0), ifnull(h.blocked, ''), r.sweep_id,\n"
                               "       " IS_NEWS HEARD "WHERE r.trashed_s IS NULL\n"
                               "ORDER BY r.id");
    bn_stmt_text(stmt, 1, feed->reader);
    while (bn_stmt_row(stmt)) {
        bn_feed_mark *mark = bn_rows_add(&rows, err);
        if (!mark) break;
        mark->run = bn_stmt_get_int(stmt, 0);
        bn_stmt_copy_text(stmt, 1, mark->key, sizeof mark->key);
        bn_stmt_copy_text(stmt, 2, mark->name, sizeof mark->name);
        rows.status = bn_run_state_parse(bn_stmt_get_text(stmt, 3), &mark->state, err);
        mark->next_seq = bn_stmt_get_int(stmt, 4);
        mark->heard_seq = bn_stmt_get_int(stmt, 5);
        bn_stmt_copy_text(stmt, 6, mark->blocked, sizeof mark->blocked);
        mark->sweep = bn_stmt_get_int(stmt, 7);
        mark->behind = bn_stmt_get_int(stmt, 8) != 0;
    }
    bn_status status = bn_rows_end(&rows, stmt, count, err);
    *out = rows.items;
    return status;
}

bn_status bn_feed_memo(bn_feed *feed, int64_t run, char **out, bn_error *err)
{
    bn_stmt *stmt = bn_db_stmt(feed->store->db, "SELECT memo\n"
                                                "FROM heard\n"
                                                "WHERE reader = ?1 AND run_id = ?2");
    bn_stmt_text(stmt, 1, feed->reader);
    bn_stmt_int(stmt, 2, run);
    *out = strdup(bn_stmt_row(stmt) ? bn_stmt_get_text(stmt, 0) : "");
    bn_status status = bn_stmt_end(stmt, err);
    if (status == BN_OK && !*out) {
        status = bn_fail(err, BN_ENOMEM, "feed '%s': out of memory", feed->reader);
    }
    return status;
}

bn_status bn_feed_note(bn_feed *feed, int64_t run, const char *memo, bn_error *err)
{
    if (bn_store_begin(feed->store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(feed->store->db, "INSERT INTO heard (reader, run_id, memo)\n"
                                                "VALUES (?1, ?2, ?3)\n"
                                                "ON CONFLICT (reader, run_id) DO UPDATE\n"
                                                "SET memo = excluded.memo");
    bn_stmt_text(stmt, 1, feed->reader);
    bn_stmt_int(stmt, 2, run);
    bn_stmt_text(stmt, 3, memo);
    return bn_store_end(feed->store, bn_stmt_run(stmt, err), err);
}

bn_status bn_feed_ack(bn_feed *feed, const bn_feed_batch *heard, const char *memo, bn_error *err)
{
    if (bn_store_begin(feed->store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(
        feed->store->db, "INSERT INTO heard (reader, run_id, next_seq, state, attempt, memo)\n"
                         "VALUES (?1, ?2, ?3, ?4, ?5, ifnull(?6, ''))\n"
                         "ON CONFLICT (reader, run_id) DO UPDATE\n"
                         "SET next_seq = max(next_seq, excluded.next_seq),\n"
                         "    state = excluded.state, attempt = excluded.attempt,\n"
                         "    memo = ifnull(?6, memo)");
    /* While records are left to tell, the state is not told either: it must come last. */
    bool whole = heard->last;
    bn_stmt_text(stmt, 1, feed->reader);
    bn_stmt_int(stmt, 2, heard->run.id);
    bn_stmt_int(stmt, 3, heard->first_seq + (int64_t)heard->count);
    bn_stmt_text(stmt, 4, whole ? bn_run_state_name(heard->run.state) : "");
    bn_stmt_int(stmt, 5, whole ? heard->run.attempt : 0);
    bn_stmt_text(stmt, 6, memo);
    bn_status status = bn_store_end(feed->store, bn_stmt_run(stmt, err), err);
    if (status == BN_OK) feed->after = heard->run.id;
    return status;
}

bn_status bn_feed_block(bn_feed *feed, int64_t run, const char *why, bn_error *err)
{
    if (bn_store_begin(feed->store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(feed->store->db, "INSERT INTO heard (reader, run_id, blocked)\n"
                                                "VALUES (?1, ?2, ?3)\n"
                                                "ON CONFLICT (reader, run_id) DO UPDATE\n"
                                                "SET blocked = excluded.blocked");
    bn_stmt_text(stmt, 1, feed->reader);
    bn_stmt_int(stmt, 2, run);
    bn_stmt_text(stmt, 3, why && *why ? why : "refused");
    return bn_store_end(feed->store, bn_stmt_run(stmt, err), err);
}

/* A statement about the marks of one sweep's runs, or of all (0). */
static bn_status change_marks(bn_feed *feed, const char *sql, int64_t sweep, bn_error *err)
{
    if (bn_store_begin(feed->store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(feed->store->db, sql);
    bn_stmt_text(stmt, 1, feed->reader);
    bn_stmt_int(stmt, 2, sweep);
    return bn_store_end(feed->store, bn_stmt_run(stmt, err), err);
}

#define OF_SWEEP                                                                                   \
    "WHERE reader = ?1\n"                                                                          \
    "  AND (?2 = 0 OR run_id IN (SELECT id FROM run WHERE sweep_id = ?2))"

bn_status bn_feed_retry(bn_feed *feed, int64_t sweep, bn_error *err)
{
    return change_marks(feed, "UPDATE heard\nSET blocked = ''\n" OF_SWEEP, sweep, err);
}

bn_status bn_feed_remind(bn_feed *feed, int64_t run, bn_error *err)
{
    if (bn_store_begin(feed->store, err) != BN_OK) return err->status;
    bn_stmt *stmt = bn_db_stmt(feed->store->db, "UPDATE heard\n"
                                                "SET state = ''\n"
                                                "WHERE reader = ?1 AND run_id = ?2");
    bn_stmt_text(stmt, 1, feed->reader);
    bn_stmt_int(stmt, 2, run);
    return bn_store_end(feed->store, bn_stmt_run(stmt, err), err);
}

bn_status bn_feed_forget(bn_feed *feed, int64_t sweep, bn_error *err)
{
    return change_marks(feed, "DELETE FROM heard\n" OF_SWEEP, sweep, err);
}
