#include "engine/cpu/pack.h"

#include <string.h>

#include "engine/base/half.h"

/* A pass converts CHUNK_WORDS words of a line, or GROUP_LINES lines of a word, at a time: enough
 * for the vector loops, little enough for the first-level cache. */
enum { CHUNK_WORDS = 128, GROUP_LINES = 224, ELEMENTS_MAX = 4 };

/* What one packing call works with. */
typedef struct packer {
    const bn_rows *rows;
    const bn_panels *panels;
    const bn_operand *operand;
    bn_dtype format;
    int length;
} packer;

int bn_word_elements(bn_word word)
{
    switch (word) {
    case BN_WORD_F32:
        return 1;
    case BN_WORD_BF16:
        return 2;
    case BN_WORD_I8:
        break;
    }
    return 4;
}

static size_t dtype_bytes(bn_dtype dtype)
{
    switch (dtype) {
    case BN_F32:
        return 4;
    case BN_BF16:
    case BN_F16:
        return 2;
    case BN_I8:
        break;
    }
    return 1;
}

/* GROUP_LINES rounded down to whole panels. */
static int panels_a_part(const bn_panels *panels)
{
    return GROUP_LINES / panels->block;
}

int bn_pack_parts(const bn_panels *panels)
{
    return bn_cpu_blocks(panels->count, panels_a_part(panels));
}

static const void *element(const bn_operand *a, int line, int k)
{
    size_t at =
        a->across ? (size_t)k * a->stride + (size_t)line : (size_t)line * a->stride + (size_t)k;
    return (const char *)a->data + at * dtype_bytes(a->dtype);
}

/* Neighbours as floats: where they lie when they are floats, else in `to`. */
static const float *as_floats(const bn_rows *rows, bn_dtype dtype, const void *from, float *to,
                              size_t count)
{
    switch (dtype) {
    case BN_F32:
        return from;
    case BN_BF16:
        rows->from_bf16(to, from, count);
        break;
    case BN_F16:
        rows->from_f16(to, from, count);
        break;
    case BN_I8:
        rows->from_i8(to, from, count);
        break;
    }
    return to;
}

static void to_floats(const bn_rows *rows, bn_dtype dtype, const void *from, float factor,
                      float *to, size_t count)
{
    switch (dtype) {
    case BN_F32:
        rows->scale(to, from, factor, NULL, count);
        return;
    case BN_BF16:
        rows->from_bf16(to, from, count);
        return;
    case BN_F16:
        rows->from_f16(to, from, count);
        return;
    case BN_I8:
        rows->from_i8(to, from, count);
        return;
    }
}

/* `count` neighbours as f32 words, rounded to the product's format. */
static void to_f32_words(const packer *p, const void *from, float factor, float *to, size_t count)
{
    to_floats(p->rows, p->operand->dtype, from, factor, to, count);
    if (p->format == BN_BF16 && p->operand->dtype != BN_BF16) {
        p->rows->round_bf16(to, to, 1, count);
    }
    if (p->format == BN_F16 && p->operand->dtype != BN_F16) p->rows->round_f16(to, to, 1, count);
}

static void to_bf16_elements(const packer *p, const void *from, float factor, uint16_t *to,
                             size_t count)
{
    float wide[CHUNK_WORDS * ELEMENTS_MAX];
    switch (p->operand->dtype) {
    case BN_F32:
        p->rows->to_bf16(to, from, factor, count);
        return;
    case BN_BF16:
        memcpy(to, from, count * sizeof *to);
        return;
    case BN_I8:
        p->rows->i8_to_bf16(to, from, count);
        return;
    case BN_F16:
        p->rows->from_f16(wide, from, count);
        p->rows->to_bf16(to, wide, 1, count);
        return;
    }
}

/* Elements k ... k + count - 1 of one line as codes. */
static int32_t to_codes(const packer *p, int line, int k, int8_t *to, size_t count)
{
    const void *from = element(p->operand, line, k);
    int offset = p->panels->offset;
    int32_t total = 0;
    if (p->panels->quantized) {
        float wide[CHUNK_WORDS * ELEMENTS_MAX];
        const float *x = as_floats(p->rows, p->operand->dtype, from, wide, count);
        total = p->rows->quantize(to, x, p->panels->factor[line], 127, count);
        from = to;
    }
    if (offset) {
        p->rows->shift_codes((uint8_t *)to, from, offset, count);
    } else if (from != to) {
        memcpy(to, from, count);
    }
    return total;
}

