#include "engine/base/utf8.h"
#include "engine/corpus/tokenizer.h"
#include "support/cmocka_all.h"
#include "support/scratch.h"

#define LLAMA BN_SHARED_DATA "/llama2-tokenizer.model"

static bn_tokenizer *open_llama(void)
{
    bn_error err = {0};
    bn_tokenizer *tokenizer = NULL;
    if (!bn_file_exists(LLAMA)) {
        print_message("skipped: %s is absent\n", LLAMA);
        skip();
    }
    assert_int_equal(bn_tokenizer_open(&tokenizer, LLAMA, &err), BN_OK);
    return tokenizer;
}

static void expect_round_trip(const bn_tokenizer *tokenizer, const char *text, size_t bytes)
{
    bn_error err = {0};
    bn_ids ids = {0};
    char *back;
    size_t back_bytes;
    assert_int_equal(bn_tokenizer_encode(tokenizer, (bn_passage){text, bytes, false}, &ids, &err),
                     BN_OK);
    assert_int_equal(bn_tokenizer_decode(tokenizer, ids.data, ids.count, &back, &back_bytes, &err),
                     BN_OK);
    assert_int_equal(back_bytes, bytes);
    assert_memory_equal(back, text, bytes);
    free(back);
    free(ids.data);
}

static void test_bytes_come_back_as_they_were(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_tokenizer *tokenizer;
    char all[256];
    for (size_t i = 0; i < 256; i++) all[i] = (char)(unsigned char)i;
    assert_int_equal(bn_tokenizer_open(&tokenizer, "bytes", &err), BN_OK);
    assert_int_equal(bn_tokenizer_vocab(tokenizer), 256);
    assert_int_equal(bn_tokenizer_separator(tokenizer), 0);
    expect_round_trip(tokenizer, all, sizeof all);
    expect_round_trip(tokenizer, "", 0);
    bn_tokenizer_close(tokenizer);
}

static void test_a_missing_or_foreign_model_is_named(void **state)
{
    bn_error err = {0};
    bn_error second = {0};
    bn_tokenizer *tokenizer;
    const char *path = scratch_path(*state, "none.model");
    assert_int_equal(bn_tokenizer_open(&tokenizer, path, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "none.model': no such file"));
    path = scratch_write(*state, "text.model", "this is no model at all", 23);
    assert_int_equal(bn_tokenizer_open(&tokenizer, path, &second), BN_EINVAL);
    assert_non_null(strstr(second.text, "no SentencePiece model"));
}

/* The cases that llama.cpp tests its own tokenizer with: texts, and the ids of Llama 2. */
static void test_llama_ids_are_those_that_llama_cpp_expects(void **state)
{
    (void)state;
    static const char mark[] = "\n__ggml_vocab_test__\n";
    bn_tokenizer *tokenizer = open_llama();
    bn_error err = {0};
    char *texts;
    char *lines;
    size_t bytes;
    size_t line_bytes;
    assert_int_equal(
        bn_file_read(BN_SHARED_DATA "/llamacpp-vocab-llama-spm.inp", 1 << 20, &texts, &bytes, &err),
        BN_OK);
    assert_int_equal(bn_file_read(BN_SHARED_DATA "/llamacpp-vocab-llama-spm.out", 1 << 20, &lines,
                                  &line_bytes, &err),
                     BN_OK);
    size_t cases = 0;
    const char *line = lines;
    for (const char *text = texts; text; cases++) {
        const char *end = strstr(text, mark);
        size_t length = end ? (size_t)(end - text) : strlen(text);
        bn_ids ids = {0};
        assert_int_equal(
            bn_tokenizer_encode(tokenizer, (bn_passage){text, length, false}, &ids, &err), BN_OK);
        for (size_t i = 0; i < ids.count; i++) {
            char *after;
            assert_int_equal(ids.data[i], strtol(line, &after, 10));
            line = after;
        }
        assert_true(*line == '\n');
        line++;
        expect_round_trip(tokenizer, text, length);
        free(ids.data);
        text = end && end[sizeof mark - 1] ? end + sizeof mark - 1 : NULL;
    }
    assert_true(cases > 40);
    assert_true(*line == '\0');
    free(texts);
    free(lines);
    bn_tokenizer_close(tokenizer);
}

