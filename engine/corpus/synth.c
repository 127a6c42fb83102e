#include "engine/corpus/synth.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "engine/base/sha256.h"
#include "engine/corpus/synth_grammar.h"

/* Raise it when the same seed gives another text. */
#define GENERATOR "synth-1"

enum { WORDS_MAX = 160, WORD_BYTES_MAX = 32, UNSET = -1, CONTINUE_TENTHS = 6 };

typedef struct bn_words {
    const char *entry[WORDS_MAX]; /* into the list; ends at '|' or NUL */
    uint64_t weight[WORDS_MAX];
    int count;
} bn_words;

typedef struct bn_writer {
    bn_words lists[BN_LIST_COUNT];
    const bn_slot *slots;
    int slot_count;
    int value[BN_SLOTS_MAX]; /* what the document and the sentence remember */
    int days;                /* written in this document */
    uint64_t key, drawn;
    bn_text *out;
    bn_synth_report *report;
} bn_writer;

static void read_list(bn_words *words, const char *text)
{
    for (const char *entry = text; entry;) {
        assert(words->count < WORDS_MAX);
        words->entry[words->count] = entry;
        words->weight[words->count] = 1000000 / ((uint64_t)words->count + 8); /* nearly Zipf's */
        words->count++;
        const char *bar = strchr(entry, '|');
        entry = bar ? bar + 1 : NULL;
    }
}

/* A choice is drawn among `total` shares, and counted once it is known how many its outcome has. */
static uint64_t draw(bn_writer *writer, uint64_t total)
{
    return bn_rng_below(writer->key, writer->drawn++, total);
}

static void count_choice(bn_writer *writer, uint64_t weight, uint64_t total)
{
    if (weight == total) return;
    writer->report->nats += log((double)total) - log((double)weight);
    writer->report->choices++;
}

static bool remembers(const bn_slot *slot)
{
    return slot->kind == BN_SLOT_DOCUMENT || slot->kind == BN_SLOT_SENTENCE;
}

/* Words of the list that the document has given to another slot are not drawn again. */
static void note_taken(const bn_writer *writer, const bn_slot *slot, bool taken[WORDS_MAX])
{
    memset(taken, 0, WORDS_MAX * sizeof *taken);
    if (!remembers(slot)) return;
    for (int i = 0; i < writer->slot_count; i++) {
        const bn_slot *other = &writer->slots[i];
        if (!remembers(other) || other->list != slot->list || writer->value[i] == UNSET) continue;
        taken[writer->value[i]] = true;
    }
}

static int draw_word(bn_writer *writer, const bn_slot *slot)
{
    const bn_words *words = &writer->lists[slot->list];
    bool taken[WORDS_MAX];
    uint64_t total = 0;
    note_taken(writer, slot, taken);
    for (int i = 0; i < words->count; i++) total += taken[i] ? 0 : words->weight[i];
    uint64_t place = draw(writer, total);
    for (int i = 0; i < words->count; i++) {
        if (taken[i]) continue;
        if (place < words->weight[i]) {
            count_choice(writer, words->weight[i], total);
            return i;
        }
        place -= words->weight[i];
    }
    assert(!"the weights add up to the total");
    return 0;
}

static int find_slot(const bn_writer *writer, const char *name, size_t length)
{
    for (int i = 0; i < writer->slot_count; i++) {
        const char *known = writer->slots[i].name;
        if (strncmp(known, name, length) == 0 && known[length] == '\0') return i;
    }
    assert(!"every slot of a template is in the table");
    return 0;
}

/* What a remembering slot or a number holds, drawn if it is not. */
static int value_of(bn_writer *writer, int index)
{
    const bn_slot *slot = &writer->slots[index];
    if (writer->value[index] != UNSET) return writer->value[index];
    if (slot->kind == BN_SLOT_NUMBER) {
        int64_t count = (int64_t)slot->max - slot->min + 1;
        uint64_t total = (uint64_t)count;
        writer->value[index] = slot->min + (int)draw(writer, total);
        count_choice(writer, 1, total);
    } else {
        writer->value[index] = draw_word(writer, slot);
    }
    return writer->value[index];
}

