#include <ctype.h>

#include "engine/corpus/dataset.h"
#include "engine/corpus/entropy.h"
#include "engine/corpus/synth.h"
#include "engine/corpus/synth_grammar.h"
#include "support/cmocka_all.h"
#include "support/scratch.h"

enum { TOKENS_MAX = 32, TEMPLATES_MAX = 256 };

/* A template's text, cut at the spaces outside braces. "{a thing}" gives two words. */
typedef struct token {
    char prefix[32], slot[32], suffix[32]; /* slot "": prefix is all of it */
    int form;
    bool article, capital;
} token;

typedef struct template_tokens {
    const char *text;
    bool single; /* its scene has one sentence */
    token tokens[TOKENS_MAX];
    size_t count;
} template_tokens;

static token *push(template_tokens *t)
{
    assert_true(t->count < TOKENS_MAX);
    return memset(&t->tokens[t->count++], 0, sizeof(token));
}

static void read_braces(template_tokens *t, const char *inside, const char *prefix)
{
    bool capital = *inside == '^';
    inside += capital;
    bool article = strncmp(inside, "a ", 2) == 0;
    if (article) {
        token *first = push(t);
        first->article = true;
        first->capital = capital;
        (void)snprintf(first->prefix, sizeof first->prefix, "%s", prefix);
        inside += 2;
    }
    token *next = push(t);
    size_t length = strcspn(inside, ".}");
    const char *suffix = inside + length;
    next->capital = capital && !article;
    if (!article) (void)snprintf(next->prefix, sizeof next->prefix, "%s", prefix);
    (void)snprintf(next->slot, sizeof next->slot, "%.*s", (int)length, inside);
    next->form = strncmp(suffix, ".s", 2) == 0   ? 1
                 : strncmp(suffix, ".d", 2) == 0 ? 2
                 : strncmp(suffix, ".i", 2) == 0 ? 3
                                                 : 0;
}

static void read_template(template_tokens *t, const char *text)
{
    t->text = text;
    t->count = 0;
    while (*text) {
        char prefix[32];
        size_t plain = strcspn(text, " {");
        assert_true(plain < sizeof prefix);
        (void)snprintf(prefix, sizeof prefix, "%.*s", (int)plain, text);
        text += plain;
        if (*text == '{') {
            read_braces(t, text + 1, prefix);
            text += strcspn(text, "}") + 1;
            size_t rest = strcspn(text, " {");
            assert_true(text[rest] != '{'); /* one slot a word */
            (void)snprintf(t->tokens[t->count - 1].suffix, 32, "%.*s", (int)rest, text);
            text += rest;
        } else {
            (void)snprintf(push(t)->prefix, 32, "%s", prefix);
        }
        text += *text == ' ';
    }
}

static const bn_slot *slot_named(const char *name)
{
    int count;
    const bn_slot *slots = bn_synth_slots(&count);
    for (int i = 0; i < count; i++) {
        if (strcmp(slots[i].name, name) == 0) return &slots[i];
    }
    fail_msg("no slot '%s'", name);
    return slots;
}

static bool is_number(const bn_slot *slot)
{
    return slot->list == BN_LIST_COUNT;
}

/* The word-th word that a token can be; false: there is none. Numbers are all "0". */
static bool option(const token *t, size_t word, char out[128])
{
    char inner[64] = "";
    if (t->article) {
        (void)snprintf(inner, sizeof inner, "%s", word ? "an" : "a");
        if (word > 1) return false;
    } else if (*t->slot && !is_number(slot_named(t->slot))) {
        const char *entry = BN_SYNTH_LISTS[slot_named(t->slot)->list];
        for (; word > 0 && entry; word--) {
            entry = strchr(entry, '|');
            entry = entry ? entry + 1 : NULL;
        }
        if (!entry) return false;
        size_t length = strcspn(entry, " |");
        for (int form = t->form; form > 0 && entry[length] == ' '; form--) {
            entry += length + 1;
            length = strcspn(entry, " |");
        }
        (void)snprintf(inner, sizeof inner, "%.*s", (int)length, entry);
    } else if (word > 0) {
        return false;
    } else if (*t->slot) {
        (void)snprintf(inner, sizeof inner, "0");
    }
    if (t->capital) inner[0] = (char)toupper((unsigned char)inner[0]);
    (void)snprintf(out, 128, "%s%s%s", t->prefix, inner, t->suffix);
    return true;
}

