#include "engine/cpu/pack.h"

#include <math.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/cpu/stream.h"
#include "engine/cpu/wide.h"

/* A pass converts CHUNK_WORDS words of a line, or GROUP_WORDS words of GROUP_LINES lines, at a
 * time: enough for the vector loops, little enough for the first-level cache. */
enum { CHUNK_WORDS = 128, GROUP_LINES = 224, GROUP_WORDS = 16, ELEMENTS_MAX = 4 };

/* Of a part: lines that lie along memory, or words of lines that lie across. */
enum { ALONG_LINES = 48, PART_WORDS = 128 };

/* Where lines lie across memory, rows are fetched that many ahead. */
enum { AHEAD_ROWS = 20, CACHE_LINE = 64 };

/* What adds 128, the offset of quantized operands, to each code of a word. */
static const uint32_t offset_word = 0x80808080U;

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

static const void *element(const bn_operand *a, int line, int k)
{
    size_t at =
        a->across ? (size_t)k * a->stride + (size_t)line : (size_t)line * a->stride + (size_t)k;
    return (const char *)a->data + at * bn_dtype_bytes(a->dtype);
}

/* `count` neighbours times a factor as f32 words, rounded to the product's format. */
static void to_f32_words(const packer *p, const void *from, float factor, float *to, size_t count)
{
    bn_dtype dtype = p->operand->dtype;
    const float *x = bn_wide_read(p->rows, dtype, from, to, count);
    bool exact = dtype == p->format && factor == 1;
    if (p->format == BN_BF16 && !exact) {
        p->rows->round_bf16(to, x, factor, count);
    } else if (p->format == BN_F16 && !exact) {
        p->rows->round_f16(to, x, factor, count);
    } else if (x != to || factor != 1) {
        p->rows->scale(to, x, factor, NULL, count);
    }
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
        const float *x = bn_wide_read(p->rows, p->operand->dtype, from, wide, count);
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
    float factor = 127.0F / limit;
    panels->unit[line] = limit / 127.0F;
    panels->factor[line] = isinf(factor) ? 0.0F : factor; /* as good as zeros */
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
            bn_wide_read(p->rows, p->operand->dtype, element(p->operand, line, k), wide, count);
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
    size_t bytes = bn_dtype_bytes(p->operand->dtype);
    size_t per_word = sizeof(uint32_t) / bytes;
    bool same = out->word == BN_WORD_F32    ? p->operand->dtype == BN_F32 && p->format == BN_F32
                : out->word == BN_WORD_BF16 ? p->operand->dtype == BN_BF16
                                            : p->operand->dtype == BN_I8 && !out->offset;
    return same && p->operand->stride % per_word == 0 && (size_t)p->length % per_word == 0 &&
           (uintptr_t)p->operand->data % sizeof(uint32_t) == 0;
}

/* Some words of some lines that lie along memory. */
typedef struct span {
    int line, lines, first, count;
} span;

/* Converts a span and turns it over. */
static void turn_chunk(const packer *p, span s, uint32_t *to)
{
    _Alignas(CACHE_LINE) uint32_t turned[CHUNK_WORDS * BN_KERNEL_NR_MAX];
    uint32_t tile[BN_KERNEL_NR_MAX][CHUNK_WORDS];
    const bn_panels *out = p->panels;
    const uint32_t *from = tile[0];
    size_t stride = CHUNK_WORDS;
    if (is_plain(p)) {
        from = element(p->operand, s.line, s.first * bn_word_elements(out->word));
        stride = p->operand->stride * bn_dtype_bytes(p->operand->dtype) / sizeof *from;
    } else {
        for (int l = 0; l < s.lines; l++) chunk_of_line(p, s.line + l, s.first, tile[l]);
    }
    p->rows->transpose(out->shared ? turned : to, out->block, from, stride, s.lines, s.count);
    if (out->shared) bn_stream_words(to, turned, (size_t)s.count * (size_t)out->block);
}

/* Lines lie along memory: convert a chunk of every line, then turn it over. */
static void pack_along(const packer *p, int panel)
{
    const bn_panels *out = p->panels;
    uint32_t *words = out->words + (size_t)panel * (size_t)out->block * (size_t)out->word_count;
    int start = panel * out->block;
    int lines = p->operand->lines - start;
    if (lines > out->block) lines = out->block;
    int used = bn_cpu_blocks(p->length, bn_word_elements(out->word));
    size_t padding = (size_t)(out->word_count - used) * (size_t)out->block;
    memset(words + (size_t)used * (size_t)out->block, 0, padding * sizeof *words);
    for (int l = 0; l < lines && out->quantized; l++) {
        line_unit(p, start + l);
        if (out->sum) out->sum[start + l] = 0;
    }
    for (int first = 0; first < used; first += CHUNK_WORDS) {
        int count = used - first < CHUNK_WORDS ? used - first : CHUNK_WORDS;
        turn_chunk(p, (span){start, lines, first, count},
                   words + (size_t)first * (size_t)out->block);
    }
}

