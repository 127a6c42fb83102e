/* Token embedding. The gradient of a table row is the sum over the places of its token, in their
 * order: places are sorted by token first, so no two blocks add to one row. */
#include "engine/cuda/matrix.h"

enum { THREADS = 128, SCAN_THREADS = 1024, AT_ONCE = 8 };

template <int WIDTH>
static __global__ void __launch_bounds__(THREADS)
    gather_rows(float *out, const float *table, const int32_t *tokens, int cols)
{
    const float *from = table + static_cast<size_t>(tokens[blockIdx.x]) * cols;
    float *to = out + static_cast<size_t>(blockIdx.x) * cols;
    for (int c = static_cast<int>(threadIdx.x) * WIDTH; c < cols; c += THREADS * WIDTH) {
        float some[WIDTH];
        bn_load<WIDTH>(some, from + c);
        bn_store<WIDTH>(to + c, some);
    }
}

void bn_cuda_embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    if (bn_cuda_failed(cuda)) return;
    void (*kernel)(float *, const float *, const int32_t *, int) =
        bn_mat_is_wide(out) && bn_mat_is_wide(table) ? gather_rows<BN_WIDE> : gather_rows<1>;
    BN_LAUNCH(cuda, kernel, static_cast<unsigned>(out.rows), THREADS, 0, out.data, table.data,
              tokens, out.cols);
}

/* Where the places of each token are: places[start[v]] ... of `count[v]` ones. Whole numbers only,
 * so the order of the atomics does not show. */
struct places {
    int *count;  /* [V] */
    int *start;  /* [V] */
    int *filled; /* [V] */
    int *any;    /* [R] places by token, in any order */
    int *sorted; /* [R] places by token, ascending */
};

static __global__ void count_tokens(places p, const int32_t *tokens, int rows)
{
    int r = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (r < rows) atomicAdd(&p.count[tokens[r]], 1);
}

/* One block: each thread sums a span of tokens, the spans' starts are a scan over the threads. */
static __global__ void __launch_bounds__(SCAN_THREADS) find_starts(places p, int vocabulary)
{
    BN_SHARED(int, sums, SCAN_THREADS);
    int n = static_cast<int>(threadIdx.x);
    int span = (vocabulary + SCAN_THREADS - 1) / SCAN_THREADS;
    int first = n * span, last = first + span < vocabulary ? first + span : vocabulary, sum = 0;
    for (int v = first; v < last; v++) sum += p.count[v];
    sums[n] = sum;
    __syncthreads();
    for (int step = 1; step < SCAN_THREADS; step *= 2) {
        int before = n >= step ? sums[n - step] : 0;
        __syncthreads();
        sums[n] += before;
        __syncthreads();
    }
    int at = sums[n] - sum;
    for (int v = first; v < last; v++) {
        p.start[v] = at;
        at += p.count[v];
    }
}

static __global__ void fill_places(places p, const int32_t *tokens, int rows)
{
    int r = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (r >= rows) return;
    int v = tokens[r];
    p.any[p.start[v] + atomicAdd(&p.filled[v], 1)] = r;
}

/* A place's rank is how many of its token's places come before it. */
static __global__ void sort_places(places p, const int32_t *tokens, int rows)
{
    int r = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (r >= rows) return;
    int v = tokens[r], rank = 0;
    const int *all = p.any + p.start[v];
    for (int i = 0; i < p.count[v]; i++) rank += all[i] < r;
    p.sorted[p.start[v] + rank] = r;
}

/* A frequent word has thousands of places: their loads must not wait for each other's sum. */
static __global__ void add_rows(float *dtable, const float *dout, places p, int cols)
{
    int v = static_cast<int>(blockIdx.x), count = p.count[v];
    int c = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
    if (count == 0 || c >= cols) return;
    const int *rows = p.sorted + p.start[v];
    float *to = dtable + static_cast<size_t>(v) * cols + c;
    float sum = *to;
    int i = 0;
    for (; i + AT_ONCE <= count; i += AT_ONCE) {
        float some[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++) {
            some[k] = dout[static_cast<size_t>(rows[i + k]) * cols + c];
        }
        for (int k = 0; k < AT_ONCE; k++) sum += some[k];
    }
    for (; i < count; i++) sum += dout[static_cast<size_t>(rows[i]) * cols + c];
    *to = sum;
}

void bn_cuda_embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens)
{
    bn_cuda *cuda = static_cast<bn_cuda *>(self);
    size_t rows = static_cast<size_t>(dout.rows), vocabulary = static_cast<size_t>(dtable.rows);
    int *memory = static_cast<int *>(
        bn_cuda_scratch(cuda, BN_CUDA_SLOT_LINES, (3 * vocabulary + 2 * rows) * sizeof(int)));
    if (!memory) return;
    places p = {.count = memory,
                .start = memory + 2 * vocabulary,
                .filled = memory + vocabulary,
                .any = memory + 3 * vocabulary,
                .sorted = memory + 3 * vocabulary + rows};
    int blocks = (dout.rows + THREADS - 1) / THREADS;
    bn_cuda_zero(cuda, memory, 2 * vocabulary * sizeof(int));
    BN_LAUNCH(cuda, count_tokens, blocks, THREADS, 0, p, tokens, dout.rows);
    BN_LAUNCH(cuda, find_starts, 1, SCAN_THREADS, 0, p, dtable.rows);
    BN_LAUNCH(cuda, fill_places, blocks, THREADS, 0, p, tokens, dout.rows);
    BN_LAUNCH(cuda, sort_places, blocks, THREADS, 0, p, tokens, dout.rows);
    dim3 grid(static_cast<unsigned>(dtable.rows),
              static_cast<unsigned>((dout.cols + THREADS - 1) / THREADS));
    BN_LAUNCH(cuda, add_rows, grid, THREADS, 0, dtable.data, dout.data, p, dout.cols);
}
