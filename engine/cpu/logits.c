/* The output head of inference. A few rows read the head once as it lies; many go through the
 * products of training. */
#include "engine/cpu/product.h"
#include "engine/cpu/stepper.h"

enum { FEW_ROWS = 4, PARTS_A_THREAD = 4 };

typedef struct few_pass {
    const bn_rows *rows;
    const bn_logits_args *args;
    int step;       /* rows of the head a part */
    float *scratch; /* one of them a thread */
    size_t stride;
} few_pass;

static void few_part(void *context, int part, int thread)
{
    const few_pass *p = context;
    const bn_logits_args *a = p->args;
    size_t width = (size_t)a->x.cols;
    const float *x = a->x.data;
    float *widened = p->scratch + (size_t)thread * p->stride;
    int end = (part + 1) * p->step;
    if (end > a->out.cols) end = a->out.cols;
    for (int v = part * p->step; v < end; v++) {
        const float *row = a->wide ? a->wide + (size_t)v * width : widened;
        if (a->half) p->rows->from_bf16(widened, a->half + (size_t)v * width, width);
        for (int r = 0; r < a->x.rows; r++) {
            a->out.data[(size_t)r * (size_t)a->out.cols + (size_t)v] =
                p->rows->dot(row, x + (size_t)r * width, width);
        }
    }
}

static void multiply_few(bn_cpu *cpu, const bn_logits_args *args)
{
    few_pass p = {.rows = cpu->isa->rows, .args = args};
    int parts = PARTS_A_THREAD * bn_pool_threads(cpu->pool);
    p.step = bn_cpu_blocks(args->out.cols, parts);
    p.scratch = bn_cpu_row_scratch(cpu, (size_t)args->x.cols, &p.stride);
    if (!p.scratch) return;
    bn_pool_run(cpu->pool, bn_cpu_blocks(args->out.cols, p.step), few_part, &p);
}

void bn_logits_forward(bn_backend be, const bn_logits_args *args)
{
    bn_cpu *cpu = be.self;
    bn_panels panels;
    size_t width = (size_t)args->x.cols;
    if (bn_host_failed(cpu)) return;
    if (!args->coded && args->x.rows <= FEW_ROWS) {
        multiply_few(cpu, args);
        return;
    }
    bn_product_job job = {.format = args->wide ? BN_F32 : BN_BF16, .length = args->x.cols};
    job.a = (bn_operand){
        .data = args->x.data, .dtype = args->x.dtype, .stride = width, .lines = args->x.rows};
    job.b = (bn_operand){.data = args->wide,
                         .dtype = args->wide ? BN_F32 : BN_BF16,
                         .stride = width,
                         .lines = args->out.cols};
    job.result = (bn_result){.c = args->out.data, .stride = (size_t)args->out.cols, .scale = 1};
    if (args->half) job.b.data = args->half;
    if (args->coded) {
        panels = bn_byte_panels(cpu, args->coded);
        job.format = BN_I8;
        job.a.line_sum = args->x.sum;
        job.b.dtype = BN_I8;
        job.b_packed = &panels;
        job.result.row_scale = args->x.scale;
        job.result.scale = args->coded->scale;
    }
    bn_product_run(cpu, &job);
}
