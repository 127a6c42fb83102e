/* Matrices as codes of 8 bits, by row and turned by column. Both take a tile of TILE x TILE
 * elements a block, so that every row and column of it, also of codes, is whole lines of 128 bytes.
 */
#include "engine/cuda/convert.h"
#include "engine/cuda/matrix.h"

enum {
    TILE = 128,
    WARPS = 8,
    THREADS = WARPS * BN_WARP,
    AT_ONCE = 4, /* rows that a warp has on their way at once */
    WORDS = TILE / 4,
    SHARED_BYTES = TILE * TILE,
};

/* The elements and how they may be read. */
template <class T> struct source {
    const T *data;
    const float *factor; /* of its rows, or NULL */
    int rows, cols;
    bool wide;
};

static __device__ __forceinline__ float factor_of(const float *factor, int r)
{
    return factor ? factor[r] : 1.0F;
}

/* Elements [r, c ... c + 3], zeros beyond the matrix. */
template <class T>
static __device__ __forceinline__ void load_four(T *to, const source<T> &s, int r, int c)
{
    BN_UNROLL for (int i = 0; i < 4; i++) to[i] = bn_to<T>(0);
    if (r >= s.rows || c >= s.cols) return;
    const T *from = s.data + static_cast<size_t>(r) * s.cols + c;
    if (s.wide) {
        bn_load<4>(to, from);
        return;
    }
    BN_UNROLL for (int i = 0; i < 4; i++)
    {
        if (c + i < s.cols) to[i] = from[i];
    }
}

/* Largest magnitudes as bits, which do not depend on who comes first: of rows without their factor
 * (NULL: not wanted), of columns with it. A warp takes every WARPS-th row of the tile. */
template <class T>
static __global__ void __launch_bounds__(THREADS)
    find_most(unsigned *row_most, unsigned *column_most, source<T> s)
{
    BN_SHARED(unsigned, found, WARPS *TILE);
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    int warp = static_cast<int>(threadIdx.x) / BN_WARP;
    int left = static_cast<int>(blockIdx.x) * TILE, top = static_cast<int>(blockIdx.y) * TILE;
    unsigned most[4] = {};
    for (int first = warp; first < TILE; first += WARPS * AT_ONCE) {
        T some[AT_ONCE][4];
        BN_UNROLL for (int n = 0; n < AT_ONCE; n++)
        {
            load_four(some[n], s, top + first + n * WARPS, left + lane * 4);
        }
        BN_UNROLL for (int n = 0; n < AT_ONCE; n++)
        {
            int r = top + first + n * WARPS;
            unsigned across = 0;
            if (r >= s.rows) continue;
            float factor = factor_of(s.factor, r);
            BN_UNROLL for (int i = 0; i < 4; i++)
            {
                unsigned bits = bn_magnitude(bn_from(some[n][i]));
                unsigned scaled = bn_magnitude(bn_from(some[n][i]) * factor);
                if (bits > across) across = bits;
                if (scaled > most[i]) most[i] = scaled;
            }
            if (!row_most) continue;
            across = __reduce_max_sync(BN_ALL_LANES, across);
            if (lane == 0) atomicMax(&row_most[r], across);
        }
    }
    BN_UNROLL for (int i = 0; i < 4; i++) found[warp * TILE + lane * 4 + i] = most[i];
    __syncthreads();
    int c = static_cast<int>(threadIdx.x);
    if (c >= TILE || left + c >= s.cols) return;
    unsigned all = 0;
    for (int i = 0; i < WARPS; i++) {
        if (found[i * TILE + c] > all) all = found[i * TILE + c];
    }
    atomicMax(&column_most[left + c], all);
}

/* 0 for a line of zeros; NaN and infinity stay in the unit. */
static __device__ __forceinline__ float inverse_of(unsigned most)
{
    return most > 0 ? 127.0F / __uint_as_float(most) : 0.0F;
}