static int named(bn_writer *writer, const char *name)
{
    return value_of(writer, find_slot(writer, name, strlen(name)));
}

/* A fixed random number of a fact's slot and word: the world that all texts tell of. */
static uint64_t fact(const bn_writer *writer, const bn_slot *slot, uint64_t count)
{
    int of = find_slot(writer, slot->of, strlen(slot->of));
    assert(writer->value[of] != UNSET);
    uint64_t word = (uint64_t)writer->value[of];
    if (slot->min < 0) { /* of two towns: their distance */
        word = word * 1000 + (uint64_t)writer->value[find_slot(writer, "city", 4)];
    }
    return bn_rng_below(bn_rng_key(1, slot->name, 0), word, count);
}

static int number_of(bn_writer *writer, int index)
{
    const bn_slot *slot = &writer->slots[index];
    int low = slot->min < 0 ? 5 : slot->min;
    int n1;
    int n2;
    switch (slot->kind) {
    case BN_SLOT_NUMBER:
        return value_of(writer, index);
    case BN_SLOT_FACT_NUMBER:
        return low + (int)fact(writer, slot, (uint64_t)((int64_t)slot->max - low + 1));
    case BN_SLOT_SUM:
        return named(writer, "n1") + named(writer, "n2");
    case BN_SLOT_PRODUCT:
        return named(writer, "n1") * named(writer, "n2");
    case BN_SLOT_DIFFERENCE:
        return named(writer, "big") - named(writer, "n2");
    case BN_SLOT_DOUBLE:
        return 2 * named(writer, "n1");
    case BN_SLOT_LARGER:
        n1 = named(writer, "n1");
        n2 = named(writer, "n2");
        return n1 > n2 ? n1 : n2;
    case BN_SLOT_NEXT:
        return named(writer, "n1") + slot->min;
    case BN_SLOT_OPEN:
    case BN_SLOT_DOCUMENT:
    case BN_SLOT_SENTENCE:
    case BN_SLOT_GENDER:
    case BN_SLOT_FACT:
    case BN_SLOT_DAY:
        break;
    }
    return UNSET;
}

static int word_of(bn_writer *writer, int index)
{
    const bn_slot *slot = &writer->slots[index];
    switch (slot->kind) {
    case BN_SLOT_OPEN:
        return draw_word(writer, slot);
    case BN_SLOT_DOCUMENT:
    case BN_SLOT_SENTENCE:
        return value_of(writer, index);
    case BN_SLOT_GENDER:
        return named(writer, slot->of) >= writer->lists[BN_LIST_NAMES].count / 2;
    case BN_SLOT_FACT:
        return (int)fact(writer, slot, (uint64_t)writer->lists[slot->list].count);
    case BN_SLOT_DAY:
        return writer->days++ % writer->lists[BN_LIST_DAYS].count;
    case BN_SLOT_NUMBER:
    case BN_SLOT_FACT_NUMBER:
    case BN_SLOT_SUM:
    case BN_SLOT_PRODUCT:
    case BN_SLOT_DIFFERENCE:
    case BN_SLOT_DOUBLE:
    case BN_SLOT_LARGER:
    case BN_SLOT_NEXT:
        break;
    }
    return UNSET;
}

/* The form-th word of an entry, or its only one. */
static void pick_form(const char *entry, int form, char out[WORD_BYTES_MAX])
{
    size_t length = strcspn(entry, " |");
    for (; form > 0 && entry[length] == ' '; form--) {
        entry += length + 1;
        length = strcspn(entry, " |");
    }
    assert(length < WORD_BYTES_MAX);
    memcpy(out, entry, length);
    out[length] = '\0';
}

static int form_of(const char *suffix, size_t length)
{
    if (length == 0) return 0;
    if (length == 2 && suffix[1] == 's') return 1;
    return length == 2 ? 2 : 3; /* ".d", ".ing" */
}

static bool wants_an(const char *word)
{
    if (strncmp(word, "use", 3) == 0) return false;
    return strchr("aeiou", word[0]) || strncmp(word, "honest", 6) == 0;
}

