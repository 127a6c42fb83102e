#include "engine/base/text.h"
#include "engine/corpus/dataset.h"
#include "engine/corpus/documents.h"
#include "engine/corpus/prepare.h"
#include "support/cmocka_all.h"
#include "support/scratch.h"

enum { DOCUMENTS = 400 };

static const char *write_documents(const char *folder, const char *name, int from, int to)
{
    bn_text text = {0};
    for (int i = from; i < to; i++) {
        bn_text_addf(&text, "{\"id\":%d,\"text\":\"document %d says \\\"%d\\\"\\n\"}\n", i, i,
                     i * i);
        if (i % 50 == 0) bn_text_add(&text, "\n");
    }
    const char *path = scratch_write(folder, name, text.data, text.length);
    bn_text_release(&text);
    return path;
}

static bn_status prepare(const char *path, const char *out, int threads, bn_error *err)
{
    bn_prepare_progress progress;
    const bn_prepare_job job = {.paths = &path,
                                .path_count = 1,
                                .column = "text",
                                .tokenizer = "bytes",
                                .out = out,
                                .val_fraction = 0.1,
                                .threads = threads,
                                .shard_tokens = 1000};
    return bn_prepare(&job, &progress, err);
}

static bn_dataset *open_folder(const char *folder)
{
    bn_error err = {0};
    bn_dataset *dataset = NULL;
    const bn_dataset_spec spec = {.path = folder, .tokenizer = "bytes", .val_fraction = 0.1};
    bn_status status = bn_dataset_open(&dataset, &spec, 16, &err);
    if (status != BN_OK) print_message("%s\n", err.text);
    assert_int_equal(status, BN_OK);
    return dataset;
}

static void test_every_document_is_on_one_side_with_a_separator_before(void **state)
{
    bn_error err = {0};
    const char *out = scratch_path(*state, "out");
    const char *path = write_documents(*state, "a.jsonl", 0, DOCUMENTS);
    assert_int_equal(prepare(path, out, 2, &err), BN_OK);
    bn_dataset *dataset = open_folder(out);
    const bn_dataset_info *info = bn_dataset_info_of(dataset);
    int seen[DOCUMENTS] = {0};
    for (int part = 0; part < 2; part++) {
        int64_t tokens = part == BN_DATASET_VAL ? info->val_tokens : info->train_tokens;
        int32_t *ids = calloc((size_t)tokens, sizeof *ids);
        char *text = calloc((size_t)tokens + 1, 1);
        bn_dataset_read(dataset, (bn_dataset_part)part, 0, ids, tokens);
        for (int64_t i = 0; i < tokens; i++) text[i] = (char)ids[i];
        for (char *at = text; at < text + tokens; at += strlen(at + 1) + 1) {
            assert_int_equal(*at, 0);
            assert_int_equal(strncmp(at + 1, "document ", 9), 0);
            seen[strtol(at + 10, NULL, 10)]++;
        }
        free(ids);
        free(text);
    }
    for (int i = 0; i < DOCUMENTS; i++) assert_int_equal(seen[i], 1);
    assert_true(info->val_tokens > info->train_tokens / 20);
    assert_true(info->val_tokens < info->train_tokens / 5);
    assert_true(scratch_count(out) > 10); /* many shards */
    assert_true(info->val_bytes_per_token > 0.9 && info->val_bytes_per_token < 1);
    bn_dataset_close(dataset);
}

static void test_threads_change_nothing(void **state)
{
    bn_error err = {0};
    const char *path = write_documents(*state, "a.jsonl", 0, DOCUMENTS);
    assert_int_equal(prepare(path, scratch_path(*state, "one"), 1, &err), BN_OK);
    assert_int_equal(prepare(path, scratch_path(*state, "four"), 4, &err), BN_OK);
    bn_dataset *one = open_folder(scratch_path(*state, "one"));
    bn_dataset *four = open_folder(scratch_path(*state, "four"));
    int64_t tokens = bn_dataset_info_of(one)->train_tokens;
    assert_int_equal(tokens, bn_dataset_info_of(four)->train_tokens);
    assert_string_equal(bn_dataset_info_of(one)->hash, bn_dataset_info_of(four)->hash);
    for (int64_t i = 0; i < tokens; i++) {
        int32_t a, b;
        bn_dataset_read(one, BN_DATASET_TRAIN, i, &a, 1);
        bn_dataset_read(four, BN_DATASET_TRAIN, i, &b, 1);
        assert_int_equal(a, b);
    }
    bn_dataset_close(one);
    bn_dataset_close(four);
}