static bool can_be_same(const token *a, const token *b)
{
    char left[128];
    char right[128];
    for (size_t i = 0; option(a, i, left); i++) {
        for (size_t j = 0; option(b, j, right); j++) {
            if (strcmp(left, right) == 0) return true;
        }
    }
    return false;
}

static size_t read_all(template_tokens *all)
{
    int kinds;
    size_t count = 0;
    const bn_document_kind *table = bn_synth_kinds(&kinds);
    for (int k = 0; k < kinds; k++) {
        for (int s = 0; s < BN_SCENES_MAX && table[k].scenes[s].templates; s++) {
            const bn_scene *scene = &table[k].scenes[s];
            for (size_t i = 0; scene->templates[i]; i++) {
                assert_true(count < TEMPLATES_MAX);
                all[count].single = scene->max == 1;
                read_template(&all[count++], scene->templates[i]);
            }
        }
    }
    return count;
}

static void test_no_two_templates_can_give_the_same_words(void **state)
{
    (void)state;
    static template_tokens all[TEMPLATES_MAX];
    size_t count = read_all(all);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            bool same = all[i].count == all[j].count;
            for (size_t k = 0; same && k < all[i].count; k++) {
                same = can_be_same(&all[i].tokens[k], &all[j].tokens[k]);
            }
            if (same) fail_msg("'%s' and '%s' can be the same", all[i].text, all[j].text);
        }
    }
}

static bool ends_sentence(const char *word)
{
    size_t length = strlen(word);
    if (length > 0 && word[length - 1] == '.') return true;
    return length > 1 && word[length - 1] == '"' && strchr(".!?", word[length - 2]);
}

static void test_a_sentence_ends_at_its_last_word_and_nowhere_before(void **state)
{
    (void)state;
    static template_tokens all[TEMPLATES_MAX];
    size_t count = read_all(all);
    for (size_t i = 0; i < count; i++) {
        if (all[i].single) continue; /* the paragraph is the sentence */
        for (size_t k = 0; k < all[i].count; k++) {
            char word[128];
            assert_true(option(&all[i].tokens[k], 0, word));
            if (ends_sentence(word) != (k + 1 == all[i].count)) fail_msg("'%s'", all[i].text);
        }
    }
}

/* A token of any slot that draws from the list. */
static token token_of(int list, int form)
{
    token t = {.form = form};
    int count;
    const bn_slot *slots = bn_synth_slots(&count);
    for (int i = 0; i < count && !*t.slot; i++) {
        if ((int)slots[i].list == list) (void)snprintf(t.slot, sizeof t.slot, "%s", slots[i].name);
    }
    assert_true(*t.slot != '\0');
    return t;
}

static void expect_no_repetition(const token *t)
{
    char left[128];
    char right[128];
    for (size_t i = 0; option(t, i, left); i++) {
        assert_null(strchr(left, ' '));
        for (size_t j = i + 1; option(t, j, right); j++) assert_string_not_equal(left, right);
    }
}

static void test_no_list_holds_a_word_twice_in_any_form(void **state)
{
    (void)state;
    for (int list = 0; list < BN_LIST_COUNT; list++) {
        for (int form = 0; form < 4; form++) {
            token t = token_of(list, form);
            expect_no_repetition(&t);
        }
    }
}

static void test_same_seed_same_text_other_seed_other_text(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_synth_report report;
    bn_text a = {0}, b = {0}, c = {0};
    assert_int_equal(bn_synth_make(1, 50000, &a, &report, &err), BN_OK);
    assert_int_equal(bn_synth_make(1, 50000, &b, &report, &err), BN_OK);
    assert_int_equal(bn_synth_make(2, 50000, &c, &report, &err), BN_OK);
    assert_true(a.length >= 50000 && a.length == b.length);
    assert_memory_equal(a.data, b.data, a.length);
    assert_int_not_equal(memcmp(a.data, c.data, 50000), 0);
    bn_text_release(&a);
    bn_text_release(&b);
    bn_text_release(&c);
}

