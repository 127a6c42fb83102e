/* A network's memory: what it takes, where everything lies in it, which tensor is whose. */
#include <limits.h>
#include <stdlib.h>

#include "engine/model.h"

enum { LINE_BYTES = 64 };

/* Hands out pieces of one allocation. With base NULL it only counts, so the same layout code says
 * how much there is to allocate and then where everything lies. */
typedef struct cursor {
    char *base;
    size_t used;
} cursor;

static void *carve(cursor *c, size_t bytes)
{
    size_t at = c->used;
    c->used += (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    return c->base ? c->base + at : NULL;
}

static bn_mat carve_mat(cursor *c, int rows, int cols, bn_dtype dtype)
{
    void *data = carve(c, (size_t)rows * (size_t)cols * bn_dtype_bytes(dtype));
    return (bn_mat){.data = data, .rows = rows, .cols = cols, .dtype = dtype};
}

static bn_act carve_act(cursor *c, int rows, int cols, bn_dtype dtype)
{
    bn_act act = {.rows = rows, .cols = cols, .dtype = dtype};
    act.data = carve(c, (size_t)rows * (size_t)cols * bn_dtype_bytes(dtype));
    if (dtype != BN_I8) return act;
    act.scale = carve(c, (size_t)rows * sizeof *act.scale);
    act.sum = carve(c, (size_t)rows * sizeof *act.sum);
    return act;
}

static void carve_site(cursor *c, bn_site *site, bn_act shape)
{
    site->out = carve_act(c, shape.rows, shape.cols, shape.dtype);
    site->stats = carve(c, (size_t)shape.rows * BN_NORM_STATS * sizeof *site->stats);
}

static void lay_block(cursor *c, const bn_shape *shape, bn_block *block, bn_dtype dtype)
{
    int rows = shape->rows, width = shape->width, kv_width = shape->kv_heads * shape->dim;
    bn_act wide = {.rows = rows, .cols = width, .dtype = dtype};
    bn_act hidden = {.rows = rows, .cols = shape->ffn, .dtype = dtype};
    block->x = carve_mat(c, rows, width, BN_F32);
    carve_site(c, &block->site[BN_SITE_ATTN], wide);
    block->q = carve_mat(c, rows, width, shape->activations);
    block->k = carve_mat(c, rows, kv_width, shape->activations);
    block->v = carve_mat(c, rows, kv_width, shape->activations);
    block->attended = carve_mat(c, rows, width, shape->activations);
    block->lse = carve(c, (size_t)rows * (size_t)shape->heads * sizeof *block->lse);
    carve_site(c, &block->site[BN_SITE_ATTN_SUB], wide);
    block->mid = carve_mat(c, rows, width, BN_F32);
    carve_site(c, &block->site[BN_SITE_FFN], wide);
    block->gate = carve_mat(c, rows, shape->ffn, shape->activations);
    block->up = carve_mat(c, rows, shape->ffn, shape->activations);
    carve_site(c, &block->site[BN_SITE_FFN_SUB], hidden);
}

static void lay_activations(bn_model *model, cursor *c, const bn_config *config)
{
    const bn_shape *shape = &model->shape;
    int rows = shape->rows, width = shape->width, kv_width = shape->kv_heads * shape->dim;
    for (int layer = 0; layer < model->layers; layer++) {
        lay_block(c, shape, &model->blocks[layer], bn_bitlinear_dtype(config));
    }
    model->last = carve_mat(c, rows, width, BN_F32);
    bn_act final = {.rows = rows, .cols = width, .dtype = bn_head_dtype(config)};
    carve_site(c, &model->final_site, final);
    model->dx = carve_mat(c, rows, width, BN_F32);
    model->scratch = (bn_scratch){.dnorm = carve_mat(c, rows, width, shape->activations),
                                  .dattended = carve_mat(c, rows, width, shape->activations),
                                  .dq = carve_mat(c, rows, width, shape->activations),
                                  .dk = carve_mat(c, rows, kv_width, shape->activations),
                                  .dv = carve_mat(c, rows, kv_width, shape->activations),
                                  .dhidden = carve_mat(c, rows, shape->ffn, shape->activations)};
    model->tokens = carve(c, (size_t)rows * sizeof *model->tokens);
    model->targets = carve(c, (size_t)rows * sizeof *model->targets);
    model->loss = carve(c, (size_t)rows * (size_t)model->accum * sizeof *model->loss);
    model->eval_loss = carve(c, sizeof *model->eval_loss);
}

static void lay_forms(bn_model *model, cursor *c)
{
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        if (tensor->role != BN_ROLE_LINEAR) continue;
        bn_weight *weight = &model->blocks[tensor->layer].linear[tensor->place].weight;
        weight->form =
            carve(c, bn_weight_form_bytes(model->be, weight->rows, weight->cols, weight->format));
    }
    bn_weight *head = &model->head.weight;
    head->form = carve(c, bn_weight_form_bytes(model->be, head->rows, head->cols, head->format));
}

