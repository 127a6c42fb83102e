#include "engine/ops.h"

#include <assert.h>

/* Asserts are the callers' contract with every backend; a backend checks nothing again. */

static bool same_shape(bn_mat a, bn_mat b)
{
    return a.rows == b.rows && a.cols == b.cols;
}

static bool same_kind(bn_mat a, bn_mat b)
{
    return same_shape(a, b) && a.dtype == b.dtype && a.dtype != BN_I8;
}

void *bn_backend_alloc(bn_backend be, size_t bytes)
{
    return be.ops->alloc(be.self, bytes);
}

void bn_backend_free(bn_backend be, void *memory)
{
    if (memory) be.ops->free(be.self, memory);
}

void bn_backend_write(bn_backend be, void *to, const void *from_host, size_t bytes)
{
    be.ops->write(be.self, to, from_host, bytes);
}

void bn_backend_read(bn_backend be, void *to_host, const void *from, size_t bytes)
{
    be.ops->read(be.self, to_host, from, bytes);
}

void bn_backend_zero(bn_backend be, void *memory, size_t bytes)
{
    be.ops->zero(be.self, memory, bytes);
}

bn_status bn_backend_sync(bn_backend be, bn_error *err)
{
    return be.ops->sync(be.self, err);
}

void bn_backend_close(bn_backend be)
{
    if (be.ops) be.ops->close(be.self);
}

bool bn_backend_replay(bn_backend be, uint64_t key)
{
    return be.ops->replay(be.self, key);
}

void bn_backend_replay_end(bn_backend be)
{
    be.ops->replay_end(be.self);
}

void bn_backend_mark(bn_backend be, int mark)
{
    assert(mark >= 0 && mark < BN_MARKS);
    be.ops->mark(be.self, mark);
}

double bn_backend_seconds(bn_backend be, int from, int to)
{
    assert(from >= 0 && from < BN_MARKS && to >= 0 && to < BN_MARKS);
    return be.ops->seconds(be.self, from, to);
}

size_t bn_weight_form_bytes(bn_backend be, int rows, int cols, bn_weight_format format)
{
    assert(rows > 0 && cols > 0);
    return be.ops->weight_form_bytes(be.self, rows, cols, format);
}

void bn_weight_prepare(bn_backend be, const bn_weight *weight)
{
    assert(weight->rows > 0 && weight->cols > 0);
    be.ops->weight_prepare(be.self, weight);
}

void bn_weight_codes(bn_backend be, const bn_weight *weight, int8_t *codes, float *scale)
{
    assert(bn_weight_dtype(weight->format.kind) == BN_I8);
    be.ops->weight_codes(be.self, weight, codes, scale);
}

void bn_embed_forward(bn_backend be, bn_mat out, bn_mat table, const int32_t *tokens)
{
    assert(out.cols == table.cols && out.dtype == BN_F32 && table.dtype == BN_F32);
    be.ops->embed_forward(be.self, out, table, tokens);
}

void bn_embed_backward(bn_backend be, bn_mat dtable, bn_mat dout, const int32_t *tokens)
{
    assert(dtable.cols == dout.cols && dtable.dtype == BN_F32 && dout.dtype == BN_F32);
    be.ops->embed_backward(be.self, dtable, dout, tokens);
}

static void check_site(const bn_norm_site *site)
{
    assert(site->outer || !site->gain);
    assert(!site->outer || site->eps > 0);
    (void)site;
}

void bn_norm_forward(bn_backend be, const bn_norm_args *args)
{
    check_site(&args->site);
    assert(args->x.rows == args->out.rows && args->x.cols == args->out.cols);
    assert(args->x.dtype != BN_I8);
    be.ops->norm_forward(be.self, args);
}

void bn_norm_backward(bn_backend be, const bn_norm_args *args, const bn_norm_grads *grads)
{
    check_site(&args->site);
    assert(same_shape(args->x, grads->dy) && same_shape(args->x, grads->dx));
    assert(grads->dy.dtype != BN_I8 && grads->dx.dtype != BN_I8);
    assert(!grads->add || grads->dx.dtype == BN_F32);
    assert(!args->site.gain == !grads->dgain);
    be.ops->norm_backward(be.self, args, grads);
}

void bn_glu_forward(bn_backend be, const bn_glu_args *args)
{
    check_site(&args->site);
    assert(same_kind(args->gate, args->up));
    assert(args->gate.rows == args->out.rows && args->gate.cols == args->out.cols);
    be.ops->glu_forward(be.self, args);
}

void bn_glu_backward(bn_backend be, const bn_glu_args *args, const bn_glu_grads *grads)
{
    check_site(&args->site);
    assert(same_kind(args->gate, args->up) && same_kind(args->gate, grads->dy));
    assert(same_kind(args->gate, grads->dgate) && same_kind(args->gate, grads->dup));
    assert(!args->site.gain == !grads->dgain);
    be.ops->glu_backward(be.self, args, grads);
}

