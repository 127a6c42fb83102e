/* Products of codes with their scales in one kernel, on the tensor cores (mma.m16n8k32). A
 * library's product would write its int32 sums and read them again: more bytes than the operands
 * and the result have together. Operands come by cp.async, STAGES - 1 steps ahead of the
 * multiplication. */
#include "engine/cuda/epilogue.h"

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
    AT_ONCE = 8,
};
static_assert(SHARED_BYTES >= TILE * TILE * static_cast<int>(sizeof(int)), "sums take the stages");

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

/* Where four sums of a warp's square lie, WARP_COLS a row: pairs that 16 lanes write at once and
 * fours that 8 lanes read at once fall on different banks. */
static __device__ __forceinline__ int sums_place(int row, int column)
{
    return row * WARP_COLS + ((column / BN_WIDE) ^ (row % 4 * 2)) * BN_WIDE;
}

/* A warp's sums to its own part of shared memory. */
static __device__ __forceinline__ void stage_sums(int *square, const int sums[4][8][4])
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    BN_UNROLL for (int n = 0; n < 4 * 8; n++)
    {
        int row = n / 8 * 16 + lane / 4, column = n % 8 * 8 + lane % 4 * 2;
        const int *tile = sums[n / 8][n % 8];
        bn_store<2>(square + sums_place(row, column) + column % BN_WIDE, tile);
        bn_store<2>(square + sums_place(row + 8, column) + column % BN_WIDE, tile + 2);
    }
}

/* The square to the result, whose corner is at [top, left]: half a warp a row, so that whole lines
 * of memory are written; AT_ONCE rows' addends are on their way together, as they may lie where the
 * results go. */
template <class T>
static __device__ __forceinline__ void write_square(const bn_cuda_epilogue &e, const int *square,
                                                    int top, int left, bool wide)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP, column = lane % 16 * BN_WIDE;
    float unit[BN_WIDE];
    bn_epilogue_units(unit, e, left + column);
    for (int first = lane / 16; first < WARP_ROWS; first += 2 * AT_ONCE) {
        T add[AT_ONCE][BN_WIDE];
        BN_UNROLL for (int n = 0; n < AT_ONCE; n++)
        {
            bn_epilogue_add(add[n], e, top + first + 2 * n, left + column, wide);
        }
        BN_UNROLL for (int n = 0; n < AT_ONCE; n++)
        {
            int row = first + 2 * n, sums[BN_WIDE];
            bn_load<BN_WIDE>(sums, square + sums_place(row, column));
            bn_epilogue_write(e, top + row, left + column, sums, unit, add[n], wide);
        }
    }
}

template <class T, bool aligned>
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
    __syncthreads(); /* nobody reads the stages any more */
    int *square = reinterpret_cast<int *>(stages) + warp * WARP_ROWS * WARP_COLS;
    stage_sums(square, sums);
    __syncwarp();
    write_square<T>(e, square, static_cast<int>(blockIdx.y) * TILE + top,
                    static_cast<int>(blockIdx.x) * TILE + left, wide);
}

/* Few tiles of a long sum leave most of the device idle; the library splits such a sum, and its
 * int32 result is small. */
static bool is_for_library(const bn_cuda *cuda, const bn_cuda_code_product *p)
{
    int tiles = ((p->end.out.rows + TILE - 1) / TILE) * ((p->end.out.cols + TILE - 1) / TILE);
    return tiles < cuda->facts.processors &&
           bn_gemm_takes_i8(p->end.out.rows, p->end.out.cols, p->length);
}

static void by_library(bn_cuda *cuda, const bn_cuda_code_product *p)
{
    size_t cells = static_cast<size_t>(p->end.out.rows) * static_cast<size_t>(p->end.out.cols);
    void *sums = bn_cuda_scratch(cuda, BN_CUDA_SLOT_SUMS, cells * sizeof(int32_t));
    if (!sums) return;
    bn_gemm product = {.dtype = BN_I8,
                       .out = BN_F32,
                       .m = p->end.out.rows,
                       .n = p->end.out.cols,
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
    operand a = {p->a, p->end.out.rows, p->length}, b = {p->b, p->end.out.cols, p->length};
    dim3 grid(static_cast<unsigned>((p->end.out.cols + TILE - 1) / TILE),
              static_cast<unsigned>((p->end.out.rows + TILE - 1) / TILE));
    bool wide = bn_epilogue_is_wide(&p->end), aligned = p->length % CHUNK == 0;
    bn_with_type(p->end.out.dtype, [=](auto zero) {
        using T = decltype(zero);
        void (*kernel)(bn_cuda_epilogue, operand, operand, bool) =
            aligned ? multiply<T, true> : multiply<T, false>;
        BN_LAUNCH(cuda, kernel, grid, THREADS, SHARED_BYTES, p->end, a, b, wide);
    });
}