static bn_linear linear_at(const bn_model *model, const bn_tensor *tensor, bn_weight_format format)
{
    return (bn_linear){.weight = {.master = model->weights ? model->weights + tensor->offset : NULL,
                                  .rows = tensor->rows,
                                  .cols = tensor->cols,
                                  .format = format},
                       .grad = model->grads ? model->grads + tensor->offset : NULL};
}

static void bind_gain(const bn_model *model, bn_site *site, const bn_tensor *tensor)
{
    site->norm.gain = model->weights ? model->weights + tensor->offset : NULL;
    site->dgain = model->grads ? model->grads + tensor->offset : NULL;
}

static void bind_table(bn_model *model, const bn_tensor *tensor, const bn_config *config)
{
    bn_linear table = linear_at(model, tensor, bn_head_format(config));
    if (tensor->role == BN_ROLE_HEAD || config->model.tied) model->head = table;
    if (tensor->role == BN_ROLE_HEAD) return;
    model->embed =
        (bn_mat){.data = table.weight.master, .rows = tensor->rows, .cols = tensor->cols};
    model->dembed = (bn_mat){.data = table.grad, .rows = tensor->rows, .cols = tensor->cols};
}

/* Points blocks, head and gains at their places in weights and grads. */
static void bind_tensors(bn_model *model, const bn_config *config)
{
    for (size_t i = 0; i < model->params.count; i++) {
        const bn_tensor *tensor = &model->params.tensors[i];
        switch (tensor->role) {
        case BN_ROLE_EMBED:
        case BN_ROLE_HEAD:
            bind_table(model, tensor, config);
            break;
        case BN_ROLE_FINAL_NORM:
            bind_gain(model, &model->final_site, tensor);
            break;
        case BN_ROLE_NORM:
            bind_gain(model, &model->blocks[tensor->layer].site[tensor->place], tensor);
            break;
        case BN_ROLE_LINEAR:
            model->blocks[tensor->layer].linear[tensor->place] =
                linear_at(model, tensor, bn_bitlinear_format(config));
            break;
        }
    }
}

static void set_sites(bn_model *model, const bn_config *config)
{
    const int norms[BN_BLOCK_SITES] = {
        [BN_SITE_ATTN] = config->model.attn_norm,
        [BN_SITE_ATTN_SUB] = config->model.attn_sub_norm,
        [BN_SITE_FFN] = config->model.ffn_norm,
        [BN_SITE_FFN_SUB] = config->model.ffn_sub_norm,
    };
    float eps = (float)config->model.norm_eps;
    for (int i = 0; i < model->layers * BN_BLOCK_SITES; i++) {
        model->blocks[i / BN_BLOCK_SITES].site[i % BN_BLOCK_SITES].norm =
            (bn_norm_site){.outer = norms[i % BN_BLOCK_SITES] != BN_NORM_NONE,
                           .inner = config->model.inner_norm,
                           .eps = eps};
    }
    model->final_site.norm = (bn_norm_site){.outer = true, .eps = eps};
}

/* Kernels index rows and elements of one matrix with int. */
static bn_status check_rows(const bn_config *config, bn_error *err)
{
    double rows = (double)config->train.batch * (double)config->model.context;
    double widest =
        (double)(config->model.ffn > config->model.width ? config->model.ffn : config->model.width);
    if (rows * widest > INT_MAX) {
        return bn_fail(err, BN_EINVAL,
                       "'train.batch' %lld times 'model.context' %lld is too large for one "
                       "micro-batch; raise 'train.accum' instead",
                       (long long)config->train.batch, (long long)config->model.context);
    }
    return BN_OK;
}

