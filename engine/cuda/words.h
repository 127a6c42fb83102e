/* words.h - what a kernel file says that plain C++ does not, for nvcc. CMake puts this file in
 * front of every kernel file; tests put tests/support/cuda_emu.h there, which defines the same
 * words for the host. So no kernel file includes either.
 *
 *   BN_SHARED(T, name, count)       a shared array
 *   BN_DYN_SHARED(T, name)          the launch's dynamic shared memory, 16-byte aligned
 *   BN_LAUNCH(cuda, kernel, grid, block, shared_bytes, arguments...)
 *   bn_bits_bf16, bn_value_bf16     float to bits and back, nearest even; also _f16
 *   bn_pair_bf16(low, high)         both in a register, low in its lower half; also _f16
 *   bn_exp2(x)                      2^x within 2^-22 of itself; 0 where that is below 2^-126
 *   bn_mma_bf16(d, a, b)            d [16, 8] f32 += a [16, 16] b [16, 8], one warp; also _f16
 *   bn_mma_i8(d, a, b)              d [16, 8] i32 += a [16, 32] b [32, 8], one warp
 *   bn_ldmatrix_x4(out, row)        8 x 8 matrices of 16 bits from shared memory; also _x2, _trans
 *   bn_copy_async(to, from, bytes)  16 bytes to shared memory behind the caller's back, of which
 *                                   the first `bytes` from memory and the rest zeros
 *   bn_copy_async_commit(), bn_copy_async_wait<pending>()
 * Register layouts are those of the PTX ISA's mma.m16n8k16, mma.m16n8k32 and ldmatrix.
 */
#ifndef BN_ENGINE_CUDA_WORDS_H
#define BN_ENGINE_CUDA_WORDS_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "engine/cuda/limits.h"

#define BN_SHARED(T, name, count) __shared__ T name[count]
#define BN_DYN_SHARED(T, name)                                                                     \
    extern __shared__ __align__(16) unsigned char bn_dynamic_shared[];                             \
    T *name = reinterpret_cast<T *>(bn_dynamic_shared)

/* A launch that fails sticks to the backend. */
#define BN_LAUNCH(cuda, kernel, grid, block, shared_bytes, ...)                                    \
    do {                                                                                           \
        if (bn_cuda_shared_is_large(shared_bytes)) {                                               \
            (void)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,        \
                                       static_cast<int>(shared_bytes));                            \
        }                                                                                          \
        kernel<<<dim3(grid), dim3(block), (shared_bytes),                                          \
                 static_cast<cudaStream_t>((cuda)->runtime.stream)>>>(__VA_ARGS__);                \
        bn_cuda_launched(cuda, #kernel);                                                           \
    } while (0)

static __device__ __forceinline__ uint16_t bn_bits_bf16(float value)
{
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

static __device__ __forceinline__ uint16_t bn_bits_f16(float value)
{
    return __half_as_ushort(__float2half_rn(value));
}

static __device__ __forceinline__ float bn_value_bf16(uint16_t bits)
{
    return __uint_as_float(static_cast<uint32_t>(bits) << 16);
}

static __device__ __forceinline__ float bn_value_f16(uint16_t bits)
{
    return __half2float(__ushort_as_half(bits));
}

static __device__ __forceinline__ uint32_t bn_pair_bf16(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t *>(&pair);
}

static __device__ __forceinline__ uint32_t bn_pair_f16(float low, float high)
{
    __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t *>(&pair);
}

static __device__ __forceinline__ float bn_exp2(float x)
{
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(power) : "f"(x));
    return power;
}

#define BN_MMA(name, shape, T, C)                                                                  \
    static __device__ __forceinline__ void name(T d[4], const uint32_t a[4], const uint32_t b[2])  \
    {                                                                                              \
        asm volatile("mma.sync.aligned." shape " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "          \
                     "{%0,%1,%2,%3};\n"                                                            \
                     : "+" C(d[0]), "+" C(d[1]), "+" C(d[2]), "+" C(d[3])                          \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));          \
    }
BN_MMA(bn_mma_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32", float, "f")
BN_MMA(bn_mma_f16, "m16n8k16.row.col.f32.f16.f16.f32", float, "f")
BN_MMA(bn_mma_i8, "m16n8k32.row.col.s32.s8.s8.s32", int, "r")
#undef BN_MMA

static __device__ __forceinline__ uint32_t bn_shared_address(const void *p)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

static __device__ __forceinline__ void bn_ldmatrix_x4(uint32_t out[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(bn_shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void bn_ldmatrix_x4_trans(uint32_t out[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(bn_shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void bn_ldmatrix_x2(uint32_t out[2], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
                 : "=r"(out[0]), "=r"(out[1])
                 : "r"(bn_shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void bn_ldmatrix_x2_trans(uint32_t out[2], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\n"
                 : "=r"(out[0]), "=r"(out[1])
                 : "r"(bn_shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void bn_copy_async(void *to, const void *from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n"
                 :
                 : "r"(bn_shared_address(to)), "l"(from), "r"(bytes)
                 : "memory");
}

static __device__ __forceinline__ void bn_copy_async_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

template <int pending> static __device__ __forceinline__ void bn_copy_async_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}
#endif
