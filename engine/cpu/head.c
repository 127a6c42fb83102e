/* The two ends of the network: token embedding, and output head with cross-entropy. */
#include <math.h>
#include <string.h>

#include "engine/cpu/pack.h"
#include "engine/cpu/product.h"
#include "engine/cpu/quantize.h"

/* What a strip's f32 logits and a chunk's gradients may take. */
enum { STRIP_BYTES = 96 << 20, CHUNK_BYTES = 64 << 20 };
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
    if (bn_cpu_failed(self)) return;
    embedding e = {.cpu = self, .table = table, .rows = out, .tokens = tokens};
    bn_pool_run(e.cpu->pool, bn_cpu_blocks(out.rows, ROWS_A_PART), gather_part, &e);
}

void bn_cpu_embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens)
{
    if (bn_cpu_failed(self)) return;
    embedding e = {.cpu = self, .table = dtable, .rows = dout, .tokens = tokens};
    bn_pool_run(e.cpu->pool, bn_cpu_blocks(dout.cols, COLUMNS_A_PART), scatter_part, &e);
}

/* One call. Rows are taken in strips whose f32 logits stay in the last-level cache; the gradients
 * of a chunk of strips are kept in the head's own format until dw takes them in one product. */
typedef struct head_pass {
    bn_cpu *cpu;
    const bn_head_args *args;
    bn_dtype format;           /* of the products */
    bn_panels forward, across; /* the head, packed once for all strips */
    float *logits;             /* [strip, V]; for an f32 head they lie in dlogits */
    void *dlogits;             /* [chunk, V] in `format` */
    int strip, chunk;          /* rows */
    int start, rows;           /* of the strip at hand */
    int chunk_start;
} head_pass;

