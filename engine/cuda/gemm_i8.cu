/* Products of codes with their scales in one kernel, on the tensor cores (mma.m16n8k32). A
 * library's product would write its int32 sums and read them again: more bytes than the operands
 * and the result have together. Operands come by cp.async, STAGES - 1 steps ahead of the
 * multiplication. */
#include "engine/cuda/convert.h"
#include "engine/cuda/kernel.h"

enum {
    TILE = 128,
    STEP = 64, /* codes of a row in one stage */
    CHUNK = 16,
    CHUNKS = STEP / CHUNK,
    STAGES = 4,
    STAGE_BYTES = 2 * TILE * STEP,
    SHARED_BYTES = STAGES * STAGE_BYTES,
    WARP_ROWS = 64,
    WARP_COLS = 64,
    THREADS = 128,
};

/* Where 16 codes of a tile's row lie. Eight rows that are read at once fall on different banks. */
static __device__ __forceinline__ int place_of(int row, int chunk)
{
    return row * STEP + (chunk ^ ((row / 2) % CHUNKS)) * CHUNK;
}

struct operand {
    const int8_t *data; /* [rows, length] */
    int rows, length;
};

/* Sixteen codes of one row from k on, zeros beyond the matrix. */
template <bool aligned>
static __device__ __forceinline__ void load_chunk(int8_t *to, const operand &from, int row, int k)
{
    bool inside = row < from.rows && k < from.length;
    const int8_t *at = from.data;
    if (inside) at += static_cast<size_t>(row) * from.length + k;
    if constexpr (aligned) {
        bn_copy_async(to, at, inside ? CHUNK : 0);
    } else {
        for (int i = 0; i < CHUNK; i++) to[i] = inside && k + i < from.length ? at[i] : 0;
    }
}

/* One stage: TILE rows of a, then TILE rows of b, STEP codes of each from k on. */
template <bool aligned>
static __device__ __forceinline__ void load_stage(int8_t *stage, const operand &a, const operand &b,
                                                  int k)
{
    for (int n = static_cast<int>(threadIdx.x); n < TILE * CHUNKS; n += THREADS) {
        int row = n / CHUNKS, chunk = n % CHUNKS, to = place_of(row, chunk);
        int a_row = static_cast<int>(blockIdx.y) * TILE + row;
        int b_row = static_cast<int>(blockIdx.x) * TILE + row;
        load_chunk<aligned>(stage + to, a, a_row, k + chunk * CHUNK);
        load_chunk<aligned>(stage + TILE * STEP + to, b, b_row, k + chunk * CHUNK);
    }
}

/* sums += the warp's 64 x 64 square over one stage: [4][8] tensor core tiles of 16 x 8. A square,
 * as shared memory is read as fast as an H100 multiplies 64 x 32. */
static __device__ __forceinline__ void multiply_stage(int sums[4][8][4], const int8_t *stage,
                                                      int top, int left)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP, row = lane % 8, quarter = lane / 8;
    const int8_t *b_stage = stage + TILE * STEP;
    for (int chunk = 0; chunk < CHUNKS; chunk += 2) {
        uint32_t a[4][4], b[4][4];
        for (int i = 0; i < 4; i++) {
            int r = top + 16 * i + quarter % 2 * 8 + row;
            bn_ldmatrix_x4(a[i], stage + place_of(r, chunk + quarter / 2));
        }
        for (int j = 0; j < 4; j++) {
            int r = left + 16 * j + quarter / 2 * 8 + row;
            bn_ldmatrix_x4(b[j], b_stage + place_of(r, chunk + quarter % 2));
        }
        BN_UNROLL for (int n = 0; n < 4 * 8; n++)
            bn_mma_i8(sums[n / 8][n % 8], a[n / 8], b[n % 8 / 2] + n % 2 * 2);
    }
}

/* Two neighbours of a row of the result; `wide`: they can be written at once. */
static __device__ __forceinline__ void write_pair(const bn_cuda_epilogue &e, const int *sums, int r,
                                                  int c, bool wide)
{
    if (r >= e.rows || c >= e.cols) return;
    float row = e.row[r], scale = e.scale ? *e.scale : 1.0F;
    size_t at = static_cast<size_t>(r) * e.cols + c;
    float left = static_cast<float>(sums[0]) * (row * (e.column ? e.column[c] : scale));
    bool both = c + 1 < e.cols;
    float right = 0;
    if (both) right = static_cast<float>(sums[1]) * (row * (e.column ? e.column[c + 1] : scale));
    if (wide) {
        float2 add = {0, 0};
        if (e.add) add = *reinterpret_cast<const float2 *>(e.add + at);
        *reinterpret_cast<float2 *>(e.out + at) = make_float2(add.x + left, add.y + right);
        return;
    }
    e.out[at] = (e.add ? e.add[at] : 0.0F) + left;
    if (both) e.out[at + 1] = (e.add ? e.add[at + 1] : 0.0F) + right;
}

