#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "engine/formats/safetensors_writer.h"
#include "support/cmocka_all.h"
#include "support/scratch.h"

static const float VALUES[6] = {1, 2, 3, 4, 5, -6.5F};
static const int8_t CODES[3] = {-1, 0, 1};

static void write_sample(const char *path)
{
    bn_error err = {0};
    bn_st_writer *writer = NULL;
    const bn_st_tensor rows[] = {
        {.name = "a.weight", .type = BN_ST_F32, .dims = 2, .shape = {2, 3}},
        {.name = "codes \"x\"", .type = BN_ST_I8, .dims = 1, .shape = {3}},
    };
    const bn_st_meta meta[] = {{"step", "12"}, {"text", "two\nlines \"crc32\":\"deadbeef\""}};
    bn_st_plan plan = {rows, 2, meta, 2};
    assert_int_equal(bn_st_create(&writer, path, &plan, &err), BN_OK);
    bn_st_append(writer, VALUES, sizeof VALUES);
    bn_st_append(writer, CODES, sizeof CODES);
    assert_int_equal(bn_st_commit(writer, &err), BN_OK);
}

static void test_what_was_written_is_read_back(void **state)
{
    bn_error err = {0};
    bn_st_reader *file = NULL;
    float values[4];
    const char *path = scratch_path(*state, "a.safetensors");
    write_sample(path);
    assert_int_equal(bn_st_open(&file, path, &err), BN_OK);
    assert_int_equal(bn_st_verify(file, &err), BN_OK);
    const bn_st_tensor *tensor = bn_st_find(file, "a.weight");
    assert_int_equal(tensor->dims, 2);
    assert_int_equal(tensor->shape[1], 3);
    assert_int_equal(bn_st_read(file, tensor, 8, values, sizeof values, &err), BN_OK);
    assert_memory_equal(values, VALUES + 2, sizeof values);
    assert_string_equal(bn_st_meta_of(file, "step"), "12");
    assert_string_equal(bn_st_meta_of(file, "text"), "two\nlines \"crc32\":\"deadbeef\"");
    assert_null(bn_st_meta_of(file, "none"));
    assert_int_equal(bn_st_read(file, tensor, 24, values, 1, &err), BN_EINVAL);
    bn_st_close(file);
}

static void test_data_begins_at_a_multiple_of_eight(void **state)
{
    bn_error err = {0};
    char *bytes = NULL;
    size_t size = 0;
    const char *path = scratch_path(*state, "a.safetensors");
    write_sample(path);
    assert_int_equal(bn_file_read(path, 1 << 20, &bytes, &size, &err), BN_OK);
    assert_int_equal((size - sizeof VALUES - sizeof CODES) % 8, 0);
    assert_int_equal(bytes[8], '{');
    free(bytes);
}

/* Opens and verifies; true: somebody would have used this file. */
static bool believed(const char *path)
{
    bn_error err = {0};
    bn_st_reader *file = NULL;
    bn_status status = bn_st_open(&file, path, &err);
    if (status == BN_OK) status = bn_st_verify(file, &err);
    bn_st_close(file);
    if (status != BN_OK) assert_non_null(strstr(err.text, path));
    return status == BN_OK;
}

static void test_every_truncation_is_refused(void **state)
{
    bn_error err = {0};
    char *bytes = NULL;
    size_t size = 0;
    const char *path = scratch_path(*state, "a.safetensors");
    write_sample(path);
    assert_int_equal(bn_file_read(path, 1 << 20, &bytes, &size, &err), BN_OK);
    for (size_t cut = 0; cut < size; cut++) {
        assert_false(believed(scratch_write(*state, "cut", bytes, cut)));
    }
    free(bytes);
}

static void test_every_flipped_bit_is_refused(void **state)
{
    bn_error err = {0};
    char *bytes = NULL;
    size_t size = 0;
    const char *path = scratch_path(*state, "a.safetensors");
    write_sample(path);
    assert_int_equal(bn_file_read(path, 1 << 20, &bytes, &size, &err), BN_OK);
    for (size_t bit = 0; bit < size * 8; bit += 3) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, bytes, size, 0), (ssize_t)size);
        assert_int_equal(close(fd), 0);
        if (believed(path)) fail_msg("bit %zu of byte %zu is not noticed", bit % 8, bit / 8);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
    free(bytes);
}

static void expect_refused(const char *json, uint64_t data_bytes, const char *why)
{
    bn_error err = {0};
    bn_st_reader *reader = NULL;
    assert_int_equal(bn_st_parse(&reader, json, strlen(json), data_bytes, &err), BN_ECORRUPT);
    if (!strstr(err.text, why)) fail_msg("%s: '%s' does not say '%s'", json, err.text, why);
}

