#include <pthread.h>

#include "engine/corpus/dataset.h"
#include "engine/corpus/order.h"
#include "engine/corpus/shards.h"
#include "support/cmocka_all.h"
#include "support/scratch.h"

enum { CONTEXT = 16 };

static bn_dataset *open_ok(const char *folder, const char *path)
{
    bn_error err = {0};
    bn_dataset *dataset = NULL;
    char cache[BN_PATH_MAX];
    (void)snprintf(cache, sizeof cache, "%s/cache", folder);
    const bn_dataset_spec spec = {path, "bytes", cache, 0.1};
    bn_status status = bn_dataset_open(&dataset, &spec, CONTEXT, &err);
    if (status != BN_OK) print_message("%s\n", err.text);
    assert_int_equal(status, BN_OK);
    return dataset;
}

static void expect_refused(const char *folder, const char *path, bn_status expected,
                           const char *part)
{
    bn_error err = {0};
    bn_dataset *dataset;
    char cache[BN_PATH_MAX];
    (void)snprintf(cache, sizeof cache, "%s/cache", folder);
    const bn_dataset_spec spec = {path, "bytes", cache, 0.1};
    assert_int_equal(bn_dataset_open(&dataset, &spec, CONTEXT, &err), expected);
    if (!strstr(err.text, part)) fail_msg("'%s' does not say '%s'", err.text, part);
    assert_null(strchr(err.text, '\n'));
}

/* Numbered lines, so that every place of the text is known by its words. */
static const char *write_lines(const char *folder, const char *name, int lines)
{
    char *text = malloc((size_t)lines * 16 + 1);
    size_t used = 0;
    for (int i = 0; i < lines; i++) {
        used += (size_t)snprintf(text + used, 17, "line %09d.\n", i);
    }
    const char *path = scratch_write(folder, name, text, used);
    free(text);
    return path;
}

static void test_every_byte_is_in_one_part_and_a_tenth_is_held_out(void **state)
{
    bn_dataset *dataset = open_ok(*state, write_lines(*state, "a.txt", 2000));
    const bn_dataset_info *info = bn_dataset_info_of(dataset);
    assert_int_equal(info->text_bytes, 32000);
    assert_int_equal(info->train_tokens + info->val_tokens, 32000);
    assert_int_equal(info->val_tokens, 3200);
    assert_int_equal(info->vocab, 256);
    assert_true(info->val_bytes_per_token == 1.0);
    assert_true(isnan(info->entropy_floor));
    int32_t *seen = calloc(2000, sizeof *seen);
    for (int part = 0; part < 2; part++) {
        int64_t tokens = part == BN_DATASET_VAL ? info->val_tokens : info->train_tokens;
        for (int64_t at = 0; at < tokens; at += 16) { /* cuts lie between lines */
            int32_t ids[16];
            char line[17] = "";
            bn_dataset_read(dataset, (bn_dataset_part)part, at, ids, 16);
            for (size_t i = 0; i < 16; i++) line[i] = (char)ids[i];
            seen[strtol(line + 5, NULL, 10)]++;
        }
    }
    for (size_t i = 0; i < 2000; i++) assert_int_equal(seen[i], 1);
    free(seen);
    bn_dataset_close(dataset);
}

static void test_order_is_a_permutation_for_every_size(void **state)
{
    (void)state;
    for (uint64_t count = 1; count <= 130; count++) {
        char seen[130] = {0};
        for (uint64_t i = 0; i < count; i++) {
            uint64_t place = bn_order_at(count * 7, count, i);
            assert_true(place < count);
            assert_int_equal(seen[place]++, 0);
        }
    }
}

static void test_order_depends_on_the_key_and_looks_shuffled(void **state)
{
    (void)state;
    int same = 0;
    int in_place = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        same += bn_order_at(1, 10000, i) == bn_order_at(2, 10000, i);
        in_place += bn_order_at(3, 10000, i) == i;
    }
    assert_true(same < 12);
    assert_true(in_place < 12);
}

