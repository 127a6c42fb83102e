#include "engine/cpu/quantize.h"

#include <string.h>

#include "engine/base/half.h"
#include "engine/cpu/ternary.h"

static const float scale_floor = 1e-5F;

/* What one part reduces or converts: fixed, so that sums do not depend on threads. */
enum { PIECE = BN_CPU_PIECE };

/* bn_weight.form: values follow the header, then the 2-bit panels where there are such. F32 has
 * none: the master is its own form. */
typedef struct form {
    _Alignas(64) float scale;
    float middle; /* binary: the mean */
} form;

static size_t value_bytes(bn_weight_kind kind)
{
    switch (kind) {
    case BN_WEIGHT_F32:
        return 0;
    case BN_WEIGHT_BF16:
    case BN_WEIGHT_F16:
        return 2;
    case BN_WEIGHT_TERNARY:
    case BN_WEIGHT_BINARY:
    case BN_WEIGHT_INT8:
        break;
    }
    return 1;
}

static void *values_of(void *memory)
{
    return (char *)memory + sizeof(form);
}

const void *bn_cpu_weight_values(const bn_weight *weight)
{
    return weight->format.kind == BN_WEIGHT_F32 ? weight->master : values_of(weight->form);
}

float bn_cpu_weight_scale(const bn_weight *weight)
{
    return ((const form *)weight->form)->scale;
}

static size_t panels_start(int rows, int cols, bn_weight_kind kind)
{
    size_t bytes = sizeof(form) + (size_t)rows * (size_t)cols * value_bytes(kind);
    return (bytes + 63) / 64 * 64;
}

void *bn_cpu_weight_panels(const bn_weight *weight)
{
    return (char *)weight->form + panels_start(weight->rows, weight->cols, weight->format.kind);
}

size_t bn_cpu_weight_form_bytes(void *self, int rows, int cols, bn_weight_format format)
{
    size_t bytes = panels_start(rows, cols, format.kind);
    return bn_ternary_fits(format.kind) ? bytes + bn_ternary_bytes(self, rows, cols) : bytes;
}

typedef struct pieces {
    bn_cpu *cpu;
    const bn_weight *weight;
    size_t count;
    double *sum, *sum_abs; /* of each piece */
    uint32_t *most;
    uint32_t candidate; /* median: a magnitude as bits */
    int64_t *below;     /* of each piece: how many do not exceed it */
} pieces;

static size_t piece_length(const pieces *p, int part)
{
    size_t left = p->count - (size_t)part * PIECE;
    return left < PIECE ? left : PIECE;
}

static void reduce_part(void *context, int part, int thread)
{
    pieces *p = context;
    (void)thread;
    const bn_rows *rows = p->cpu->isa->rows;
    const float *w = p->weight->master + (size_t)part * PIECE;
    size_t count = piece_length(p, part);
    switch (p->weight->format.kind) {
    case BN_WEIGHT_BINARY:
        p->sum[part] = rows->sum(w, count);
        p->sum_abs[part] = rows->sum_abs(w, count);
        break;
    case BN_WEIGHT_TERNARY:
        p->sum_abs[part] = rows->sum_abs(w, count);
        break;
    case BN_WEIGHT_INT8:
        p->most[part] = rows->abs_max(w, count);
        break;
    case BN_WEIGHT_F32:
    case BN_WEIGHT_BF16:
    case BN_WEIGHT_F16:
        break;
    }
}

static void count_part(void *context, int part, int thread)
{
    pieces *p = context;
    (void)thread;
    const float *w = p->weight->master + (size_t)part * PIECE;
    size_t count = piece_length(p, part);
    p->below[part] = (int64_t)p->cpu->isa->rows->count_below(w, p->candidate, count);
}

static float mean_of(const double *sums, int parts, size_t count)
{
    double total = 0;
    for (int i = 0; i < parts; i++) total += sums[i];
    return (float)(total / (double)count);
}

/* The lower median of |w|, by bisecting the bits of the magnitude. */
static float abs_median(pieces *p, int parts)
{
    uint32_t low = 0;
    uint32_t high = 0x7FFFFFFFU;
    while (low < high) {
        p->candidate = low + (high - low) / 2;
        bn_pool_run(p->cpu->pool, parts, count_part, p);
        int64_t below = 0;
        for (int i = 0; i < parts; i++) below += p->below[i];
        if (2 * below >= (int64_t)p->count) {
            high = p->candidate;
        } else {
            low = p->candidate + 1;
        }
    }
    return bn_float_from_bits(low);
}

static float at_least(float value, float floor)
{
    return value < floor ? floor : value; /* NaN stays */
}

