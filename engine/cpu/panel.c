#include "engine/cpu/panel.h"

#include <assert.h>
#include <string.h>

#include "engine/base/half.h"

enum {
    WORD = 4,           /* bytes a lane takes in a step */
    CHUNK_STEPS = 128,  /* a row's piece is converted at a time: it and its panel part stay in L1 */
    STEP_COLUMNS = 256, /* the same for panels whose lanes are columns */
};

static size_t place(const bn_source *source, int row, int col)
{
    return (size_t)row * (size_t)source->cols + (size_t)col;
}

void bn_fetch_4_bytes(const bn_source *source, int row, int col, int count, void *out)
{
    memcpy(out, (const char *)source->data + 4 * place(source, row, col), 4 * (size_t)count);
}

void bn_fetch_2_bytes(const bn_source *source, int row, int col, int count, void *out)
{
    memcpy(out, (const char *)source->data + 2 * place(source, row, col), 2 * (size_t)count);
}

void bn_fetch_1_byte(const bn_source *source, int row, int col, int count, void *out)
{
    memcpy(out, (const char *)source->data + place(source, row, col), (size_t)count);
}

static const float *floats(const bn_source *source, int row, int col)
{
    return (const float *)source->data + place(source, row, col);
}

static float scale_of(const bn_source *source, int row)
{
    return source->row_scale ? source->row_scale[row] : 1.0F;
}

void bn_fetch_f32(const bn_source *source, int row, int col, int count, void *out)
{
    const float *x = floats(source, row, col);
    float *to = out, scale = scale_of(source, row);
    for (int i = 0; i < count; i++) to[i] = x[i] * scale;
}

/* Without a branch, so that it becomes vector code: a NaN keeps its upper half and gets quiet. */
static uint32_t bf16_bits(float x)
{
    uint32_t bits = bn_float_bits(x);
    uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
    return (bits & 0x7FFFFFFFU) > 0x7F800000U ? bits >> 16 | 0x40U : rounded;
}

void bn_fetch_f32_bf16(const bn_source *source, int row, int col, int count, void *out)
{
    const float *x = floats(source, row, col);
    float scale = scale_of(source, row);
    uint16_t *to = out;
    for (int i = 0; i < count; i++) to[i] = (uint16_t)bf16_bits(x[i] * scale);
}

void bn_fetch_f32_bf16_wide(const bn_source *source, int row, int col, int count, void *out)
{
    const float *x = floats(source, row, col);
    float *to = out, scale = scale_of(source, row);
    for (int i = 0; i < count; i++) to[i] = bn_float_from_bits(bf16_bits(x[i] * scale) << 16);
}

void bn_fetch_f32_f16_wide(const bn_source *source, int row, int col, int count, void *out)
{
    const float *x = floats(source, row, col);
    float *to = out, scale = scale_of(source, row);
    for (int i = 0; i < count; i++) to[i] = bn_f16_to_float(bn_f16_from_float(x[i] * scale));
}

void bn_fetch_bf16_f32(const bn_source *source, int row, int col, int count, void *out)
{
    const uint16_t *x = (const uint16_t *)source->data + place(source, row, col);
    float *to = out;
    for (int i = 0; i < count; i++) to[i] = bn_bf16_to_float(x[i]);
}

void bn_fetch_f16_f32(const bn_source *source, int row, int col, int count, void *out)
{
    const uint16_t *x = (const uint16_t *)source->data + place(source, row, col);
    float *to = out;
    for (int i = 0; i < count; i++) to[i] = bn_f16_to_float(x[i]);
}

static const int8_t *codes(const bn_source *source, int row, int col)
{
    return (const int8_t *)source->data + place(source, row, col);
}

void bn_fetch_i8_bf16(const bn_source *source, int row, int col, int count, void *out)
{
    const int8_t *x = codes(source, row, col);
    uint16_t *to = out;
    for (int i = 0; i < count; i++) to[i] = (uint16_t)(bn_float_bits((float)x[i]) >> 16);
}

void bn_fetch_i8_f32(const bn_source *source, int row, int col, int count, void *out)
{
    const int8_t *x = codes(source, row, col);
    float *to = out;
    for (int i = 0; i < count; i++) to[i] = (float)x[i];
}

void bn_fetch_i8_u8(const bn_source *source, int row, int col, int count, void *out)
{
    const int8_t *x = codes(source, row, col);
    uint8_t *to = out;
    for (int i = 0; i < count; i++) to[i] = (uint8_t)(x[i] + 128);
}

long bn_panel_steps(const bn_kernel *kernel, int count)
{
    long unit = (long)kernel->group * kernel->step_multiple;
    return (count + unit - 1) / unit * kernel->step_multiple;
}

size_t bn_panel_bytes(int lanes, long steps)
{
    return (size_t)lanes * (size_t)steps * WORD;
}

/* words[l][s] -> out[s][l], `steps` steps of one lane after the other. */
static void spread_lane(const uint32_t *words, long steps, int lanes, uint32_t *out)
{
    for (long s = 0; s < steps; s++) out[s * lanes] = words[s];
}