static void test_same_seed_same_batch_other_seed_other_batch(void **state)
{
    bn_dataset *dataset = open_ok(*state, write_lines(*state, "a.txt", 2000));
    int32_t a[CONTEXT], b[CONTEXT], c[CONTEXT], targets[CONTEXT];
    int differing = 0;
    for (int64_t i = 0; i < 20; i++) {
        bn_dataset_train(dataset, 1, i, a, targets);
        bn_dataset_train(dataset, 1, i, b, targets);
        bn_dataset_train(dataset, 2, i, c, targets);
        assert_memory_equal(a, b, sizeof a);
        differing += memcmp(a, c, sizeof a) != 0;
    }
    assert_true(differing > 15);
    bn_dataset_close(dataset);
}

static void test_validation_windows_cover_the_part_without_overlap(void **state)
{
    bn_dataset *dataset = open_ok(*state, write_lines(*state, "a.txt", 333));
    const bn_dataset_info *info = bn_dataset_info_of(dataset);
    int64_t targets_seen = 0;
    for (int64_t i = 0; i < bn_dataset_val_windows(dataset); i++) {
        int32_t tokens[CONTEXT], targets[CONTEXT], next;
        bn_dataset_val(dataset, i, tokens, targets);
        for (int64_t j = 0; j < CONTEXT; j++) {
            if (targets[j] < 0) continue;
            assert_int_equal(i * CONTEXT + j, targets_seen);
            bn_dataset_read(dataset, BN_DATASET_VAL, ++targets_seen, &next, 1);
            assert_int_equal(targets[j], next);
        }
    }
    assert_int_equal(targets_seen, info->val_tokens - 1);
    bn_dataset_close(dataset);
}

static void test_second_opening_reads_the_cache(void **state)
{
    const char *path = write_lines(*state, "a.txt", 500);
    bn_dataset_close(open_ok(*state, path));
    size_t entries = scratch_count(scratch_path(*state, "cache"));
    bn_dataset *dataset = open_ok(*state, path);
    assert_int_equal(scratch_count(scratch_path(*state, "cache")), entries);
    bn_dataset_close(dataset);
}

static void test_changed_text_is_another_dataset(void **state)
{
    bn_dataset *first = open_ok(*state, write_lines(*state, "a.txt", 500));
    bn_dataset *second = open_ok(*state, write_lines(*state, "a.txt", 501));
    assert_string_not_equal(bn_dataset_info_of(first)->hash, bn_dataset_info_of(second)->hash);
    bn_dataset_close(first);
    bn_dataset_close(second);
}

static void test_files_are_joined_with_a_separator_between(void **state)
{
    char paths[3 * BN_PATH_MAX];
    const char *a = write_lines(*state, "a.txt", 300);
    const char *b = write_lines(*state, "b.txt", 200);
    (void)snprintf(paths, sizeof paths, "%s:%s", a, b);
    bn_dataset *dataset = open_ok(*state, paths);
    const bn_dataset_info *info = bn_dataset_info_of(dataset);
    assert_int_equal(info->text_bytes, 8000);
    assert_int_equal(info->train_tokens + info->val_tokens, 8001);
    int separators = 0;
    for (int64_t i = 0; i < info->train_tokens; i++) {
        int32_t id;
        bn_dataset_read(dataset, BN_DATASET_TRAIN, i, &id, 1);
        separators += id == 0;
    }
    assert_int_equal(separators, 1);
    bn_dataset_close(dataset);
}

static void test_bad_input_is_told_in_one_line(void **state)
{
    char two[3 * BN_PATH_MAX];
    expect_refused(*state, scratch_path(*state, "none.txt"), BN_EINVAL, "none.txt: no such file");
    expect_refused(*state, scratch_write(*state, "e.txt", "", 0), BN_EINVAL, "e.txt is empty");
    expect_refused(*state, scratch_write(*state, "s.txt", "too short", 9), BN_EINVAL,
                   "needs at least 17");
    expect_refused(*state, *state, BN_EINVAL, "has no dataset.json");
    (void)snprintf(two, sizeof two, "%s:%s", write_lines(*state, "a.txt", 500), (char *)*state);
    expect_refused(*state, two, BN_EINVAL, "a folder among files");
    expect_refused(*state, "::b", BN_EINVAL, "with ':' between");
    expect_refused(*state, "/dev/null", BN_EINVAL, "not a regular file");
    expect_refused(*state, "x.bin:a.txt", BN_EINVAL, "not some of each");
    expect_refused(*state, "a.txt:x.bin", BN_EINVAL, "not some of each");
    expect_refused(*state, scratch_write(*state, "x.bin", "abc", 3), BN_EINVAL, "x.bin");
}

