/* Working forms of weights: BitNet b1.58 (arXiv:2402.17764), BitNet v1 (arXiv:2310.11453), W8A8,
 * and the two 16-bit floats. All stays on the device: a scale is made there and read there. */
#include "engine/cuda/convert.h"
#include "engine/cuda/matrix.h"
#include "engine/cuda/piece.h"

enum { LINE = 256, THREADS = 256, DIGITS = 4, BINS = 256 };

/* What precedes the codes of a form. */
struct header {
    float scale, inverse, middle;
};

static size_t rounded(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static size_t count_of(const bn_weight *weight)
{
    return static_cast<size_t>(weight->rows) * static_cast<size_t>(weight->cols);
}

static size_t bytes_of(bn_dtype dtype)
{
    return dtype == BN_F32 ? 4 : dtype == BN_I8 ? 1 : 2;
}

size_t bn_cuda_weight_form_bytes(void *self, int rows, int cols, bn_weight_format format)
{
    (void)self;
    size_t count = static_cast<size_t>(rows) * static_cast<size_t>(cols);
    size_t values = rounded(count * bytes_of(bn_weight_backward_dtype(format)));
    if (bn_weight_dtype(format.kind) == BN_I8) return LINE + rounded(count) + values;
    return format.kind == BN_WEIGHT_F32 ? static_cast<size_t>(LINE) : LINE + values;
}

bn_cuda_form bn_cuda_form_of(const bn_weight *weight)
{
    unsigned char *base = static_cast<unsigned char *>(weight->form);
    bn_cuda_form form = {.scale = &reinterpret_cast<header *>(base)->scale,
                         .codes = nullptr,
                         .turned = nullptr,
                         .values = base + LINE,
                         .dtype = bn_weight_backward_dtype(weight->format)};
    if (weight->format.kind == BN_WEIGHT_F32) form.values = weight->master;
    if (bn_weight_dtype(weight->format.kind) != BN_I8) return form;
    form.codes = reinterpret_cast<int8_t *>(base + LINE);
    form.values = base + LINE + rounded(count_of(weight));
    if (form.dtype != BN_I8) return form;
    form.turned = static_cast<int8_t *>(form.values);
    form.values = nullptr;
    return form;
}

bn_cuda_piece *bn_cuda_pieces(bn_cuda *cuda, const bn_weight *weight)
{
    if (bn_weight_dtype(weight->format.kind) != BN_I8) return nullptr;
    size_t pieces = (count_of(weight) + BN_CUDA_PIECE - 1) / BN_CUDA_PIECE;
    return static_cast<bn_cuda_piece *>(
        bn_cuda_scratch(cuda, BN_CUDA_SLOT_PARTS, pieces * sizeof(bn_cuda_piece)));
}

static __global__ void __launch_bounds__(BN_PIECE_THREADS)
    sum_pieces(bn_cuda_piece *pieces, const float *w, size_t count)
{
    size_t first = static_cast<size_t>(blockIdx.x) * BN_CUDA_PIECE;
    size_t last = first + BN_CUDA_PIECE < count ? first + BN_CUDA_PIECE : count;
    bn_cuda_piece mine = {0, 0, 0};
    for (size_t i = first + threadIdx.x; i < last; i += BN_PIECE_THREADS) bn_piece_add(&mine, w[i]);
    bn_piece_write(&pieces[blockIdx.x], mine);
}

/* The median's search, digit by digit from the top: how many magnitudes share the digits found so
 * far, by their next one. */
struct search {
    unsigned prefix, left; /* digits found; how many of those with them are still to be counted */
    unsigned bins[BINS];
};

/* Bits 30 ... 0 of a magnitude in four digits. */
static __device__ __forceinline__ int shift_of(int digit)
{
    return digit == DIGITS - 1 ? 0 : 23 - 8 * digit;
}

static __global__ void count_digits(search *s, const float *w, size_t count, int digit)
{
    BN_SHARED(unsigned, bins, BINS);
    int above = digit == 0 ? 31 : shift_of(digit - 1), shift = shift_of(digit);
    for (int i = static_cast<int>(threadIdx.x); i < BINS; i += THREADS) bins[i] = 0;
    __syncthreads();
    size_t first = static_cast<size_t>(blockIdx.x) * BN_CUDA_PIECE;
    size_t last = first + BN_CUDA_PIECE < count ? first + BN_CUDA_PIECE : count;
    for (size_t i = first + threadIdx.x; i < last; i += THREADS) {
        unsigned bits = bn_magnitude(w[i]);
        if (bits >> above != s->prefix >> above) continue;
        atomicAdd(&bins[(bits & ((1U << above) - 1)) >> shift], 1U);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < BINS; i += THREADS) {
        if (bins[i] > 0) atomicAdd(&s->bins[i], bins[i]);
    }
}

/* The digit in which the wanted rank falls. One thread: 256 steps, once for each of four digits. */
static __global__ void pick_digit(search *s, size_t count, int digit)
{
    unsigned left = digit == 0 ? static_cast<unsigned>((count + 1) / 2) : s->left;
    unsigned bin = 0;
    while (bin < BINS - 1 && s->bins[bin] < left) left -= s->bins[bin++];
    s->prefix |= bin << shift_of(digit);
    s->left = left;
    for (int i = 0; i < BINS; i++) s->bins[i] = 0;
}

/* The lower median of |w|, as the bits in s->prefix. */
static const search *find_median(bn_cuda *cuda, const bn_weight *weight)
{
    size_t count = count_of(weight);
    search *s = static_cast<search *>(bn_cuda_scratch(cuda, BN_CUDA_SLOT_LINES, sizeof *s));
    if (!s) return nullptr;
    unsigned blocks = static_cast<unsigned>((count + BN_CUDA_PIECE - 1) / BN_CUDA_PIECE);
    bn_cuda_zero(cuda, s, sizeof *s);
    for (int digit = 0; digit < DIGITS; digit++) {
        BN_LAUNCH(cuda, count_digits, blocks, THREADS, 0, s, weight->master, count, digit);
        BN_LAUNCH(cuda, pick_digit, 1, 1, 0, s, count, digit);
    }
    return s;
}

/* One block: the form's scale from the pieces, in their order. */
static __global__ void __launch_bounds__(BN_PIECE_THREADS)
    make_scale(header *out, const bn_cuda_piece *pieces, size_t count, bn_weight_format format,
               const search *median)
{
    size_t blocks = (count + BN_CUDA_PIECE - 1) / BN_CUDA_PIECE;
    double magnitudes = 0, values = 0;
    uint32_t bits = 0;
    for (size_t i = threadIdx.x; i < blocks; i += BN_PIECE_THREADS) {
        magnitudes += pieces[i].magnitudes;
        values += pieces[i].values;
        if (pieces[i].most > bits) bits = pieces[i].most;
    }
    magnitudes = bn_block_sum(magnitudes);
    values = bn_block_sum(values);
    bits = bn_block_max(bits);
    if (threadIdx.x != 0) return;
    float scale = static_cast<float>(magnitudes / static_cast<double>(count));
    if (median) scale = __uint_as_float(median->prefix);
    if (format.kind == BN_WEIGHT_INT8) scale = __uint_as_float(bits);
    if (format.kind != BN_WEIGHT_BINARY && scale < 1e-5F) scale = 1e-5F; /* NaN stays */
    if (format.kind == BN_WEIGHT_INT8) scale = scale / 127.0F;
    if (format.fp16_scale) scale = bn_from(bn_to<bn_f16>(scale));
    *out = {scale, 1.0F / scale, static_cast<float>(values / static_cast<double>(count))};
}

static __global__ void one_scale(header *out)
{
    *out = {1, 1, 0};
}

static __device__ __forceinline__ float code_of(float w, const header &h, bn_weight_kind kind)
{
    if (kind == BN_WEIGHT_BINARY) return w >= h.middle ? 1.0F : -1.0F;
    return bn_code(w * h.inverse, kind == BN_WEIGHT_INT8 ? 127.0F : 1.0F);
}

/* Codes, and the same as floats where there is a place for them. */
template <class T, int WIDTH>
static __global__ void __launch_bounds__(THREADS)
    quantize(int8_t *codes, T *values, const float *w, const header *h, bn_weight_kind kind,
             size_t count)
{
    size_t i = (static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x) * WIDTH;
    if (i >= count) return;
    float code[WIDTH];
    bn_load<WIDTH>(code, w + i);
    BN_UNROLL for (int k = 0; k < WIDTH; k++) code[k] = code_of(code[k], *h, kind);
    bn_store_floats<WIDTH>(codes + i, code);
    if (values) bn_store_floats<WIDTH>(values + i, code);
}

template <class T>
static void launch_quantize(bn_cuda *cuda, const bn_weight *weight, const bn_cuda_form *form)
{
    size_t count = count_of(weight);
    bool wide = bn_rows_are_wide(weight->master, BN_F32, static_cast<int>(count % BN_WIDE));
    size_t each = THREADS * (wide ? BN_WIDE : 1);
    void (*kernel)(int8_t *, T *, const float *, const header *, bn_weight_kind, size_t) =
        wide ? quantize<T, BN_WIDE> : quantize<T, 1>;
    BN_LAUNCH(cuda, kernel, static_cast<unsigned>((count + each - 1) / each), THREADS, 0,
              form->codes, static_cast<T *>(form->values), weight->master,
              static_cast<const header *>(weight->form), weight->format.kind, count);
}

static void make_codes(bn_cuda *cuda, const bn_weight *weight, const bn_cuda_piece *pieces)
{
    header *out = static_cast<header *>(weight->form);
    bn_cuda_form form = bn_cuda_form_of(weight);
    bool wants_median = weight->format.kind == BN_WEIGHT_TERNARY && weight->format.median;
    const search *median = wants_median ? find_median(cuda, weight) : nullptr;
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, make_scale, 1, BN_PIECE_THREADS, 0, out, pieces, count_of(weight),
              weight->format, median);
    switch (form.dtype) {
    case BN_F32:
        launch_quantize<float>(cuda, weight, &form);
        break;
    case BN_BF16:
        launch_quantize<bn_bf16>(cuda, weight, &form);
        break;
    case BN_F16:
        launch_quantize<bn_f16>(cuda, weight, &form);
        break;
    case BN_I8:
        launch_quantize<int8_t>(cuda, weight, &form);
        bn_cuda_turn(cuda, form.turned, form.codes, weight->rows, weight->cols);
        break;
    }
}

