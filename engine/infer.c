#include "engine/infer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/half.h"
#include "engine/block.h"
#include "engine/checkpoint.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/cpu_infer.h"

/* One linear layer: packed, or as training has it. */
typedef struct matrix {
    bool is_packed;
    bn_packed packed;
    bn_weight weight;
} matrix;

typedef struct layer {
    matrix linear[BN_BLOCK_LINEARS];
    bn_norm_site site[BN_BLOCK_SITES];
    float *gain[BN_BLOCK_SITES]; /* what the sites read; NULL: without */
    float *keys, *values;        /* [context, kv_heads * dim] */
} layer;

struct bn_infer {
    bn_config config;
    bn_backend be;
    bn_params params;
    bn_shape shape; /* of one sequence of BN_INFER_ROWS tokens */
    layer *layers;
    bn_norm_site final_site;
    float *final_gain;
    float *table;           /* [vocab, width] */
    const float *wide_head; /* [vocab, width]: the table, or one of its own */
    float *own_head;
    uint16_t *half_head; /* [vocab, width] bf16, instead of wide_head */
    float *cosine, *sine;
    bn_mat x, mid, q, k, v, attended, gate, up, logits;
    bn_act wide, hidden, last; /* inputs of linear layers and head */
    float *stats;
    int position;
    bn_infer_bytes bytes;
};

static void *take(bn_infer *infer, size_t count, size_t size, size_t *total)
{
    *total += count * size;
    return bn_backend_alloc(infer->be, count * size);
}

static bn_mat take_mat(bn_infer *infer, int cols)
{
    size_t count = (size_t)BN_INFER_ROWS * (size_t)cols;
    float *data = take(infer, count, sizeof(float), &infer->bytes.activations);
    return (bn_mat){data, BN_INFER_ROWS, cols};
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
    infer->logits = take_mat(infer, (int)infer->config.model.vocab);
    infer->wide = take_act(infer, shape->width, bn_bitlinear_dtype(&infer->config));
    infer->hidden = take_act(infer, shape->ffn, bn_bitlinear_dtype(&infer->config));
    infer->last = take_act(infer, shape->width, BN_F32);
    infer->stats = take(infer, (size_t)BN_INFER_ROWS * BN_NORM_STATS, sizeof(float),
                        &infer->bytes.activations);
}