static void test_a_longer_corpus_begins_with_the_shorter_and_costs_more(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_synth_report small, large;
    bn_text a = {0}, b = {0};
    assert_int_equal(bn_synth_make(3, 20000, &a, &small, &err), BN_OK);
    assert_int_equal(bn_synth_make(3, 200000, &b, &large, &err), BN_OK);
    assert_memory_equal(a.data, b.data, a.length);
    assert_true(large.nats > 5 * small.nats);
    assert_true(large.documents > small.documents && large.choices > small.choices);
    bn_text_release(&a);
    bn_text_release(&b);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The words of a text in small letters, cut out of it; how many. */
static size_t cut_words(bn_text *text, char **words)
{
    size_t count = 0;
    bool inside = false;
    for (char *c = text->data; c < text->data + text->length; c++) {
        char lower = (char)(*c | 0x20);
        bool letter = lower >= 'a' && lower <= 'z';
        if (letter && !inside) words[count++] = c;
        if (letter) *c = lower;
        if (!letter) *c = '\0';
        inside = letter;
    }
    return count;
}

static void test_the_text_has_over_a_thousand_different_words(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_synth_report report;
    bn_text text = {0};
    assert_int_equal(bn_synth_make(0, 1 << 20, &text, &report, &err), BN_OK);
    char **words = calloc(text.length, sizeof *words);
    assert_non_null(words);
    size_t count = cut_words(&text, words);
    qsort(words, count, sizeof *words, compare_words);
    size_t distinct = 0;
    for (size_t i = 1; i < count; i++) distinct += strcmp(words[i - 1], words[i]) != 0;
    assert_true(distinct >= 1000);
    free(words);
    bn_text_release(&text);
}

static void test_a_size_out_of_range_is_refused(void **state)
{
    (void)state;
    bn_error err = {0};
    bn_synth_report report;
    bn_text text = {0};
    assert_int_equal(bn_synth_make(0, 3, &text, &report, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "bytes must be 1024 to"));
    bn_text_release(&text);
}

static void test_the_built_in_corpus_is_the_default_with_its_floor_and_entropies(void **state)
{
    char cache[BN_PATH_MAX];
    bn_error err = {0};
    bn_dataset *dataset;
    bn_dataset *named;
    bn_entropy entropy;
    (void)snprintf(cache, sizeof cache, "%s/cache", (char *)*state);
    bn_dataset_spec spec = {"", "bytes", cache, 0.1};
    assert_int_equal(bn_dataset_open(&dataset, &spec, 128, &err), BN_OK);
    spec.path = BN_SYNTH_NAME;
    assert_int_equal(bn_dataset_open(&named, &spec, 128, &err), BN_OK);
    const bn_dataset_info *info = bn_dataset_info_of(dataset);
    assert_string_equal(info->hash, bn_dataset_info_of(named)->hash);
    assert_true(info->text_bytes >= BN_SYNTH_BYTES);
    assert_true(info->entropy_floor > 0.1 && info->entropy_floor < 0.5);
    assert_int_equal(bn_entropy_measure(dataset, &entropy, &err), BN_OK);
    assert_true(info->entropy_floor < entropy.bigram);
    assert_true(entropy.bigram < entropy.unigram && entropy.unigram < log(256.0));
    assert_true(entropy.val_bigram < entropy.cross_bigram);
    bn_dataset_close(named);
    bn_dataset_close(dataset);
}

static void test_entropies_of_a_known_text_are_exact(void **state)
{
    char cache[BN_PATH_MAX];
    char text[8000];
    bn_error err = {0};
    bn_dataset *dataset;
    bn_entropy entropy;
    for (size_t i = 0; i < sizeof text; i++) text[i] = "abab"[i % 4];
    (void)snprintf(cache, sizeof cache, "%s/cache", (char *)*state);
    const char *path = scratch_write(*state, "ab.txt", text, sizeof text);
    const bn_dataset_spec spec = {path, "bytes", cache, 0.25};
    assert_int_equal(bn_dataset_open(&dataset, &spec, 1, &err), BN_OK);
    assert_int_equal(bn_entropy_measure(dataset, &entropy, &err), BN_OK);
    assert_int_equal(entropy.distinct, 2);
    assert_true(fabs(entropy.unigram - log(2.0)) < 1e-6);
    assert_true(fabs(entropy.bigram) < 1e-9);
    assert_true(fabs(entropy.val_bigram) < 1e-9);
    assert_true(entropy.cross_bigram > 0 && entropy.cross_bigram < 0.01);
    bn_dataset_close(dataset);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_two_templates_can_give_the_same_words),
        TEST(test_a_sentence_ends_at_its_last_word_and_nowhere_before),
        TEST(test_no_list_holds_a_word_twice_in_any_form),
        TEST(test_same_seed_same_text_other_seed_other_text),
        TEST(test_a_longer_corpus_begins_with_the_shorter_and_costs_more),
        TEST(test_the_text_has_over_a_thousand_different_words),
        TEST(test_a_size_out_of_range_is_refused),
        TEST(test_the_built_in_corpus_is_the_default_with_its_floor_and_entropies),
        TEST(test_entropies_of_a_known_text_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
