#include <jansson.h>
#include <sys/stat.h>

#include "engine/base/rng.h"
#include "reporters/pyramid.h"
#include "reporters/site.h"
#include "reporters/site_number.h"
#include "support/store_home.h"

typedef struct fixture {
    char home[BN_PATH_MAX];
    char out[BN_PATH_MAX];
    bn_store *store;
} fixture;

static int setup(void **state)
{
    static fixture at;
    home_make(at.home);
    (void)snprintf(at.out, sizeof at.out, "%.900s-page", at.home);
    at.store = home_open(at.home, BN_STORE_WRITE);
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    char data[BN_PATH_MAX + 8];
    (void)snprintf(data, sizeof data, "%s/data", at->out);
    home_remove_files(data);
    home_remove_files(at->out);
    bn_store_close(at->store);
    home_remove(at->home);
    return 0;
}

static bn_status write_page(const fixture *at, bn_site_summary *summary, bn_error *err)
{
    bn_site_job job = {.home = at->home, .out = at->out, .threads = 2, .now_s = 1e9};
    return bn_site_write(&job, summary, err);
}

/* The object of a data file; checks that it is a call and nothing else. */
static json_t *read_data(const fixture *at, const char *name)
{
    char path[BN_PATH_MAX + 96];
    char *text = NULL;
    size_t size = 0;
    bn_error err = {0};
    (void)snprintf(path, sizeof path, "%s/data/%s", at->out, name);
    ASSERT_OK(bn_file_read(path, 1 << 26, &text, &size, &err));
    assert_int_equal(strncmp(text, "bnexp.put(", 10), 0);
    assert_string_equal(text + size - 2, ")\n");
    text[size - 2] = '\0';
    json_error_t problem;
    json_t *object = json_loads(text + 10, JSON_REJECT_DUPLICATES, &problem);
    if (!object) fail_msg("%s: %s", name, problem.text);
    free(text);
    return object;
}

static json_t *read_run(const fixture *at, const bn_run *run, const char *part)
{
    char name[64];
    (void)snprintf(name, sizeof name, "run-%s%s.js", run->key, part);
    return read_data(at, name);
}

/* ---- pyramid ---- */

enum { POINTS = 3000 };

static bn_series make_series(int64_t *seq, double *number)
{
    for (int i = 0; i < POINTS; i++) {
        seq[i] = i + i / 7; /* gaps, as a metric has that is not in every record */
        number[i] = bn_rng_normal(3, (uint64_t)i);
    }
    number[1234] = (double)NAN;
    number[77] = 1e9;
    return (bn_series){.seq = seq, .number = number, .count = POINTS};
}

static void test_every_bucket_keeps_its_least_and_largest(void **state)
{
    (void)state;
    static int64_t seq[POINTS];
    static double number[POINTS];
    static size_t picks[POINTS];
    static bool kept[POINTS];
    bn_series series = make_series(seq, number);
    for (int level = 1; level <= 5; level++) {
        size_t count = bn_pyramid_pick(&series, level, (bn_pyramid_range){0, 4000}, picks);
        memset(kept, 0, sizeof kept);
        for (size_t i = 0; i < count; i++) kept[picks[i]] = true;
        for (size_t i = 1; i < count; i++) assert_true(picks[i - 1] < picks[i]);
        assert_true(kept[1234] && kept[77] && kept[POINTS - 1]);
        int64_t width = bn_pyramid_width(level);
        for (int i = 0; i < POINTS; i++) {
            bool low = false;
            bool high = false;
            for (int k = 0; k < POINTS; k++) {
                if (!kept[k] || seq[k] / width != seq[i] / width) continue;
                low |= number[k] <= number[i] || isnan(number[i]);
                high |= number[k] >= number[i] || isnan(number[i]);
            }
            assert_true(low && high);
        }
    }
}

