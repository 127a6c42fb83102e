#include "engine/cpu/gemm.h"

/* A tile's place in C; at C's edges fewer rows and columns than the kernel's. */
typedef struct place {
    int row, col, rows, cols;
} place;

static void finish_rows(const bn_gemm_out *out, const float *tile, place at_c, int nr)
{
    int cols = at_c.cols;
    for (int i = 0; i < at_c.rows; i++) {
        int row = at_c.row + i;
        size_t at = (size_t)row * (size_t)out->cols + (size_t)at_c.col;
        float scale = out->row_scale ? out->row_scale[row] * out->scale : out->scale;
        const float *p = tile + i * nr;
        float *c = out->c + at;
        const float *base = out->base ? out->base + at : NULL;
        if (base) {
            for (int j = 0; j < cols; j++) c[j] = base[j] + p[j] * scale;
        } else {
            for (int j = 0; j < cols; j++) c[j] = p[j] * scale;
        }
    }
}

/* int32 products to floats, their offsets taken off. */
static void take_offsets(const bn_gemm_out *out, const int32_t *from, float *to, int row, int rows,
                         int nr)
{
    for (int i = 0; i < rows; i++) {
        int32_t offset = out->offset_factor ? out->offset_factor * out->row_sum[row + i] : 0;
        for (int j = 0; j < nr; j++) to[i * nr + j] = (float)(from[i * nr + j] - offset);
    }
}

void bn_gemm_run(const bn_gemm_block *block, const bn_gemm_out *out)
{
    const bn_kernel *kernel = block->kernel;
    int mr = kernel->mr, nr = kernel->nr;
    _Alignas(64) float tile[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    _Alignas(64) int32_t whole[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    for (int bp = 0; bp < block->b_panels; bp++) {
        const char *b = (const char *)block->b + (size_t)bp * block->b_stride;
        int col = block->col + bp * nr;
        int cols = out->cols - col < nr ? out->cols - col : nr;
        for (int ap = 0; ap < block->a_panels; ap++) {
            const char *a = (const char *)block->a + (size_t)ap * block->a_stride;
            int row = block->row + ap * mr;
            int rows = out->rows - row < mr ? out->rows - row : mr;
            kernel->run(block->steps, a, b, out->integer ? (void *)whole : tile, false);
            if (out->integer) take_offsets(out, whole, tile, row, rows, nr);
            finish_rows(out, tile, (place){row, col, rows, cols}, nr);
        }
    }
}
