/* attend.h - what attention needs of an instruction set: a product whose operands lie in rows, and
 * the passes that turn floats and scores into its operands.
 *
 * Operands are 32-bit words of `group` elements of the dimension that is summed over: one float, or
 * two bf16, the earlier one in the low half. Words are along a row (its neighbours) or across rows
 * (the same column of neighbouring rows). Steps and rows count words or floats.
 */
#ifndef BN_ENGINE_CPU_ATTEND_H
#define BN_ENGINE_CPU_ATTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* C[r][l] (=, +=) sum over s < steps of A(r, s) x B(s)[l],  r < rows, l < lanes. A is read word by
 * word, so its rows and steps may lie either way round; lanes are neighbours. All rows and lanes
 * are read and written: who has fewer pads. */
typedef struct bn_attend_product {
    const uint32_t *a; /* word (r, s) is at r * a_row + s * a_step */
    const uint32_t *b; /* lane 0 of step s is at s * b_step */
    float *c;          /* lane 0 of row r is at r * c_row */
    size_t a_row, a_step, b_step, c_row;
    size_t steps; /* >= 1 */
    bool add;     /* += */
} bn_attend_product;

/* `group` neighbouring queries of the backward pass. With p = exp((score - shift) * factor), dp the
 * gradient at p and mean = sum of p * dp:  slope = p * (dp - mean) * factor. */
typedef struct bn_attend_slopes {
    const float *scores, *dp; /* the queries' rows, `step` apart */
    size_t step;
    float shift[2], mean[2]; /* shift infinity: p is 0 */
    float factor;
    uint32_t *weights, *slopes; /* words across the queries */
    uint32_t *rows;             /* group 2: the slopes once more, as words along, row_step apart */
    size_t row_step;
} bn_attend_slopes;

typedef struct bn_attend {
    void (*product)(const bn_attend_product *product);

    /* to = the words of exp((x - shift) * factor) along the row, 0 where x is -infinity; returns
     * the sum before rounding. count is a multiple of `lanes`. */
    float (*weigh)(uint32_t *to, const float *x, float factor, float shift, size_t count);
    void (*slope)(const bn_attend_slopes *of, size_t count); /* the same */

    /* The words of `count` floats; the half that is missing from the last one is 0. */
    void (*along)(uint32_t *to, const float *x, size_t count);
    /* Of two rows; the second may be NULL, which is 0. Group 1: of the first. */
    void (*across)(uint32_t *to, const float *x0, const float *x1, size_t count);

    int rows, lanes; /* of a product; rows is even */
    int group;       /* 1 or 2 */
} bn_attend;

enum { BN_ATTEND_ROWS_MAX = 8, BN_ATTEND_LANES_MAX = 32, BN_ATTEND_GROUP_MAX = 2 };

/* Index 0: f32. Index 1: bf16, or f32 again where that is no slower. What lacks its instructions
 * on this machine must not be run. */
extern const bn_attend bn_attend_portable[2];
extern const bn_attend bn_attend_avx2[2];       /* AVX2 and FMA */
extern const bn_attend bn_attend_avx512[2];     /* AVX-512 F */
extern const bn_attend bn_attend_avx512bf16[2]; /* and BF16, BW */

#endif