/* The angles of training (engine/cpu/rope.c): frequency i is theta^(-2i / dim). */
static void take_cache(bn_infer *infer)
{
    const bn_shape *shape = &infer->shape;
    size_t context = (size_t)infer->config.model.context;
    size_t half = (size_t)shape->dim / 2;
    size_t width = (size_t)shape->kv_heads * (size_t)shape->dim;
    infer->cosine = take(infer, context * half, sizeof(float), &infer->bytes.activations);
    infer->sine = take(infer, context * half, sizeof(float), &infer->bytes.activations);
    for (int i = 0; i < infer->config.model.layers; i++) {
        layer *l = &infer->layers[i];
        l->keys = take(infer, context * width, sizeof(float), &infer->bytes.cache);
        l->values = take(infer, context * width, sizeof(float), &infer->bytes.cache);
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

static bool packs(const bn_infer *infer)
{
    int variant = infer->config.quant.variant;
    bool two_bit = variant == BN_VARIANT_TERNARY || variant == BN_VARIANT_BINARY;
    return two_bit && bn_bitlinear_dtype(&infer->config) == BN_I8;
}

/* The codes are training's own, made from the master and then dropped with it. */
static bn_status pack_matrix(bn_infer *infer, matrix *m, bn_error *err)
{
    const bn_weight *weight = &m->weight;
    size_t count = (size_t)weight->rows * (size_t)weight->cols;
    int8_t *codes = malloc(count);
    m->is_packed = true;
    m->packed = (bn_packed){.rows = weight->rows, .cols = weight->cols};
    size_t bytes = bn_packed_bytes(infer->be, weight->rows, weight->cols);
    m->packed.panels = take(infer, bytes, 1, &infer->bytes.linear);
    infer->bytes.linear += sizeof m->packed.scale;
    if (codes && m->packed.panels) {
        bn_weight_codes(infer->be, weight, codes, &m->packed.scale);
        bn_packed_fill(infer->be, &m->packed, codes);
    } else {
        (void)bn_fail(err, BN_ENOMEM, "no memory for %zu codes", count);
    }
    free(codes);
    return err->status;
}

static bn_status make_matrix(bn_infer *infer, const bn_tensor *tensor, float *master, bn_error *err)
{
    matrix *m = &infer->layers[tensor->layer].linear[tensor->place];
    bn_weight *weight = &m->weight;
    *weight = (bn_weight){.master = master,
                          .rows = tensor->rows,
                          .cols = tensor->cols,
                          .format = bn_bitlinear_format(&infer->config)};
    size_t form = bn_weight_form_bytes(infer->be, weight->rows, weight->cols, weight->format);
    weight->form = bn_backend_alloc(infer->be, form);
    infer->bytes.weights += (int64_t)tensor->count;
    if (!weight->form) return bn_backend_sync(infer->be, err);
    bn_weight_prepare(infer->be, weight);
    if (!packs(infer)) {
        bool reads_master = weight->format.kind == BN_WEIGHT_F32;
        infer->bytes.linear += reads_master ? tensor->count * sizeof(float) : form;
        if (reads_master) return BN_OK;
        bn_backend_free(infer->be, master);
        weight->master = NULL;
        return BN_OK;
    }
    bn_status status = pack_matrix(infer, m, err);
    bn_backend_free(infer->be, weight->form);
    bn_backend_free(infer->be, master);
    weight->form = NULL;
    weight->master = NULL;
    return status;
}

static void round_head(bn_infer *infer, const float *values, size_t count)
{
    infer->half_head = take(infer, count, sizeof(uint16_t), &infer->bytes.head);
    if (!infer->half_head) return;
    for (size_t i = 0; i < count; i++) infer->half_head[i] = bn_bf16_from_float(values[i]);
}

static void make_table(bn_infer *infer, const bn_tensor *tensor, float *values)
{
    bool is_head = tensor->role == BN_ROLE_HEAD || infer->config.model.tied;
    bool half = bn_head_dtype(&infer->config) == BN_BF16;
    if (tensor->role == BN_ROLE_EMBED) {
        infer->table = values;
        infer->bytes.table += tensor->count * sizeof *values;
    }
    if (is_head && half) round_head(infer, values, tensor->count);
    if (is_head && !half) infer->wide_head = values;
    if (tensor->role != BN_ROLE_HEAD) return;
    infer->own_head = values;
    if (half) {
        bn_backend_free(infer->be, infer->own_head);
        infer->own_head = NULL;
    } else {
        infer->bytes.head += tensor->count * sizeof *values;
    }
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
        make_table(infer, tensor, values);
        break;
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
    if (!infer->layers) return bn_fail(err, BN_ENOMEM, "no memory for the layers");
    set_sites(infer);
    take_activations(infer);
    take_cache(infer);
    for (size_t i = 0; i < infer->params.count; i++) {
        bn_status status = read_tensor(infer, &infer->params.tensors[i], source, err);
        if (status != BN_OK) return bn_fail_in(err, "%s", infer->params.tensors[i].name);
    }
    return bn_backend_sync(infer->be, err);
}

bn_status bn_infer_open(bn_infer **out, const bn_config *config, bn_infer_source source,
                        int threads, bn_error *err)
{
    *out = NULL;
    bn_infer *infer = calloc(1, sizeof *infer);
    if (!infer) return bn_fail(err, BN_ENOMEM, "no memory for a network");
    infer->config = *config;
    bn_status status = bn_cpu_open(&infer->be, threads, err);
    if (status == BN_OK) status = build(infer, source, err);
    if (status != BN_OK) {
        bn_infer_close(infer);
        return status;
    }
    *out = infer;
    return BN_OK;
}

static bn_status read_from_file(void *self, const bn_tensor *tensor, float *out, bn_error *err)
{
    bn_st_reader *file = self;
    size_t bytes = tensor->count * sizeof *out;
    const bn_st_tensor *found = bn_st_find(file, tensor->name);
    if (!found || found->type != BN_ST_F32 || found->end - found->begin != bytes) {
        return bn_fail(err, BN_ECORRUPT, "the file has no such tensor of %zu floats",
                       tensor->count);
    }
    return bn_st_read(file, found, 0, out, bytes, err);
}

bn_status bn_infer_open_file(bn_infer **out, const char *path, int threads, bn_error *err)
{
    bn_st_reader *file = NULL;
    bn_config config;
    *out = NULL;
    bn_status status = bn_st_open(&file, path, err);
    if (status == BN_OK) status = bn_st_verify(file, err);
    if (status == BN_OK) status = bn_checkpoint_config(&config, file, err);
    if (status == BN_OK) {
        bn_infer_source source = {read_from_file, file};
        status = bn_infer_open(out, &config, source, threads, err);
    }
    bn_st_close(file);
    return status == BN_OK ? BN_OK : bn_fail_in(err, "%s", path);
}

static void free_layer(bn_infer *infer, layer *l)
{
    for (size_t i = 0; i < BN_BLOCK_LINEARS; i++) {
        bn_backend_free(infer->be, l->linear[i].packed.panels);
        bn_backend_free(infer->be, l->linear[i].weight.master);
        bn_backend_free(infer->be, l->linear[i].weight.form);
    }
    for (size_t i = 0; i < BN_BLOCK_SITES; i++) bn_backend_free(infer->be, l->gain[i]);
    bn_backend_free(infer->be, l->keys);
    bn_backend_free(infer->be, l->values);
}

void bn_infer_close(bn_infer *infer)
{
    if (!infer) return;
    if (infer->be.ops) {
        for (int i = 0; infer->layers && i < infer->config.model.layers; i++) {
            free_layer(infer, &infer->layers[i]);
        }
        void *memory[] = {
            infer->final_gain,    infer->table,      infer->own_head,    infer->half_head,
            infer->cosine,        infer->sine,       infer->x.data,      infer->mid.data,
            infer->q.data,        infer->k.data,     infer->v.data,      infer->gate.data,
            infer->attended.data, infer->up.data,    infer->logits.data, infer->stats,
            infer->wide.data,     infer->wide.scale, infer->wide.sum,    infer->hidden.data,
            infer->hidden.scale,  infer->hidden.sum, infer->last.data,   infer->last.scale,
            infer->last.sum};
        for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) {
            bn_backend_free(infer->be, memory[i]);
        }
        bn_backend_close(infer->be);
    }
    bn_params_release(&infer->params);
    free(infer->layers);
    free(infer);
}

const bn_config *bn_infer_config(const bn_infer *infer)
{
    return &infer->config;
}

bn_infer_bytes bn_infer_measure(const bn_infer *infer)
{
    return infer->bytes;
}

int bn_infer_position(const bn_infer *infer)
{
    return infer->position;
}

void bn_infer_reset(bn_infer *infer)
{
    infer->position = 0;
}

/* The first `rows` rows. */
static bn_mat head_of(bn_mat mat, int rows)
{
    mat.rows = rows;
    return mat;
}

static bn_act first_of(bn_act act, int rows)
{
    act.rows = rows;
    return act;
}

static void multiply(bn_infer *infer, bn_mat out, const float *residual, bn_act x, const matrix *m)
{
    if (m->is_packed) {
        bn_packed_forward(infer->be, out, residual, x, &m->packed);
    } else {
        bn_dense_forward(infer->be, out, residual, x, &m->weight);
    }
}

static void norm(bn_infer *infer, const bn_norm_site *site, bn_mat x, bn_act out)
{
    bn_norm_args args = {.site = *site, .x = x, .out = out, .stats = infer->stats};
    bn_norm_forward(infer->be, &args);
}

static void attend(bn_infer *infer, const layer *l, bn_mat q, bn_mat k, bn_mat v)
{
    const bn_shape *shape = &infer->shape;
    bn_cached_attention args = {.q = q,
                                .k = k,
                                .v = v,
                                .out = head_of(infer->attended, q.rows),
                                .keys = l->keys,
                                .values = l->values,
                                .cosine = infer->cosine,
                                .sine = infer->sine,
                                .start = infer->position,
                                .heads = shape->heads,
                                .kv_heads = shape->kv_heads,
                                .dim = shape->dim};
    bn_attention_cached(infer->be, &args);
}

/* block.h's formulas on rows of one sequence, from x to x. */
static void run_layer(bn_infer *infer, const layer *l, int rows)
{
    bn_mat x = head_of(infer->x, rows), mid = head_of(infer->mid, rows);
    bn_mat q = head_of(infer->q, rows), k = head_of(infer->k, rows), v = head_of(infer->v, rows);
    bn_mat gate = head_of(infer->gate, rows), up = head_of(infer->up, rows);
    bn_act wide = first_of(infer->wide, rows), hidden = first_of(infer->hidden, rows);
    norm(infer, &l->site[BN_SITE_ATTN], x, wide);
    multiply(infer, q, NULL, wide, &l->linear[BN_LINEAR_Q]);
    multiply(infer, k, NULL, wide, &l->linear[BN_LINEAR_K]);
    multiply(infer, v, NULL, wide, &l->linear[BN_LINEAR_V]);
    attend(infer, l, q, k, v);
    norm(infer, &l->site[BN_SITE_ATTN_SUB], head_of(infer->attended, rows), wide);
    multiply(infer, mid, x.data, wide, &l->linear[BN_LINEAR_O]);
    norm(infer, &l->site[BN_SITE_FFN], mid, wide);
    multiply(infer, gate, NULL, wide, &l->linear[BN_LINEAR_GATE]);
    multiply(infer, up, NULL, wide, &l->linear[BN_LINEAR_UP]);
    bn_glu_args glu = {.site = l->site[BN_SITE_FFN_SUB],
                       .gate = gate,
                       .up = up,
                       .out = hidden,
                       .stats = infer->stats,
                       .relu2 = infer->shape.relu2};
    bn_glu_forward(infer->be, &glu);
    multiply(infer, x, mid.data, hidden, &l->linear[BN_LINEAR_DOWN]);
}

/* Logits of the rows first ... rows - 1 of x. */
static void run_head(bn_infer *infer, int first, int rows)
{
    size_t width = (size_t)infer->shape.width;
    bn_mat x = {infer->x.data + (size_t)first * width, rows - first, infer->shape.width};
    bn_act last = first_of(infer->last, x.rows);
    norm(infer, &infer->final_site, x, last);
    float *values = last.data;
    size_t count = (size_t)x.rows * width;
    for (size_t i = 0; i < count && infer->half_head; i++) {
        values[i] = bn_bf16_to_float(bn_bf16_from_float(values[i]));
    }
    bn_logits_args args = {.x = {values, x.rows, x.cols},
                           .wide = infer->wide_head,
                           .half = infer->half_head,
                           .out = head_of(infer->logits, x.rows)};
    bn_logits_forward(infer->be, &args);
}

static void run_rows(bn_infer *infer, const int32_t *tokens, int rows)
{
    size_t width = (size_t)infer->shape.width;
    for (int r = 0; r < rows; r++) {
        memcpy(infer->x.data + (size_t)r * width, infer->table + (size_t)tokens[r] * width,
               width * sizeof(float));
    }
    for (int i = 0; i < infer->config.model.layers; i++) {
        run_layer(infer, &infer->layers[i], rows);
    }
    infer->position += rows;
}

bn_status bn_infer_read(bn_infer *infer, const int32_t *tokens, int count, bool all,
                        const float **logits, bn_error *err)
{
    assert(count > 0 && (!all || count <= BN_INFER_ROWS));
    const bn_config *config = &infer->config;
    if (infer->position > config->model.context - count) {
        return bn_fail(err, BN_EINVAL, "%d tokens after %d are more than 'model.context' %lld",
                       count, infer->position, (long long)config->model.context);
    }
    for (int i = 0; i < count; i++) {
        if (tokens[i] >= 0 && tokens[i] < config->model.vocab) continue;
        return bn_fail(err, BN_EINVAL, "token %d is outside the vocabulary of %lld", tokens[i],
                       (long long)config->model.vocab);
    }
    int rows = 0;
    for (int done = 0; done < count; done += rows) {
        rows = count - done < BN_INFER_ROWS ? count - done : BN_INFER_ROWS;
        run_rows(infer, tokens + done, rows);
    }
    run_head(infer, all ? 0 : rows - 1, rows);
    *logits = infer->logits.data;
    return bn_backend_sync(infer->be, err);
}