static float find_scale(pieces *p, int parts)
{
    const bn_weight *weight = p->weight;
    float scale = 1;
    uint32_t most = 0;
    switch (weight->format.kind) {
    case BN_WEIGHT_F32:
    case BN_WEIGHT_BF16:
    case BN_WEIGHT_F16:
        return 1;
    case BN_WEIGHT_TERNARY:
        scale = weight->format.median ? abs_median(p, parts) : mean_of(p->sum_abs, parts, p->count);
        scale = at_least(scale, scale_floor);
        break;
    case BN_WEIGHT_BINARY:
        scale = mean_of(p->sum_abs, parts, p->count);
        break;
    case BN_WEIGHT_INT8:
        for (int i = 0; i < parts; i++) most = p->most[i] > most ? p->most[i] : most;
        scale = at_least(bn_float_from_bits(most), scale_floor) / 127.0F;
        break;
    }
    return weight->format.fp16_scale ? bn_f16_to_float(bn_f16_from_float(scale)) : scale;
}

static void convert_part(void *context, int part, int thread)
{
    pieces *p = context;
    (void)thread;
    const bn_rows *rows = p->cpu->isa->rows;
    const form *head = p->weight->form;
    size_t start = (size_t)part * PIECE;
    size_t count = piece_length(p, part);
    const float *w = p->weight->master + start;
    char *to = (char *)values_of(p->weight->form) + start * value_bytes(p->weight->format.kind);
    switch (p->weight->format.kind) {
    case BN_WEIGHT_F32:
        break;
    case BN_WEIGHT_BF16:
        rows->to_bf16((uint16_t *)(void *)to, w, 1, count);
        break;
    case BN_WEIGHT_F16:
        rows->to_f16((uint16_t *)(void *)to, w, 1, count);
        break;
    case BN_WEIGHT_TERNARY:
        (void)rows->quantize((int8_t *)to, w, 1.0F / head->scale, 1, count);
        break;
    case BN_WEIGHT_BINARY:
        rows->sign_codes((int8_t *)to, w, head->middle, count);
        break;
    case BN_WEIGHT_INT8:
        (void)rows->quantize((int8_t *)to, w, 1.0F / head->scale, 127, count);
        break;
    }
}

void bn_cpu_weight_prepare(void *self, const bn_weight *weight)
{
    if (bn_host_failed(self)) return;
    bn_cpu_weight_refresh(self, weight, NULL);
}

/* Sums and maxima that the scale needs and that nobody knows yet. */
static void reduce(pieces *p, int parts, double *known)
{
    bn_weight_format format = p->weight->format;
    if (known) p->sum_abs = known;
    bool wanted = bn_weight_dtype(format.kind) == BN_I8 && !format.median;
    if (format.kind == BN_WEIGHT_TERNARY && known) wanted = false;
    if (wanted) bn_pool_run(p->cpu->pool, parts, reduce_part, p);
}

void bn_cpu_weight_refresh(bn_cpu *cpu, const bn_weight *weight, double *sum_abs)
{
    pieces p = {.cpu = cpu, .weight = weight};
    p.count = (size_t)weight->rows * (size_t)weight->cols;
    int parts = (int)((p.count + PIECE - 1) / PIECE);
    double *memory = bn_cpu_scratch(cpu, BN_CPU_SLOT_OP, 4 * (size_t)parts * sizeof *memory);
    if (!memory) return;
    p.sum = memory;
    p.sum_abs = memory + parts;
    p.most = (uint32_t *)(memory + 2 * (size_t)parts);
    p.below = (int64_t *)(memory + 3 * (size_t)parts);
    reduce(&p, parts, sum_abs);
    form *head = weight->form;
    head->scale = find_scale(&p, parts);
    bool binary = weight->format.kind == BN_WEIGHT_BINARY;
    head->middle = binary ? mean_of(p.sum, parts, p.count) : 0.0F;
    if (weight->format.kind == BN_WEIGHT_F32) return;
    bn_pool_run(cpu->pool, parts, convert_part, &p);
    if (!bn_ternary_fits(weight->format.kind)) return;
    bn_operand codes = {.data = bn_cpu_weight_values(weight),
                        .dtype = BN_I8,
                        .stride = (size_t)weight->cols,
                        .lines = weight->rows};
    bn_ternary_pack(cpu, &codes, weight->cols, bn_cpu_weight_panels(weight));
}

void bn_cpu_weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale)
{
    if (bn_host_failed(self)) return;
    memcpy(codes, bn_cpu_weight_values(weight), (size_t)weight->rows * (size_t)weight->cols);
    *scale = bn_cpu_weight_scale(weight);
}

void bn_cpu_act_write(const bn_rows *rows, bn_act out, int r, const float *y)
{
    size_t cols = (size_t)out.cols;
    size_t start = (size_t)r * cols;
    float most;
    switch (out.dtype) {
    case BN_F32:
        memcpy((float *)out.data + start, y, cols * sizeof *y);
        break;
    case BN_BF16:
        rows->to_bf16((uint16_t *)out.data + start, y, 1, cols);
        break;
    case BN_F16:
        rows->to_f16((uint16_t *)out.data + start, y, 1, cols);
        break;
    case BN_I8:
        most = at_least(bn_float_from_bits(rows->abs_max(y, cols)), scale_floor);
        out.scale[r] = most / 127.0F;
        out.sum[r] = rows->quantize((int8_t *)out.data + start, y, 127.0F / most, 127, cols);
        break;
    }
}
