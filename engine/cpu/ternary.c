#include "engine/cpu/ternary.h"

/* Steps of four int8 that share a word of 2-bit codes. */
enum { STEPS_A_WORD = 4, CODE_OFFSET = 1 };

typedef struct packing {
    bn_cpu *cpu;
    const bn_operand *codes;
    bn_panels panels;
    int cols;
    uint32_t *wide; /* one panel of bytes a thread */
    size_t stride;
} packing;

bool bn_ternary_fits(bn_weight_kind kind)
{
    return kind == BN_WEIGHT_TERNARY || kind == BN_WEIGHT_BINARY;
}

bn_panels bn_ternary_panels(const bn_cpu *cpu, int rows, int cols, void *memory)
{
    const bn_kernel *kernel = &cpu->isa->kernels[BN_PRODUCT_KIND_U2];
    int quads = bn_cpu_blocks(cols, kernel->group * STEPS_A_WORD);
    return (bn_panels){.words = memory,
                       .block = kernel->nr,
                       .count = bn_cpu_blocks(rows, kernel->nr),
                       .word_count = quads * STEPS_A_WORD,
                       .word = BN_WORD_I8,
                       .two_bit = true,
                       .offset = CODE_OFFSET};
}

size_t bn_ternary_bytes(const bn_cpu *cpu, int rows, int cols)
{
    bn_panels panels = bn_ternary_panels(cpu, rows, cols, NULL);
    return (size_t)panels.count * (size_t)panels.block * (size_t)panels.word_count;
}

static void pack_part(void *context, int part, int thread)
{
    const packing *p = context;
    const bn_rows *rows = p->cpu->isa->rows;
    bn_panels wide = p->panels;
    int lines = p->codes->lines - part * wide.block;
    size_t start = (size_t)part * (size_t)wide.block * p->codes->stride;
    bn_operand codes = *p->codes;
    codes.data = (const int8_t *)codes.data + start;
    codes.lines = lines < wide.block ? lines : wide.block;
    wide.words = p->wide + (size_t)thread * p->stride;
    wide.two_bit = false;
    wide.count = 1;
    bn_pack_part(rows, &wide, &codes, BN_I8, p->cols, 0);
    size_t words = (size_t)wide.word_count / STEPS_A_WORD * (size_t)wide.block;
    rows->squeeze(p->panels.words + (size_t)part * words, wide.words, wide.block,
                  wide.word_count / STEPS_A_WORD);
}

void bn_ternary_pack(bn_cpu *cpu, const bn_operand *codes, int cols, void *memory)
{
    packing p = {.cpu = cpu, .codes = codes, .cols = cols};
    p.panels = bn_ternary_panels(cpu, codes->lines, cols, memory);
    p.wide = (uint32_t *)bn_cpu_row_scratch(
        cpu, (size_t)p.panels.block * (size_t)p.panels.word_count, &p.stride);
    if (!p.wide) return;
    bn_pool_run(cpu->pool, p.panels.count, pack_part, &p);
}