static void test_level_zero_is_the_series(void **state)
{
    (void)state;
    static int64_t seq[POINTS];
    static double number[POINTS];
    static size_t picks[POINTS];
    bn_series series = make_series(seq, number);
    size_t count = bn_pyramid_pick(&series, 0, (bn_pyramid_range){0, 4000}, picks);
    assert_int_equal(count, POINTS);
}

static void test_chunks_cover_every_record_once(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 256, 257, 4096, 4097, 100000, 5000000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int top = bn_pyramid_top(sizes[s]);
        assert_true(sizes[s] <= BN_PYRAMID_TOP * bn_pyramid_width(top));
        for (int level = 0; level < top; level++) {
            int64_t next = 0;
            for (int64_t chunk = 0; chunk < bn_pyramid_chunks(sizes[s], level); chunk++) {
                bn_pyramid_range range = bn_pyramid_chunk(sizes[s], level, chunk);
                assert_true(range.first == next && range.end > range.first);
                next = range.end;
            }
            assert_true(next == sizes[s]);
        }
    }
}

/* ---- numbers ---- */

static void test_numbers_read_back_exactly(void **state)
{
    (void)state;
    bn_text text = {0};
    for (uint64_t i = 0; i < 20000; i++) {
        double number = bn_rng_normal(9, i) * pow(10, (double)(i % 40) - 20);
        bn_text_clear(&text);
        bn_site_number(&text, number, false);
        assert_true(strtod(text.data, NULL) == number);
        float narrow = (float)number;
        bn_text_clear(&text);
        bn_site_number(&text, (double)narrow, true);
        assert_true((float)strtod(text.data, NULL) == narrow);
        assert_true(text.length <= 17);
    }
    bn_text_release(&text);
}

static void test_short_numbers_stay_short(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *words;
    } cases[] = {{0.1, "0.1"},         {-2.5, "-2.5"},
                 {0.0003, "0.0003"},   {0, "0"},
                 {123456, "123456"},   {(double)NAN, "\"NaN\""},
                 {1.5e-5, "0.000015"}, {(double)INFINITY, "\"Infinity\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bn_text text = {0};
        bn_site_number(&text, cases[i].number, false);
        assert_string_equal(text.data, cases[i].words);
        bn_text_release(&text);
    }
}

static void test_even_columns_of_integers_take_no_room(void **state)
{
    (void)state;
    static const int64_t even[] = {10, 20, 30, 40};
    static const int64_t odd[] = {INT64_MIN, INT64_MAX, 3};
    bn_text text = {0};
    bn_site_integers(&text, even, 4);
    assert_string_equal(text.data, "{\"from\":10,\"by\":10,\"count\":4}");
    bn_text_clear(&text);
    bn_site_integers(&text, odd, 3);
    assert_non_null(strstr(text.data, "{\"from\":-9223372036854775808,\"deltas\":[-1,"));
    bn_text_release(&text);
}

/* ---- the folder ---- */

static void test_a_page_says_what_the_store_holds(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_site_summary summary = {0};
    bn_run run = home_run(at->store, home_sweep(at->store, "lr"), 0);
    ASSERT_OK(home_append(at->store, run.id, 0, 1000, &err));
    ASSERT_OK(write_page(at, &summary, &err));
    assert_int_equal(summary.runs, 1);
    json_t *index = read_data(at, "index.js");
    json_t *runs = json_object_get(index, "runs");
    json_t *keys = json_object_get(runs, "key");
    assert_string_equal(json_string_value(json_array_get(keys, 0)), run.key);
    json_t *top = read_run(at, &run, "");
    assert_int_equal(json_integer_value(json_object_get(top, "total")), 1000);
    json_t *all = read_run(at, &run, "-0-0");
    json_t *series = json_array_get(json_object_get(all, "series"), 1);
    assert_string_equal(json_string_value(json_object_get(series, "name")), "b");
    json_t *values = json_object_get(series, "v");
    assert_int_equal(json_array_size(values), 1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_true(json_number_value(json_array_get(values, i)) == -(double)i);
    }
    json_decref(index);
    json_decref(top);
    json_decref(all);
}