/* The lines of a part, and where words of them are gathered before they go to their panels. */
typedef struct group {
    int start, lines, panels;
    _Alignas(64) int8_t code[4][GROUP_LINES];
    _Alignas(64) float wide[ELEMENTS_MAX][GROUP_LINES];
    _Alignas(64) int32_t sum[GROUP_LINES];
    _Alignas(64) uint32_t word[GROUP_WORDS][GROUP_LINES];
} group;

/* Rows lie a stride apart, which no hardware follows across pages. */
static void fetch_ahead(const bn_operand *operand, int length, int start, int k, int lines)
{
    if (k + AHEAD_ROWS >= length) return;
    const char *row = element(operand, start, k + AHEAD_ROWS);
    size_t bytes = (size_t)lines * bn_dtype_bytes(operand->dtype);
    for (size_t at = 0; at < bytes; at += CACHE_LINE) __builtin_prefetch(row + at);
}

static float factor_of(const packer *p, int k)
{
    return p->operand->k_scale && k < p->length ? p->operand->k_scale[k] : 1.0F;
}

/* Element k of the group's lines; nothing but zeros behind the length. */
static const void *row_of(const packer *p, const group *g, int k)
{
    static const float zeros[GROUP_LINES];
    if (k >= p->length) return zeros;
    fetch_ahead(p->operand, p->length, g->start, k, g->lines);
    return element(p->operand, g->start, k);
}

/* The codes at element k as they are, or shifted. */
static void gather_codes(const packer *p, const group *g, int k, int8_t *to)
{
    const void *from = row_of(p, g, k);
    if (p->panels->offset && k < p->length) {
        p->rows->shift_codes((uint8_t *)to, from, p->panels->offset, (size_t)g->lines);
    } else {
        memcpy(to, from, (size_t)g->lines);
    }
}

/* Floats to the codes of one word. */
static void gather_quantized(const packer *p, group *g, int w, uint32_t *to)
{
    bn_four_rows four;
    for (int e = 0; e < ELEMENTS_MAX; e++) {
        int k = ELEMENTS_MAX * w + e;
        four.x[e] =
            bn_wide_read(p->rows, p->operand->dtype, row_of(p, g, k), g->wide[e], (size_t)g->lines);
        four.factor[e] = factor_of(p, k);
    }
    p->rows->quantize_words(to, &four, p->panels->factor + g->start, g->sum, (size_t)g->lines);
    for (int l = 0; l < g->lines && p->panels->offset; l++) to[l] ^= offset_word;
}

static void gather_pair(const packer *p, group *g, int k, uint32_t *to)
{
    const void *a = row_of(p, g, k);
    const void *b = row_of(p, g, k + 1);
    size_t lines = (size_t)g->lines;
    bn_dtype dtype = p->operand->dtype;
    bool scaled = p->operand->k_scale != NULL;
    if (dtype == BN_BF16 && !scaled) {
        p->rows->pair_bf16(to, a, b, lines);
    } else if (dtype == BN_I8 && !scaled) {
        p->rows->pair_i8(to, a, b, lines);
    } else if (dtype == BN_I8) {
        p->rows->pair_scaled_i8(to, a, b, factor_of(p, k), factor_of(p, k + 1), lines);
    } else {
        const float *low = bn_wide_read(p->rows, dtype, a, g->wide[0], lines);
        const float *high = bn_wide_read(p->rows, dtype, b, g->wide[1], lines);
        p->rows->pair_f32(to, low, high, factor_of(p, k), factor_of(p, k + 1), lines);
    }
}

/* Word w of all lines of the group. */
static void gather_word(const packer *p, group *g, int w, uint32_t *to)
{
    switch (p->panels->word) {
    case BN_WORD_F32:
        to_f32_words(p, row_of(p, g, w), factor_of(p, w), (float *)to, (size_t)g->lines);
        break;
    case BN_WORD_BF16:
        gather_pair(p, g, 2 * w, to);
        break;
    case BN_WORD_I8:
        if (p->panels->quantized) {
            gather_quantized(p, g, w, to);
            break;
        }
        for (int e = 0; e < ELEMENTS_MAX; e++) gather_codes(p, g, ELEMENTS_MAX * w + e, g->code[e]);
        p->rows->interleave4(to, (uint8_t *)g->code[0], GROUP_LINES, g->lines);
        break;
    }
}

