/* A network that only reads, from its weights: packed, or in training's form. */
#include <math.h>
#include <stdlib.h>

#include "engine/base/half.h"
#include "engine/checkpoint.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/infer_state.h"

static void *take(bn_infer *infer, size_t count, size_t size, size_t *total)
{
    *total += count * size;
    return bn_backend_alloc(infer->be, count * size);
}

static bn_mat take_mat(bn_infer *infer, int cols)
{
    size_t count = (size_t)BN_INFER_ROWS * (size_t)cols;
    float *data = take(infer, count, sizeof(float), &infer->bytes.activations);
    return (bn_mat){.data = data, .rows = BN_INFER_ROWS, .cols = cols};
}

static bn_act take_act(bn_infer *infer, int cols, bn_dtype dtype)
{
    bn_act act = {.rows = BN_INFER_ROWS, .cols = cols, .dtype = dtype};
    size_t *total = &infer->bytes.activations;
    act.data = take(infer, (size_t)BN_INFER_ROWS * (size_t)cols, bn_dtype_bytes(dtype), total);
    act.scale = take(infer, BN_INFER_ROWS, sizeof *act.scale, total);
    act.sum = take(infer, BN_INFER_ROWS, sizeof *act.sum, total);
    return act;
}

static bool codes_head(const bn_infer *infer)
{
    return infer->options.head == BN_INFER_HEAD_INT8;
}

static void take_activations(bn_infer *infer)
{
    const bn_shape *shape = &infer->shape;
    int kv_width = shape->kv_heads * shape->dim;
    infer->x = take_mat(infer, shape->width);
    infer->mid = take_mat(infer, shape->width);
    infer->q = take_mat(infer, shape->width);
    infer->k = take_mat(infer, kv_width);
    infer->v = take_mat(infer, kv_width);
    infer->attended = take_mat(infer, shape->width);
    infer->gate = take_mat(infer, shape->ffn);
    infer->up = take_mat(infer, shape->ffn);
    size_t vocab = (size_t)infer->config.model.vocab;
    infer->logits = (bn_mat){.rows = 1, .cols = (int)vocab};
    infer->logits.data = take(infer, vocab, sizeof(float), &infer->bytes.activations);
    infer->wide = take_act(infer, shape->width, bn_bitlinear_dtype(&infer->config));
    infer->hidden = take_act(infer, shape->ffn, bn_bitlinear_dtype(&infer->config));
    infer->last = take_act(infer, shape->width, codes_head(infer) ? BN_I8 : BN_F32);
    infer->stats = take(infer, (size_t)BN_INFER_ROWS * BN_NORM_STATS, sizeof(float),
                        &infer->bytes.activations);
}

/* The angles of training (engine/cpu/rope.c): frequency i is theta^(-2i / dim). */
static void take_cache(bn_infer *infer)
{
    const bn_shape *shape = &infer->shape;
    size_t context = (size_t)infer->config.model.context;
    size_t half = (size_t)shape->dim / 2;
    infer->cosine = take(infer, context * half, sizeof(float), &infer->bytes.activations);
    infer->sine = take(infer, context * half, sizeof(float), &infer->bytes.activations);
    for (int i = 0; i < infer->config.model.layers; i++) {
        bn_cache *cache = &infer->layers[i].cache;
        *cache = (bn_cache){.context = (int)context, .heads = shape->kv_heads, .dim = shape->dim};
        size_t floats = bn_cache_floats(infer->be, cache);
        cache->keys = take(infer, floats, sizeof(float), &infer->bytes.cache);
        cache->values = take(infer, floats, sizeof(float), &infer->bytes.cache);
    }
    if (!infer->cosine || !infer->sine) return;
    for (size_t i = 0; i < half; i++) {
        double frequency = pow((double)shape->rope_theta, -2.0 * (double)i / shape->dim);
        for (size_t t = 0; t < context; t++) {
            infer->cosine[t * half + i] = (float)cos((double)t * frequency);
            infer->sine[t * half + i] = (float)sin((double)t * frequency);
        }
    }
}

