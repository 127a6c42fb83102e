#include "engine/profile.h"

#include <assert.h>

#include "engine/base/clock.h"

const char *bn_profile_name(bn_profile_op op)
{
    static const char *const names[BN_PROFILE_OPS] = {
        [BN_PROFILE_EMBED] = "embed",
        [BN_PROFILE_NORM] = "norm",
        [BN_PROFILE_GLU] = "glu",
        [BN_PROFILE_LINEAR_FORWARD] = "linear_forward",
        [BN_PROFILE_LINEAR_BACKWARD] = "linear_backward",
        [BN_PROFILE_ROPE] = "rope",
        [BN_PROFILE_ATTENTION_FORWARD] = "attention_forward",
        [BN_PROFILE_ATTENTION_BACKWARD] = "attention_backward",
        [BN_PROFILE_HEAD] = "head",
        [BN_PROFILE_OPTIMIZER] = "optimizer",
        [BN_PROFILE_MEMORY] = "memory",
    };
    assert(op < BN_PROFILE_OPS);
    return names[op];
}

static void add_time(bn_profile *profile, bn_profile_op op, double start_s)
{
    profile->seconds[op] += bn_clock_mono_s() - start_s;
}

static void embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->embed_forward(p->inner.self, out, table, tokens);
    add_time(p, BN_PROFILE_EMBED, start_s);
}

static void embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->embed_backward(p->inner.self, dtable, dout, tokens);
    add_time(p, BN_PROFILE_EMBED, start_s);
}

static void norm_forward(void *self, const bn_norm_args *args)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->norm_forward(p->inner.self, args);
    add_time(p, BN_PROFILE_NORM, start_s);
}

static void norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->norm_backward(p->inner.self, args, grads);
    add_time(p, BN_PROFILE_NORM, start_s);
}

static void glu_forward(void *self, const bn_glu_args *args)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->glu_forward(p->inner.self, args);
    add_time(p, BN_PROFILE_GLU, start_s);
}

static void glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->glu_backward(p->inner.self, args, grads);
    add_time(p, BN_PROFILE_GLU, start_s);
}

static void linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->linear_forward(p->inner.self, x, layers, count);
    add_time(p, BN_PROFILE_LINEAR_FORWARD, start_s);
}

static void linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                            int count)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->linear_backward(p->inner.self, dx, x, layers, count);
    add_time(p, BN_PROFILE_LINEAR_BACKWARD, start_s);
}

static void rope(void *self, const bn_rope_args *args)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->rope(p->inner.self, args);
    add_time(p, BN_PROFILE_ROPE, start_s);
}

static void attention_forward(void *self, const bn_attention_args *args)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->attention_forward(p->inner.self, args);
    add_time(p, BN_PROFILE_ATTENTION_FORWARD, start_s);
}

static void attention_backward(void *self, const bn_attention_args *args,
                               const bn_attention_grads *grads)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->attention_backward(p->inner.self, args, grads);
    add_time(p, BN_PROFILE_ATTENTION_BACKWARD, start_s);
}

static void head_loss(void *self, const bn_head_args *args)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->head_loss(p->inner.self, args);
    add_time(p, BN_PROFILE_HEAD, start_s);
}

static void sum_squares(void *self, double *out, const float *x, size_t count)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->sum_squares(p->inner.self, out, x, count);
    add_time(p, BN_PROFILE_OPTIMIZER, start_s);
}

static void adamw(void *self, const bn_adamw_args *args)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->adamw(p->inner.self, args);
    add_time(p, BN_PROFILE_OPTIMIZER, start_s);
}

static void weight_prepare(void *self, const bn_weight *weight)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->weight_prepare(p->inner.self, weight);
    add_time(p, BN_PROFILE_OPTIMIZER, start_s);
}

static void weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->weight_codes(p->inner.self, weight, codes, scale);
    add_time(p, BN_PROFILE_MEMORY, start_s);
}

static void write(void *self, void *to, const void *from_host, size_t bytes)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->write(p->inner.self, to, from_host, bytes);
    add_time(p, BN_PROFILE_MEMORY, start_s);
}

static void read(void *self, void *to_host, const void *from, size_t bytes)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->read(p->inner.self, to_host, from, bytes);
    add_time(p, BN_PROFILE_MEMORY, start_s);
}

static void zero(void *self, void *memory, size_t bytes)
{
    bn_profile *p = self;
    double start_s = bn_clock_mono_s();
    p->inner.ops->zero(p->inner.self, memory, bytes);
    add_time(p, BN_PROFILE_MEMORY, start_s);
}

static void *allocate(void *self, size_t bytes)
{
    const bn_profile *p = self;
    return p->inner.ops->alloc(p->inner.self, bytes);
}

static void release(void *self, void *memory)
{
    const bn_profile *p = self;
    p->inner.ops->free(p->inner.self, memory);
}

static bn_status sync(void *self, bn_error *err)
{
    const bn_profile *p = self;
    return p->inner.ops->sync(p->inner.self, err);
}

static void close_profile(void *self)
{
    (void)self;
}

static size_t weight_form_bytes(void *self, int rows, int cols, bn_weight_format format)
{
    const bn_profile *p = self;
    return p->inner.ops->weight_form_bytes(p->inner.self, rows, cols, format);
}

/* Every op is to be counted, so every op is given. */
static bool replay(void *self, uint64_t key)
{
    (void)self, (void)key;
    return false;
}

static void replay_end(void *self)
{
    (void)self;
}

static const struct bn_ops table = {
    .name = "profile",
    .alloc = allocate,
    .free = release,
    .sync = sync,
    .close = close_profile,
    .replay = replay,
    .replay_end = replay_end,
    .weight_form_bytes = weight_form_bytes,
    .embed_forward = embed_forward,
    .embed_backward = embed_backward,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .glu_forward = glu_forward,
    .glu_backward = glu_backward,
    .linear_forward = linear_forward,
    .linear_backward = linear_backward,
    .rope = rope,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .head_loss = head_loss,
    .sum_squares = sum_squares,
    .adamw = adamw,
    .weight_prepare = weight_prepare,
    .weight_codes = weight_codes,
    .write = write,
    .read = read,
    .zero = zero,
};

bn_backend bn_profile_around(bn_profile *profile, bn_backend inner)
{
    *profile = (bn_profile){.inner = inner};
    return (bn_backend){.ops = &table, .self = profile};
}