/* Four codes, the first in the lowest byte. */
static __device__ __forceinline__ uint32_t codes_of(const float *values)
{
    uint32_t word = 0;
    BN_UNROLL for (int i = 0; i < 4; i++)
    {
        int code = static_cast<int>(bn_code(values[i], 127.0F));
        word |= (static_cast<uint32_t>(code) & 0xFFU) << (8 * i);
    }
    return word;
}

/* codes[at ... at + 3] of a line of which `left` are still there; `whole`: words can be written. */
static __device__ __forceinline__ void write_codes(int8_t *codes, size_t at, uint32_t word,
                                                   int left, bool whole)
{
    if (left <= 0) return;
    if (whole) {
        *reinterpret_cast<uint32_t *>(codes + at) = word;
        return;
    }
    for (int i = 0; i < 4 && i < left; i++) {
        codes[at + i] = static_cast<int8_t>(word >> (8 * i) & 0xFFU);
    }
}

/* How codes are written, and of what units. most NULL: the elements are codes already. */
struct encoding {
    bn_cuda_codes to;
    const unsigned *row_most, *column_most;
    bool whole_rows, whole_columns;
};

/* A lane takes four rows of four columns, so it has words of four codes either way. Word `across`
 * of turned row c lies at across ^ (c / 4): what a warp writes or reads at once lies in different
 * banks. */
static __device__ __forceinline__ int word_of(int c, int across)
{
    return c * WORDS + (across ^ (c / 4));
}

/* Rows 4 * across ... of the tile. */
template <class T>
static __device__ __forceinline__ void encode_rows(const encoding &e, const source<T> &s,
                                                   const float *inverse, uint32_t *turned,
                                                   int across)
{
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    int r = static_cast<int>(gridDim.y - 1 - blockIdx.y) * TILE + across * 4;
    int c = static_cast<int>(blockIdx.x) * TILE + lane * 4;
    T some[4][4];
    float columns[4][4];
    BN_UNROLL for (int k = 0; k < 4; k++) load_four(some[k], s, r + k, c);
    BN_UNROLL for (int k = 0; k < 4; k++)
    {
        if (r + k >= s.rows) {
            BN_UNROLL for (int i = 0; i < 4; i++) columns[i][k] = 0;
            continue;
        }
        float row[4], factor = factor_of(s.factor, r + k);
        float by = e.to.by_row ? inverse_of(e.row_most[r + k]) : 0.0F;
        BN_UNROLL for (int i = 0; i < 4; i++)
        {
            float value = bn_from(some[k][i]);
            row[i] = value * by;
            columns[i][k] = value * factor * inverse[i];
        }
        if (!e.to.by_row) continue;
        size_t at = static_cast<size_t>(r + k) * s.cols + c;
        write_codes(e.to.by_row, at, codes_of(row), s.cols - c, e.whole_rows);
    }
    BN_UNROLL for (int i = 0; i < 4; i++) turned[word_of(lane * 4 + i, across)] =
        codes_of(columns[i]);
}

/* The units that this block's place says are its to write. */
static __device__ __forceinline__ void write_units(const encoding &e, int rows, int cols)
{
    int n = static_cast<int>(threadIdx.x);
    int r = static_cast<int>(gridDim.y - 1 - blockIdx.y) * TILE + n;
    int c = static_cast<int>(blockIdx.x) * TILE + n;
    if (n >= TILE || !e.column_most) return;
    if (blockIdx.y == 0 && c < cols) {
        e.to.column_unit[c] = __uint_as_float(e.column_most[c]) / 127.0F;
    }
    if (e.to.by_row && blockIdx.x == 0 && r < rows) {
        e.to.row_unit[r] = __uint_as_float(e.row_most[r]) / 127.0F;
    }
}

/* The last rows first: what was read for the units just now may still be in the second-level cache.
 */