static bn_matrix_kind kind_of(const bn_infer *infer)
{
    int variant = infer->config.quant.variant;
    if (bn_bitlinear_dtype(&infer->config) != BN_I8) return BN_MATRIX_DENSE;
    return variant == BN_VARIANT_INT8 ? BN_MATRIX_BYTES : BN_MATRIX_PACKED;
}

/* One block of memory for all panels: a token reads it from one end to the other, on large pages.
 */
static void take_arena(bn_infer *infer)
{
    size_t bytes = 0;
    for (size_t i = 0; i < infer->params.count; i++) {
        const bn_tensor *tensor = &infer->params.tensors[i];
        bn_matrix m = {.kind = kind_of(infer), .rows = tensor->rows, .cols = tensor->cols};
        if (tensor->role == BN_ROLE_LINEAR) bytes += bn_matrix_bytes(infer->be, &m);
    }
    if (kind_of(infer) == BN_MATRIX_DENSE) return;
    infer->arena = take(infer, bytes, 1, &infer->bytes.linear);
}

/* The codes are training's own, made from the master and then dropped with it. */
static bn_status pack_matrix(bn_infer *infer, bn_matrix *m, const bn_weight *weight, bn_error *err)
{
    size_t count = (size_t)weight->rows * (size_t)weight->cols;
    int8_t *codes = malloc(count);
    m->panels = infer->arena + infer->arena_used;
    infer->arena_used += bn_matrix_bytes(infer->be, m);
    infer->bytes.linear += sizeof m->scale;
    if (codes) {
        bn_weight_codes(infer->be, weight, codes, &m->scale);
        bn_matrix_fill(infer->be, m, codes);
    } else {
        (void)bn_fail(err, BN_ENOMEM, "no memory for %zu codes", count);
    }
    free(codes);
    return err->status;
}

static bn_status make_matrix(bn_infer *infer, const bn_tensor *tensor, float *master, bn_error *err)
{
    bn_matrix *m = &infer->layers[tensor->layer].linear[tensor->place];
    bn_weight weight = {.master = master,
                        .rows = tensor->rows,
                        .cols = tensor->cols,
                        .format = bn_bitlinear_format(&infer->config)};
    size_t form = bn_weight_form_bytes(infer->be, weight.rows, weight.cols, weight.format);
    bool reads_master = weight.format.kind == BN_WEIGHT_F32;
    bn_status status = BN_OK;
    *m = (bn_matrix){.kind = kind_of(infer), .rows = tensor->rows, .cols = tensor->cols};
    weight.form = bn_backend_alloc(infer->be, form);
    infer->bytes.weights += (int64_t)tensor->count;
    if (weight.form) bn_weight_prepare(infer->be, &weight);
    if (weight.form && m->kind != BN_MATRIX_DENSE) {
        status = pack_matrix(infer, m, &weight, err);
        bn_backend_free(infer->be, weight.form);
        weight.form = NULL;
    }
    if (m->kind == BN_MATRIX_DENSE) {
        infer->bytes.linear += reads_master ? tensor->count * sizeof(float) : form;
    }
    if (m->kind != BN_MATRIX_DENSE || !reads_master) {
        bn_backend_free(infer->be, master);
        weight.master = NULL;
    }
    m->weight = weight;
    return status == BN_OK ? bn_backend_sync(infer->be, err) : status;
}

static void round_head(bn_infer *infer, const float *values, size_t count)
{
    infer->half_head = take(infer, count, sizeof(uint16_t), &infer->bytes.head);
    if (!infer->half_head) return;
    for (size_t i = 0; i < count; i++) infer->half_head[i] = bn_bf16_from_float(values[i]);
}