static const char *write_bare(const char *folder, const char *name, int64_t vocab, int32_t count)
{
    bn_error err = {0};
    bn_shard_writer *writer;
    const char *path = scratch_path(folder, name);
    assert_int_equal(bn_shard_writer_open(&writer, path, vocab, &err), BN_OK);
    for (int32_t i = 0; i < count; i++) {
        bn_shard_writer_add(writer, &(int32_t){i % (int32_t)vocab}, 1);
    }
    assert_int_equal(bn_shard_writer_commit(writer, &err), BN_OK);
    bn_shard_writer_close(writer);
    return path;
}

/* Token i of the shards is i, so a window's first token says where it lies. */
static void test_an_epoch_visits_every_window_once(void **state)
{
    char paths[3 * BN_PATH_MAX];
    const char *train = write_bare(*state, "train.bin", 100000, 1000);
    (void)snprintf(paths, sizeof paths, "%s:%s", train, write_bare(*state, "val.bin", 256, 100));
    bn_dataset *dataset = open_ok(*state, paths);
    int64_t windows = bn_dataset_train_windows(dataset);
    assert_int_equal(windows, 999 / CONTEXT - 1);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        bool seen[1000] = {false};
        int32_t phase = -1;
        for (int64_t i = 0; i < windows; i++) {
            int32_t tokens[CONTEXT], targets[CONTEXT];
            bn_dataset_train(dataset, 5, epoch * windows + i, tokens, targets);
            for (int32_t j = 0; j < CONTEXT; j++) assert_int_equal(tokens[j], tokens[0] + j);
            for (int32_t j = 0; j < CONTEXT; j++) assert_int_equal(targets[j], tokens[j] + 1);
            if (phase < 0) phase = tokens[0] % CONTEXT;
            assert_int_equal(tokens[0] % CONTEXT, phase);
            assert_false(seen[tokens[0]]);
            seen[tokens[0]] = true;
        }
    }
    bn_dataset_close(dataset);
}

static void test_bare_shards_open_and_the_one_named_val_is_held_out(void **state)
{
    char paths[3 * BN_PATH_MAX];
    const char *train = write_bare(*state, "a_train_0.bin", 1000, 5000);
    const char *val = write_bare(*state, "a_val_0.bin", 70000, 100);
    (void)snprintf(paths, sizeof paths, "%s:%s", train, val);
    bn_dataset *dataset = open_ok(*state, paths);
    assert_int_equal(bn_dataset_info_of(dataset)->train_tokens, 5000);
    assert_int_equal(bn_dataset_info_of(dataset)->val_tokens, 100);
    assert_int_equal(bn_dataset_info_of(dataset)->vocab, 1000);
    bn_dataset_close(dataset);
    dataset = open_ok(*state, train);
    assert_int_equal(bn_dataset_info_of(dataset)->train_tokens, 4500);
    assert_int_equal(bn_dataset_info_of(dataset)->val_tokens, 500);
    bn_dataset_close(dataset);
}

static void *open_in_thread(void *folder)
{
    char path[BN_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/a.txt", (char *)folder);
    return open_ok(folder, path);
}

static void test_builders_at_the_same_time_agree(void **state)
{
    pthread_t threads[6];
    (void)write_lines(*state, "a.txt", 20000);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, open_in_thread, *state), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        void *dataset;
        assert_int_equal(pthread_join(threads[i], &dataset), 0);
        assert_int_equal(bn_dataset_info_of(dataset)->text_bytes, 320000);
        bn_dataset_close(dataset);
    }
    assert_int_equal(scratch_count(scratch_path(*state, "cache")), 2); /* folder and lock */
}

