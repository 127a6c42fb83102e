/* Weights as inference keeps them. */
#include <string.h>

#include "engine/cpu/quantize.h"
#include "engine/cpu/stepper.h"

enum { BYTE_OFFSET = 128, ELEMENTS_A_GROUP = 16 };

bn_layout bn_layout_of(const bn_cpu *cpu, const bn_matrix *matrix)
{
    const bn_kernel *kernel = &cpu->isa->kernels[BN_PRODUCT_KIND_U2];
    int digits = cpu->isa->decode->digits;
    bn_layout l = {.lanes = kernel->nr, .panels = bn_cpu_blocks(matrix->rows, kernel->nr)};
    if (matrix->kind == BN_MATRIX_BYTES) {
        l.words = l.groups = bn_cpu_blocks(matrix->cols, 4);
        l.bytes = (size_t)l.words * (size_t)l.lanes * 4;
    } else {
        l.groups = bn_cpu_blocks(matrix->cols, 4 * digits);
        int two_bit = digits == 5 ? l.groups + bn_cpu_blocks(l.groups, 4) : l.groups;
        l.words = 4 * two_bit;
        l.bytes = (size_t)l.groups * (size_t)l.lanes * 4;
    }
    return l;
}

size_t bn_matrix_bytes(bn_backend be, const bn_matrix *matrix)
{
    bn_layout l = bn_layout_of(be.self, matrix);
    return l.bytes * (size_t)l.panels;
}

bn_panels bn_byte_panels(const bn_cpu *cpu, const bn_matrix *matrix)
{
    bn_layout l = bn_layout_of(cpu, matrix);
    float *units = NULL;
    memcpy(&units, &matrix->units, sizeof units); /* panels may be written, these are not */
    return (bn_panels){.words = matrix->panels,
                       .block = l.lanes,
                       .count = l.panels,
                       .word_count = l.words,
                       .word = BN_WORD_I8,
                       .offset = BYTE_OFFSET,
                       .quantized = units != NULL,
                       .unit = units};
}

typedef struct filling {
    const bn_matrix *matrix;
    const int8_t *codes;
    bn_layout layout;
    int digits;
} filling;

/* code + 1, or 0 outside the weight, where inputs are 0. */
static int digit_at(const filling *f, int row, int col)
{
    if (row >= f->matrix->rows || col >= f->matrix->cols) return 0;
    return f->codes[(size_t)row * (size_t)f->matrix->cols + (size_t)col] + 1;
}

/* Byte g of row `row` in group q. */
static uint8_t byte_at(const filling *f, int row, int q, int g)
{
    int start = ELEMENTS_A_GROUP * q + g;
    int byte = 0;
    for (int i = 3; i >= 0; i--) {
        byte = byte * (f->digits == 5 ? 3 : 4) + digit_at(f, row, start + 4 * i);
    }
    if (f->digits == 5) {
        byte += 81 * digit_at(f, row, ELEMENTS_A_GROUP * f->layout.groups + 4 * q + g);
    }
    return (uint8_t)byte;
}

static void fill_part(void *context, int part, int thread)
{
    const filling *f = context;
    uint8_t *panel = (uint8_t *)f->matrix->panels + (size_t)part * f->layout.bytes;
    (void)thread;
    for (int q = 0; q < f->layout.groups; q++) {
        for (int b = 0; b < f->layout.lanes * 4; b++) {
            *panel++ = byte_at(f, part * f->layout.lanes + b / 4, q, b % 4);
        }
    }
}

void bn_matrix_fill(bn_backend be, const bn_matrix *matrix, const int8_t *codes)
{
    bn_cpu *cpu = be.self;
    if (bn_host_failed(cpu)) return;
    if (matrix->kind == BN_MATRIX_BYTES) {
        bn_product_job job = {.format = BN_I8, .length = matrix->cols};
        bn_panels panels;
        job.b = (bn_operand){
            .data = codes, .dtype = BN_I8, .stride = (size_t)matrix->cols, .lines = matrix->rows};
        bn_product_pack(cpu, &job, matrix->panels, &panels);
        return;
    }
    filling f = {matrix, codes, bn_layout_of(cpu, matrix), cpu->isa->decode->digits};
    bn_pool_run(cpu->pool, f.layout.panels, fill_part, &f);
}

const float *bn_dense_row(const bn_rows *rows, const bn_weight *weight, int r, float *to)
{
    size_t width = (size_t)weight->cols;
    size_t start = (size_t)r * width;
    const void *values = bn_cpu_weight_values(weight);
    switch (bn_weight_dtype(weight->format.kind)) {
    case BN_F32:
        return (const float *)values + start;
    case BN_BF16:
        rows->from_bf16(to, (const uint16_t *)values + start, width);
        break;
    case BN_F16:
        rows->from_f16(to, (const uint16_t *)values + start, width);
        break;
    case BN_I8:
        rows->from_i8(to, (const int8_t *)values + start, width);
        break;
    }
    return to;
}