/* Each row has the unit that takes its largest value to 127. */
static bn_status code_head(bn_infer *infer, const bn_tensor *tensor, const float *values,
                           bn_error *err)
{
    bn_matrix *m = &infer->coded_head;
    size_t cols = (size_t)tensor->cols;
    *m = (bn_matrix){
        .kind = BN_MATRIX_BYTES, .rows = tensor->rows, .cols = tensor->cols, .scale = 1};
    int8_t *codes = malloc(tensor->count);
    size_t *total = &infer->bytes.head;
    infer->head_units = take(infer, (size_t)tensor->rows, sizeof(float), total);
    m->units = infer->head_units;
    m->panels = take(infer, bn_matrix_bytes(infer->be, m), 1, total);
    for (size_t r = 0; codes && m->panels && infer->head_units && r < (size_t)tensor->rows; r++) {
        const float *row = values + r * cols;
        float most = 0;
        for (size_t i = 0; i < cols; i++) most = fmaxf(most, fabsf(row[i]));
        infer->head_units[r] = most / 127.0F;
        float factor = most > 0 ? 127.0F / most : 0.0F;
        for (size_t i = 0; i < cols; i++) codes[r * cols + i] = (int8_t)rintf(row[i] * factor);
    }
    if (!codes) (void)bn_fail(err, BN_ENOMEM, "no memory for %zu codes", tensor->count);
    if (codes && m->panels) bn_matrix_fill(infer->be, m, codes);
    free(codes);
    return err->status;
}

static bn_status make_table(bn_infer *infer, const bn_tensor *tensor, float *values, bn_error *err)
{
    bool is_head = tensor->role == BN_ROLE_HEAD || infer->config.model.tied;
    bool coded = is_head && codes_head(infer);
    bool half = is_head && !coded && bn_head_dtype(&infer->config) == BN_BF16;
    bool wide = is_head && !coded && !half;
    if (tensor->role == BN_ROLE_EMBED) {
        infer->table = values;
        infer->bytes.table += tensor->count * sizeof *values;
    }
    if (half) round_head(infer, values, tensor->count);
    if (wide) infer->wide_head = values;
    if (coded && code_head(infer, tensor, values, err) != BN_OK) return err->status;
    if (tensor->role == BN_ROLE_HEAD && wide) {
        infer->own_head = values;
        infer->bytes.head += tensor->count * sizeof *values;
    } else if (tensor->role == BN_ROLE_HEAD) {
        bn_backend_free(infer->be, values);
    }
    return BN_OK;
}

static bn_status read_tensor(bn_infer *infer, const bn_tensor *tensor, bn_infer_source source,
                             bn_error *err)
{
    float *values = bn_backend_alloc(infer->be, tensor->count * sizeof *values);
    if (!values) return bn_backend_sync(infer->be, err);
    bn_status status = source.read(source.self, tensor, values, err);
    if (status != BN_OK) {
        bn_backend_free(infer->be, values);
        return status;
    }
    switch (tensor->role) {
    case BN_ROLE_EMBED:
    case BN_ROLE_HEAD:
        return make_table(infer, tensor, values, err);
    case BN_ROLE_FINAL_NORM:
        infer->final_site.gain = infer->final_gain = values;
        break;
    case BN_ROLE_NORM:
        infer->layers[tensor->layer].gain[tensor->place] = values;
        infer->layers[tensor->layer].site[tensor->place].gain = values;
        break;
    case BN_ROLE_LINEAR:
        return make_matrix(infer, tensor, values, err);
    }
    return BN_OK;
}

static void set_sites(bn_infer *infer)
{
    const bn_config *config = &infer->config;
    float eps = (float)config->model.norm_eps;
    const int norms[BN_BLOCK_SITES] = {
        [BN_SITE_ATTN] = config->model.attn_norm,
        [BN_SITE_ATTN_SUB] = config->model.attn_sub_norm,
        [BN_SITE_FFN] = config->model.ffn_norm,
        [BN_SITE_FFN_SUB] = config->model.ffn_sub_norm,
    };
    for (int i = 0; i < config->model.layers; i++) {
        for (size_t s = 0; s < BN_BLOCK_SITES; s++) {
            infer->layers[i].site[s] = (bn_norm_site){
                .outer = norms[s] != BN_NORM_NONE, .inner = config->model.inner_norm, .eps = eps};
        }
    }
    infer->final_site = (bn_norm_site){.outer = true, .eps = eps};
}

static bn_step linear_step(const bn_infer *infer, int layer, int site, bn_mat x)
{
    bn_step step = {.kind = BN_STEP_LINEAR};
    step.linear = (bn_linear_step){.site = infer->layers[layer].site[site], .x = x};
    step.linear.input = site == BN_SITE_FFN_SUB ? infer->hidden : infer->wide;
    return step;
}

static void add_product(bn_step *step, const bn_matrix *weight, bn_mat out)
{
    step->linear.weights[step->linear.count] = weight;
    step->linear.out[step->linear.count++] = out.data;
}