/* The word of a slot, name[.form]; the name ends at '.' or '}'. */
static void write_word(bn_writer *writer, const char *inside, size_t length,
                       char word[WORD_BYTES_MAX])
{
    size_t name = strcspn(inside, ".}");
    int index = find_slot(writer, inside, name);
    int choice = word_of(writer, index);
    if (choice == UNSET) {
        (void)snprintf(word, WORD_BYTES_MAX, "%d", number_of(writer, index));
        return;
    }
    const bn_words *words = &writer->lists[writer->slots[index].list];
    pick_form(words->entry[choice], form_of(inside + name, length - name), word);
}

/* The inside of one pair of braces: [^][a ]name[.form] */
static void write_slot(bn_writer *writer, const char *inside, size_t length)
{
    char word[WORD_BYTES_MAX];
    size_t capital = *inside == '^';
    size_t article = strncmp(inside + capital, "a ", 2) == 0 ? 2 : 0;
    write_word(writer, inside + capital + article, length - capital - article, word);
    if (article) bn_text_add(writer->out, capital ? "A" : "a");
    if (article) bn_text_add(writer->out, wants_an(word) ? "n " : " ");
    if (capital && !article) word[0] = (char)toupper((unsigned char)word[0]);
    bn_text_add(writer->out, word);
}

static void forget(bn_writer *writer, bool sentence_only)
{
    for (int i = 0; i < writer->slot_count; i++) {
        bool keep = sentence_only && writer->slots[i].kind == BN_SLOT_DOCUMENT;
        if (!keep) writer->value[i] = UNSET;
    }
}

/* A template that the paragraph has not used yet. */
static const char *draw_template(bn_writer *writer, const bn_scene *scene, uint64_t *used)
{
    uint64_t left = 0;
    for (int i = 0; scene->templates[i]; i++) left += !(*used >> i & 1);
    uint64_t place = draw(writer, left);
    count_choice(writer, 1, left);
    int index = 0;
    while ((*used >> index & 1) || place-- > 0) index++;
    *used |= UINT64_C(1) << index;
    return scene->templates[index];
}

static void write_sentence(bn_writer *writer, const char *template)
{
    forget(writer, true);
    for (const char *at = template; *at;) {
        size_t plain = strcspn(at, "{");
        bn_text_add_bytes(writer->out, at, plain);
        at += plain;
        if (*at != '{') break;
        size_t inside = strcspn(at + 1, "}");
        write_slot(writer, at + 1, inside);
        at += inside + 2;
    }
    writer->report->sentences++;
}

static void write_scene(bn_writer *writer, const bn_scene *scene)
{
    uint64_t used = 0; /* bit i: template i */
    for (int written = 0; written < scene->max; written++) {
        if (written >= scene->min) {
            bool more = draw(writer, 10) < CONTINUE_TENTHS;
            count_choice(writer, more ? CONTINUE_TENTHS : 10 - CONTINUE_TENTHS, 10);
            if (!more) break;
        }
        if (written > 0) bn_text_add(writer->out, " ");
        write_sentence(writer, draw_template(writer, scene, &used));
    }
    bn_text_add(writer->out, "\n");
}

static void write_document(bn_writer *writer)
{
    int count;
    const bn_document_kind *kinds = bn_synth_kinds(&count);
    uint64_t total = 0;
    for (int i = 0; i < count; i++) total += (uint64_t)kinds[i].weight;
    uint64_t place = draw(writer, total);
    const bn_document_kind *kind = kinds;
    while (place >= (uint64_t)kind->weight) {
        place -= (uint64_t)kind->weight;
        kind++;
    }
    count_choice(writer, (uint64_t)kind->weight, total);
    forget(writer, false);
    writer->days = 0;
    for (int i = 0; i < BN_SCENES_MAX && kind->scenes[i].templates; i++) {
        write_scene(writer, &kind->scenes[i]);
        if (i == 0) bn_text_add(writer->out, "\n");
    }
    bn_text_add(writer->out, "\n\n");
    writer->report->documents++;
}