static void test_a_builder_s_leftovers_are_cleared(void **state)
{
    const char *path = write_lines(*state, "a.txt", 500);
    char folder[BN_PATH_MAX];
    char left[BN_PATH_MAX + 8];
    bn_error err = {0};
    bn_dataset *dataset = open_ok(*state, path);
    (void)snprintf(folder, sizeof folder, "%s/cache/%s", (char *)*state,
                   bn_dataset_info_of(dataset)->hash);
    bn_dataset_close(dataset);
    scratch_remove(folder, 0);
    (void)snprintf(left, sizeof left, "%s.tmp", folder);
    assert_int_equal(bn_dir_make(left, 0777, &err), BN_OK);
    (void)scratch_write(left, "train_000000.bin.9.tmp", "half", 4);
    bn_dataset_close(open_ok(*state, path));
    assert_false(bn_file_exists(left));
    assert_int_equal(scratch_count(folder), 3);
}

static void test_a_damaged_cache_is_refused_with_the_reason(void **state)
{
    const char *path = write_lines(*state, "a.txt", 500);
    char shard[BN_PATH_MAX];
    bn_dataset *dataset = open_ok(*state, path);
    (void)snprintf(shard, sizeof shard, "%s/cache/%s/train_000000.bin", (char *)*state,
                   bn_dataset_info_of(dataset)->hash);
    bn_dataset_close(dataset);
    assert_int_equal(truncate(shard, 2000), 0);
    expect_refused(*state, path, BN_EINVAL, "but the file has 2000 bytes");
}

static void test_a_recorded_entropy_is_the_floor(void **state)
{
    const char *path = write_lines(*state, "a.txt", 500);
    static const char sidecar[] = "{\"entropy_nats_per_byte\": 0.75}";
    (void)scratch_write(*state, "a.txt.json", sidecar, strlen(sidecar));
    bn_dataset *dataset = open_ok(*state, path);
    assert_true(bn_dataset_info_of(dataset)->entropy_floor == 0.75);
    bn_dataset_close(dataset);
}

static void test_a_sentencepiece_model_tokenizes_real_text(void **state)
{
    const char *model = BN_SHARED_DATA "/llama2-tokenizer.model";
    const char *text = BN_SHARED_DATA "/cs336-corpus.en";
    char cache[BN_PATH_MAX];
    bn_error err = {0};
    bn_dataset *dataset;
    if (!bn_file_exists(model) || !bn_file_exists(text)) {
        print_message("skipped: %s is absent\n", BN_SHARED_DATA);
        skip();
    }
    (void)snprintf(cache, sizeof cache, "%s/cache", (char *)*state);
    const bn_dataset_spec spec = {text, model, cache, 0.1};
    assert_int_equal(bn_dataset_open(&dataset, &spec, CONTEXT, &err), BN_OK);
    const bn_dataset_info *info = bn_dataset_info_of(dataset);
    assert_int_equal(info->vocab, 32000);
    assert_true(info->val_bytes_per_token > 2 && info->val_bytes_per_token < 6);
    assert_int_equal(info->text_bytes, 133027);
    bn_dataset_close(dataset);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_byte_is_in_one_part_and_a_tenth_is_held_out),
        TEST(test_an_epoch_visits_every_window_once),
        TEST(test_order_is_a_permutation_for_every_size),
        TEST(test_order_depends_on_the_key_and_looks_shuffled),
        TEST(test_same_seed_same_batch_other_seed_other_batch),
        TEST(test_validation_windows_cover_the_part_without_overlap),
        TEST(test_second_opening_reads_the_cache),
        TEST(test_changed_text_is_another_dataset),
        TEST(test_files_are_joined_with_a_separator_between),
        TEST(test_bad_input_is_told_in_one_line),
        TEST(test_bare_shards_open_and_the_one_named_val_is_held_out),
        TEST(test_builders_at_the_same_time_agree),
        TEST(test_a_builder_s_leftovers_are_cleared),
        TEST(test_a_damaged_cache_is_refused_with_the_reason),
        TEST(test_a_recorded_entropy_is_the_floor),
        TEST(test_a_sentencepiece_model_tokenizes_real_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
