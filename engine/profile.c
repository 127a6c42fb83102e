#include "engine/profile.h"

#include <assert.h>
#include <math.h>

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

/* Adds up the ops that are pending; waits for the last of them. */
static void add_pending(bn_profile *p)
{
    for (int i = 0; i < p->count; i++) {
        int from = BN_PROFILE_MARK + 2 * i;
        double took_s = p->inner.ops->seconds(p->inner.self, from, from + 1);
        if (!isnan(took_s)) p->seconds[p->pending[i]] += took_s;
    }
    p->count = 0;
}

static void begin(bn_profile *p, bn_profile_op op)
{
    if (p->paused) return;
    if (p->count == BN_PROFILE_PENDING) add_pending(p);
    p->pending[p->count] = op;
    p->inner.ops->mark(p->inner.self, BN_PROFILE_MARK + 2 * p->count);
}

static void end(bn_profile *p)
{
    if (p->paused) return;
    p->inner.ops->mark(p->inner.self, BN_PROFILE_MARK + 2 * p->count + 1);
    p->count++;
}

static void embed_forward(void *self, bn_mat out, bn_mat table, const int32_t *tokens)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_EMBED);
    p->inner.ops->embed_forward(p->inner.self, out, table, tokens);
    end(p);
}

static void embed_backward(void *self, bn_mat dtable, bn_mat dout, const int32_t *tokens)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_EMBED);
    p->inner.ops->embed_backward(p->inner.self, dtable, dout, tokens);
    end(p);
}

static void norm_forward(void *self, const bn_norm_args *args)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_NORM);
    p->inner.ops->norm_forward(p->inner.self, args);
    end(p);
}

static void norm_backward(void *self, const bn_norm_args *args, const bn_norm_grads *grads)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_NORM);
    p->inner.ops->norm_backward(p->inner.self, args, grads);
    end(p);
}

static void glu_forward(void *self, const bn_glu_args *args)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_GLU);
    p->inner.ops->glu_forward(p->inner.self, args);
    end(p);
}

static void glu_backward(void *self, const bn_glu_args *args, const bn_glu_grads *grads)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_GLU);
    p->inner.ops->glu_backward(p->inner.self, args, grads);
    end(p);
}

static void linear_forward(void *self, bn_act x, const bn_linear_out *layers, int count)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_LINEAR_FORWARD);
    p->inner.ops->linear_forward(p->inner.self, x, layers, count);
    end(p);
}

static void linear_backward(void *self, bn_mat dx, bn_act x, const bn_linear_grad *layers,
                            int count)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_LINEAR_BACKWARD);
    p->inner.ops->linear_backward(p->inner.self, dx, x, layers, count);
    end(p);
}

static void rope(void *self, const bn_rope_args *args)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_ROPE);
    p->inner.ops->rope(p->inner.self, args);
    end(p);
}

static void attention_forward(void *self, const bn_attention_args *args)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_ATTENTION_FORWARD);
    p->inner.ops->attention_forward(p->inner.self, args);
    end(p);
}

static void attention_backward(void *self, const bn_attention_args *args,
                               const bn_attention_grads *grads)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_ATTENTION_BACKWARD);
    p->inner.ops->attention_backward(p->inner.self, args, grads);
    end(p);
}

static void head_loss(void *self, const bn_head_args *args)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_HEAD);
    p->inner.ops->head_loss(p->inner.self, args);
    end(p);
}

static void sum_squares(void *self, double *out, const float *x, size_t count)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_OPTIMIZER);
    p->inner.ops->sum_squares(p->inner.self, out, x, count);
    end(p);
}

static void sum(void *self, double *out, const float *x, size_t count)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_OPTIMIZER);
    p->inner.ops->sum(p->inner.self, out, x, count);
    end(p);
}

static void decide(void *self, bn_steps *steps, const bn_step_rule *rule)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_OPTIMIZER);
    p->inner.ops->decide(p->inner.self, steps, rule);
    end(p);
}

static void adamw(void *self, const bn_adamw_args *args)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_OPTIMIZER);
    p->inner.ops->adamw(p->inner.self, args);
    end(p);
}

static void weight_prepare(void *self, const bn_weight *weight)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_OPTIMIZER);
    p->inner.ops->weight_prepare(p->inner.self, weight);
    end(p);
}

static void weight_codes(void *self, const bn_weight *weight, int8_t *codes, float *scale)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_MEMORY);
    p->inner.ops->weight_codes(p->inner.self, weight, codes, scale);
    end(p);
}

static void write(void *self, void *to, const void *from_host, size_t bytes)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_MEMORY);
    p->inner.ops->write(p->inner.self, to, from_host, bytes);
    end(p);
}

static void read(void *self, void *to_host, const void *from, size_t bytes)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_MEMORY);
    p->inner.ops->read(p->inner.self, to_host, from, bytes);
    end(p);
}

static void zero(void *self, void *memory, size_t bytes)
{
    bn_profile *p = self;
    begin(p, BN_PROFILE_MEMORY);
    p->inner.ops->zero(p->inner.self, memory, bytes);
    end(p);
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
    bn_profile *p = self;
    add_pending(p);
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
    const bn_profile *p = self;
    return p->paused && p->inner.ops->replay(p->inner.self, key);
}

static void replay_end(void *self)
{
    const bn_profile *p = self;
    if (p->paused) p->inner.ops->replay_end(p->inner.self);
}

static void mark(void *self, int place)
{
    const bn_profile *p = self;
    assert(place < BN_PROFILE_MARK);
    p->inner.ops->mark(p->inner.self, place);
}

static double seconds(void *self, int from, int to)
{
    const bn_profile *p = self;
    return p->inner.ops->seconds(p->inner.self, from, to);
}

static const struct bn_ops table = {
    .name = "profile",
    .behind = true, /* as far as anybody may count on */
    .alloc = allocate,
    .free = release,
    .sync = sync,
    .close = close_profile,
    .replay = replay,
    .replay_end = replay_end,
    .mark = mark,
    .seconds = seconds,
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
    .sum = sum,
    .sum_squares = sum_squares,
    .decide = decide,
    .adamw = adamw,
    .weight_prepare = weight_prepare,
    .weight_codes = weight_codes,
    .write = write,
    .read = read,
    .zero = zero,
};

bn_backend bn_profile_around(bn_profile *profile, bn_backend inner)
{
    *profile = (bn_profile){.inner = inner, .ops = table};
    profile->ops.halves = inner.ops->halves;
    return (bn_backend){.ops = &profile->ops, .self = profile};
}
