#include "engine/cuda/convert.h"
#include "engine/cuda/kernel.h"

enum { THREADS = 256, ROW_THREADS = 128, VECTOR = 4, TILE = 32, TILE_ROWS = 8, COLUMN_ROWS = 64 };

static unsigned blocks_for(size_t count, size_t each)
{
    return static_cast<unsigned>((count + each - 1) / each);
}

/* An element with its row's factor. */
template <class From>
static __device__ __forceinline__ float element(const From *data, const float *factor, size_t i,
                                                int r)
{
    float value = bn_from(data[i]);
    return factor ? value * factor[r] : value;
}

/* One block a row; `count` elements at a time. */
template <class To, class From, int count>
static __global__ void convert(To *out, To *plain, const From *data, const float *factor, int cols)
{
    int r = static_cast<int>(blockIdx.x);
    size_t start = static_cast<size_t>(r) * cols;
    float scale = factor ? factor[r] : 1.0F;
    for (int c = static_cast<int>(threadIdx.x) * count; c < cols; c += ROW_THREADS * count) {
        From from[count];
        To to[count], bare[count];
        bn_load<count>(from, data + start + c);
        for (int i = 0; i < count; i++) {
            float value = bn_from(from[i]);
            to[i] = bn_to<To>(factor ? value * scale : value);
            bare[i] = bn_to<To>(value);
        }
        bn_store<count>(out + start + c, to);
        if (plain) bn_store<count>(plain + start + c, bare);
    }
}

/* Rows of whole vectors that begin at a multiple of a vector's size. */
template <class T> static bool is_vectors(const void *memory, int cols)
{
    return cols % VECTOR == 0 && reinterpret_cast<uintptr_t>(memory) % (VECTOR * sizeof(T)) == 0;
}

template <class To, class From>
static void launch_convert(bn_cuda *cuda, void *out, void *plain, const bn_cuda_elements *from)
{
    bool wide = is_vectors<To>(out, from->cols) && is_vectors<To>(plain, from->cols) &&
                is_vectors<From>(from->data, from->cols);
    void (*kernel)(To *, To *, const From *, const float *, int) =
        wide ? convert<To, From, VECTOR> : convert<To, From, 1>;
    BN_LAUNCH(cuda, kernel, from->rows, ROW_THREADS, 0, static_cast<To *>(out),
              static_cast<To *>(plain), static_cast<const From *>(from->data), from->row_factor,
              from->cols);
}

template <class To>
static void convert_to(bn_cuda *cuda, void *out, void *plain, const bn_cuda_elements *from)
{
    switch (from->dtype) {
    case BN_F32:
        launch_convert<To, float>(cuda, out, plain, from);
        break;
    case BN_BF16:
        launch_convert<To, bn_bf16>(cuda, out, plain, from);
        break;
    case BN_F16:
        launch_convert<To, bn_f16>(cuda, out, plain, from);
        break;
    case BN_I8:
        launch_convert<To, int8_t>(cuda, out, plain, from);
        break;
    }
}

void bn_cuda_convert(bn_cuda *cuda, void *out, void *plain, bn_dtype dtype,
                     const bn_cuda_elements *from)
{
    if (bn_cuda_failed(cuda)) return;
    switch (dtype) {
    case BN_F32:
        convert_to<float>(cuda, out, plain, from);
        break;
    case BN_BF16:
        convert_to<bn_bf16>(cuda, out, plain, from);
        break;
    case BN_F16:
        convert_to<bn_f16>(cuda, out, plain, from);
        break;
    case BN_I8:
        break;
    }
}

/* 0 for a line of zeros; NaN and infinity stay in the unit. */
static __device__ __forceinline__ float inverse_of(uint32_t most)
{
    return most > 0 ? 127.0F / __uint_as_float(most) : 0.0F;
}

static __global__ void quantize_rows(int8_t *codes, float *unit, const float *data,
                                     const float *factor, int cols)
{
    int r = static_cast<int>(blockIdx.x);
    size_t start = static_cast<size_t>(r) * cols;
    uint32_t most = 0;
    for (int c = static_cast<int>(threadIdx.x); c < cols; c += THREADS) {
        uint32_t bits = bn_magnitude(element(data, factor, start + c, r));
        if (bits > most) most = bits;
    }
    most = bn_block_max(most);
    float inverse = inverse_of(most);
    for (int c = static_cast<int>(threadIdx.x); c < cols; c += THREADS) {
        float value = element(data, factor, start + c, r);
        codes[start + c] = static_cast<int8_t>(bn_code(value * inverse, 127.0F));
    }
    if (threadIdx.x == 0) unit[r] = __uint_as_float(most) / 127.0F;
}

void bn_cuda_quantize_rows(bn_cuda *cuda, int8_t *codes, float *unit, const bn_cuda_elements *from)
{
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, quantize_rows, from->rows, THREADS, 0, codes, unit,
              static_cast<const float *>(from->data), from->row_factor, from->cols);
}

/* most[c] as bits, over COLUMN_ROWS rows a block; the largest does not depend on who comes first.
 */
