#include <jansson.h>
#include <math.h>

#include "reporters/pyramid.h"
#include "reporters/site.h"
#include "reporters/site_curves.h"
#include "support/store_home.h"

static int setup(void **state)
{
    static char home[BN_PATH_MAX];
    home_make(home);
    *state = home;
    return 0;
}

static int teardown(void **state)
{
    home_remove(*state);
    return 0;
}

/* A run with `records` records of one metric; peaks where nobody would sample. */
static bn_run add_run(bn_store *store, int64_t sweep, int number, int records)
{
    bn_error err = {0};
    static bn_value values[1000];
    static bn_record list[1000];
    bn_run run = home_run(store, sweep, number);
    for (int i = 0; i < records; i++) {
        values[i] = (bn_value){"val/loss", i == 777 ? 1e6 + number : sin(i)};
        list[i] = (bn_record){i, 10 * (int64_t)i + 5, 1e9 + i, &values[i], 1};
    }
    bn_history_batch batch = {run.id, list, (size_t)records, records};
    ASSERT_OK(bn_history_append(store, &batch, 1, &err));
    return run;
}

static json_t *read_curves(bn_store *store, int64_t sweep, int64_t metric)
{
    bn_text text = {0};
    bn_error err = {0};
    ASSERT_OK(bn_site_curves_text(store, sweep, metric, &text, &err));
    assert_string_equal(text.data + text.length - 2, ")\n");
    text.data[text.length - 2] = '\0';
    json_t *object = json_loads(text.data + sizeof "bnexp.put(" - 1, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    bn_text_release(&text);
    return object;
}

static void test_every_run_of_a_sweep_is_in_its_curves(void **state)
{
    bn_store *store = home_open(*state, BN_STORE_WRITE);
    int64_t sweep = home_sweep(store, "lr"), other = home_sweep(store, "other");
    bn_run runs[2] = {add_run(store, sweep, 0, 1000), add_run(store, sweep, 1, 800)};
    (void)add_run(store, other, 0, 3);
    (void)home_run(store, sweep, 2); /* has measured nothing */
    json_t *told = read_curves(store, sweep, 1);
    assert_string_equal(json_string_value(json_object_get(told, "name")), "val/loss");
    json_t *curves = json_object_get(told, "curves");
    assert_int_equal(json_array_size(curves), 2);
    for (size_t r = 0; r < 2; r++) {
        json_t *curve = json_array_get(curves, r);
        assert_string_equal(json_string_value(json_object_get(curve, "run")), runs[r].key);
        json_t *values = json_object_get(curve, "v");
        bool peak = false;
        for (size_t i = 0; i < json_array_size(values); i++) {
            peak |= json_number_value(json_array_get(values, i)) == 1e6 + (double)r;
        }
        assert_true(peak);
        assert_true(json_array_size(values) <= 3 * BN_PYRAMID_TOP);
        json_t *step = json_object_get(curve, "step");
        assert_int_equal(json_integer_value(json_object_get(step, "per")), 10);
        assert_int_equal(json_integer_value(json_object_get(step, "from")), 5);
    }
    json_decref(told);
    bn_store_close(store);
}

static void test_no_curves_of_what_is_not_there(void **state)
{
    bn_store *store = home_open(*state, BN_STORE_WRITE);
    int64_t sweep = home_sweep(store, "lr");
    (void)add_run(store, sweep, 0, 3);
    bn_text text = {0};
    bn_error err = {0};
    assert_int_equal(bn_site_curves_text(store, sweep, 2, &text, &err), BN_ENOENT);
    err = (bn_error){0};
    assert_int_equal(bn_site_curves_text(store, sweep + 1, 1, &text, &err), BN_ENOENT);
    bn_text_release(&text);
    bn_store_close(store);
}

static void test_the_folder_has_the_curves_that_a_server_tells(void **state)
{
    char out[BN_PATH_MAX + 8], path[BN_PATH_MAX + 64];
    bn_store *store = home_open(*state, BN_STORE_WRITE);
    int64_t sweep = home_sweep(store, "lr");
    for (int i = 0; i < 3; i++) (void)add_run(store, sweep, i, 100 + 400 * i);
    (void)snprintf(out, sizeof out, "%s/page", (const char *)*state);
    bn_site_job job = {.home = *state, .out = out, .threads = 2, .now_s = 1e9};
    bn_site_summary summary;
    bn_text text = {0};
    bn_error err = {0};
    char *file = NULL;
    size_t size = 0;
    ASSERT_OK(bn_site_write(&job, &summary, &err));
    ASSERT_OK(bn_site_curves_text(store, sweep, 1, &text, &err));
    (void)snprintf(path, sizeof path, "%s/data/curves-%lld-1.js", out, (long long)sweep);
    ASSERT_OK(bn_file_read(path, 1 << 24, &file, &size, &err));
    assert_int_equal(size, text.length);
    assert_memory_equal(file, text.data, size);
    free(file);
    bn_text_release(&text);
    bn_store_close(store);
    (void)snprintf(path, sizeof path, "%s/data", out);
    home_remove_files(path);
    home_remove_files(out);
}

static void test_many_runs_share_the_buckets(void **state)
{
    (void)state;
    assert_int_equal(bn_site_curve_width(1000, 100), 4);
    assert_int_equal(bn_site_curve_width(256, 1), 1);
    assert_int_equal(bn_site_curve_width(257, 1), 2);
    assert_int_equal(bn_site_curve_width(1000, 1000), 32);
    assert_int_equal(bn_site_curve_width(0, 0), 1);
    for (size_t runs = 1; runs < 100000; runs *= 3) {
        int64_t width = bn_site_curve_width(1000000, runs);
        assert_true((1000000 - 1) / width < BN_PYRAMID_TOP);
        assert_true((1000000 - 1) / width >= BN_SITE_CURVES_LEAST / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_run_of_a_sweep_is_in_its_curves, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_curves_of_what_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_folder_has_the_curves_that_a_server_tells, setup,
                                        teardown),
        cmocka_unit_test(test_many_runs_share_the_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
