#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store/history.h"
#include "support/store_home.h"

typedef struct fixture {
    char home[BN_PATH_MAX];
    bn_store *store;
    bn_run run;
} fixture;

static int setup(void **state)
{
    static fixture at;
    home_make(at.home);
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

/* The run's records must be 0 ... count - 1 as home_append makes them, and its mark with them. */
static void assert_history(bn_store *store, int64_t run_id, int64_t count)
{
    bn_run run;
    bn_series a, b;
    bn_error err = {0};
    ASSERT_OK(bn_run_get(store, run_id, &run, &err));
    assert_int_equal(run.next_seq, count);
    assert_int_equal(run.mark_bytes, count * 100);
    ASSERT_OK(bn_history_series(store, run_id, "a", &a, &err));
    ASSERT_OK(bn_history_series(store, run_id, "b", &b, &err));
    assert_int_equal(a.count, count);
    assert_int_equal(b.count, count);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(a.seq[i], i);
        assert_int_equal(a.step[i], i * 10);
        assert_true(a.number[i] == (double)i && b.number[i] == (double)-i);
        assert_true(a.wall_s[i] == 1e9 + (double)i);
    }
    bn_series_release(&a);
    bn_series_release(&b);
}

static void test_records_and_mark_go_together(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, at->run.id, 0, 7, &err));
    ASSERT_OK(home_append(at->store, at->run.id, 7, 5, &err));
    assert_history(at->store, at->run.id, 12);
}

static void test_replayed_records_change_nothing(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, at->run.id, 0, 10, &err));
    ASSERT_OK(home_append(at->store, at->run.id, 0, 10, &err));
    ASSERT_OK(home_append(at->store, at->run.id, 5, 9, &err)); /* half known, half new */
    assert_history(at->store, at->run.id, 14);
    bn_latest *latest = NULL;
    size_t count = 0;
    ASSERT_OK(bn_history_latest(at->store, at->run.id, &latest, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(latest[0].count, 14);
    free(latest);
}

static void test_a_gap_is_refused_and_nothing_is_written(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, at->run.id, 0, 3, &err));
    assert_int_equal(home_append(at->store, at->run.id, 4, 2, &err), BN_ECORRUPT);
    assert_non_null(strstr(err.text, "record 4 comes where 3 was expected"));
    assert_history(at->store, at->run.id, 3);
}

static void test_one_bad_batch_keeps_the_others_out_too(void **state)
{
    fixture *at = *state;
    bn_value value = {"brand/new", 1};
    bn_record good = {0, 0, 0, &value, 1}, bad = {5, 0, 0, &value, 1};
    int64_t other = home_run(at->store, at->run.sweep, 1).id;
    bn_history_batch batches[] = {{at->run.id, &good, 1, 10}, {other, &bad, 1, 10}};
    bn_error err = {0};
    assert_int_equal(bn_history_append(at->store, batches, 2, &err), BN_ECORRUPT);
    assert_history(at->store, at->run.id, 0);
    /* The name was made and rolled back: it must not be remembered as if it were there. */
    bn_error none = {0};
    assert_int_equal(bn_history_append(at->store, batches, 1, &none), BN_OK);
    bn_series series;
    assert_int_equal(bn_history_series(at->store, at->run.id, "brand/new", &series, &none), BN_OK);
    assert_int_equal(series.count, 1);
    bn_series_release(&series);
}

static void test_nan_and_infinities_are_kept_apart(void **state)
{
    fixture *at = *state;
    const double numbers[] = {(double)NAN, (double)INFINITY, (double)-INFINITY, 2.5, (double)NAN};
    bn_value values[5];
    bn_record records[5];
    for (int i = 0; i < 5; i++) {
        values[i] = (bn_value){"val/loss", numbers[i]};
        records[i] = (bn_record){i, i, i, &values[i], 1};
    }
    bn_history_batch batch = {at->run.id, records, 5, 50};
    bn_series series;
    bn_error err = {0};
    ASSERT_OK(bn_history_append(at->store, &batch, 1, &err));
    ASSERT_OK(bn_history_series(at->store, at->run.id, "val/loss", &series, &err));
    assert_int_equal(series.count, 5);
    assert_true(isnan(series.number[0]) && isnan(series.number[4]));
    assert_true(isinf(series.number[1]) && series.number[1] > 0);
    assert_true(isinf(series.number[2]) && series.number[2] < 0);
    bn_series_release(&series);
    bn_latest *latest = NULL;
    size_t count = 0;
    ASSERT_OK(bn_history_latest(at->store, at->run.id, &latest, &count, &err));
    assert_true(isnan(latest[0].last));
    assert_true(latest[0].min == 2.5 && latest[0].max == 2.5 && latest[0].min_step == 3);
    free(latest);
}