static size_t dlogit_bytes(const head_pass *p)
{
    return p->format == BN_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* Where the gradients of row r's logits go. */
static void *dlogit_row(const head_pass *p, int r)
{
    size_t at_row = at(r - p->chunk_start, p->args->head->rows);
    return (char *)p->dlogits + at_row * dlogit_bytes(p);
}

static float *logit_row(const head_pass *p, int r)
{
    if (p->format == BN_F32 && p->dlogits) return dlogit_row(p, r);
    return p->logits + at(r - p->start, p->args->head->rows);
}

static void softmax_row(const head_pass *p, int r)
{
    const bn_rows *rows = p->cpu->isa->rows;
    const bn_head_args *args = p->args;
    size_t vocabulary = (size_t)args->head->rows;
    float *z = logit_row(p, r);
    int32_t target = args->targets[r];
    args->loss[r] = 0;
    if (target < 0) {
        if (args->dx.data) memset(dlogit_row(p, r), 0, vocabulary * dlogit_bytes(p));
        return;
    }
    float wanted = z[target];
    float most = rows->max(z, vocabulary);
    float sum = rows->exp_shifted(z, 1, most, vocabulary);
    args->loss[r] = logf(sum) + (most - wanted);
    if (!args->dx.data) return;
    z[target] -= sum; /* (exp / sum - 1) * scale, with the multiplication that is due anyway */
    if (p->format == BN_BF16) {
        rows->to_bf16(dlogit_row(p, r), z, args->scale / sum, vocabulary);
    } else {
        rows->scale(z, z, args->scale / sum, NULL, vocabulary);
    }
}

static void softmax_part(void *context, int part, int thread)
{
    const head_pass *p = context;
    (void)thread;
    int end = (part + 1) * ROWS_A_PART < p->rows ? (part + 1) * ROWS_A_PART : p->rows;
    for (int r = part * ROWS_A_PART; r < end; r++) softmax_row(p, p->start + r);
}

static bn_operand x_operand(const head_pass *p, int start, int rows, bool across)
{
    bn_act x = p->args->x;
    size_t bytes = x.dtype == BN_F32 ? sizeof(float) : sizeof(uint16_t);
    return (bn_operand){.data = (const char *)x.data + at(start, x.cols) * bytes,
                        .dtype = x.dtype,
                        .stride = (size_t)x.cols,
                        .lines = across ? x.cols : rows,
                        .across = across};
}

static bn_operand head_operand(const bn_weight *head, bool across)
{
    return (bn_operand){.data = bn_cpu_weight_values(head),
                        .dtype = bn_weight_dtype(head->format.kind),
                        .stride = (size_t)head->cols,
                        .lines = across ? head->cols : head->rows,
                        .across = across};
}

static bn_operand dlogit_operand(const head_pass *p, int start, int rows, bool across)
{
    int vocabulary = p->args->head->rows;
    return (bn_operand){.data = dlogit_row(p, start),
                        .dtype = p->format,
                        .stride = (size_t)vocabulary,
                        .lines = across ? vocabulary : rows,
                        .across = across};
}

/* Logits, losses, gradients of the logits and dx of one strip. */
static void run_strip(head_pass *p)
{
    const bn_weight *head = p->args->head;
    size_t cols = (size_t)head->cols;
    bn_product_job forward = {.format = p->format,
                              .length = head->cols,
                              .a = x_operand(p, p->start, p->rows, false),
                              .b = head_operand(head, false),
                              .b_packed = &p->forward};
    forward.result =
        (bn_result){.c = logit_row(p, p->start), .stride = (size_t)head->rows, .scale = 1};
    bn_product_run(p->cpu, &forward);
    bn_pool_run(p->cpu->pool, bn_cpu_blocks(p->rows, ROWS_A_PART), softmax_part, p);
    if (!p->args->dx.data) return;
    bn_product_job to_input = {.format = p->format,
                               .length = head->rows,
                               .a = dlogit_operand(p, p->start, p->rows, false),
                               .b = head_operand(head, true),
                               .b_packed = &p->across};
    to_input.result =
        (bn_result){.c = p->args->dx.data + (size_t)p->start * cols, .stride = cols, .scale = 1};
    bn_product_run(p->cpu, &to_input);
}

/* dw += dlogits^T x over the chunk. */
static void add_weight_gradient(head_pass *p, int rows)
{
    size_t cols = (size_t)p->args->head->cols;
    bn_product_job job = {.format = p->format,
                          .length = rows,
                          .a = dlogit_operand(p, p->chunk_start, rows, true),
                          .b = x_operand(p, p->chunk_start, rows, true)};
    job.result = (bn_result){.c = p->args->dw, .stride = cols, .scale = 1, .accumulate = true};
    bn_product_run(p->cpu, &job);
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Memory for everything, and the head packed into it. */
static bool prepare(head_pass *p)
{
    const bn_weight *head = p->args->head;
    size_t row = (size_t)head->rows;
    bool backward = p->args->dx.data != NULL;
    int block = p->cpu->isa->kernels[BN_PRODUCT_KIND_F32].mr;
    int fitting = (int)(STRIP_BYTES / (row * sizeof(float))) / block * block;
    int strips_wanted = bn_cpu_blocks(p->args->x.rows, fitting > block ? fitting : block);
    int even = bn_cpu_blocks(p->args->x.rows, strips_wanted * block) * block;
    p->strip = least(even, p->args->x.rows);
    int strips = (int)(CHUNK_BYTES / (row * dlogit_bytes(p))) / p->strip;
    p->chunk = backward ? least((strips > 1 ? strips : 1) * p->strip, p->args->x.rows) : p->strip;
    bn_product_job along = {.format = p->format, .length = head->cols};
    bn_product_job across = {.format = p->format, .length = head->rows};
    along.a = x_operand(p, 0, p->strip, false);
    across.a = along.a;
    along.b = head_operand(head, false);
    across.b = head_operand(head, true);
    size_t along_bytes = padded(bn_product_pack_bytes(p->cpu, &along.b, p->format, head->cols));
    size_t across_bytes =
        backward ? padded(bn_product_pack_bytes(p->cpu, &across.b, p->format, head->rows)) : 0;
    bool apart = p->format != BN_F32 || !backward;
    size_t logit_bytes = apart ? padded((size_t)p->strip * row * sizeof(float)) : 0;
    size_t chunk_bytes = backward ? padded((size_t)p->chunk * row * dlogit_bytes(p)) : 0;
    char *memory = bn_cpu_scratch(p->cpu, BN_CPU_SLOT_OP,
                                  along_bytes + across_bytes + logit_bytes + chunk_bytes);
    if (!memory) return false;
    bn_product_pack(p->cpu, &along, memory, &p->forward);
    if (backward) bn_product_pack(p->cpu, &across, memory + along_bytes, &p->across);
    p->logits = (float *)(void *)(memory + along_bytes + across_bytes);
    p->dlogits = backward ? memory + along_bytes + across_bytes + logit_bytes : NULL;
    return true;
}

void bn_cpu_head_loss(void *self, const bn_head_args *args)
{
    if (bn_cpu_failed(self)) return;
    bn_head_args scaled = *args;
    if (args->loss_scale) scaled.scale *= (float)*args->loss_scale;
    head_pass p = {.cpu = self, .args = &scaled};
    p.format = args->head->format.kind == BN_WEIGHT_BF16 ? BN_BF16 : BN_F32;
    if (!prepare(&p)) return;
    for (p.start = 0; p.start < args->x.rows; p.start += p.strip) {
        p.rows = least(p.strip, args->x.rows - p.start);
        p.chunk_start = p.start / p.chunk * p.chunk;
        run_strip(&p);
        int done = p.start + p.rows - p.chunk_start;
        bool full = done == p.chunk || p.start + p.rows == args->x.rows;
        if (full && args->dx.data) add_weight_gradient(&p, done);
    }
}