static void test_writing_again_shows_what_came_since(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_site_summary summary = {0};
    bn_run run = home_run(at->store, home_sweep(at->store, "lr"), 0);
    ASSERT_OK(home_append(at->store, run.id, 0, 10, &err));
    ASSERT_OK(write_page(at, &summary, &err));
    ASSERT_OK(home_append(at->store, run.id, 10, 5, &err));
    ASSERT_OK(write_page(at, &summary, &err));
    json_t *top = read_run(at, &run, "");
    assert_int_equal(json_integer_value(json_object_get(top, "total")), 15);
    json_decref(top);
}

static void test_an_empty_home_has_a_page(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_site_summary summary = {0};
    ASSERT_OK(write_page(at, &summary, &err));
    assert_int_equal(summary.runs, 0);
    json_t *index = read_data(at, "index.js");
    assert_int_equal(json_array_size(json_object_get(index, "sweeps")), 0);
    json_decref(index);
}

static void test_a_home_without_database_is_not_found(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_site_summary summary = {0};
    bn_site_job job = {.home = "/tmp/bn_no_such_home", .out = at->out, .threads = 1};
    assert_int_equal(bn_site_write(&job, &summary, &err), BN_ENOENT);
    assert_false(bn_file_exists(at->out));
}

static void test_a_strangers_page_is_left_alone(void **state)
{
    fixture *at = *state;
    char path[BN_PATH_MAX + 16];
    char *page = NULL;
    size_t size = 0;
    bn_error err = {0};
    bn_site_summary summary = {0};
    (void)mkdir(at->out, 0755);
    (void)snprintf(path, sizeof path, "%s/index.html", at->out);
    ASSERT_OK(bn_file_write(path, "<p>mine", 7, 0644, &err));
    assert_int_equal(write_page(at, &summary, &err), BN_EINVAL);
    err = (bn_error){0};
    ASSERT_OK(bn_file_read(path, 100, &page, &size, &err));
    assert_string_equal(page, "<p>mine");
    free(page);
}

static void test_hostile_words_stay_words(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_site_summary summary = {0};
    bn_run_new fresh = {.sweep = home_sweep(at->store, "</script><b>"),
                        .name = "\"+alert(1)+\"\xFF\n</script>",
                        .config_json = "{\"__proto__\":\"<img>\",\"a\":[1]}",
                        .variant = "x\\y",
                        .config_hash = "h",
                        .dir = "../../etc"};
    bn_run run;
    ASSERT_OK(bn_run_add(at->store, &fresh, &run, &err));
    ASSERT_OK(write_page(at, &summary, &err));
    json_t *index = read_data(at, "index.js");
    json_t *names = json_object_get(json_object_get(index, "runs"), "name");
    assert_string_equal(json_string_value(json_array_get(names, 0)),
                        "\"+alert(1)+\"\xEF\xBF\xBD\n</script>");
    json_decref(index);
}

static void test_what_is_not_finite_is_said_as_such(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_site_summary summary = {0};
    bn_run run = home_run(at->store, home_sweep(at->store, "nan"), 0);
    bn_value value = {"val/loss", (double)NAN};
    bn_record record = {0, 0, 1e9, &value, 1};
    bn_history_batch batch = {run.id, &record, 1, 1};
    ASSERT_OK(bn_history_append(at->store, &batch, 1, &err));
    ASSERT_OK(write_page(at, &summary, &err));
    json_t *top = read_run(at, &run, "");
    json_t *series = json_array_get(json_object_get(top, "series"), 0);
    json_t *first = json_array_get(json_object_get(series, "v"), 0);
    assert_string_equal(json_string_value(first), "NaN");
    json_decref(top);
}

/* ---- the comparison ---- */

