#include "engine/cuda/convert.h"
#include "engine/cuda/epilogue.h"

enum { ROW_THREADS = 128 };

/* One block a row; `count` elements at a time. */
template <class To, class From, int count>
static __global__ void __launch_bounds__(ROW_THREADS)
    convert(To *out, const From *data, const float *factor, int cols)
{
    size_t start = static_cast<size_t>(blockIdx.x) * cols;
    float scale = factor ? factor[blockIdx.x] : 1.0F;
    for (int c = static_cast<int>(threadIdx.x) * count; c < cols; c += ROW_THREADS * count) {
        From from[count];
        To to[count];
        bn_load<count>(from, data + start + c);
        BN_UNROLL for (int i = 0; i < count; i++) to[i] = bn_to<To>(bn_from(from[i]) * scale);
        bn_store<count>(out + start + c, to);
    }
}

template <class To, class From>
static void launch_convert(bn_cuda *cuda, void *out, bn_dtype dtype, const bn_cuda_elements *from)
{
    bool wide = bn_rows_are_wide(out, dtype, from->cols) &&
                bn_rows_are_wide(from->data, from->dtype, from->cols);
    void (*kernel)(To *, const From *, const float *, int) =
        wide ? convert<To, From, BN_WIDE> : convert<To, From, 1>;
    BN_LAUNCH(cuda, kernel, static_cast<unsigned>(from->rows), ROW_THREADS, 0,
              static_cast<To *>(out), static_cast<const From *>(from->data), from->row_factor,
              from->cols);
}

void bn_cuda_convert(bn_cuda *cuda, void *out, bn_dtype dtype, const bn_cuda_elements *from)
{
    if (bn_cuda_failed(cuda)) return;
    bn_with_type(dtype, [=](auto to) {
        using To = decltype(to);
        if (from->dtype == BN_I8) {
            launch_convert<To, int8_t>(cuda, out, dtype, from);
            return;
        }
        bn_with_type(from->dtype, [=](auto zero) {
            launch_convert<To, decltype(zero)>(cuda, out, dtype, from);
        });
    });
}

/* out = [add +] values, once rounded. */
template <class T>
static __global__ void __launch_bounds__(ROW_THREADS)
    add_rows(T *out, const T *add, const float *values, int cols)
{
    size_t start = static_cast<size_t>(blockIdx.x) * cols;
    for (int c = static_cast<int>(threadIdx.x); c < cols; c += ROW_THREADS) {
        float before = add ? bn_from(add[start + c]) : 0.0F;
        out[start + c] = bn_to<T>(before + values[start + c]);
    }
}

/* cuBLASLt writes f32 or, of 16-bit operands, their own type. */
void bn_cuda_multiply(bn_cuda *cuda, const bn_gemm *product)
{
    if (product->out == BN_F32 || product->out == product->dtype) {
        bn_cuda_gemm(cuda, product);
        return;
    }
    size_t cells = static_cast<size_t>(product->m) * static_cast<size_t>(product->n);
    bn_gemm wide = *product;
    wide.out = BN_F32;
    wide.add = nullptr;
    wide.c = bn_cuda_scratch(cuda, BN_CUDA_SLOT_SUMS, cells * sizeof(float));
    if (!wide.c) return;
    bn_cuda_gemm(cuda, &wide);
    if (bn_cuda_failed(cuda)) return;
    bn_with_type(product->out, [=](auto zero) {
        using T = decltype(zero);
        void (*kernel)(T *, const T *, const float *, int) = add_rows<T>;
        BN_LAUNCH(cuda, kernel, static_cast<unsigned>(product->m), ROW_THREADS, 0,
                  static_cast<T *>(product->c), static_cast<const T *>(product->add),
                  static_cast<const float *>(wide.c), product->n);
    });
}

template <class T>
static __global__ void __launch_bounds__(ROW_THREADS)
    finish(bn_cuda_epilogue e, const int32_t *sums, bool wide)
{
    int r = static_cast<int>(blockIdx.x);
    const int32_t *row = sums + static_cast<size_t>(r) * e.out.cols;
    for (int c = static_cast<int>(threadIdx.x) * BN_WIDE; c < e.out.cols;
         c += ROW_THREADS * BN_WIDE) {
        int all[BN_WIDE] = {};
        float unit[BN_WIDE];
        T add[BN_WIDE];
        BN_UNROLL for (int i = 0; i < BN_WIDE; i++) all[i] = c + i < e.out.cols ? row[c + i] : 0;
        bn_epilogue_units(unit, e, c);
        bn_epilogue_add(add, e, r, c, wide);
        bn_epilogue_write(e, r, c, all, unit, add, wide);
    }
}

void bn_cuda_finish(bn_cuda *cuda, const bn_cuda_epilogue *e, const int32_t *sums)
{
    if (bn_cuda_failed(cuda)) return;
    bool wide = bn_epilogue_is_wide(e);
    bn_with_type(e->out.dtype, [=](auto zero) {
        void (*kernel)(bn_cuda_epilogue, const int32_t *, bool) = finish<decltype(zero)>;
        BN_LAUNCH(cuda, kernel, static_cast<unsigned>(e->out.rows), ROW_THREADS, 0, *e, sums, wide);
    });
}