static void test_the_summary_follows_every_append(void **state)
{
    fixture *at = *state;
    const double numbers[] = {5, 1, 9, 4};
    bn_error err = {0};
    for (int i = 0; i < 4; i++) {
        bn_value value = {"x", numbers[i]};
        bn_record record = {i, i * 100, i, &value, 1};
        bn_history_batch batch = {at->run.id, &record, 1, i};
        ASSERT_OK(bn_history_append(at->store, &batch, 1, &err));
    }
    bn_latest *latest = NULL;
    size_t count = 0;
    ASSERT_OK(bn_history_latest_of(at->store, at->run.sweep, "x", &latest, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(latest[0].run, at->run.id);
    assert_true(latest[0].last == 4 && latest[0].min == 1 && latest[0].max == 9);
    assert_int_equal(latest[0].min_step, 100);
    assert_int_equal(latest[0].max_step, 200);
    free(latest);
    ASSERT_OK(bn_history_latest_all(at->store, 0, &latest, &count, &err));
    assert_int_equal(count, 1);
    free(latest);
}

static void test_a_key_said_twice_counts_once(void **state)
{
    fixture *at = *state;
    bn_value values[] = {{"x", 1}, {"y", 2}, {"x", 3}};
    bn_record record = {0, 0, 0, values, 3};
    bn_history_batch batch = {at->run.id, &record, 1, 1};
    bn_series series;
    bn_error err = {0};
    ASSERT_OK(bn_history_append(at->store, &batch, 1, &err));
    ASSERT_OK(bn_history_series(at->store, at->run.id, "x", &series, &err));
    assert_int_equal(series.count, 1);
    assert_true(series.number[0] == 3);
    bn_series_release(&series);
}

static void test_a_metric_without_a_name_is_refused(void **state)
{
    fixture *at = *state;
    char long_name[BN_METRIC_NAME_MAX + 1];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *names[] = {"", long_name};
    for (int i = 0; i < 2; i++) {
        bn_value value = {names[i], 1};
        bn_record record = {0, 0, 0, &value, 1};
        bn_history_batch batch = {at->run.id, &record, 1, 1};
        bn_error err = {0};
        assert_int_equal(bn_history_append(at->store, &batch, 1, &err), BN_EINVAL);
    }
    assert_history(at->store, at->run.id, 0);
}

static void test_an_unknown_metric_is_an_empty_series(void **state)
{
    fixture *at = *state;
    bn_series series;
    bn_error err = {0};
    ASSERT_OK(bn_history_series(at->store, at->run.id, "no/such", &series, &err));
    assert_int_equal(series.count, 0);
    bn_series_release(&series);
}

static void test_records_come_back_whole_stretch_by_stretch(void **state)
{
    fixture *at = *state;
    bn_history_reader *reader = NULL;
    const bn_record *records = NULL;
    size_t count = 0;
    int64_t next = 0;
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, at->run.id, 0, 2300, &err));
    ASSERT_OK(bn_history_reader_open(&reader, at->store, &err));
    do {
        ASSERT_OK(bn_history_read(reader, at->run.id, next, &records, &count, &err));
        for (size_t i = 0; i < count; i++, next++) {
            assert_int_equal(records[i].seq, next);
            assert_int_equal(records[i].count, 2);
            assert_string_equal(records[i].values[0].key, "a");
            assert_true(records[i].values[1].number == (double)-next);
        }
    } while (count > 0);
    assert_int_equal(next, 2300);
    bn_history_reader_close(reader);
}

static void test_more_points_than_one_sort_holds_come_back(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, at->run.id, 0, 40000, &err)); /* 80,000 points */
    assert_history(at->store, at->run.id, 40000);
}

/* Appends ten records at a time for ever, saying after each call how many are acknowledged. */
static void append_for_ever(const char *home, int64_t run, int64_t first, int fd)
{
    bn_store *store = NULL;
    bn_error err = {0};
    if (bn_store_open(&store, home, BN_STORE_WRITE, &err) != BN_OK) _exit(1);
    for (int64_t next = first;; next += 10) {
        if (home_append(store, run, next, 10, &err) != BN_OK) _exit(1);
        int64_t acknowledged = next + 10;
        if (write(fd, &acknowledged, sizeof acknowledged) < 0) _exit(1);
    }
}

static void test_a_kill_in_the_middle_loses_nothing_acknowledged(void **state)
{
    fixture *at = *state;
    int64_t known = 0;
    bn_store_close(at->store);
    at->store = NULL;
    for (int round = 0; round < 12; round++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) append_for_ever(at->home, at->run.id, known, pipes[1]);
        (void)close(pipes[1]);
        int64_t acknowledged = known;
        for (int i = 0; i < 3 + 7 * round; i++) {
            assert_int_equal(read(pipes[0], &acknowledged, sizeof acknowledged),
                             sizeof acknowledged);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        (void)close(pipes[0]);
        at->store = home_open(at->home, BN_STORE_WRITE);
        bn_error err = {0};
        ASSERT_OK(bn_run_get(at->store, at->run.id, &at->run, &err));
        assert_true(at->run.next_seq >= acknowledged);
        known = at->run.next_seq;
        assert_history(at->store, at->run.id, known);
        if (round < 11) bn_store_close(at->store);
    }
}