/* Int8 activations only meet integer codes; an int32 sum of 127 * 127 * length must not wrap. */
static void check_operands(bn_act x, const bn_weight *weight)
{
    assert(x.cols == weight->cols);
    assert(x.dtype != BN_I8 || bn_weight_dtype(weight->format.kind) == BN_I8);
    assert(x.rows <= BN_LENGTH_MAX && x.cols <= BN_LENGTH_MAX && weight->rows <= BN_LENGTH_MAX);
    (void)x, (void)weight;
}

static bool same_format(bn_weight_format a, bn_weight_format b)
{
    return a.kind == b.kind && a.backward == b.backward;
}

void bn_linear_forward(bn_backend be, bn_act x, const bn_linear_out *layers, int count)
{
    assert(count >= 1 && count <= BN_SITE_LAYERS_MAX);
    for (int i = 0; i < count; i++) {
        check_operands(x, layers[i].weight);
        assert(same_format(layers[i].weight->format, layers[0].weight->format));
        assert(layers[i].out.rows == x.rows && layers[i].out.cols == layers[i].weight->rows);
        assert(layers[i].out.dtype == layers[0].out.dtype && layers[i].out.dtype != BN_I8);
        assert(!layers[i].residual || layers[i].out.dtype == BN_F32);
    }
    be.ops->linear_forward(be.self, x, layers, count);
}

void bn_linear_backward(bn_backend be, bn_mat dx, bn_act x, const bn_linear_grad *layers, int count)
{
    assert(count >= 1 && count <= BN_SITE_LAYERS_MAX);
    assert(!dx.data || (dx.rows == x.rows && dx.cols == x.cols && dx.dtype != BN_I8));
    for (int i = 0; i < count; i++) {
        check_operands(x, layers[i].weight);
        assert(same_format(layers[i].weight->format, layers[0].weight->format));
        assert(layers[i].dy.rows == x.rows && layers[i].dy.cols == layers[i].weight->rows);
        assert(layers[i].dy.dtype == layers[0].dy.dtype && layers[i].dy.dtype != BN_I8);
    }
    be.ops->linear_backward(be.self, dx, x, layers, count);
}

void bn_rope(bn_backend be, const bn_rope_args *args)
{
    assert(args->x.cols == args->heads * args->dim && args->x.dtype != BN_I8);
    assert(args->dim % 2 == 0 && args->seq > 0 && args->x.rows % args->seq == 0);
    be.ops->rope(be.self, args);
}

static void check_attention(const bn_attention_args *args)
{
    assert(args->kv_heads > 0 && args->heads % args->kv_heads == 0);
    assert(args->q.rows == args->batch * args->seq && args->q.cols == args->heads * args->dim);
    assert(same_kind(args->q, args->out) && same_kind(args->k, args->v));
    assert(args->k.dtype == args->q.dtype && args->k.rows == args->q.rows &&
           args->k.cols == args->kv_heads * args->dim);
    assert(args->products != BN_I8);
    (void)args;
}

void bn_attention_forward(bn_backend be, const bn_attention_args *args)
{
    check_attention(args);
    be.ops->attention_forward(be.self, args);
}

void bn_attention_backward(bn_backend be, const bn_attention_args *args,
                           const bn_attention_grads *grads)
{
    check_attention(args);
    assert(same_kind(args->q, grads->dq) && same_kind(args->q, grads->dout));
    assert(same_kind(args->k, grads->dk) && same_kind(args->v, grads->dv));
    be.ops->attention_backward(be.self, args, grads);
}

void bn_head_loss(bn_backend be, const bn_head_args *args)
{
    bn_weight_kind kind = args->head->format.kind;
    assert(kind == BN_WEIGHT_F32 || kind == BN_WEIGHT_BF16);
    assert(args->x.dtype == BN_F32 || args->x.dtype == BN_BF16);
    assert(args->x.cols == args->head->cols);
    assert(!args->dx.data || (args->dx.rows == args->x.rows && args->dx.cols == args->x.cols));
    assert(args->dx.dtype != BN_I8);
    (void)kind;
    be.ops->head_loss(be.self, args);
}

void bn_sum(bn_backend be, double *out, const float *x, size_t count)
{
    be.ops->sum(be.self, out, x, count);
}

void bn_sum_squares(bn_backend be, double *out, const float *x, size_t count)
{
    be.ops->sum_squares(be.self, out, x, count);
}

void bn_decide(bn_backend be, bn_steps *steps, const bn_step_rule *rule)
{
    be.ops->decide(be.self, steps, rule);
}

void bn_adamw(bn_backend be, const bn_adamw_args *args)
{
    assert(args->rates);
    assert(!args->weight || args->count == (size_t)args->weight->rows * (size_t)args->weight->cols);
    assert(!args->weight || args->param == args->weight->master);
    be.ops->adamw(be.self, args);
}