static void test_headers_that_lie_are_refused_with_the_reason(void **state)
{
    (void)state;
#define ONE(shape, begin, end)                                                                     \
    "{\"t\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}}"
    expect_refused("[]", 0, "not a JSON object");
    expect_refused("{\"t\":1}", 0, "dtype");
    expect_refused("{\"t\":{\"dtype\":\"F33\"}}", 0, "dtype");
    expect_refused(ONE("[2]", "0", "8"), 4, "cut short");
    expect_refused(ONE("[2]", "0", "4"), 4, "its shape needs 8");
    expect_refused(ONE("[2]", "8", "0"), 8, "data_offsets");
    expect_refused(ONE("[-2]", "0", "8"), 8, "impossible shape");
    expect_refused(ONE("[4611686018427387904,4]", "0", "0"), 0, "impossible shape");
    expect_refused(ONE("[1]", "4", "8"), 8, "expected 0");
    expect_refused(ONE("[1]", "0", "4"), 8, "end at byte 4 of 8");
    expect_refused(ONE("[1,1,1,1,1,1,1,1,1]", "0", "4"), 4, "dimensions");
    expect_refused("{\"__metadata__\":{\"a\":1}}", 0, "metadata 'a'");
    expect_refused("{\"__metadata__\":[]}", 0, "__metadata__");
    expect_refused("{\"a\":1,\"a\":1}", 0, "not a JSON object");
}

static void test_two_tensors_may_not_share_bytes(void **state)
{
    (void)state;
    expect_refused("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                   "\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
                   6, "expected 4");
}

static void test_a_scalar_and_an_empty_tensor_are_fine(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_st_reader *reader = NULL;
    const char json[] = "{\"e\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
                        "\"s\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}  ";
    assert_int_equal(bn_st_parse(&reader, json, sizeof json - 1, 8, &err), BN_OK);
    assert_int_equal(bn_st_count(reader), 2);
    bn_st_close(reader);
}

static void test_a_giant_header_length_is_not_believed(void **state)
{
    bn_error err = {0};
    bn_st_reader *file = NULL;
    const char *path = scratch_write(*state, "x", "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    assert_int_equal(bn_st_open(&file, path, &err), BN_ECORRUPT);
    assert_non_null(strstr(err.text, "not a safetensors file"));
}

static void test_an_unfinished_write_leaves_the_old_file(void **state)
{
    bn_error err = {0};
    bn_st_writer *writer = NULL;
    const char *path = scratch_path(*state, "a.safetensors");
    const bn_st_tensor row = {.name = "t", .type = BN_ST_F32, .dims = 1, .shape = {6}};
    bn_st_plan plan = {&row, 1, NULL, 0};
    write_sample(path);
    assert_int_equal(bn_st_create(&writer, path, &plan, &err), BN_OK);
    bn_st_append(writer, VALUES, 4);
    assert_int_equal(bn_st_commit(writer, &err), BN_EINVAL);
    assert_true(believed(path));
    assert_int_equal(scratch_count(*state), 1);
}

/* A disk that is full after some bytes, as far as one process can see. */
static int write_on_a_small_disk(const char *path)
{
    bn_error err = {0};
    bn_st_writer *writer = NULL;
    const struct rlimit limit = {400, 400};
    const bn_st_tensor row = {.name = "t", .type = BN_ST_F32, .dims = 1, .shape = {6}};
    bn_st_plan plan = {&row, 1, NULL, 0};
    float values[6 * 100] = {0};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    if (bn_st_create(&writer, path, &plan, &err) != BN_OK) return 3;
    bn_st_append(writer, values, sizeof values);
    return bn_st_commit(writer, &err) == BN_EIO && strstr(err.text, path) ? 0 : 4;
}

static void test_a_full_disk_is_told_and_leaves_the_old_file(void **state)
{
    int status = 0;
    const char *path = scratch_path(*state, "a.safetensors");
    write_sample(path);
    pid_t child = fork();
    if (child == 0) _exit(write_on_a_small_disk(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(believed(path));
    assert_int_equal(scratch_count(*state), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_written_is_read_back),
        TEST(test_data_begins_at_a_multiple_of_eight),
        TEST(test_every_truncation_is_refused),
        TEST(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_headers_that_lie_are_refused_with_the_reason),
        cmocka_unit_test(test_two_tensors_may_not_share_bytes),
        cmocka_unit_test(test_a_scalar_and_an_empty_tensor_are_fine),
        TEST(test_a_giant_header_length_is_not_believed),
        TEST(test_an_unfinished_write_leaves_the_old_file),
        TEST(test_a_full_disk_is_told_and_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
