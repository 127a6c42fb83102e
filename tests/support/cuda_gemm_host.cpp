/* The host twin of engine/cuda/gemm_lt.cu: the same products as plain loops, sums in double. */
#include "engine/cuda/gemm.h"
#include "support/cuda_emu.h"

struct bn_gemm_library {
    int shapes;
};

const char *bn_gemm_open(bn_gemm_library **out, bn_runtime *runtime, void *workspace)
{
    (void)runtime;
    *out = new bn_gemm_library();
    return workspace ? nullptr : "no workspace";
}

void bn_gemm_close(bn_gemm_library *library)
{
    delete library;
}

bool bn_gemm_takes_i8(int m, int n, int k)
{
    return m % 4 == 0 && n % 4 == 0 && k % 16 == 0;
}

static double value_at(const void *data, size_t i, bn_dtype dtype)
{
    switch (dtype) {
    case BN_F32:
        return static_cast<double>(static_cast<const float *>(data)[i]);
    case BN_BF16:
        return static_cast<double>(bn_bf16_to_float(static_cast<const uint16_t *>(data)[i]));
    case BN_F16:
        return static_cast<double>(bn_f16_to_float(static_cast<const uint16_t *>(data)[i]));
    case BN_I8:
        break;
    }
    return static_cast<double>(static_cast<const int8_t *>(data)[i]);
}

static double sum_at(const bn_gemm &p, size_t row, size_t column)
{
    size_t m = static_cast<size_t>(p.m), n = static_cast<size_t>(p.n),
           length = static_cast<size_t>(p.k);
    double sum = 0;
    for (size_t k = 0; k < length; k++) {
        size_t a = p.a_across ? k * m + row : row * length + k;
        size_t b = p.b_across ? column * length + k : k * n + column;
        sum += value_at(p.a, a, p.dtype) * value_at(p.b, b, p.dtype);
    }
    return sum;
}

static void put(void *data, size_t i, bn_dtype dtype, float value)
{
    switch (dtype) {
    case BN_BF16:
        static_cast<uint16_t *>(data)[i] = bn_bf16_from_float(value);
        return;
    case BN_F16:
        static_cast<uint16_t *>(data)[i] = bn_f16_from_float(value);
        return;
    case BN_F32:
    case BN_I8:
        break;
    }
    static_cast<float *>(data)[i] = value;
}

static void multiply(const bn_gemm &p)
{
    for (size_t i = 0; i < static_cast<size_t>(p.m) * static_cast<size_t>(p.n); i++) {
        size_t columns = static_cast<size_t>(p.n);
        double sum = sum_at(p, i / columns, i % columns);
        if (p.dtype == BN_I8) {
            static_cast<int32_t *>(p.c)[i] = static_cast<int32_t>(sum);
            continue;
        }
        float value = static_cast<float>(sum) * (p.alpha ? *p.alpha : 1.0F);
        if (p.add) value += static_cast<float>(value_at(p.add, i, p.out));
        put(p.c, i, p.out, value);
    }
}

const char *bn_gemm_run(bn_gemm_library *library, const bn_gemm *product)
{
    (void)library;
    bn_gemm copy = *product;
    if (copy.dtype == BN_I8 && (copy.a_across || !copy.b_across || copy.add || copy.alpha ||
                                !bn_gemm_takes_i8(copy.m, copy.n, copy.k))) {
        return "a product of codes that the library does not have";
    }
    if (copy.dtype != BN_I8 && copy.out != BN_F32 && copy.out != copy.dtype) {
        return "a product whose result the library does not have";
    }
    bn_emu::submit([=] { multiply(copy); });
    return nullptr;
}
