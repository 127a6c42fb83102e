#include <math.h>
#include <string.h>

#include "engine/base/rng.h"
#include "store/db.h"
#include "store/label.h"
#include "store/migrate.h"
#include "store/pack.h"
#include "store/packed.h"
#include "support/store_home.h"

/* ---- columns ---- */

enum { NUMBERS = 3000 };

static void check_reals(const double *numbers, size_t count, size_t bytes_max)
{
    static unsigned char packed[17 + 10 * NUMBERS];
    static double back[NUMBERS];
    assert_true(bn_pack_room(count) <= sizeof packed);
    size_t size = bn_pack_reals(numbers, count, packed);
    assert_true(size <= bytes_max);
    assert_int_equal(bn_unpack_reals(packed, size, back, count), size);
    assert_memory_equal(back, numbers, count * sizeof *back);
    for (size_t cut = 0; cut < size; cut += 1 + size / 37) {
        assert_int_equal(bn_unpack_reals(packed, cut, back, count), 0);
    }
}

static void test_reals_come_back_bit_by_bit(void **state)
{
    (void)state;
    static double numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) {
        uint64_t bits = bn_rng_bits(1, i); /* any double there is, NaNs with payloads among them */
        memcpy(&numbers[i], &bits, sizeof bits);
    }
    check_reals(numbers, NUMBERS, 1 + 8 * NUMBERS);
    for (size_t i = 0; i < NUMBERS; i++) numbers[i] = bn_rng_normal(2, i);
    const double special[] = {-0.0, 0.0, (double)INFINITY, -(double)INFINITY, (double)NAN, 5e-324};
    memcpy(numbers + 100, special, sizeof special);
    check_reals(numbers, NUMBERS, 1 + 8 * NUMBERS);
}

static void test_reals_take_the_bytes_that_they_need(void **state)
{
    (void)state;
    static double numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) numbers[i] = (double)(float)bn_rng_normal(3, i);
    numbers[7] = -0.0;
    numbers[8] = (double)NAN;
    check_reals(numbers, NUMBERS, 1 + 4 * NUMBERS);
    for (size_t i = 0; i < NUMBERS; i++) numbers[i] = (1.79e12 + 137.0 * (double)i) / 1000;
    check_reals(numbers, NUMBERS, 1 + 2 * NUMBERS + 8); /* times in whole milliseconds */
}

static void check_ints(const int64_t *numbers, size_t count, size_t bytes_max)
{
    static unsigned char packed[17 + 10 * NUMBERS];
    static int64_t back[NUMBERS];
    size_t size = bn_pack_ints(numbers, count, packed);
    assert_true(size <= bytes_max);
    assert_int_equal(bn_unpack_ints(packed, size, back, count), size);
    assert_memory_equal(back, numbers, count * sizeof *back);
    assert_int_equal(bn_unpack_ints(packed, size - 1, back, count), 0);
}

static void test_ints_come_back_whatever_they_are(void **state)
{
    (void)state;
    static int64_t numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) numbers[i] = (int64_t)bn_rng_bits(4, i);
    check_ints(numbers, NUMBERS, 1 + 10 * NUMBERS);
    const int64_t edges[] = {INT64_MIN, INT64_MAX, 0, -1, INT64_MAX, INT64_MIN};
    check_ints(edges, sizeof edges / sizeof edges[0], 61);
    check_ints(edges, 1, 11);
    for (int64_t i = 0; i < NUMBERS; i++) numbers[i] = 5 + 10 * i;
    check_ints(numbers, NUMBERS, 17); /* steps */
}

/* ---- in the store ---- */

typedef struct fixture {
    char home[BN_PATH_MAX], path[BN_PATH_MAX];
    bn_store *store;
    bn_run run;
} fixture;

static int setup(void **state)
{
    static fixture at;
    bn_error err = {0};
    home_make(at.home);
    ASSERT_OK(bn_path_join(at.path, at.home, "bnexp.db", &err));
    at.store = home_open(at.home, BN_STORE_WRITE);
    at.run = home_run(at.store, home_sweep(at.store, "lr"), 0);
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    bn_store_close(at->store);
    home_remove(at->home);
    return 0;
}

/* What another program does to the database: triggers and all. */
static void meddle(const fixture *at, const char *sql)
{
    bn_db *db = NULL;
    bn_error err = {0};
    ASSERT_OK(bn_db_open(&db, at->path, BN_DB_WRITE, &err));
    ASSERT_OK(bn_db_exec(db, sql, &err));
    bn_db_close(db);
}

