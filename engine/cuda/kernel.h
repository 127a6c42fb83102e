/* kernel.h - what device code shares: 16-bit types, sums and maxima over a warp and over a block.
 *
 * Every reduction has one order, so results are the same to the last bit from run to run. Blocks
 * are whole warps; all threads of a warp or block take part.
 */
#ifndef BN_ENGINE_CUDA_KERNEL_H
#define BN_ENGINE_CUDA_KERNEL_H

#include <stdint.h>

enum { BN_WARP = 32, BN_WARPS_MAX = 32 };
#define BN_ALL_LANES 0xFFFFFFFFU

#ifdef __CUDACC__
#define BN_UNROLL     _Pragma("unroll")
#define BN_UNROLL_TWO _Pragma("unroll 2") /* where a full one would spill registers */
#else
#define BN_UNROLL
#define BN_UNROLL_TWO
#endif

struct bn_bf16 {
    uint16_t bits;
};

struct bn_f16 {
    uint16_t bits;
};

/* bn_to<T>(x): rounded to nearest even. bn_from(x): exact. */
template <class T> __device__ __forceinline__ T bn_to(float value);

template <> __device__ __forceinline__ float bn_to<float>(float value)
{
    return value;
}

template <> __device__ __forceinline__ bn_bf16 bn_to<bn_bf16>(float value)
{
    return {bn_bits_bf16(value)};
}

template <> __device__ __forceinline__ bn_f16 bn_to<bn_f16>(float value)
{
    return {bn_bits_f16(value)};
}

/* Codes are whole numbers in [-127, 127]. */
template <> __device__ __forceinline__ int8_t bn_to<int8_t>(float value)
{
    return static_cast<int8_t>(value);
}

static __device__ __forceinline__ float bn_from(float value)
{
    return value;
}

static __device__ __forceinline__ float bn_from(bn_bf16 value)
{
    return bn_value_bf16(value.bits);
}

static __device__ __forceinline__ float bn_from(bn_f16 value)
{
    return bn_value_f16(value.bits);
}

static __device__ __forceinline__ float bn_from(int8_t value)
{
    return static_cast<float>(value);
}

/* `count` neighbours at once; their address is a multiple of their size. */
template <class T, int count> struct alignas(count * sizeof(T)) bn_vector {
    T at[count];
};

template <int count, class T> static __device__ __forceinline__ void bn_load(T *to, const T *from)
{
    bn_vector<T, count> all = *reinterpret_cast<const bn_vector<T, count> *>(from);
    BN_UNROLL for (int i = 0; i < count; i++) to[i] = all.at[i];
}

template <int count, class T> static __device__ __forceinline__ void bn_store(T *to, const T *from)
{
    bn_vector<T, count> all;
    BN_UNROLL for (int i = 0; i < count; i++) all.at[i] = from[i];
    *reinterpret_cast<bn_vector<T, count> *>(to) = all;
}

/* The same in two steps: many can be on their way before one is looked at. */
template <int count, class T>
static __device__ __forceinline__ bn_vector<T, count> bn_fetch(const T *from)
{
    return *reinterpret_cast<const bn_vector<T, count> *>(from);
}

template <int count, class T>
static __device__ __forceinline__ void bn_open(float *to, const bn_vector<T, count> &from)
{
    BN_UNROLL for (int i = 0; i < count; i++) to[i] = bn_from(from.at[i]);
}

/* Floats, rounded to T. */
template <int count, class T>
static __device__ __forceinline__ void bn_store_floats(T *to, const float *from)
{
    T all[count];
    BN_UNROLL for (int i = 0; i < count; i++) all[i] = bn_to<T>(from[i]);
    bn_store<count>(to, all);
}

/* round_half_even(value) in [-limit, limit]; NaN gives 0. */
static __device__ __forceinline__ float bn_code(float value, float limit)
{
    if (isnan(value)) return 0;
    float code = rintf(value);
    return code > limit ? limit : code < -limit ? -limit : code;
}

/* The bits of |value|, which order like it, NaN above infinity. */
static __device__ __forceinline__ uint32_t bn_magnitude(float value)
{
    return __float_as_uint(value) & 0x7FFFFFFFU;
}

template <class T> static __device__ __forceinline__ T bn_warp_sum(T value)
{
    for (int step = BN_WARP / 2; step > 0; step /= 2) {
        value += __shfl_xor_sync(BN_ALL_LANES, value, step);
    }
    return value;
}

/* NaN only where all are: for magnitudes as bits, or floats without NaN. */
template <class T> static __device__ __forceinline__ T bn_warp_max(T value)
{
    for (int step = BN_WARP / 2; step > 0; step /= 2) {
        T other = __shfl_xor_sync(BN_ALL_LANES, value, step);
        if (other > value) value = other;
    }
    return value;
}

/* The same sum in every thread of the block. */
template <class T> static __device__ __forceinline__ T bn_block_sum(T value)
{
    BN_SHARED(T, parts, BN_WARPS_MAX);
    int warps = static_cast<int>(blockDim.x) / BN_WARP;
    value = bn_warp_sum(value);
    __syncthreads(); /* the readers of the last call are done */
    if (threadIdx.x % BN_WARP == 0) parts[threadIdx.x / BN_WARP] = value;
    __syncthreads();
    T sum = parts[0];
    for (int i = 1; i < warps; i++) sum += parts[i];
    return sum;
}

template <class T> static __device__ __forceinline__ T bn_block_max(T value)
{
    BN_SHARED(T, parts, BN_WARPS_MAX);
    int warps = static_cast<int>(blockDim.x) / BN_WARP;
    value = bn_warp_max(value);
    __syncthreads();
    if (threadIdx.x % BN_WARP == 0) parts[threadIdx.x / BN_WARP] = value;
    __syncthreads();
    T most = parts[0];
    for (int i = 1; i < warps; i++) {
        if (parts[i] > most) most = parts[i];
    }
    return most;
}

#endif