/* Four lanes at once: 16 bytes written together. */
static void spread_four_lanes(uint32_t (*words)[CHUNK_STEPS], long steps, int lanes, uint32_t *out)
{
    for (long s = 0; s < steps; s++) {
        uint32_t four[4] = {words[0][s], words[1][s], words[2][s], words[3][s]};
        memcpy(out + s * lanes, four, sizeof four);
    }
}

/* The words of `steps` steps of one row from element `col` on; zero past its end. */
static void fetch_words(const bn_source *source, int row, long col, long steps, uint32_t *words)
{
    int group = WORD / source->element_bytes;
    long wanted = steps * group, there = row < source->rows ? source->cols - col : 0;
    assert(wanted > 0);
    long count = wanted < there ? wanted : there;
    for (long s = 0; s < steps && count < wanted; s++) words[s] = 0;
    if (count > 0) source->fetch(source, row, (int)col, (int)count, words);
}

void bn_panel_from_lanes(int lanes, const bn_source *source, int first, long steps, void *out)
{
    uint32_t words[4][CHUNK_STEPS];
    int group = WORD / source->element_bytes;
    assert(group >= 1);
    for (long start = 0; start < steps; start += CHUNK_STEPS) {
        long count = steps - start < CHUNK_STEPS ? steps - start : CHUNK_STEPS;
        uint32_t *to = (uint32_t *)out + start * lanes;
        int lane = 0;
        for (; lane + 4 <= lanes; lane += 4) {
            for (int i = 0; i < 4; i++) {
                fetch_words(source, first + lane + i, start * group, count, words[i]);
            }
            spread_four_lanes(words, count, lanes, to + lane);
        }
        for (; lane < lanes; lane++) {
            fetch_words(source, first + lane, start * group, count, words[0]);
            spread_lane(words[0], count, lanes, to + lane);
        }
    }
}

/* rows[g][c] -> words of `count` columns: a word holds the `group` rows of one column. */
static void interleave(const void *rows, int group, int count, uint32_t *words)
{
    if (group == 1) {
        memcpy(words, rows, (size_t)count * WORD);
    } else if (group == 2) {
        const uint16_t *two = rows;
        for (int c = 0; c < count; c++) {
            words[c] = two[c] | (uint32_t)two[STEP_COLUMNS + c] << 16;
        }
    } else {
        const uint8_t *four = rows;
        for (int c = 0; c < count; c++) {
            words[c] = four[c] | (uint32_t)four[STEP_COLUMNS + c] << 8 |
                       (uint32_t)four[2 * STEP_COLUMNS + c] << 16 |
                       (uint32_t)four[3 * STEP_COLUMNS + c] << 24;
        }
    }
}

/* One step of columns col ... col + count - 1; zero where the source ends. */
static void fetch_step(const bn_source *source, int row, int col, int count, uint32_t *words)
{
    uint32_t staged[STEP_COLUMNS]; /* [group][STEP_COLUMNS] elements */
    int group = WORD / source->element_bytes;
    assert(group >= 1);
    int there = source->cols - col < count ? source->cols - col : count;
    bool whole = there == count && row + group <= source->rows;
    if (!whole) memset(staged, 0, sizeof staged);
    for (int g = 0; g < group && there > 0 && row + g < source->rows; g++) {
        char *to = (char *)staged + (size_t)g * STEP_COLUMNS * (size_t)source->element_bytes;
        source->fetch(source, row + g, col, there, to);
    }
    interleave(staged, group, count, words);
}

void bn_panel_from_steps(int lanes, const bn_source *source, bn_panel_cut cut, void *out)
{
    uint32_t words[STEP_COLUMNS];
    assert(lanes <= STEP_COLUMNS);
    int group = WORD / source->element_bytes;
    int together = STEP_COLUMNS / lanes;
    for (int panel = 0; panel < cut.panels; panel += together) {
        int count = cut.panels - panel < together ? cut.panels - panel : together;
        int col = cut.col + panel * lanes;
        char *to = (char *)out + (size_t)panel * bn_panel_bytes(lanes, cut.steps);
        for (long s = 0; s < cut.steps; s++) {
            fetch_step(source, cut.row + (int)s * group, col, count * lanes, words);
            for (int p = 0; p < count; p++) {
                memcpy(to + (size_t)p * bn_panel_bytes(lanes, cut.steps) + bn_panel_bytes(lanes, s),
                       words + p * lanes, bn_panel_bytes(lanes, 1));
            }
        }
    }
}

void bn_panel_pack_u2(int lanes, long steps, uint8_t *panel)
{
    assert(steps % 4 == 0);
    size_t span = (size_t)lanes * WORD; /* bytes of one step */
    for (long quad = 0; quad < steps / 4; quad++) {
        const uint8_t *from = panel + (size_t)quad * 4 * span;
        uint8_t *to = panel + (size_t)quad * span; /* never past what is still to be read */
        for (size_t j = 0; j < span; j++) {
            to[j] = (uint8_t)(from[j] | from[span + j] << 2 | from[2 * span + j] << 4 |
                              from[3 * span + j] << 6);
        }
    }
}