static int64_t count_rows(const fixture *at, const char *sql)
{
    bn_db *db = NULL;
    bn_error err = {0};
    int64_t count = 0;
    ASSERT_OK(bn_db_open(&db, at->path, BN_DB_READ, &err));
    ASSERT_OK(bn_db_int(db, sql, &count, &err));
    bn_db_close(db);
    return count;
}

static bn_series read_curve(const fixture *at, const char *key)
{
    bn_series series;
    bn_error err = {0};
    ASSERT_OK(bn_history_series(at->store, at->run.id, key, &series, &err));
    return series;
}

static void assert_same(const bn_series *a, const bn_series *b)
{
    size_t size = a->count * sizeof(double);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->seq, b->seq, size);
    assert_memory_equal(a->step, b->step, size);
    assert_memory_equal(a->wall_s, b->wall_s, size);
    assert_memory_equal(a->number, b->number, size);
}

/* A metric of every kind of trouble: in all records, in some, in few; and times that jump. */
static void append(const fixture *at, int64_t first, size_t count)
{
    bn_record *records = calloc(count, sizeof *records);
    bn_value *values = calloc(3 * count, sizeof *values);
    bn_error err = {0};
    assert_non_null(records);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        int64_t seq = first + (int64_t)i;
        bn_value *mine = values + 3 * i;
        size_t n = 0;
        double number = bn_rng_normal(5, (uint64_t)seq);
        if (seq % 1013 == 5) number = (double)NAN;
        if (seq % 1013 == 6) number = -(double)INFINITY;
        mine[n++] = (bn_value){"dense", number};
        if (seq % 3 == 0) mine[n++] = (bn_value){"some", (double)(float)number};
        if (seq % 500 == 499) mine[n++] = (bn_value){"few", number};
        double wall_s = 1.7e9 + (double)(seq * 17 % 1000) / 1000;
        records[i] = (bn_record){seq, seq * 10, wall_s, mine, n};
    }
    bn_history_batch batch = {at->run.id, records, count, first + (int64_t)count};
    ASSERT_OK(bn_history_append(at->store, &batch, 1, &err));
    free(values);
    free(records);
}

static const char *const KEYS[] = {"dense", "some", "few"};

static void test_a_curve_is_the_same_packed_or_not(void **state)
{
    fixture *at = *state;
    bn_series packed[3];
    append(at, 0, 5000);
    append(at, 5000, 15000);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed WHERE key_id = 0"), 2);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 6); /* few are not worth it */
    for (int k = 0; k < 3; k++) packed[k] = read_curve(at, KEYS[k]);
    assert_int_equal(packed[0].count, 20000);
    assert_int_equal(packed[1].count, 6667);
    assert_int_equal(packed[2].count, 40);
    meddle(at, "DELETE FROM packed");
    for (int k = 0; k < 3; k++) {
        bn_series rows = read_curve(at, KEYS[k]);
        assert_same(&packed[k], &rows);
        bn_series_release(&rows);
        bn_series_release(&packed[k]);
    }
}

static void test_what_others_change_is_seen(void **state)
{
    fixture *at = *state;
    append(at, 0, 10000);
    const char *const changes[] = {
        "UPDATE value SET number = 42 WHERE key_id = 1 AND seq = 100",
        "INSERT OR REPLACE INTO value (run_id, key_id, seq, number) VALUES (1, 1, 101, 42)",
        "DELETE FROM value WHERE key_id = 1 AND seq = 102",
        "INSERT INTO value (run_id, key_id, seq, number) VALUES (1, 2, 1, 42)", /* "some" */
        "UPDATE record SET step = 42 WHERE seq = 100",
        "UPDATE value SET seq = 102 WHERE key_id = 1 AND seq = 103",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) meddle(at, changes[i]);
    bn_series dense = read_curve(at, "dense"), some = read_curve(at, "some");
    assert_int_equal(dense.count, 9999);
    assert_true(dense.number[100] == 42 && dense.number[101] == 42);
    assert_int_equal(dense.seq[102], 102);
    assert_int_equal(dense.seq[103], 104);
    assert_int_equal(dense.step[100], 42);
    assert_int_equal(some.count, 3335);
    assert_true(some.seq[1] == 1 && some.number[1] == 42);
    bn_series_release(&dense);
    bn_series_release(&some);
}