template <bool aligned>
static __global__ void __launch_bounds__(THREADS)
    multiply(bn_cuda_epilogue e, operand a, operand b, bool wide)
{
    BN_DYN_SHARED(int8_t, stages);
    int steps = (a.length + STEP - 1) / STEP, warp = static_cast<int>(threadIdx.x) / BN_WARP;
    int top = warp % 2 * WARP_ROWS, left = warp / 2 * WARP_COLS;
    int sums[4][8][4] = {};
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < steps) load_stage<aligned>(stages + s * STAGE_BYTES, a, b, s * STEP);
        bn_copy_async_commit();
    }
    for (int s = 0; s < steps; s++) {
        bn_copy_async_wait<STAGES - 2>();
        __syncthreads(); /* all have stage s, and none still reads the one that is filled next */
        int next = s + STAGES - 1;
        if (next < steps) {
            load_stage<aligned>(stages + next % STAGES * STAGE_BYTES, a, b, next * STEP);
        }
        bn_copy_async_commit();
        multiply_stage(sums, stages + s % STAGES * STAGE_BYTES, top, left);
    }
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    int row = static_cast<int>(blockIdx.y) * TILE + top + lane / 4;
    int column = static_cast<int>(blockIdx.x) * TILE + left + lane % 4 * 2;
    BN_UNROLL for (int n = 0; n < 4 * 8; n++)
    {
        const int *tile = sums[n / 8][n % 8];
        write_pair(e, tile, row + n / 8 * 16, column + n % 8 * 8, wide);
        write_pair(e, tile + 2, row + n / 8 * 16 + 8, column + n % 8 * 8, wide);
    }
}

/* Few tiles of a long sum leave most of the device idle; the library splits such a sum, and its
 * int32 result is small. */
static bool is_for_library(const bn_cuda *cuda, const bn_cuda_code_product *p)
{
    int tiles = ((p->end.rows + TILE - 1) / TILE) * ((p->end.cols + TILE - 1) / TILE);
    return tiles < cuda->facts.processors && bn_gemm_takes_i8(p->end.rows, p->end.cols, p->length);
}

static void by_library(bn_cuda *cuda, const bn_cuda_code_product *p)
{
    size_t cells = static_cast<size_t>(p->end.rows) * static_cast<size_t>(p->end.cols);
    void *sums = bn_cuda_scratch(cuda, BN_CUDA_SLOT_SUMS, cells * sizeof(int32_t));
    if (!sums) return;
    bn_gemm product = {.dtype = BN_I8,
                       .m = p->end.rows,
                       .n = p->end.cols,
                       .k = p->length,
                       .a_across = false,
                       .b_across = true,
                       .a = p->a,
                       .b = p->b,
                       .c = sums,
                       .alpha = nullptr,
                       .add = nullptr};
    bn_cuda_gemm(cuda, &product);
    bn_cuda_finish(cuda, &p->end, static_cast<const int32_t *>(sums));
}

void bn_cuda_multiply_codes(bn_cuda *cuda, const bn_cuda_code_product *p)
{
    if (bn_cuda_failed(cuda)) return;
    if (is_for_library(cuda, p)) {
        by_library(cuda, p);
        return;
    }
    operand a = {p->a, p->end.rows, p->length}, b = {p->b, p->end.cols, p->length};
    dim3 grid(static_cast<unsigned>((p->end.cols + TILE - 1) / TILE),
              static_cast<unsigned>((p->end.rows + TILE - 1) / TILE));
    uintptr_t places =
        reinterpret_cast<uintptr_t>(p->end.out) | reinterpret_cast<uintptr_t>(p->end.add);
    bool wide = p->end.cols % 2 == 0 && places % sizeof(float2) == 0;
    void (*kernel)(bn_cuda_epilogue, operand, operand, bool) =
        p->length % CHUNK == 0 ? multiply<true> : multiply<false>;
    BN_LAUNCH(cuda, kernel, grid, THREADS, SHARED_BYTES, p->end, a, b, wide);
}