static void test_pieces_of_a_text_give_the_ids_of_the_whole(void **state)
{
    (void)state;
    static const char text[] = "One day,  two\n\n\tthree  four;\n five\n";
    bn_tokenizer *tokenizer = open_llama();
    bn_error err = {0};
    bn_ids whole = {0};
    assert_int_equal(
        bn_tokenizer_encode(tokenizer, (bn_passage){text, strlen(text), false}, &whole, &err),
        BN_OK);
    for (size_t cut = 1; cut < strlen(text); cut++) {
        bool line = text[cut - 1] == '\n' && text[cut] != '\n';
        bool word = text[cut] == ' ' && text[cut - 1] != ' ';
        if (!line && !word) continue;
        bn_ids ids = {0};
        bn_passage first = {text, cut, false};
        bn_passage second = {text + cut, strlen(text) - cut, true};
        assert_int_equal(bn_tokenizer_encode(tokenizer, first, &ids, &err), BN_OK);
        assert_int_equal(bn_tokenizer_encode(tokenizer, second, &ids, &err), BN_OK);
        assert_int_equal(ids.count, whole.count);
        assert_memory_equal(ids.data, whole.data, whole.count * sizeof *whole.data);
        free(ids.data);
    }
    free(whole.data);
    bn_tokenizer_close(tokenizer);
}

static void test_a_long_text_gives_the_ids_of_its_lines(void **state)
{
    (void)state;
    bn_tokenizer *tokenizer = open_llama();
    bn_error err = {0};
    bn_ids whole = {0}, lines = {0};
    char *text;
    size_t bytes;
    assert_int_equal(bn_file_read(BN_SHARED_DATA "/cs336-corpus.en", 1 << 20, &text, &bytes, &err),
                     BN_OK);
    assert_int_equal(bn_tokenizer_encode(tokenizer, (bn_passage){text, bytes, false}, &whole, &err),
                     BN_OK);
    for (char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        length += strspn(line + length, "\n");
        bn_passage passage = {line, length, line != text};
        assert_int_equal(bn_tokenizer_encode(tokenizer, passage, &lines, &err), BN_OK);
        line += length;
    }
    assert_int_equal(lines.count, whole.count);
    assert_memory_equal(lines.data, whole.data, whole.count * sizeof *whole.data);
    free(lines.data);
    free(whole.data);
    free(text);
    bn_tokenizer_close(tokenizer);
}

static void test_bytes_that_are_no_text_survive_a_model_with_byte_pieces(void **state)
{
    (void)state;
    static const char text[] = "a\xff\xfe b\0c \xe2\x82 \xf0\x9f\xa6\x99 \xc0\x80";
    bn_tokenizer *tokenizer = open_llama();
    assert_int_equal(bn_tokenizer_vocab(tokenizer), 32000);
    assert_int_equal(bn_tokenizer_separator(tokenizer), 2);
    expect_round_trip(tokenizer, text, sizeof text - 1);
    bn_tokenizer_close(tokenizer);
}

static void test_an_id_outside_the_vocabulary_has_no_text(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_tokenizer *tokenizer;
    char *text;
    size_t bytes;
    assert_int_equal(bn_tokenizer_open(&tokenizer, "bytes", &err), BN_OK);
    assert_int_equal(bn_tokenizer_decode(tokenizer, (int32_t[]){65, 256}, 2, &text, &bytes, &err),
                     BN_EINVAL);
    assert_string_equal(err.text, "token 256 is outside the vocabulary of 256");
    bn_tokenizer_close(tokenizer);
}

static bn_status train(const char *folder, const char *text, size_t bytes, int vocab, bn_error *err)
{
    const char *input = scratch_write(folder, "in, with comma.txt", text, bytes);
    const char *model = scratch_path(folder, "out.model");
    const bn_tokenizer_training training = {&input, 1, "text", model, vocab};
    return bn_tokenizer_train(&training, err);
}

static void test_a_trained_model_round_trips_and_is_the_same_again(void **state)
{
    bn_error err = {0};
    char text[20000], hash[65];
    bn_tokenizer *tokenizer;
    size_t used = 0;
    for (int i = 0; used < sizeof text - 64; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "The %dth tale:  of \xc3\xa9 birds in %c%c%c houses\n", i,
                                 'a' + i % 26, 'a' + i / 3 % 26, 'a' + i / 7 % 26);
    }
    bn_status status = train(*state, text, used, 400, &err);
    if (status != BN_OK) print_message("%s\n", err.text);
    assert_int_equal(status, BN_OK);
    const char *model = scratch_path(*state, "out.model");
    assert_int_equal(bn_tokenizer_open(&tokenizer, model, &err), BN_OK);
    assert_int_equal(bn_tokenizer_vocab(tokenizer), 400);
    expect_round_trip(tokenizer, text, used);
    expect_round_trip(tokenizer, "\xff new \xf0\x9f\xa6\x99", 11);
    (void)snprintf(hash, sizeof hash, "%s", bn_tokenizer_hash(tokenizer));
    bn_tokenizer_close(tokenizer);
    assert_int_equal(train(*state, text, used, 400, &err), BN_OK);
    assert_int_equal(bn_tokenizer_open(&tokenizer, scratch_path(*state, "out.model"), &err), BN_OK);
    assert_string_equal(bn_tokenizer_hash(tokenizer), hash);
    bn_tokenizer_close(tokenizer);
}

