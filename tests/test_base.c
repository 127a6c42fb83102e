#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/md5.h"
#include "engine/base/nearest.h"
#include "engine/base/rng.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "support/cmocka_all.h"

static void test_philox_gives_its_published_vectors(void **state)
{
    (void)state; /* Random123's known answers for philox4x32-10 */
    uint32_t out[4];
    bn_rng_philox(out, (uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0});
    assert_int_equal(out[0], 0x6627e8d5);
    assert_int_equal(out[1], 0xe169c58d);
    assert_int_equal(out[2], 0xbc57ac4c);
    assert_int_equal(out[3], 0x9b00dbd8);
    uint32_t f = 0xffffffff;
    bn_rng_philox(out, (uint32_t[4]){f, f, f, f}, (uint32_t[2]){f, f});
    assert_int_equal(out[0], 0x408f276d);
    assert_int_equal(out[3], 0x6d5451fd);
}

static void test_normal_draws_have_mean_zero_and_variance_one(void **state)
{
    (void)state;
    double sum = 0, squares = 0;
    uint64_t key = bn_rng_key(7, "test", 0);
    for (uint64_t i = 0; i < 100000; i++) {
        double x = bn_rng_normal(key, i);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 1e5) < 0.02);
    assert_true(fabs(squares / 1e5 - 1.0) < 0.03);
}

static void test_streams_with_other_names_differ(void **state)
{
    (void)state;
    assert_true(bn_rng_key(1, "weights", 0) != bn_rng_key(1, "data", 0));
    assert_true(bn_rng_key(1, "weights", 0) != bn_rng_key(1, "weights", 1));
    assert_true(bn_rng_key(1, "weights", 0) != bn_rng_key(2, "weights", 0));
}