static void test_two_processes_write_without_losing_a_record(void **state)
{
    fixture *at = *state;
    int64_t mine = at->run.id, theirs = home_run(at->store, at->run.sweep, 1).id;
    pid_t child = fork();
    if (child == 0) {
        bn_store *store = NULL;
        bn_error err = {0};
        if (bn_store_open(&store, at->home, BN_STORE_WRITE, &err) != BN_OK) _exit(1);
        for (int64_t i = 0; i < 150; i++) {
            if (home_append(store, theirs, i * 3, 3, &err) != BN_OK) _exit(2);
        }
        _exit(0);
    }
    bn_error err = {0};
    for (int64_t i = 0; i < 150; i++) ASSERT_OK(home_append(at->store, mine, i * 3, 3, &err));
    int how = -1;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    assert_history(at->store, mine, 450);
    assert_history(at->store, theirs, 450);
}

/* A file size limit makes write(2) fail in the middle of a transaction, as a full disk does. */
static int64_t append_until_full(const char *home, int64_t run, int64_t first, rlim_t limit_bytes)
{
    bn_store *store = NULL;
    bn_error err = {0};
    struct rlimit limit = {.rlim_cur = limit_bytes, .rlim_max = RLIM_INFINITY};
    if (bn_store_open(&store, home, BN_STORE_WRITE, &err) != BN_OK) return -1;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return -1;
    int64_t next = first;
    while (next < first + 100000 && home_append(store, run, next, 500, &err) == BN_OK) next += 500;
    if (err.status != BN_EIO) return -1;
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return -1;
    bn_error none = {0}; /* there is room again: the same store goes on */
    if (home_append(store, run, next, 500, &none) != BN_OK) return -1;
    return next + 500;
}

/* Fills the "disk" once more, in a process of its own; returns how many records are acknowledged.
 */
static int64_t fill_disk(const fixture *at, int64_t first, rlim_t limit_bytes)
{
    int64_t count = -1;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        int64_t done = append_until_full(at->home, at->run.id, first, limit_bytes);
        _exit(write(pipes[1], &done, sizeof done) == sizeof done ? 0 : 1);
    }
    assert_int_equal(read(pipes[0], &count, sizeof count), sizeof count);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return count;
}

static void test_a_full_disk_loses_nothing_acknowledged_and_is_survived(void **state)
{
    fixture *at = *state;
    int64_t count = 0;
    bn_error err = {0};
    /* Other limits, other places: in the log, while it is folded in, in the middle of a page. */
    for (rlim_t limit = 300 * 1024; limit < 2000 * 1024; limit += 171 * 1024 + 333) {
        int64_t now = fill_disk(at, count, limit);
        assert_true(now >= count + 500);
        count = now;
        assert_history(at->store, at->run.id, count);
    }
    ASSERT_OK(bn_store_check(at->store, &err));
}

static void test_a_reader_sees_what_was_committed_while_another_writes(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_store *reader = home_open(at->home, BN_STORE_READ);
    for (int64_t i = 0; i < 5; i++) {
        ASSERT_OK(home_append(at->store, at->run.id, i * 4, 4, &err));
        assert_history(reader, at->run.id, (i + 1) * 4);
    }
    bn_store_close(reader);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(test_records_and_mark_go_together),
        WITH_HOME(test_replayed_records_change_nothing),
        WITH_HOME(test_a_gap_is_refused_and_nothing_is_written),
        WITH_HOME(test_one_bad_batch_keeps_the_others_out_too),
        WITH_HOME(test_nan_and_infinities_are_kept_apart),
        WITH_HOME(test_the_summary_follows_every_append),
        WITH_HOME(test_a_key_said_twice_counts_once),
        WITH_HOME(test_a_metric_without_a_name_is_refused),
        WITH_HOME(test_an_unknown_metric_is_an_empty_series),
        WITH_HOME(test_records_come_back_whole_stretch_by_stretch),
        WITH_HOME(test_more_points_than_one_sort_holds_come_back),
        WITH_HOME(test_a_kill_in_the_middle_loses_nothing_acknowledged),
        WITH_HOME(test_two_processes_write_without_losing_a_record),
        WITH_HOME(test_a_full_disk_loses_nothing_acknowledged_and_is_survived),
        WITH_HOME(test_a_reader_sees_what_was_committed_while_another_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