bn_status bn_synth_make(uint64_t seed, int64_t bytes, bn_text *out, bn_synth_report *report,
                        bn_error *err)
{
    *report = (bn_synth_report){0};
    if (bytes < BN_SYNTH_BYTES_MIN || bytes > BN_SYNTH_BYTES_MAX) {
        return bn_fail(err, BN_EINVAL, "bytes must be %d to %d, is %lld", BN_SYNTH_BYTES_MIN,
                       BN_SYNTH_BYTES_MAX, (long long)bytes);
    }
    bn_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return bn_fail(err, BN_ENOMEM, "no memory for the grammar");
    writer->slots = bn_synth_slots(&writer->slot_count);
    assert(writer->slot_count <= BN_SLOTS_MAX);
    for (size_t i = 0; i < BN_LIST_COUNT; i++) read_list(&writer->lists[i], BN_SYNTH_LISTS[i]);
    writer->key = bn_rng_key(seed, "synth", 0);
    writer->out = out;
    writer->report = report;
    size_t before = out->length;
    while (out->length - before < (size_t)bytes && !out->failed) write_document(writer);
    report->bytes = (int64_t)(out->length - before);
    free(writer);
    return out->failed ? bn_fail(err, BN_ENOMEM, "no memory for %lld bytes", (long long)bytes)
                       : BN_OK;
}

static void describe(bn_text *out, uint64_t seed, const bn_text *text,
                     const bn_synth_report *report)
{
    bn_sha256 hash;
    char hex[BN_SHA256_HEX];
    bn_sha256_init(&hash);
    bn_sha256_add(&hash, text->data, text->length);
    bn_sha256_end(&hash, hex);
    const struct {
        const char *name;
        int64_t value;
    } whole[] = {{"bytes", report->bytes},
                 {"documents", report->documents},
                 {"sentences", report->sentences},
                 {"choices", report->choices}};
    double per_byte = report->nats / (double)report->bytes;
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "generator");
    bn_json_string(&json, GENERATOR);
    bn_json_key(&json, "seed");
    bn_json_int(&json, (int64_t)seed);
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        bn_json_key(&json, whole[i].name);
        bn_json_int(&json, whole[i].value);
    }
    bn_json_key(&json, "entropy_nats");
    bn_json_real(&json, report->nats);
    bn_json_key(&json, "entropy_nats_per_byte");
    bn_json_real(&json, per_byte);
    bn_json_key(&json, "entropy_bits_per_byte");
    bn_json_real(&json, per_byte / log(2.0));
    bn_json_key(&json, "sha256");
    bn_json_string(&json, hex);
    bn_json_end_object(&json);
    bn_text_add(out, "\n");
}

bn_status bn_synth_write(const char *path, uint64_t seed, int64_t bytes, bn_synth_report *report,
                         bn_error *err)
{
    char sidecar[BN_PATH_MAX];
    bn_text text = {0};
    bn_text about = {0};
    int length = snprintf(sidecar, sizeof sidecar, "%s.json", path);
    if (length < 0 || (size_t)length >= sizeof sidecar) {
        return bn_fail(err, BN_EINVAL, "path too long: %.80s...", path);
    }
    bn_status status = bn_synth_make(seed, bytes, &text, report, err);
    if (status != BN_OK) goto done;
    describe(&about, seed, &text, report);
    if (about.failed) {
        status = bn_fail(err, BN_ENOMEM, "no memory to describe %s", path);
        goto done;
    }
    status = bn_file_write(sidecar, about.data, about.length, 0666, err);
    if (status == BN_OK) status = bn_file_write(path, text.data, text.length, 0666, err);
done:
    bn_text_release(&about);
    bn_text_release(&text);
    return status;
}

bn_status bn_synth_builtin(const char *cache, char path[BN_PATH_MAX], bn_error *err)
{
    char name[64];
    bn_synth_report report;
    (void)snprintf(name, sizeof name, GENERATOR "-%d.txt", BN_SYNTH_BYTES);
    if (bn_path_join(path, cache, name, err) != BN_OK) return err->status;
    if (bn_file_exists(path)) return BN_OK;
    if (bn_dir_make(cache, 0777, err) != BN_OK) return bn_fail_in(err, "data.cache");
    bn_status status = bn_synth_write(path, 0, BN_SYNTH_BYTES, &report, err);
    return status == BN_OK ? BN_OK : bn_fail_in(err, "data.cache");
}
