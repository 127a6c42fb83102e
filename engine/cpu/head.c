/* The two ends of the network: token embedding, and output head with cross-entropy. */
#include <string.h>

#include "engine/cpu/head_strip.h"

/* What the logits of all threads' strips and the gradients of a chunk may take; in f32 less, since
 * the head itself takes twice as much. */
enum { STRIPS_BYTES = 65 << 20, CHUNK_BYTES_BF16 = 65 << 20, CHUNK_BYTES_F32 = 48 << 20 };
enum { STRIP_PANELS = 11, CHUNK_PANELS = 8, CACHE_LINE = 64 };
enum { COLUMNS_A_PART = 64, ROWS_A_PART = 4 };

typedef struct embedding {
    bn_cpu *cpu;
    bn_mat table, rows;
    const int32_t *tokens;
} embedding;

static size_t at(int row, int cols)
{
    return (size_t)row * (size_t)cols;
}

static void gather_part(void *context, int part, int thread)
{
    const embedding *e = context;
    (void)thread;
    int end = (part + 1) * ROWS_A_PART < e->rows.rows ? (part + 1) * ROWS_A_PART : e->rows.rows;
    for (int r = part * ROWS_A_PART; r < end; r++) {
        memcpy(e->rows.data + at(r, e->rows.cols), e->table.data + at(e->tokens[r], e->rows.cols),
               (size_t)e->rows.cols * sizeof *e->rows.data);
    }
}

/* A part owns some columns of the whole table, so that repeated tokens meet in row order. */
static void scatter_part(void *context, int part, int thread)
{
    const embedding *e = context;
    (void)thread;
    int start = part * COLUMNS_A_PART;
    int cols = e->rows.cols - start < COLUMNS_A_PART ? e->rows.cols - start : COLUMNS_A_PART;
    for (int r = 0; r < e->rows.rows; r++) {
        float *to = e->table.data + at(e->tokens[r], e->rows.cols) + start;
        const float *from = e->rows.data + at(r, e->rows.cols) + start;
        for (int c = 0; c < cols; c++) to[c] += from[c];
    }
}

void bn_cpu_embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens)
{
    if (bn_host_failed(self)) return;
    embedding e = {.cpu = self, .table = table, .rows = out, .tokens = tokens};
    bn_pool_run(e.cpu->pool, bn_cpu_blocks(out.rows, ROWS_A_PART), gather_part, &e);
}

void bn_cpu_embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens)
{
    if (bn_host_failed(self)) return;
    embedding e = {.cpu = self, .table = dtable, .rows = dout, .tokens = tokens};
    bn_pool_run(e.cpu->pool, bn_cpu_blocks(dout.cols, COLUMNS_A_PART), scatter_part, &e);
}

