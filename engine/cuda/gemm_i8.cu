/* Products of codes of any shape on the tensor cores (mma.m16n8k32): for shapes that the library
 * does not take. A block makes a 64 x 64 tile of C, each of its four warps 32 x 32. */
#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel.h"

enum { TILE = 64, STEP = 64, PITCH = STEP + 16, THREADS = 128, CHUNK = 16, WARP_TILE = 32 };

struct operand {
    const int8_t *data; /* [rows, length] */
    int rows, length;
};

/* Sixteen codes of one row, zeros beyond the matrix. Rows of other lengths are not aligned. */
static __device__ __forceinline__ void load_chunk(int8_t *to, const operand &from, int row, int k)
{
    const int8_t *at = from.data + static_cast<size_t>(row) * from.length + k;
    if (row < from.rows && k + CHUNK <= from.length && from.length % CHUNK == 0) {
        *reinterpret_cast<uint4 *>(to) = *reinterpret_cast<const uint4 *>(at);
        return;
    }
    for (int i = 0; i < CHUNK; i++) to[i] = row < from.rows && k + i < from.length ? at[i] : 0;
}

/* tile[TILE][PITCH] = rows first ... of the operand, STEP codes of each from k on. */
static __device__ __forceinline__ void load_tile(int8_t *tile, const operand &from, int first,
                                                 int k)
{
    const int chunks = STEP / CHUNK;
    for (int n = static_cast<int>(threadIdx.x); n < TILE * chunks; n += THREADS) {
        int row = n / chunks, at = n % chunks * CHUNK;
        load_chunk(tile + row * PITCH + at, from, first + row, k + at);
    }
}

/* Four codes of a row, as the tensor core reads them. */
static __device__ __forceinline__ uint32_t four(const int8_t *tile, int row, int k)
{
    return *reinterpret_cast<const uint32_t *>(tile + row * PITCH + k);
}

/* sums += the warp's 32 x 32 square over one STEP; [2][4] tensor core tiles of 16 x 8. */
static __device__ __forceinline__ void multiply_step(int sums[2][4][4], const int8_t *a,
                                                     const int8_t *b, int top, int left)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP, g = lane / 4, t = lane % 4 * 4;
    for (int k = t; k < STEP; k += 32) {
        uint32_t parts[2][4];
        for (int i = 0; i < 2; i++) {
            int row = top + 16 * i + g;
            parts[i][0] = four(a, row, k);
            parts[i][1] = four(a, row + 8, k);
            parts[i][2] = four(a, row, k + 16);
            parts[i][3] = four(a, row + 8, k + 16);
        }
        for (int j = 0; j < 4; j++) {
            uint32_t column[2] = {four(b, left + 8 * j + g, k), four(b, left + 8 * j + g, k + 16)};
            bn_mma_i8(sums[0][j], parts[0], column);
            bn_mma_i8(sums[1][j], parts[1], column);
        }
    }
}

static __global__ void __launch_bounds__(THREADS) multiply(int32_t *c, operand a, operand b)
{
    BN_SHARED(uint4, a_memory, TILE * PITCH / 16);
    BN_SHARED(uint4, b_memory, TILE * PITCH / 16);
    int8_t *a_tile = reinterpret_cast<int8_t *>(a_memory);
    int8_t *b_tile = reinterpret_cast<int8_t *>(b_memory);
    int first_row = static_cast<int>(blockIdx.y) * TILE;
    int first_column = static_cast<int>(blockIdx.x) * TILE;
    int warp = static_cast<int>(threadIdx.x) / BN_WARP;
    int top = warp / 2 * WARP_TILE, left = warp % 2 * WARP_TILE;
    int sums[2][4][4] = {};
    for (int k = 0; k < a.length; k += STEP) {
        load_tile(a_tile, a, first_row, k);
        load_tile(b_tile, b, first_column, k);
        __syncthreads();
        multiply_step(sums, a_tile, b_tile, top, left);
        __syncthreads();
    }
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    for (int n = 0; n < 2 * 4 * 4; n++) {
        int row = first_row + top + n / 16 * 16 + lane / 4 + n % 4 / 2 * 8;
        int column = first_column + left + n / 4 % 4 * 8 + lane % 4 * 2 + n % 2;
        if (row >= a.rows || column >= b.rows) continue;
        c[static_cast<size_t>(row) * b.rows + column] = sums[n / 16][n / 4 % 4][n % 4];
    }
}

void bn_cuda_gemm_i8(bn_cuda *cuda, const bn_gemm *product)
{
    if (bn_gemm_takes_i8(product->m, product->n, product->k)) {
        bn_cuda_gemm(cuda, product);
        return;
    }
    if (bn_cuda_failed(cuda)) return;
    operand a = {static_cast<const int8_t *>(product->a), product->m, product->k};
    operand b = {static_cast<const int8_t *>(product->b), product->n, product->k};
    dim3 grid(static_cast<unsigned>((product->n + TILE - 1) / TILE),
              static_cast<unsigned>((product->m + TILE - 1) / TILE));
    BN_LAUNCH(cuda, multiply, grid, THREADS, 0, static_cast<int32_t *>(product->c), a, b);
}