static void test_sha256_gives_the_standard_vectors(void **state)
{
    (void)state;
    bn_sha256 hash;
    char hex[BN_SHA256_HEX];
    bn_sha256_init(&hash);
    bn_sha256_add(&hash, "abc", 3);
    bn_sha256_end(&hash, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    bn_sha256_init(&hash);
    for (int i = 0; i < 1000000; i++) bn_sha256_add(&hash, "a", 1);
    bn_sha256_end(&hash, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_md5_gives_the_standard_vectors(void **state)
{
    static const struct {
        const char *words, *hex, *base64;
    } vectors[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e", "1B2M2Y8AsgTpgAmY7PhCfg=="},
        {"abc", "900150983cd24fb0d6963f7d28e17f72", "kAFQmDzST7DWlj99KOF/cg=="},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0", "+WtpfXy3k41SWi8xqvFh0A=="},
        {"1234567890123456789012345678901234567890123456789012345678901234567890"
         "1234567890",
         "57edf4a22be3c955ac49da2e2107b67a", "V+30oivjyVWsSdouIQe2eg=="},
    };
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        bn_md5 hash;
        char hex[BN_MD5_HEX];
        char base64[BN_MD5_BASE64];
        bn_md5_init(&hash);
        for (const char *c = vectors[i].words; *c; c++) bn_md5_add(&hash, c, 1);
        bn_md5_hex(&hash, hex);
        assert_string_equal(hex, vectors[i].hex);
        bn_md5_init(&hash);
        bn_md5_add(&hash, vectors[i].words, strlen(vectors[i].words));
        bn_md5_base64(&hash, base64);
        assert_string_equal(base64, vectors[i].base64);
    }
}

static void test_numbers_read_back_as_themselves(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        char buffer[64];
        bn_text text;
        bn_text_fixed(&text, buffer, sizeof buffer);
        double number = bn_rng_normal(3, i) * pow(10, (double)(i % 60) - 30);
        bn_text_number(&text, number, BN_NONFINITE_QUOTED);
        assert_true(strtod(buffer, NULL) == number);
    }
}

static void test_numbers_are_short_and_nonfinite_ones_have_words(void **state)
{
    (void)state;
    bn_text text = {0};
    bn_text_number(&text, 0.001, BN_NONFINITE_QUOTED);
    bn_text_add(&text, " ");
    bn_text_number(&text, -3, BN_NONFINITE_QUOTED);
    bn_text_add(&text, " ");
    bn_text_number(&text, NAN, BN_NONFINITE_QUOTED);
    bn_text_number(&text, -INFINITY, BN_NONFINITE_BARE);
    bn_text_number(&text, INFINITY, BN_NONFINITE_NULL);
    assert_string_equal(text.data, "0.001 -3 \"NaN\"-Infinitynull");
    bn_text_release(&text);
}

static void test_json_commas_and_escapes(void **state)
{
    (void)state;
    bn_text text = {0};
    bn_json json = {.text = &text};
    bn_json_object(&json);
    bn_json_key(&json, "a\"\n");
    bn_json_array(&json);
    bn_json_int(&json, 1);
    bn_json_string(&json, "\x01\xff\xc3\xa9");
    bn_json_end_array(&json);
    bn_json_key(&json, "b");
    bn_json_bool(&json, true);
    bn_json_end_object(&json);
    assert_string_equal(text.data, "{\"a\\\"\\n\":[1,\"\\u0001\xEF\xBF\xBD\xc3\xa9\"],\"b\":true}");
    bn_text_release(&text);
}

static void test_a_full_fixed_text_remembers(void **state)
{
    (void)state;
    char buffer[4];
    bn_text text;
    bn_text_fixed(&text, buffer, sizeof buffer);
    bn_text_add(&text, "abc");
    assert_false(text.failed);
    bn_text_add(&text, "d");
    assert_true(text.failed);
    assert_string_equal(buffer, "abc");
}

static void test_nearest_finds_typos_and_last_parts(void **state)
{
    (void)state;
    const char *names[] = {"optim.lr", "model.width", "train.steps"};
    assert_string_equal(bn_nearest("model.widht", names, 3, sizeof names[0]), "model.width");
    assert_string_equal(bn_nearest("steps", names, 3, sizeof names[0]), "train.steps");
    assert_null(bn_nearest("zzzzzzzz", names, 3, sizeof names[0]));
}

static void test_files_are_replaced_whole_and_read_with_a_limit(void **state)
{
    (void)state;
    char dir[] = "/tmp/bn_test_XXXXXX", path[BN_PATH_MAX], *data = NULL;
    size_t size = 0;
    bn_error err = {0};
    assert_non_null(mkdtemp(dir));
    assert_int_equal(bn_path_join(path, dir, "x/y", &err), BN_OK);
    assert_int_equal(bn_dir_make(path, 0700, &err), BN_OK);
    assert_int_equal(bn_path_join(path, dir, "x/y/file", &err), BN_OK);
    assert_int_equal(bn_file_write(path, "hello", 5, 0600, &err), BN_OK);
    assert_int_equal(bn_file_write(path, "world!", 6, 0600, &err), BN_OK);
    assert_int_equal(bn_file_read(path, 6, &data, &size, &err), BN_OK);
    assert_string_equal(data, "world!");
    free(data);
    assert_int_equal(bn_file_read(path, 5, &data, &size, &err), BN_EINVAL);
    assert_null(data);
    bn_error missing = {0};
    assert_int_equal(bn_file_read("/nonexistent/x", 5, &data, &size, &missing), BN_ENOENT);
}

static void test_only_a_file_is_replaced_by_a_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/bn_test_XXXXXX", pipe[BN_PATH_MAX];
    bn_error folder = {0}, special = {0}, nameless = {0}, err = {0};
    struct stat info;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(bn_file_write(dir, "x", 1, 0600, &folder), BN_EINVAL);
    assert_non_null(strstr(folder.text, "is a folder"));
    assert_int_equal(bn_path_join(pipe, dir, "pipe", &err), BN_OK);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(bn_file_write(pipe, "x", 1, 0600, &special), BN_EINVAL);
    assert_int_equal(stat(pipe, &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
    assert_int_equal(bn_file_write("", "x", 1, 0600, &nameless), BN_EINVAL);
}

static void test_time_is_written_as_rfc3339(void **state)
{
    (void)state;
    char text[BN_CLOCK_TEXT_MAX];
    assert_string_equal(bn_clock_text(text, 1795371430.9375), "2026-11-22T18:17:10.937Z");
    assert_string_equal(bn_clock_text(text, NAN), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_gives_its_published_vectors),
        cmocka_unit_test(test_normal_draws_have_mean_zero_and_variance_one),
        cmocka_unit_test(test_streams_with_other_names_differ),
        cmocka_unit_test(test_sha256_gives_the_standard_vectors),
        cmocka_unit_test(test_md5_gives_the_standard_vectors),
        cmocka_unit_test(test_numbers_read_back_as_themselves),
        cmocka_unit_test(test_numbers_are_short_and_nonfinite_ones_have_words),
        cmocka_unit_test(test_json_commas_and_escapes),
        cmocka_unit_test(test_a_full_fixed_text_remembers),
        cmocka_unit_test(test_nearest_finds_typos_and_last_parts),
        cmocka_unit_test(test_files_are_replaced_whole_and_read_with_a_limit),
        cmocka_unit_test(test_only_a_file_is_replaced_by_a_file),
        cmocka_unit_test(test_time_is_written_as_rfc3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