static void test_a_metric_that_others_added_is_read(void **state)
{
    fixture *at = *state;
    append(at, 0, 10);
    meddle(at, "INSERT INTO metric_key (id, name) VALUES (9, 'theirs');"
               "INSERT INTO value (run_id, key_id, seq, number) VALUES (1, 9, 3, 1), (1, 9, 4, 2)");
    bn_series series = read_curve(at, "theirs");
    assert_int_equal(series.count, 2);
    assert_true(series.step[1] == 40 && series.number[1] == 2);
    bn_series_release(&series);
}

static void test_bytes_that_do_not_unpack_are_passed_over(void **state)
{
    fixture *at = *state;
    append(at, 0, 10000);
    bn_series whole = read_curve(at, "dense");
    static const char *const spoils[] = {
        "UPDATE packed SET count = count + 100000",
        "UPDATE packed SET count = count - 100001", /* a byte too many */
        "UPDATE packed SET count = count + 1, last_seq = -last_seq",
        "UPDATE packed SET last_seq = -last_seq / 2", /* shorter than its numbers */
        "UPDATE packed SET body = substr(body, 1, length(body) - 1)",
        "UPDATE packed SET body = zeroblob(0)",
        "UPDATE packed SET body = randomblob(5000)",
    };
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        meddle(at, spoils[i]);
        bn_series series = read_curve(at, "dense");
        assert_same(&whole, &series);
        bn_series_release(&series);
    }
    bn_series_release(&whole);
}

static void move(const fixture *at, bn_run_state from, bn_run_state to)
{
    bn_error err = {0};
    bn_run_change change = {.from = from, .to = to, .exit_code = -1, .now_s = 1};
    change.begins_attempt = to == BN_RUN_RUNNING;
    change.ends_attempt = from == BN_RUN_RUNNING;
    ASSERT_OK(bn_run_move(at->store, at->run.id, &change, &err));
}

static void test_a_run_that_ended_is_packed_and_may_go_on(void **state)
{
    fixture *at = *state;
    move(at, BN_RUN_PENDING, BN_RUN_RUNNING);
    append(at, 0, 300);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 0);
    move(at, BN_RUN_RUNNING, BN_RUN_PREEMPTED);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed WHERE last_seq = 299"), 2);
    move(at, BN_RUN_PREEMPTED, BN_RUN_RUNNING);
    append(at, 300, 700);
    bn_series series = read_curve(at, "dense");
    assert_int_equal(series.count, 1000);
    assert_int_equal(series.step[999], 9990);
    bn_series_release(&series);
    move(at, BN_RUN_RUNNING, BN_RUN_FINISHED);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed WHERE last_seq = 999"), 3);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 3);
}

static void test_a_purged_run_leaves_nothing_packed(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    append(at, 0, 9000);
    ASSERT_OK(bn_run_trash(at->store, at->run.id, "trash/x", &err));
    ASSERT_OK(bn_run_purge(at->store, at->run.id, &err));
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 0);
}

/* ---- homes of before ---- */

static void test_an_older_home_is_kept_migrated_and_packed_as_it_goes_on(void **state)
{
    fixture *at = *state;
    bn_db *db = NULL;
    bn_error err = {0};
    int count = 0;
    char copy[BN_PATH_MAX + 16];
    bn_store_close(at->store);
    home_remove(at->home);
    ASSERT_OK(bn_dir_make(at->home, 0700, &err));
    ASSERT_OK(bn_db_open(&db, at->path, BN_DB_WRITE, &err));
    ASSERT_OK(bn_db_use_log(db, &err));
    ASSERT_OK(bn_migrate(db, at->path, BN_DB_WRITE, bn_migrations(&count), 1, &err));
    assert_true(count >= 2);
    ASSERT_OK(bn_db_exec(
        db,
        "INSERT INTO sweep (id, name, hash, spec, method, metric, maximize, seed, state, "
        "created_s)\n"
        "VALUES (1, 'old', 'h', '', 'grid', 'val/loss', 0, 1, 'running', 1);\n"
        "INSERT INTO run (id, key, sweep_id, number, name, state, dir, config_hash, created_s,\n"
        "                 next_seq)\n"
        "VALUES (1, 'abcdefgh', 1, 0, 'r', 'running', 'old/r', 'c', 1, 8190);\n"
        "INSERT INTO metric_key (id, name) VALUES (1, 'dense');\n"
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 8189)\n"
        "INSERT INTO record (run_id, seq, step, wall_s) SELECT 1, i, 10 * i, i FROM n;\n"
        "INSERT INTO value (run_id, key_id, seq, number) SELECT 1, 1, seq, -seq FROM record;\n"
        "INSERT INTO latest (key_id, run_id, count, last_step) VALUES (1, 1, 8190, 81890)",
        &err));
    bn_db_close(db);
    at->store = home_open(at->home, BN_STORE_WRITE);
    (void)snprintf(copy, sizeof copy, "%s.v1-backup", at->path);
    assert_true(bn_file_exists(copy));
    at->run.id = 1;
    append(at, 8190, 10);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 2);
    bn_series series = read_curve(at, "dense");
    assert_int_equal(series.count, 8200);
    assert_true(series.number[8189] == -8189 && series.step[8199] == 81990);
    bn_series_release(&series);
}