static void finish(bn_store *store, int64_t sweep, int number, const char *variant, double loss)
{
    static const char *const rates[] = {"0.001", "0.01"};
    char config[160];
    char name[32];
    bn_param params[2] = {{"optim.lr", "", true}, {"quant.variant", "", true}};
    (void)snprintf(params[0].value, sizeof params[0].value, "%s", rates[number % 2]);
    (void)snprintf(params[1].value, sizeof params[1].value, "\"%s\"", variant);
    (void)snprintf(config, sizeof config, "{\"optim.lr\":%s,\"quant.variant\":\"%s\"}",
                   rates[number % 2], variant);
    (void)snprintf(name, sizeof name, "run-%d", number);
    bn_run_new fresh = {.sweep = sweep,
                        .number = number,
                        .name = name,
                        .config_json = config,
                        .params = params,
                        .param_count = 2,
                        .variant = variant,
                        .config_hash = name,
                        .dir = name};
    bn_run run;
    bn_error err = {0};
    ASSERT_OK(bn_run_add(store, &fresh, &run, &err));
    bn_run_change change = {.from = BN_RUN_PENDING,
                            .to = BN_RUN_RUNNING,
                            .exit_code = -1,
                            .now_s = 1,
                            .begins_attempt = true};
    ASSERT_OK(bn_run_move(store, run.id, &change, &err));
    bn_value value = {"val/loss", loss};
    bn_record record = {0, 10, 1e9, &value, 1};
    bn_history_batch batch = {run.id, &record, 1, 1};
    ASSERT_OK(bn_history_append(store, &batch, 1, &err));
    change = (bn_run_change){.from = BN_RUN_RUNNING,
                             .to = BN_RUN_FINISHED,
                             .exit_code = 0,
                             .now_s = 2,
                             .ends_attempt = true};
    ASSERT_OK(bn_run_move(store, run.id, &change, &err));
}

static void test_each_side_stands_with_its_own_best_rate(void **state)
{
    fixture *at = *state;
    bn_error err = {0};
    bn_site_summary summary = {0};
    int64_t sweep = home_sweep(at->store, "lr");
    finish(at->store, sweep, 0, "ternary", 2.5);
    finish(at->store, sweep, 1, "ternary", 2.2); /* 0.01 is its best */
    finish(at->store, sweep, 2, "fp16", 2.0);    /* 0.001 is its best */
    finish(at->store, sweep, 3, "fp16", (double)NAN);
    ASSERT_OK(write_page(at, &summary, &err));
    json_t *index = read_data(at, "index.js");
    json_t *told = json_array_get(json_object_get(index, "sweeps"), 0);
    json_t *cells = json_object_get(json_object_get(told, "comparison"), "cells");
    assert_int_equal(json_array_size(cells), 1);
    json_t *sides = json_object_get(json_array_get(cells, 0), "sides");
    static const double rates[] = {0.001, 0.01}; /* the baseline, fp16, comes first */
    static const double losses[] = {2.0, 2.2};
    for (size_t s = 0; s < 2; s++) {
        json_t *best = json_object_get(json_array_get(sides, s), "best");
        assert_true(json_number_value(json_object_get(best, "rate")) == rates[s]);
        assert_true(json_number_value(json_object_get(best, "mean")) == losses[s]);
    }
    json_decref(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bucket_keeps_its_least_and_largest),
        cmocka_unit_test(test_level_zero_is_the_series),
        cmocka_unit_test(test_chunks_cover_every_record_once),
        cmocka_unit_test(test_numbers_read_back_exactly),
        cmocka_unit_test(test_short_numbers_stay_short),
        cmocka_unit_test(test_even_columns_of_integers_take_no_room),
        cmocka_unit_test_setup_teardown(test_a_page_says_what_the_store_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writing_again_shows_what_came_since, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_empty_home_has_a_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_home_without_database_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_strangers_page_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_words_stay_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_finite_is_said_as_such, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_side_stands_with_its_own_best_rate, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