static void test_a_vocabulary_that_the_text_cannot_fill_is_refused(void **state)
{
    bn_error err = {0};
    bn_error small = {0};
    assert_int_equal(train(*state, "one two three\n", 14, 60000, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "makes at most"));
    assert_non_null(strstr(err.text, "not 60000"));
    assert_int_equal(train(*state, "one two three\n", 14, 12, &small), BN_EINVAL);
    assert_non_null(strstr(small.text, "not 12"));
    assert_false(bn_file_exists(scratch_path(*state, "out.model")));
}

static void test_a_vocabulary_too_small_for_the_characters_is_told_how_large(void **state)
{
    bn_error err = {0};
    char text[900];
    for (size_t i = 0; i < sizeof text; i += 3) { /* 100 letters, three bytes each */
        (void)memcpy(text + i, "\xe4\xb8", 2);
        text[i + 1] = (char)(0xb8 + (int)(i / 3 % 100 / 64));
        text[i + 2] = (char)(0x80 + (int)(i / 3 % 100 % 64));
    }
    assert_int_equal(train(*state, text, sizeof text, 300, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "at least 36"));
    assert_non_null(strstr(err.text, "not 300"));
}

/* Half a character at the end of a piece would make all pieces behind it no text. */
static void test_a_line_without_spaces_is_learned_from_to_its_end(void **state)
{
    enum { EARLY_BYTES = 30000, BYTES = 60000 };
    bn_error err = {0};
    bn_ids ids = {0};
    bn_tokenizer *tokenizer = NULL;
    char *text = calloc(1, BYTES);
    assert_non_null(text);
    for (size_t i = 0; i < BYTES; i += 3) { /* letters of the second half: none of the first's */
        char letter[] = "\xe4\xb8\x80";
        letter[1] = i < EARLY_BYTES ? '\xb8' : '\xb9';
        letter[2] = (char)(0x80 + (int)(i / 3 * 7 % 61));
        memcpy(text + i, letter, 3);
    }
    bn_status status = train(*state, text, BYTES, 500, &err);
    if (status != BN_OK) fail_msg("%s", err.text);
    assert_int_equal(bn_tokenizer_open(&tokenizer, scratch_path(*state, "out.model"), &err), BN_OK);
    for (size_t at = 0; at < BYTES; at += BYTES - 300) { /* its beginning and its end */
        ids.count = 0;
        assert_int_equal(
            bn_tokenizer_encode(tokenizer, (bn_passage){text + at, 300, true}, &ids, &err), BN_OK);
        assert_true(ids.count <= 101); /* of letters never seen it would be 300 bytes */
    }
    free(ids.data);
    bn_tokenizer_close(tokenizer);
    free(text);
}

static void test_utf8_lengths_follow_the_standard(void **state)
{
    (void)state;
    assert_int_equal(bn_utf8_length("a", 1), 1);
    assert_int_equal(bn_utf8_length("\xc3\xa9", 2), 2);
    assert_int_equal(bn_utf8_length("\xe2\x82\xac", 3), 3);
    assert_int_equal(bn_utf8_length("\xf0\x9f\xa6\x99", 4), 4);
    assert_int_equal(bn_utf8_length("\xe2\x82\xac", 2), 0); /* cut */
    assert_int_equal(bn_utf8_length("\xc0\xaf", 2), 0);     /* overlong */
    assert_int_equal(bn_utf8_length("\xed\xa0\x80", 3), 0); /* surrogate */
    assert_int_equal(bn_utf8_length("\xf4\x90\x80\x80", 4), 0);
    assert_int_equal(bn_utf8_length("\x80", 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_come_back_as_they_were),
        TEST(test_a_missing_or_foreign_model_is_named),
        TEST(test_llama_ids_are_those_that_llama_cpp_expects),
        TEST(test_pieces_of_a_text_give_the_ids_of_the_whole),
        TEST(test_a_long_text_gives_the_ids_of_its_lines),
        TEST(test_bytes_that_are_no_text_survive_a_model_with_byte_pieces),
        TEST(test_an_id_outside_the_vocabulary_has_no_text),
        TEST(test_a_trained_model_round_trips_and_is_the_same_again),
        TEST(test_a_vocabulary_that_the_text_cannot_fill_is_refused),
        TEST(test_a_vocabulary_too_small_for_the_characters_is_told_how_large),
        TEST(test_a_line_without_spaces_is_learned_from_to_its_end),
        TEST(test_utf8_lengths_follow_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