/* An ended run of `records` with two metrics, as schema 001 left it: nothing packed. */
static void make_old_run(const fixture *at, int64_t records)
{
    move(at, BN_RUN_PENDING, BN_RUN_RUNNING);
    for (int64_t first = 0; first < records; first += 5000) {
        append(at, first, (size_t)(records - first < 5000 ? records - first : 5000));
    }
    move(at, BN_RUN_RUNNING, BN_RUN_FINISHED);
    meddle(at, "DELETE FROM packed");
}

static void test_an_old_run_that_has_ended_is_packed_piece_by_piece(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    int64_t unpacked = 0;
    make_old_run(at, 100000);
    bn_series before = read_curve(at, "dense");
    ASSERT_OK(bn_store_unpacked(at->store, &unpacked, &err));
    assert_int_equal(unpacked, 1);
    int pieces = 0;
    for (bool more = true; more; pieces++) {
        int64_t rows = count_rows(at, "SELECT coalesce(sum(count), 0) FROM packed");
        ASSERT_OK(bn_store_pack(at->store, &more, &err));
        int64_t step = count_rows(at, "SELECT sum(count) FROM packed") - rows;
        assert_true(step <= 3 * BN_STRETCH);
        bn_series during = read_curve(at, "dense");
        assert_same(&before, &during);
        bn_series_release(&during);
        bn_store_close(at->store); /* as after a kill between two pieces */
        at->store = home_open(at->home, BN_STORE_WRITE);
    }
    assert_int_equal(pieces, 14); /* 13 stretches, and to see that there is no more */
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 3 * 13);
    ASSERT_OK(bn_store_unpacked(at->store, &unpacked, &err));
    assert_int_equal(unpacked, 0);
    bn_series_release(&before);
}

static void test_a_stretch_of_many_metrics_takes_several_pieces(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    make_old_run(at, 8192);
    meddle(at, "INSERT INTO metric_key (id, name) SELECT 100 + seq, 'm' || seq FROM record\n"
               "WHERE seq < 20;\n"
               "INSERT INTO value (run_id, key_id, seq, number)\n"
               "SELECT 1, k.id, r.seq, r.seq FROM metric_key AS k, record AS r WHERE k.id >= 100;\n"
               "INSERT INTO latest (key_id, run_id, count, last_step)\n"
               "SELECT id, 1, 8192, 81910 FROM metric_key WHERE id >= 100");
    bool more = true;
    ASSERT_OK(bn_store_pack(at->store, &more, &err));
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed WHERE key_id = 0"), 0);
    int64_t first = count_rows(at, "SELECT sum(count) FROM packed");
    assert_true(first >= 65536 && first < 65536 + BN_STRETCH);
    while (more) ASSERT_OK(bn_store_pack(at->store, &more, &err));
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 23);
    at->run.id = 1;
    bn_series series = read_curve(at, "m19");
    assert_int_equal(series.count, 8192);
    assert_true(series.number[8191] == 8191);
    bn_series_release(&series);
}

static void test_a_run_that_runs_is_left_to_its_manager(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bool more = true;
    move(at, BN_RUN_PENDING, BN_RUN_RUNNING);
    append(at, 0, 9000);
    meddle(at, "DELETE FROM packed");
    ASSERT_OK(bn_store_pack(at->store, &more, &err));
    assert_false(more);
    assert_int_equal(count_rows(at, "SELECT count(*) FROM packed"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reals_come_back_bit_by_bit),
        cmocka_unit_test(test_reals_take_the_bytes_that_they_need),
        cmocka_unit_test(test_ints_come_back_whatever_they_are),
        cmocka_unit_test_setup_teardown(test_a_curve_is_the_same_packed_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_others_change_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_metric_that_others_added_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_that_do_not_unpack_are_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_ended_is_packed_and_may_go_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_purged_run_leaves_nothing_packed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_older_home_is_kept_migrated_and_packed_as_it_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_old_run_that_has_ended_is_packed_piece_by_piece,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stretch_of_many_metrics_takes_several_pieces, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_run_that_runs_is_left_to_its_manager, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
