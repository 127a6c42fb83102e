/* pack.h - an operand into panels of 32-bit words, rounding and quantizing on the way. */
#ifndef BN_ENGINE_CPU_PACK_H
#define BN_ENGINE_CPU_PACK_H

#include "engine/cpu/product.h"

typedef enum bn_word { BN_WORD_F32, BN_WORD_BF16, BN_WORD_I8 } bn_word;

/* One operand, packed: panel p is words + p * block * word_count, line l of it in column l. */
typedef struct bn_panels {
    uint32_t *words;
    int block, count; /* lines a panel, panels */
    int word_count;
    bn_word word;
    bool two_bit;   /* I8 in 2 bits: words as the U2 kernel reads them, a quarter of word_count */
    bool shared;    /* by all threads: stored past the caches (stream.h) */
    int offset;     /* I8, the unsigned operand: added to each code */
    bool quantized; /* I8 from floats: line l is code * unit[l] */
    uint32_t *most; /* [lines] quantized across: max |a| of each line, as bits */
    float *unit;    /* [lines] quantized */
    float *factor;  /* [lines] quantized: 1 / unit */
    int32_t *sum;   /* [lines] I8, the signed operand: sum of its codes; or NULL */
} bn_panels;

int bn_word_elements(bn_word word);

/* How many parts packing is cut into, and one of them. */
int bn_pack_parts(const bn_panels *panels, const bn_operand *operand);
void bn_pack_part(const bn_rows *rows, const bn_panels *panels, const bn_operand *operand,
                  bn_dtype format, int length, int part);

/* Before packing an operand that is quantized across: the units of the lines, in parts too. */
int bn_pack_unit_parts(const bn_operand *operand);
void bn_pack_unit_part(const bn_rows *rows, const bn_panels *panels, const bn_operand *operand,
                       int length, int part);

#endif