static void test_more_documents_move_none_to_the_other_side(void **state)
{
    bn_error err = {0};
    const char *all = write_documents(*state, "all.jsonl", 0, DOCUMENTS);
    const char *half = write_documents(*state, "half.jsonl", 0, DOCUMENTS / 2);
    assert_int_equal(prepare(all, scratch_path(*state, "a"), 1, &err), BN_OK);
    assert_int_equal(prepare(half, scratch_path(*state, "h"), 1, &err), BN_OK);
    bn_dataset *large = open_folder(scratch_path(*state, "a"));
    bn_dataset *small = open_folder(scratch_path(*state, "h"));
    for (int64_t i = 0; i < bn_dataset_info_of(small)->val_tokens; i++) {
        int32_t a, b;
        bn_dataset_read(large, BN_DATASET_VAL, i, &a, 1);
        bn_dataset_read(small, BN_DATASET_VAL, i, &b, 1);
        assert_int_equal(a, b);
    }
    bn_dataset_close(large);
    bn_dataset_close(small);
}

static void test_a_folder_of_texts_and_rows_is_read_by_name(void **state)
{
    bn_error err = {0};
    bn_documents *documents;
    assert_int_equal(mkdir(scratch_path(*state, "in"), 0777), 0);
    (void)scratch_write(*state, "in/b.txt", "plain text", 10);
    (void)scratch_write(*state, "in/a.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}", 29);
    (void)scratch_write(*state, "in/ignored.csv", "x", 1);
    const char *path = scratch_path(*state, "in");
    assert_int_equal(bn_documents_open(&documents, &path, 1, "text", &err), BN_OK);
    static const char *const expected[] = {"one", "two", "plain text"};
    for (size_t i = 0; i < 3; i++) {
        bn_passage passage;
        assert_int_equal(bn_documents_next(documents, &passage, &err), BN_OK);
        assert_int_equal(passage.bytes, strlen(expected[i]));
        assert_memory_equal(passage.text, expected[i], passage.bytes);
        assert_false(passage.continues);
    }
    bn_passage end;
    assert_int_equal(bn_documents_next(documents, &end, &err), BN_OK);
    assert_null(end.text);
    assert_int_equal(bn_documents_read(documents), bn_documents_bytes(documents));
    bn_documents_close(documents);
}

static void expect_refused(const char *folder, const char *path, const char *words)
{
    bn_error err = {0};
    const char *out = scratch_path(folder, "refused");
    assert_int_equal(prepare(path, out, 1, &err), BN_EINVAL);
    if (!strstr(err.text, words)) fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(strchr(err.text, '\n'));
    assert_false(bn_file_exists(out));
    assert_false(bn_file_exists(scratch_path(folder, "refused.tmp")));
}

static void test_bad_documents_are_told_by_file_and_line_and_leave_nothing(void **state)
{
    expect_refused(*state, scratch_path(*state, "none"), "none: no such file or folder");
    expect_refused(*state, scratch_write(*state, "a.jsonl", "{\"text\":\"x\"}\nnot json\n", 22),
                   "a.jsonl:2: column 'text': expected a JSON object a line");
    expect_refused(*state, scratch_write(*state, "b.jsonl", "{\"txt\":\"x\"}\n", 12),
                   "b.jsonl:1: column 'text': the object has no column");
    expect_refused(*state, scratch_write(*state, "c.jsonl", "\n{\"text\":5}\n", 12),
                   "c.jsonl:2: column 'text': the column is not a string");
    expect_refused(*state, scratch_write(*state, "d.jsonl", "{\"text\":\"x\"}\n", 13),
                   "of 1 documents would be held out");
    expect_refused(*state, scratch_write(*state, "e.txt", "", 0), "e.txt is empty");
}

static void test_an_existing_folder_is_not_touched(void **state)
{
    bn_error err = {0};
    const char *path = write_documents(*state, "a.jsonl", 0, 50);
    assert_int_equal(prepare(path, *state, 1, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "exists already"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_document_is_on_one_side_with_a_separator_before),
        TEST(test_threads_change_nothing),
        TEST(test_more_documents_move_none_to_the_other_side),
        TEST(test_a_folder_of_texts_and_rows_is_read_by_name),
        TEST(test_bad_documents_are_told_by_file_and_line_and_leave_nothing),
        TEST(test_an_existing_folder_is_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