/* Everything but backend memory. */
static bn_status open_tables(bn_model *model, const bn_config *config, bn_error *err)
{
    if (check_rows(config, err) != BN_OK) return err->status;
    int heads = (int)config->model.heads, width = (int)config->model.width;
    model->layers = (int)config->model.layers;
    model->accum = (int)config->train.accum;
    model->init_std = config->model.init_std;
    model->embed_std = config->model.embed_std;
    model->shape = (bn_shape){.batch = (int)config->train.batch,
                              .seq = (int)config->model.context,
                              .rows = (int)(config->train.batch * config->model.context),
                              .width = width,
                              .heads = heads,
                              .kv_heads = (int)config->model.kv_heads,
                              .dim = width / heads,
                              .ffn = (int)config->model.ffn,
                              .rope_theta = (float)config->model.rope_theta,
                              .relu2 = config->model.activation == BN_ACTIVATION_RELU2,
                              .attention = bn_attention_dtype(config),
                              .activations = bn_activation_dtype(config, model->be.ops->halves)};
    if (bn_params_init(&model->params, config, err) != BN_OK) return err->status;
    model->blocks = calloc((size_t)model->layers, sizeof *model->blocks);
    if (!model->blocks) return bn_fail(err, BN_ENOMEM, "no memory for %d blocks", model->layers);
    set_sites(model, config);
    bind_tensors(model, config);
    return BN_OK;
}

static void measure(bn_model *model, const bn_config *config)
{
    cursor forms = {0}, activations = {0};
    size_t floats_bytes = model->params.floats * sizeof(float);
    lay_forms(model, &forms);
    lay_activations(model, &activations, config);
    model->bytes = (bn_model_bytes){.weights = floats_bytes + forms.used,
                                    .grads = floats_bytes,
                                    .optimizer = 2 * floats_bytes,
                                    .activations = activations.used};
}

/* One allocation of a network, and what makes it smaller. */
typedef struct part {
    const char *what, *advice;
    size_t bytes;
    void *memory;
} part;

/* The first that does not fit is named. */
static bn_status take_parts(bn_model *model, part *parts, int count, bn_error *err)
{
    const part *missing = NULL;
    for (int i = 0; i < count; i++) {
        parts[i].memory = bn_backend_alloc(model->be, parts[i].bytes);
        if (!parts[i].memory && !missing) missing = &parts[i];
    }
    if (bn_backend_sync(model->be, err) == BN_OK || !missing) return err->status;
    return bn_fail_in(err, "%s of %.0f MB (%s)", missing->what, (double)missing->bytes / 1e6,
                      missing->advice);
}

static bn_status take_memory(bn_model *model, const bn_config *config, bn_error *err)
{
    size_t floats_bytes = model->params.floats * sizeof(float);
    const char *smaller = "make 'model.width' or 'model.layers' smaller";
    measure(model, config);
    part parts[] = {{"weights", smaller, floats_bytes, NULL},
                    {"gradients", smaller, floats_bytes, NULL},
                    {"working forms", smaller, model->bytes.weights - floats_bytes, NULL},
                    {"activations", "lower 'train.batch' and raise 'train.accum'",
                     model->bytes.activations, NULL}};
    bn_status status = take_parts(model, parts, sizeof parts / sizeof parts[0], err);
    cursor forms = {0}, activations = {0};
    model->weights = parts[0].memory;
    model->grads = parts[1].memory;
    model->forms = parts[2].memory;
    model->activations = parts[3].memory;
    model->host_loss = calloc((size_t)model->shape.rows * (size_t)model->accum, sizeof(float));
    if (status != BN_OK) return status;
    if (!model->host_loss) return bn_fail(err, BN_ENOMEM, "no memory for the losses");
    bind_tensors(model, config);
    forms.base = model->forms;
    activations.base = model->activations;
    lay_forms(model, &forms);
    lay_activations(model, &activations, config);
    return BN_OK;
}

bn_status bn_model_open(bn_model **out, bn_backend be, const bn_config *config, bn_error *err)
{
    *out = NULL;
    bn_model *model = calloc(1, sizeof *model);
    if (!model) return bn_fail(err, BN_ENOMEM, "no memory for a model");
    model->be = be;
    bn_status status = open_tables(model, config, err);
    if (status == BN_OK) status = take_memory(model, config, err);
    if (status != BN_OK) {
        bn_model_close(model);
        return status;
    }
    *out = model;
    return BN_OK;
}

void bn_model_close(bn_model *model)
{
    if (!model) return;
    bn_backend_free(model->be, model->weights);
    bn_backend_free(model->be, model->grads);
    bn_backend_free(model->be, model->forms);
    bn_backend_free(model->be, model->activations);
    free(model->host_loss);
    free(model->blocks);
    bn_params_release(&model->params);
    free(model);
}

bn_status bn_model_measure(bn_model_bytes *out, bn_backend be, const bn_config *config,
                           bn_error *err)
{
    bn_model model = {.be = be};
    bn_status status = open_tables(&model, config, err);
    if (status == BN_OK) {
        measure(&model, config);
        *out = model.bytes;
    }
    free(model.blocks);
    bn_params_release(&model.params);
    return status;
}