/* block.h's formulas, from x to x. */
static void set_layer_steps(bn_infer *infer, int layer)
{
    const bn_infer_layer *l = &infer->layers[layer];
    bn_step *steps = infer->steps + (size_t)layer * BN_INFER_STEPS;
    steps[0] = linear_step(infer, layer, BN_SITE_ATTN, infer->x);
    add_product(&steps[0], &l->linear[BN_LINEAR_Q], infer->q);
    add_product(&steps[0], &l->linear[BN_LINEAR_K], infer->k);
    add_product(&steps[0], &l->linear[BN_LINEAR_V], infer->v);
    steps[1] = (bn_step){.kind = BN_STEP_ATTEND};
    steps[1].attend = (bn_attend_step){.q = infer->q,
                                       .k = infer->k,
                                       .v = infer->v,
                                       .out = infer->attended.data,
                                       .cache = &l->cache,
                                       .cosine = infer->cosine,
                                       .sine = infer->sine,
                                       .heads = infer->shape.heads};
    steps[2] = linear_step(infer, layer, BN_SITE_ATTN_SUB, infer->attended);
    add_product(&steps[2], &l->linear[BN_LINEAR_O], infer->mid);
    steps[2].linear.residual = infer->x.data;
    steps[3] = linear_step(infer, layer, BN_SITE_FFN, infer->mid);
    add_product(&steps[3], &l->linear[BN_LINEAR_GATE], infer->gate);
    add_product(&steps[3], &l->linear[BN_LINEAR_UP], infer->up);
    steps[3].linear.gated = true;
    steps[3].linear.relu2 = infer->shape.relu2;
    steps[4] = linear_step(infer, layer, BN_SITE_FFN_SUB, infer->gate);
    add_product(&steps[4], &l->linear[BN_LINEAR_DOWN], infer->x);
    steps[4].linear.residual = infer->mid.data;
}

/* One token goes on to its logits without a pause. */
static void set_head_step(bn_infer *infer)
{
    bn_step *step = &infer->steps[infer->token_steps++];
    *step = (bn_step){.kind = BN_STEP_LINEAR};
    step->linear = (bn_linear_step){.site = infer->final_site, .x = infer->x, .input = infer->last};
    add_product(step, &infer->coded_head, infer->logits);
}

static bn_status build(bn_infer *infer, bn_infer_source source, bn_error *err)
{
    const bn_config *config = &infer->config;
    int heads = (int)config->model.heads;
    infer->shape = (bn_shape){.batch = 1,
                              .seq = BN_INFER_ROWS,
                              .rows = BN_INFER_ROWS,
                              .width = (int)config->model.width,
                              .heads = heads,
                              .kv_heads = (int)config->model.kv_heads,
                              .dim = (int)config->model.width / heads,
                              .ffn = (int)config->model.ffn,
                              .rope_theta = (float)config->model.rope_theta,
                              .relu2 = config->model.activation == BN_ACTIVATION_RELU2};
    if (bn_params_init(&infer->params, config, err) != BN_OK) return err->status;
    infer->layers = calloc((size_t)config->model.layers, sizeof *infer->layers);
    infer->steps = calloc((size_t)config->model.layers * BN_INFER_STEPS + 1, sizeof *infer->steps);
    if (!infer->layers || !infer->steps) return bn_fail(err, BN_ENOMEM, "no memory for the layers");
    set_sites(infer);
    take_activations(infer);
    take_cache(infer);
    take_arena(infer);
    if (bn_backend_sync(infer->be, err) != BN_OK) return err->status;
    for (size_t i = 0; i < infer->params.count; i++) {
        bn_status status = read_tensor(infer, &infer->params.tensors[i], source, err);
        if (status != BN_OK) return bn_fail_in(err, "%s", infer->params.tensors[i].name);
    }
    for (int i = 0; i < config->model.layers; i++) set_layer_steps(infer, i);
    infer->layer_steps = infer->token_steps = (int)config->model.layers * BN_INFER_STEPS;
    if (codes_head(infer)) set_head_step(infer);
    return bn_stepper_open(&infer->stepper, infer->be, infer->steps, infer->token_steps, err);
}

