#include "engine/corpus/shards.h"
#include "support/cmocka_all.h"
#include "support/scratch.h"

static const char *write_shard(const char *folder, int64_t vocab, const int32_t *ids, size_t count)
{
    bn_error err = {0};
    bn_shard_writer *writer;
    const char *path = scratch_path(folder, "a.bin");
    assert_int_equal(bn_shard_writer_open(&writer, path, vocab, &err), BN_OK);
    bn_shard_writer_add(writer, ids, count);
    assert_int_equal(bn_shard_writer_commit(writer, &err), BN_OK);
    bn_shard_writer_close(writer);
    return path;
}

static void expect_ids(const char *path, int id_bytes, const int32_t *ids, size_t count)
{
    bn_error err = {0};
    bn_shard shard;
    int32_t got[16];
    assert_int_equal(bn_shard_open(&shard, path, &err), BN_OK);
    assert_int_equal(shard.id_bytes, id_bytes);
    assert_int_equal(shard.count, count);
    bn_shard_read(&shard, 0, got, shard.count);
    assert_memory_equal(got, ids, count * sizeof *ids);
    bn_shard_release(&shard);
}

static void test_what_is_written_is_read_in_both_widths(void **state)
{
    const int32_t ids[] = {0, 1, 65535, 7};
    expect_ids(write_shard(*state, 65536, ids, 4), 2, ids, 4);
    const int32_t wide[] = {0, 65536, 70000, 3};
    expect_ids(write_shard(*state, 70001, wide, 4), 4, wide, 4);
}

static void test_header_is_llm_c_s_to_the_byte(void **state)
{
    bn_error err = {0};
    const int32_t ids[] = {258, 3};
    char *data;
    size_t bytes;
    const char *path = write_shard(*state, 32000, ids, 2);
    assert_int_equal(bn_file_read(path, 4096, &data, &bytes, &err), BN_OK);
    assert_int_equal(bytes, 1024 + 4);
    int32_t head[3];
    memcpy(head, data, sizeof head);
    assert_int_equal(head[0], 20240520);
    assert_int_equal(head[1], 1);
    assert_int_equal(head[2], 2);
    assert_memory_equal(data + 1024, "\x02\x01\x03\x00", 4);
    free(data);
}

static void test_an_id_outside_the_vocabulary_is_refused_and_no_file_appears(void **state)
{
    bn_error err = {0};
    bn_shard_writer *writer;
    const char *path = scratch_path(*state, "a.bin");
    assert_int_equal(bn_shard_writer_open(&writer, path, 256, &err), BN_OK);
    bn_shard_writer_add(writer, (int32_t[]){5, 256}, 2);
    assert_int_equal(bn_shard_writer_commit(writer, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "id 256 is outside the vocabulary of 256"));
    bn_shard_writer_close(writer);
    assert_int_equal(scratch_count(*state), 0);
}

static void test_an_uncommitted_shard_leaves_nothing(void **state)
{
    bn_error err = {0};
    bn_shard_writer *writer;
    const char *path = scratch_path(*state, "a.bin");
    assert_int_equal(bn_shard_writer_open(&writer, path, 256, &err), BN_OK);
    bn_shard_writer_add(writer, (int32_t[]){5}, 1);
    assert_int_equal(bn_shard_writer_count(writer), 1);
    bn_shard_writer_close(writer);
    assert_int_equal(scratch_count(*state), 0);
}

static void expect_corrupt(const void *data, size_t bytes, const char *reason)
{
    bn_error err = {0};
    bn_shard shard;
    assert_int_equal(bn_shard_parse(&shard, data, bytes, "x.bin", &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "x.bin"));
    assert_non_null(strstr(err.text, reason));
}

static void test_damaged_shards_are_refused_with_the_reason(void **state)
{
    (void)state;
    int32_t data[260] = {20240520, 1, 8};
    bn_error err = {0};
    bn_shard shard;
    assert_int_equal(bn_shard_parse(&shard, data, 1040, "x.bin", &err), BN_OK);
    expect_corrupt(data, 1023, "header");
    expect_corrupt(data, 1038, "header says 8 tokens");
    expect_corrupt(data, 1039, "and a bit");
    data[2] = -8;
    expect_corrupt(data, 1040, "header says -8 tokens");
    data[2] = INT32_MAX;
    expect_corrupt(data, 1040, "header says 2147483647 tokens");
    data[1] = 2;
    expect_corrupt(data, 1040, "version 2, expected 1");
    data[0] = 20240522;
    expect_corrupt(data, 1040, "magic 20240522");
}

static void test_a_missing_or_empty_file_is_named(void **state)
{
    bn_error err = {0};
    bn_error second = {0};
    bn_shard shard;
    const char *path = scratch_path(*state, "none.bin");
    assert_int_equal(bn_shard_open(&shard, path, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, path));
    path = scratch_write(*state, "empty.bin", "", 0);
    assert_int_equal(bn_shard_open(&shard, path, &second), BN_EINVAL);
    assert_non_null(strstr(second.text, "empty"));
}

static void test_largest_id_is_found(void **state)
{
    bn_error err = {0};
    bn_shard shard;
    const char *path = write_shard(*state, 70000, (int32_t[]){4, 69999, 2}, 3);
    assert_int_equal(bn_shard_open(&shard, path, &err), BN_OK);
    assert_int_equal(bn_shard_max_id(&shard), 69999);
    bn_shard_release(&shard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_written_is_read_in_both_widths),
        TEST(test_header_is_llm_c_s_to_the_byte),
        TEST(test_an_id_outside_the_vocabulary_is_refused_and_no_file_appears),
        TEST(test_an_uncommitted_shard_leaves_nothing),
        TEST(test_damaged_shards_are_refused_with_the_reason),
        TEST(test_a_missing_or_empty_file_is_named),
        TEST(test_largest_id_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