template <class T> static __global__ void __launch_bounds__(THREADS) encode(encoding e, source<T> s)
{
    BN_DYN_SHARED(uint32_t, turned);
    int lane = static_cast<int>(threadIdx.x) % BN_WARP;
    int warp = static_cast<int>(threadIdx.x) / BN_WARP;
    int left = static_cast<int>(blockIdx.x) * TILE;
    int top = static_cast<int>(gridDim.y - 1 - blockIdx.y) * TILE;
    float inverse[4];
    BN_UNROLL for (int i = 0; i < 4; i++)
    {
        int c = left + lane * 4 + i;
        inverse[i] = e.column_most && c < s.cols ? inverse_of(e.column_most[c]) : 1.0F;
    }
    write_units(e, s.rows, s.cols);
    for (int across = warp; across < WORDS; across += WARPS) {
        encode_rows(e, s, inverse, turned, across);
    }
    __syncthreads();
    for (int c = warp; c < TILE && left + c < s.cols; c += WARPS) {
        int r = top + lane * 4;
        size_t at = static_cast<size_t>(left + c) * s.rows + r;
        write_codes(e.to.by_column, at, turned[word_of(c, lane)], s.rows - r, e.whole_columns);
    }
}

static dim3 tiles_of(int rows, int cols)
{
    return dim3(static_cast<unsigned>((cols + TILE - 1) / TILE),
                static_cast<unsigned>((rows + TILE - 1) / TILE));
}

static bool are_words(const void *codes, int length)
{
    return reinterpret_cast<uintptr_t>(codes) % 4 == 0 && length % 4 == 0;
}

template <class T> static source<T> source_of(const bn_cuda_elements *from)
{
    return {static_cast<const T *>(from->data), from->row_factor, from->rows, from->cols,
            bn_rows_are_wide(from->data, from->dtype, from->cols)};
}

static encoding encoding_of(const bn_cuda_codes *to, int rows, int cols)
{
    encoding e = {};
    e.to = *to;
    e.whole_rows = are_words(to->by_row, cols);
    e.whole_columns = are_words(to->by_column, rows);
    return e;
}

void bn_cuda_quantize(bn_cuda *cuda, const bn_cuda_codes *to, const bn_cuda_elements *from)
{
    encoding e = encoding_of(to, from->rows, from->cols);
    size_t lines = static_cast<size_t>(from->rows) + static_cast<size_t>(from->cols);
    unsigned *most = static_cast<unsigned *>(
        bn_cuda_scratch(cuda, BN_CUDA_SLOT_PARTS, lines * sizeof(unsigned)));
    if (!most) return;
    unsigned *row_most = to->by_row ? most + from->cols : nullptr;
    bn_cuda_zero(cuda, most, lines * sizeof(unsigned));
    e.column_most = most;
    e.row_most = row_most;
    dim3 tiles = tiles_of(from->rows, from->cols);
    bn_with_type(from->dtype, [=](auto zero) {
        using T = decltype(zero);
        void (*find)(unsigned *, unsigned *, source<T>) = find_most<T>;
        void (*make)(encoding, source<T>) = encode<T>;
        BN_LAUNCH(cuda, find, tiles, THREADS, 0, row_most, most, source_of<T>(from));
        BN_LAUNCH(cuda, make, tiles, THREADS, SHARED_BYTES, e, source_of<T>(from));
    });
}

void bn_cuda_turn(bn_cuda *cuda, int8_t *out, const int8_t *codes, int rows, int cols)
{
    void (*make)(encoding, source<int8_t>) = encode<int8_t>;
    bn_cuda_codes to = {nullptr, nullptr, out, nullptr};
    bn_cuda_elements from = {codes, BN_I8, rows, cols, nullptr};
    if (bn_cuda_failed(cuda)) return;
    BN_LAUNCH(cuda, make, tiles_of(rows, cols), THREADS, SHARED_BYTES, encoding_of(&to, rows, cols),
              source_of<int8_t>(&from));
}