bn_status bn_infer_open(bn_infer **out, const bn_config *config, bn_infer_source source,
                        const bn_infer_options *options, bn_error *err)
{
    *out = NULL;
    bn_infer *infer = calloc(1, sizeof *infer);
    if (!infer) return bn_fail(err, BN_ENOMEM, "no memory for a network");
    infer->config = *config;
    infer->options = *options;
    bn_status status = bn_cpu_open(&infer->be, options->threads, err);
    if (status == BN_OK) status = build(infer, source, err);
    if (status != BN_OK) {
        bn_infer_close(infer);
        return status;
    }
    *out = infer;
    return BN_OK;
}

/* As a checkpoint has it: a gain [cols], all else [rows, cols]. */
static bool has_shape(const bn_st_tensor *found, const bn_tensor *tensor)
{
    bool gain = tensor->role == BN_ROLE_NORM || tensor->role == BN_ROLE_FINAL_NORM;
    if (gain) return found->dims == 1 && found->shape[0] == tensor->cols;
    return found->dims == 2 && found->shape[0] == tensor->rows && found->shape[1] == tensor->cols;
}

static bn_status read_from_file(void *self, const bn_tensor *tensor, float *out, bn_error *err)
{
    bn_st_reader *file = self;
    const bn_st_tensor *found = bn_st_find(file, tensor->name);
    if (!found || found->type != BN_ST_F32 || !has_shape(found, tensor)) {
        return bn_fail(err, BN_ECORRUPT, "the file has no such tensor of %d x %d floats",
                       tensor->rows, tensor->cols);
    }
    return bn_st_read(file, found, 0, out, tensor->count * sizeof *out, err);
}

bn_status bn_infer_open_file(bn_infer **out, const char *path, const bn_infer_options *options,
                             bn_error *err)
{
    bn_st_reader *file = NULL;
    bn_config config;
    *out = NULL;
    bn_status status = bn_st_open(&file, path, err);
    if (status == BN_OK) status = bn_st_verify(file, err);
    if (status != BN_OK) { /* and the file is named */
        bn_st_close(file);
        return status;
    }
    status = bn_checkpoint_config(&config, file, err);
    if (status == BN_OK) {
        bn_infer_source source = {read_from_file, file};
        status = bn_infer_open(out, &config, source, options, err);
    }
    bn_st_close(file);
    return status == BN_OK ? BN_OK : bn_fail_in(err, "%s", path);
}

static void free_layer(bn_infer *infer, bn_infer_layer *l)
{
    for (size_t i = 0; i < BN_BLOCK_LINEARS; i++) {
        bn_backend_free(infer->be, l->linear[i].weight.master);
        bn_backend_free(infer->be, l->linear[i].weight.form);
    }
    for (size_t i = 0; i < BN_BLOCK_SITES; i++) bn_backend_free(infer->be, l->gain[i]);
    bn_backend_free(infer->be, l->cache.keys);
    bn_backend_free(infer->be, l->cache.values);
}

void bn_infer_close(bn_infer *infer)
{
    if (!infer) return;
    if (infer->be.ops) {
        for (int i = 0; infer->layers && i < infer->config.model.layers; i++) {
            free_layer(infer, &infer->layers[i]);
        }
        bn_stepper_close(infer->stepper);
        void *memory[] = {infer->arena,         infer->head_units,  infer->coded_head.panels,
                          infer->final_gain,    infer->table,       infer->own_head,
                          infer->half_head,     infer->cosine,      infer->sine,
                          infer->x.data,        infer->mid.data,    infer->q.data,
                          infer->k.data,        infer->v.data,      infer->gate.data,
                          infer->attended.data, infer->up.data,     infer->logits.data,
                          infer->stats,         infer->wide.data,   infer->wide.scale,
                          infer->wide.sum,      infer->hidden.data, infer->hidden.scale,
                          infer->hidden.sum,    infer->last.data,   infer->last.scale,
                          infer->last.sum};
        for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) {
            bn_backend_free(infer->be, memory[i]);
        }
        bn_backend_close(infer->be);
    }
    bn_params_release(&infer->params);
    free(infer->layers);
    free(infer->steps);
    free(infer);
}