void bn_cuda_form_make(bn_cuda *cuda, const bn_weight *weight, const bn_cuda_piece *pieces)
{
    if (bn_cuda_failed(cuda)) return;
    if (bn_weight_dtype(weight->format.kind) == BN_I8) {
        make_codes(cuda, weight, pieces);
        return;
    }
    bn_cuda_form form = bn_cuda_form_of(weight);
    bn_cuda_elements master = {weight->master, BN_F32, weight->rows, weight->cols, nullptr};
    BN_LAUNCH(cuda, one_scale, 1, 1, 0, static_cast<header *>(weight->form));
    if (form.dtype != BN_F32) bn_cuda_convert(cuda, form.values, form.dtype, &master);
}

void bn_cuda_weight_prepare(void *self, const bn_weight *weight)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    bn_cuda_piece *pieces = bn_cuda_pieces(cuda, weight);
    if (bn_cuda_failed(cuda)) return;
    if (pieces) {
        size_t count = count_of(weight);
        unsigned blocks = static_cast<unsigned>((count + BN_CUDA_PIECE - 1) / BN_CUDA_PIECE);
        BN_LAUNCH(cuda, sum_pieces, blocks, BN_PIECE_THREADS, 0, pieces, weight->master, count);
    }
    bn_cuda_form_make(cuda, weight, pieces);
}

void bn_cuda_weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    bn_cuda_form form = bn_cuda_form_of(weight);
    const char *why = bn_runtime_read(&cuda->runtime, codes, form.codes, count_of(weight));
    if (!why) why = bn_runtime_read(&cuda->runtime, scale, form.scale, sizeof *scale);
    bn_cuda_check(cuda, why, "read codes");
}