/* `count` words of one panel's lines, out of a group. The blocks that kernels have are named, so
 * that their copies are a few loads and stores. */
static void deal(const packer *p, uint32_t *to, const uint32_t *from, int count)
{
    int block = p->panels->block;
    for (int w = 0; w < count; w++, to += block, from += GROUP_LINES) {
        if (p->panels->shared) {
            bn_stream_words(to, from, (size_t)block);
        } else if (block == 32) {
            memcpy(to, from, 32 * sizeof *to);
        } else if (block == 12) {
            memcpy(to, from, 12 * sizeof *to);
        } else {
            memcpy(to, from, (size_t)block * sizeof *to);
        }
    }
}

/* Which panels and words a part packs. */
typedef struct stretch {
    int panel, panels;
    int first, end; /* words */
} stretch;

/* Lines lie across memory: convert neighbours, some words of them, and deal these out to the
 * panels, so that each panel is written in long runs. */
static void pack_across(const packer *p, stretch s)
{
    const bn_panels *out = p->panels;
    size_t block = (size_t)out->block;
    group g;
    g.start = s.panel * out->block;
    g.lines = p->operand->lines - g.start;
    if (g.lines > s.panels * out->block) g.lines = s.panels * out->block;
    size_t spare = (size_t)(s.panels * out->block - g.lines);
    for (int w = 0; w < GROUP_WORDS; w++) memset(g.word[w] + g.lines, 0, spare * sizeof **g.word);
    memset(g.sum, 0, sizeof g.sum);
    for (int first = s.first; first < s.end; first += GROUP_WORDS) {
        int count = s.end - first < GROUP_WORDS ? s.end - first : GROUP_WORDS;
        for (int w = 0; w < count; w++) gather_word(p, &g, first + w, g.word[w]);
        for (int i = 0; i < s.panels; i++) {
            size_t at = (size_t)(s.panel + i) * (size_t)out->word_count + (size_t)first;
            deal(p, out->words + at * block, g.word[0] + (size_t)i * block, count);
        }
    }
    if (!out->quantized || !out->sum) return;
    for (int l = 0; l < g.lines; l++) out->sum[g.start + l] += g.sum[l];
}

/* How the panels are cut into parts: `panels` at a time, and where lines lie across, `words`. */
typedef struct division {
    int panels, words, word_parts;
} division;

static division division_of(const bn_panels *panels, const bn_operand *operand)
{
    division d = {.words = panels->word_count, .word_parts = 1};
    d.panels = (operand->across ? GROUP_LINES : ALONG_LINES) / panels->block;
    if (operand->across) {
        d.words = PART_WORDS;
        d.word_parts = bn_cpu_blocks(panels->word_count, PART_WORDS);
    }
    return d;
}

int bn_pack_parts(const bn_panels *panels, const bn_operand *operand)
{
    division d = division_of(panels, operand);
    return bn_cpu_blocks(panels->count, d.panels) * d.word_parts;
}

void bn_pack_part(const bn_rows *rows, const bn_panels *panels, const bn_operand *operand,
                  bn_dtype format, int length, int part)
{
    packer p = {rows, panels, operand, format, length};
    division d = division_of(panels, operand);
    stretch s = {.panel = part / d.word_parts * d.panels};
    s.panels = panels->count - s.panel < d.panels ? panels->count - s.panel : d.panels;
    if (operand->across) {
        s.first = part % d.word_parts * d.words;
        s.end = s.first + d.words < panels->word_count ? s.first + d.words : panels->word_count;
        pack_across(&p, s);
    } else {
        for (int i = 0; i < s.panels; i++) pack_along(&p, s.panel + i);
    }
    if (panels->shared) bn_stream_end();
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
    if (panels->sum) memset(panels->sum + start, 0, (size_t)lines * sizeof *panels->sum);
    for (int k = 0; k < length; k++) {
        fetch_ahead(operand, length, start, k, lines);
        float factor = operand->k_scale ? operand->k_scale[k] : 1.0F;
        const float *x =
            bn_wide_read(rows, operand->dtype, element(operand, start, k), wide, (size_t)lines);
        rows->abs_max_lanes(most, x, factor, (size_t)lines);
    }
    for (int l = 0; l < lines; l++) set_unit(panels, start + l, most[l]);
}