static void set_unit(const bn_panels *panels, int line, uint32_t most)
{
    float limit = bn_float_from_bits(most);
    panels->unit[line] = limit / 127.0F;
    panels->factor[line] = most > 0 ? 127.0F / limit : 0.0F;
}

static void line_unit(const packer *p, int line)
{
    float wide[CHUNK_WORDS * ELEMENTS_MAX];
    uint32_t most = 0;
    for (int k = 0; k < p->length; k += CHUNK_WORDS * ELEMENTS_MAX) {
        int left = p->length - k;
        size_t count =
            left < CHUNK_WORDS * ELEMENTS_MAX ? (size_t)left : sizeof wide / sizeof *wide;
        const float *x =
            as_floats(p->rows, p->operand->dtype, element(p->operand, line, k), wide, count);
        uint32_t bits = p->rows->abs_max(x, count);
        if (bits > most) most = bits;
    }
    set_unit(p->panels, line, most);
}

/* Words first ... first + CHUNK_WORDS - 1 of one line; elements past the length are zero. */
static void chunk_of_line(const packer *p, int line, int first, uint32_t *to)
{
    int elements = bn_word_elements(p->panels->word);
    int k = first * elements;
    int left = p->length - k;
    size_t count = (size_t)(left < CHUNK_WORDS * elements ? left : CHUNK_WORDS * elements);
    if (count % (size_t)elements) to[count / (size_t)elements] = 0;
    switch (p->panels->word) {
    case BN_WORD_F32:
        to_f32_words(p, element(p->operand, line, k), 1, (float *)to, count);
        break;
    case BN_WORD_BF16:
        to_bf16_elements(p, element(p->operand, line, k), 1, (uint16_t *)to, count);
        break;
    case BN_WORD_I8: {
        int32_t total = to_codes(p, line, k, (int8_t *)to, count);
        if (p->panels->sum && p->panels->quantized) p->panels->sum[line] += total;
        break;
    }
    }
}

/* Whether a line's elements are words already, to be turned over where they lie. */
static bool is_plain(const packer *p)
{
    const bn_panels *out = p->panels;
    size_t bytes = dtype_bytes(p->operand->dtype);
    size_t per_word = sizeof(uint32_t) / bytes;
    bool same = out->word == BN_WORD_F32    ? p->operand->dtype == BN_F32 && p->format == BN_F32
                : out->word == BN_WORD_BF16 ? p->operand->dtype == BN_BF16
                                            : p->operand->dtype == BN_I8 && !out->offset;
    return same && p->operand->stride % per_word == 0 && (size_t)p->length % per_word == 0 &&
           (uintptr_t)p->operand->data % sizeof(uint32_t) == 0;
}

/* Lines lie along memory: convert a chunk of every line, then turn it over. */
static void pack_along(const packer *p, int panel)
{
    uint32_t tile[BN_KERNEL_NR_MAX][CHUNK_WORDS];
    const bn_panels *out = p->panels;
    uint32_t *words = out->words + (size_t)panel * (size_t)out->block * (size_t)out->word_count;
    int start = panel * out->block;
    int lines = p->operand->lines - start;
    if (lines > out->block) lines = out->block;
    int used = bn_cpu_blocks(p->length, bn_word_elements(out->word));
    size_t padding = (size_t)(out->word_count - used) * (size_t)out->block;
    memset(words + (size_t)used * (size_t)out->block, 0, padding * sizeof *words);
    if (is_plain(p)) {
        size_t per_word = sizeof(uint32_t) / dtype_bytes(p->operand->dtype);
        p->rows->transpose(words, out->block, element(p->operand, start, 0),
                           p->operand->stride / per_word, lines, used);
        return;
    }
    for (int l = 0; l < lines && out->quantized; l++) {
        line_unit(p, start + l);
        if (out->sum) out->sum[start + l] = 0;
    }
    for (int first = 0; first < used; first += CHUNK_WORDS) {
        int count = used - first;
        if (count > CHUNK_WORDS) count = CHUNK_WORDS;
        for (int l = 0; l < lines; l++) chunk_of_line(p, start + l, first, tile[l]);
        p->rows->transpose(words + (size_t)first * (size_t)out->block, out->block, tile[0],
                           CHUNK_WORDS, lines, count);
    }
}

/* The lines of a part, and where their elements for one word are gathered. */
typedef struct group {
    int start, lines, panels;
    _Alignas(64) uint16_t half[2][GROUP_LINES];
    _Alignas(64) int8_t code[4][GROUP_LINES];
    _Alignas(64) float wide[GROUP_LINES];
    _Alignas(64) uint32_t word[GROUP_LINES];
} group;

