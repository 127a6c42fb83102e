/* The two ends of the network: token embedding, and output head with cross-entropy over chunks of
 * rows whose logits fit LOGIT_BYTES. */
#include <math.h>
#include <string.h>

#include "engine/cpu/product.h"
#include "engine/cpu/quantize.h"

enum { LOGIT_BYTES = 64 << 20, CHUNK_ROWS_MIN = 112, COLUMNS_A_PART = 64, ROWS_A_PART = 4 };

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

/* Rows start ... start + rows - 1 and their logits. */
typedef struct chunk {
    bn_cpu *cpu;
    const bn_head_args *args;
    float *logits; /* [rows, V], then their gradients in place */
    int start, rows;
} chunk;

static void softmax_row(const chunk *c, int r)
{
    const bn_rows *rows = c->cpu->isa->rows;
    size_t vocabulary = (size_t)c->args->head->rows;
    float *z = c->logits + (size_t)r * vocabulary;
    int32_t target = c->args->targets[c->start + r];
    float *loss = &c->args->loss[c->start + r];
    *loss = 0;
    if (target < 0) {
        memset(z, 0, vocabulary * sizeof *z);
        return;
    }
    float wanted = z[target];
    float most = rows->max(z, vocabulary);
    float sum = rows->exp_shifted(z, 1, most, vocabulary);
    *loss = logf(sum) + (most - wanted);
    if (!c->args->dx.data) return;
    rows->scale(z, z, c->args->scale / sum, NULL, vocabulary);
    z[target] -= c->args->scale;
}

static void softmax_part(void *context, int part, int thread)
{
    const chunk *c = context;
    (void)thread;
    int end = (part + 1) * ROWS_A_PART < c->rows ? (part + 1) * ROWS_A_PART : c->rows;
    for (int r = part * ROWS_A_PART; r < end; r++) softmax_row(c, r);
}

static bn_operand x_operand(const chunk *c, bool across)
{
    bn_act x = c->args->x;
    size_t bytes = x.dtype == BN_F32 ? sizeof(float) : sizeof(uint16_t);
    return (bn_operand){.data = (const char *)x.data + at(c->start, x.cols) * bytes,
                        .dtype = x.dtype,
                        .stride = (size_t)x.cols,
                        .lines = across ? x.cols : c->rows,
                        .across = across};
}

static bn_operand head_operand(const bn_weight *head, bool across)
{
    return (bn_operand){.data = bn_cpu_weight_values(head),
                        .dtype = bn_cpu_weight_dtype(head->format.kind),
                        .stride = (size_t)head->cols,
                        .lines = across ? head->cols : head->rows,
                        .across = across};
}

static bn_operand logit_operand(const chunk *c, bool across)
{
    int vocabulary = c->args->head->rows;
    return (bn_operand){.data = c->logits,
                        .dtype = BN_F32,
                        .stride = (size_t)vocabulary,
                        .lines = across ? vocabulary : c->rows,
                        .across = across};
}

static void run_chunk(chunk *c)
{
    const bn_head_args *args = c->args;
    const bn_weight *head = args->head;
    size_t cols = (size_t)head->cols;
    bn_dtype format = head->format.kind == BN_WEIGHT_BF16 ? BN_BF16 : BN_F32;
    bn_product_job forward = {.format = format,
                              .length = head->cols,
                              .a = x_operand(c, false),
                              .b = head_operand(head, false)};
    forward.result = (bn_result){.c = c->logits, .stride = (size_t)head->rows, .scale = 1};
    bn_product_run(c->cpu, &forward);
    bn_pool_run(c->cpu->pool, bn_cpu_blocks(c->rows, ROWS_A_PART), softmax_part, c);
    if (!args->dx.data) return;
    bn_product_job to_input = {.format = format,
                               .length = head->rows,
                               .a = logit_operand(c, false),
                               .b = head_operand(head, true)};
    to_input.result =
        (bn_result){.c = args->dx.data + (size_t)c->start * cols, .stride = cols, .scale = 1};
    bn_product_run(c->cpu, &to_input);
    bn_product_job to_weight = {
        .format = format, .length = c->rows, .a = logit_operand(c, true), .b = x_operand(c, true)};
    to_weight.result = (bn_result){.c = args->dw, .stride = cols, .scale = 1, .accumulate = true};
    bn_product_run(c->cpu, &to_weight);
}

void bn_cpu_head_loss(void *self, const bn_head_args *args)
{
    size_t row_bytes = (size_t)args->head->rows * sizeof(float);
    int most = (int)(LOGIT_BYTES / row_bytes);
    if (most < CHUNK_ROWS_MIN) most = CHUNK_ROWS_MIN;
    if (most > args->x.rows) most = args->x.rows;
    float *logits = bn_cpu_scratch(self, BN_CPU_SLOT_OP, (size_t)most * row_bytes);
    if (!logits) return;
    for (int start = 0; start < args->x.rows; start += most) {
        chunk c = {.cpu = self, .args = args, .logits = logits, .start = start};
        c.rows = args->x.rows - start < most ? args->x.rows - start : most;
        run_chunk(&c);
    }
}