template <class From>
static __global__ void find_most(unsigned *most, const From *data, const float *factor, int rows,
                                 int cols)
{
    int c = static_cast<int>(blockIdx.x * THREADS + threadIdx.x);
    if (c >= cols) return;
    int first = static_cast<int>(blockIdx.y) * COLUMN_ROWS;
    int last = first + COLUMN_ROWS < rows ? first + COLUMN_ROWS : rows;
    unsigned bits = 0;
    for (int r = first; r < last; r++) {
        unsigned other = bn_magnitude(element(data, factor, static_cast<size_t>(r) * cols + c, r));
        if (other > bits) bits = other;
    }
    atomicMax(&most[c], bits);
}

/* One TILE x TILE square through shared memory, so that reads and writes both run along memory. */
template <class From, bool quantizes>
static __global__ void turn_tile(int8_t *out, const From *data, const float *factor,
                                 const unsigned *most, int rows, int cols)
{
    BN_SHARED(float, tile, TILE *(TILE + 1));
    int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
    int left = static_cast<int>(blockIdx.x) * TILE, top = static_cast<int>(blockIdx.y) * TILE;
    for (int i = y; i < TILE; i += TILE_ROWS) {
        int r = top + i, c = left + x;
        if (r >= rows || c >= cols) continue;
        float value = element(data, factor, static_cast<size_t>(r) * cols + c, r);
        tile[i * (TILE + 1) + x] = quantizes ? bn_code(value * inverse_of(most[c]), 127.0F) : value;
    }
    __syncthreads();
    for (int i = y; i < TILE; i += TILE_ROWS) {
        int r = top + x, c = left + i;
        if (r >= rows || c >= cols) continue;
        out[static_cast<size_t>(c) * rows + r] = static_cast<int8_t>(tile[x * (TILE + 1) + i]);
    }
}

static __global__ void finish_units(float *unit, const unsigned *most, int count)
{
    int i = static_cast<int>(blockIdx.x * THREADS + threadIdx.x);
    if (i < count) unit[i] = __uint_as_float(most[i]) / 127.0F;
}

static dim3 tiles_of(int rows, int cols)
{
    return dim3(blocks_for(static_cast<size_t>(cols), TILE),
                blocks_for(static_cast<size_t>(rows), TILE));
}

template <class From>
static void quantize_columns(bn_cuda *cuda, int8_t *codes, unsigned *most,
                             const bn_cuda_elements *from)
{
    void (*find)(unsigned *, const From *, const float *, int, int) = find_most<From>;
    void (*turn)(int8_t *, const From *, const float *, const unsigned *, int, int) =
        turn_tile<From, true>;
    const From *data = static_cast<const From *>(from->data);
    dim3 grid(blocks_for(static_cast<size_t>(from->cols), THREADS),
              blocks_for(static_cast<size_t>(from->rows), COLUMN_ROWS));
    bn_cuda_zero(cuda, most, static_cast<size_t>(from->cols) * sizeof *most);
    BN_LAUNCH(cuda, find, grid, THREADS, 0, most, data, from->row_factor, from->rows, from->cols);
    BN_LAUNCH(cuda, turn, tiles_of(from->rows, from->cols), dim3(TILE, TILE_ROWS), 0, codes, data,
              from->row_factor, most, from->rows, from->cols);
}

/* The largest magnitudes lie where the units will. */
void bn_cuda_quantize_columns(bn_cuda *cuda, int8_t *codes, float *unit,
                              const bn_cuda_elements *from)
{
    unsigned *most = reinterpret_cast<unsigned *>(unit);
    if (bn_cuda_failed(cuda)) return;
    switch (from->dtype) {
    case BN_F32:
        quantize_columns<float>(cuda, codes, most, from);
        break;
    case BN_BF16:
        quantize_columns<bn_bf16>(cuda, codes, most, from);
        break;
    case BN_F16:
        quantize_columns<bn_f16>(cuda, codes, most, from);
        break;
    case BN_I8:
        quantize_columns<int8_t>(cuda, codes, most, from);
        break;
    }
    BN_LAUNCH(cuda, finish_units, blocks_for(static_cast<size_t>(from->cols), THREADS), THREADS, 0,
              unit, most, from->cols);
}

void bn_cuda_turn(bn_cuda *cuda, int8_t *out, const int8_t *codes, int rows, int cols)
{
    void (*turn)(int8_t *, const int8_t *, const float *, const unsigned *, int, int) =
        turn_tile<int8_t, false>;
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, turn, tiles_of(rows, cols), dim3(TILE, TILE_ROWS), 0, out, codes,
              static_cast<const float *>(nullptr), static_cast<const unsigned *>(nullptr), rows,
              cols);
}

static __global__ void finish(bn_cuda_epilogue e, const int32_t *sums)
{
    int r = static_cast<int>(blockIdx.x);
    size_t start = static_cast<size_t>(r) * e.cols;
    float row = e.row[r], scale = e.scale ? *e.scale : 1.0F;
    for (int c = static_cast<int>(threadIdx.x); c < e.cols; c += ROW_THREADS) {
        float unit = row * (e.column ? e.column[c] : scale);
        float add = e.add ? e.add[start + c] : 0.0F;
        e.out[start + c] = add + static_cast<float>(sums[start + c]) * unit;
    }
}

void bn_cuda_finish(bn_cuda *cuda, const bn_cuda_epilogue *e, const int32_t *sums)
{
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, finish, e->rows, ROW_THREADS, 0, *e, sums);
}