static void gather_codes(const packer *p, group *g, int k, int8_t *to)
{
    const bn_panels *out = p->panels;
    const void *from = element(p->operand, g->start, k);
    size_t lines = (size_t)g->lines;
    if (out->quantized) {
        float factor = p->operand->k_scale ? p->operand->k_scale[k] : 1.0F;
        const float *x = as_floats(p->rows, p->operand->dtype, from, g->wide, lines);
        p->rows->quantize_lanes(to, x, factor, out->factor + g->start, lines);
        if (out->sum) p->rows->add_codes(out->sum + g->start, to, lines);
        from = to;
    }
    if (out->offset) {
        p->rows->shift_codes((uint8_t *)to, from, out->offset, lines);
    } else if (from != to) {
        memcpy(to, from, lines);
    }
}

/* Word w of all lines of the group. */
static void gather_word(const packer *p, group *g, int w)
{
    int elements = bn_word_elements(p->panels->word);
    for (int e = 0; e < elements; e++) {
        int k = w * elements + e;
        if (k >= p->length) {
            memset(g->half[e % 2], 0, sizeof g->half[0]);
            memset(g->code[e], 0, sizeof g->code[0]);
            continue;
        }
        float factor = p->operand->k_scale ? p->operand->k_scale[k] : 1.0F;
        const void *from = element(p->operand, g->start, k);
        switch (p->panels->word) {
        case BN_WORD_F32:
            to_f32_words(p, from, factor, (float *)g->word, (size_t)g->lines);
            return;
        case BN_WORD_BF16:
            to_bf16_elements(p, from, factor, g->half[e], (size_t)g->lines);
            break;
        case BN_WORD_I8:
            gather_codes(p, g, k, g->code[e]);
            break;
        }
    }
    if (p->panels->word == BN_WORD_BF16) {
        p->rows->interleave2(g->word, g->half[0], GROUP_LINES, g->lines);
    } else {
        p->rows->interleave4(g->word, (uint8_t *)g->code[0], GROUP_LINES, g->lines);
    }
}

/* Lines lie across memory: convert a stretch of neighbours, deal it out to the panels. */
static void pack_across(const packer *p, int panel, int panels)
{
    const bn_panels *out = p->panels;
    size_t block = (size_t)out->block;
    group g = {.start = panel * out->block, .panels = panels};
    g.lines = p->operand->lines - g.start;
    if (g.lines > panels * out->block) g.lines = panels * out->block;
    if (out->quantized && out->sum) {
        memset(out->sum + g.start, 0, (size_t)g.lines * sizeof *out->sum);
    }
    uint32_t *words = out->words + (size_t)panel * block * (size_t)out->word_count;
    for (int w = 0; w < out->word_count; w++) {
        gather_word(p, &g, w);
        for (int i = 0; i < panels; i++) {
            uint32_t *to = words + ((size_t)i * (size_t)out->word_count + (size_t)w) * block;
            memcpy(to, g.word + (size_t)i * block, block * sizeof *to);
        }
    }
}

void bn_pack_part(const bn_rows *rows, const bn_panels *panels, const bn_operand *operand,
                  bn_dtype format, int length, int part)
{
    packer p = {rows, panels, operand, format, length};
    int first = part * panels_a_part(panels);
    int count = panels->count - first;
    if (count > panels_a_part(panels)) count = panels_a_part(panels);
    if (operand->across) {
        pack_across(&p, first, count);
        return;
    }
    for (int i = 0; i < count; i++) pack_along(&p, first + i);
}

int bn_pack_unit_parts(const bn_operand *operand)
{
    return bn_cpu_blocks(operand->lines, GROUP_LINES);
}

void bn_pack_unit_part(const bn_rows *rows, const bn_panels *panels, const bn_operand *operand,
                       int length, int part)
{
    float wide[GROUP_LINES];
    int start = part * GROUP_LINES;
    int lines = operand->lines - start;
    if (lines > GROUP_LINES) lines = GROUP_LINES;
    uint32_t *most = panels->most + start;
    memset(most, 0, (size_t)lines * sizeof *most);
    for (int k = 0; k < length; k++) {
        float factor = operand->k_scale ? operand->k_scale[k] : 1.0F;
        const float *x =
            as_floats(rows, operand->dtype, element(operand, start, k), wide, (size_t)lines);
        rows->abs_max_lanes(most, x, factor, (size_t)lines);
    }
    for (int l = 0; l < lines; l++) set_unit(panels, start + l, most[l]);
}