static size_t padded(size_t bytes)
{
    return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* One call: rows in chunks whose gradients wait for one product for dw, chunks in strips that are
 * dealt out to the threads. */
typedef struct head_pass {
    bn_head_plan plan;
    int height;      /* of a panel of rows */
    int chunk;       /* rows */
    int rows, parts; /* of the chunk at hand */
} head_pass;

/* How many rows' gradients wait: the same for any number of threads, since dw's sums are cut there;
 * and a multiple of CHUNK_PANELS panels, so that most numbers of threads have even shares. */
static int chunk_rows(const head_pass *h)
{
    const bn_head_args *args = h->plan.args;
    if (!bn_head_learns(&h->plan)) return args->x.rows;
    bool half = h->plan.format == BN_BF16;
    size_t row_bytes = (size_t)args->head->rows * (half ? sizeof(uint16_t) : sizeof(float));
    size_t fitting = (half ? CHUNK_BYTES_BF16 : CHUNK_BYTES_F32) / row_bytes;
    int unit = CHUNK_PANELS * h->height;
    int most = fitting < (size_t)args->x.rows ? (int)fitting : args->x.rows;
    int chunks = bn_cpu_blocks(args->x.rows, most > unit ? most / unit * unit : unit);
    return bn_cpu_blocks(args->x.rows, chunks * unit) * unit;
}

/* Rows of the longest strip, when a thread's share of a chunk is cut into even ones whose logits
 * fit into memory for all threads. */
static int strip_rows(const head_pass *h)
{
    int threads = bn_pool_threads(h->plan.cpu->pool);
    size_t panel_bytes = (size_t)h->plan.args->head->rows * sizeof(float) * (size_t)h->height;
    size_t fitting = STRIPS_BYTES / (size_t)threads / panel_bytes;
    int most = fitting < STRIP_PANELS ? (int)fitting : STRIP_PANELS;
    int share = bn_cpu_blocks(h->chunk, threads * h->height);
    int strips = bn_cpu_blocks(share, most > 1 ? most : 1);
    return bn_cpu_blocks(share, strips) * h->height;
}

/* Memory for everything, and the head packed into it. */
static bool prepare(head_pass *h)
{
    bn_head_plan *p = &h->plan;
    const bn_weight *head = p->args->head;
    bool learns = bn_head_learns(p);
    h->height = bn_product_a_panels(p->cpu, 1, p->format, 1).block;
    h->chunk = chunk_rows(h);
    p->strip_rows = strip_rows(h);
    p->gradients = bn_product_a_panels(p->cpu, head->rows, p->format, h->chunk);
    bn_product_job along = {.format = p->format, .length = head->cols};
    bn_product_job across = {.format = p->format, .length = head->rows};
    along.a = across.a = bn_head_x_of(p, 0, 1, false);
    along.b = bn_head_rows_of(p, false);
    across.b = bn_head_rows_of(p, true);
    size_t along_bytes = padded(bn_product_pack_bytes(p->cpu, &along.b, p->format, head->cols));
    size_t across_bytes =
        learns ? padded(bn_product_pack_bytes(p->cpu, &across.b, p->format, head->rows)) : 0;
    size_t words = (size_t)p->gradients.count * (size_t)p->gradients.block;
    size_t bytes = learns ? words * (size_t)p->gradients.word_count * sizeof(uint32_t) : 0;
    p->stride = bn_head_strip_bytes(p);
    size_t threads = (size_t)bn_pool_threads(p->cpu->pool);
    char *memory = bn_cpu_scratch(p->cpu, BN_CPU_SLOT_OP,
                                  along_bytes + across_bytes + padded(bytes) + threads * p->stride);
    if (!memory) return false;
    bn_product_pack(p->cpu, &along, memory, &p->along);
    if (learns) bn_product_pack(p->cpu, &across, memory + along_bytes, &p->across);
    p->gradients.words = (uint32_t *)(void *)(memory + along_bytes + across_bytes);
    p->memory = memory + along_bytes + across_bytes + padded(bytes);
    return true;
}

static void strip_part(void *context, int part, int thread)
{
    const head_pass *h = context;
    int64_t panels = bn_cpu_blocks(h->rows, h->height);
    int first = (int)(panels * part / h->parts) * h->height;
    int end = least((int)(panels * (part + 1) / h->parts) * h->height, h->rows);
    bn_head_strip_run(&h->plan, h->plan.chunk_start + first, end - first, thread);
}

/* dw += dlogits^T x over the chunk. */
static void add_weight_gradient(const head_pass *h)
{
    const bn_head_plan *p = &h->plan;
    bn_product_job job = {.format = p->format,
                          .length = h->rows,
                          .a = {.lines = p->args->head->rows},
                          .b = bn_head_x_of(p, p->chunk_start, h->rows, true),
                          .a_packed = &p->gradients};
    size_t cols = (size_t)p->args->head->cols;
    job.result = (bn_result){.c = p->args->dw, .stride = cols, .scale = 1, .accumulate = true};
    bn_product_run(p->cpu, &job);
}

void bn_cpu_head_loss(void *self, const bn_head_args *args)
{
    if (bn_host_failed(self)) return;
    bn_head_args scaled = *args;
    if (args->loss_scale) scaled.scale *= (float)*args->loss_scale;
    head_pass h = {.plan = {.cpu = self, .args = &scaled}};
    bn_head_plan *p = &h.plan;
    p->format = args->head->format.kind == BN_WEIGHT_BF16 ? BN_BF16 : BN_F32;
    if (!prepare(&h)) return;
    int threads = bn_pool_threads(p->cpu->pool);
    for (p->chunk_start = 0; p->chunk_start < args->x.rows; p->chunk_start += h.chunk) {
        h.rows = least(h.chunk, args->x.rows - p->chunk_start);
        int panels = bn_cpu_blocks(h.rows, h.height);
        h.parts = least(bn_cpu_blocks(h.rows, threads * p->strip_rows) * threads, panels);
        bn_pool_run(p->cpu->pool, h.parts, strip_part, &h);
        if (bn_head_learns(p)) add_weight_gradient(&h);
    }
}
