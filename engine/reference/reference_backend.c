#include "engine/reference/reference_backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/reference/reference.h"

enum { ALIGNMENT = 64 };

static void *allocate(void *self, size_t bytes)
{
    bn_reference *ref = self;
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory =
        rounded >= bytes ? aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT) : NULL;
    if (!memory) {
        (void)bn_fail(&ref->failure, BN_ENOMEM, "no memory for %zu bytes", bytes);
        return NULL;
    }
    memset(memory, 0, rounded);
    return memory;
}

float *bn_reference_scratch(bn_reference *ref, size_t count)
{
    if (ref->failure.status != BN_OK) return NULL;
    if (count > ref->scratch_count) {
        free(ref->scratch);
        ref->scratch_count = 0;
        ref->scratch = allocate(ref, count * sizeof(float));
        if (ref->scratch) ref->scratch_count = count;
    }
    return ref->scratch;
}

static void release(void *self, void *memory)
{
    (void)self;
    free(memory);
}

static bool failed(const void *self)
{
    return ((const bn_reference *)self)->failure.status != BN_OK;
}

static void copy(void *self, void *to, const void *from, size_t bytes)
{
    if (failed(self) || !bytes) return;
    memcpy(to, from, bytes);
}

static void zero(void *self, void *memory, size_t bytes)
{
    if (failed(self) || !bytes) return;
    memset(memory, 0, bytes);
}

static bn_status sync(void *self, bn_error *err)
{
    bn_reference *ref = self;
    if (!failed(ref)) return BN_OK;
    bn_status status = bn_fail(err, ref->failure.status, "reference: %s", ref->failure.text);
    ref->failure.status = BN_OK;
    return status;
}

static void close_backend(void *self)
{
    bn_reference *ref = self;
    free(ref->scratch);
    free(ref);
}

/* Nothing would be saved: an op's call costs next to nothing here. */
static bool replay(void *self, uint64_t key)
{
    (void)self, (void)key;
    return false;
}

static void replay_end(void *self)
{
    (void)self;
}

static void mark(void *self, int place)
{
    ((bn_reference *)self)->marks_s[place] = bn_clock_mono_s();
}

static double seconds(void *self, int from, int to)
{
    const bn_reference *ref = self;
    if (!(ref->marks_s[from] > 0 && ref->marks_s[to] > 0)) return NAN;
    return ref->marks_s[to] - ref->marks_s[from];
}

static const struct bn_ops table = {
    .name = "reference",
    .alloc = allocate,
    .free = release,
    .write = copy,
    .read = copy,
    .zero = zero,
    .sync = sync,
    .close = close_backend,
    .replay = replay,
    .replay_end = replay_end,
    .mark = mark,
    .seconds = seconds,
    .weight_form_bytes = bn_reference_weight_form_bytes,
    .weight_prepare = bn_reference_weight_prepare,
    .weight_codes = bn_reference_weight_codes,
    .embed_forward = bn_reference_embed_forward,
    .embed_backward = bn_reference_embed_backward,
    .norm_forward = bn_reference_norm_forward,
    .norm_backward = bn_reference_norm_backward,
    .glu_forward = bn_reference_glu_forward,
    .glu_backward = bn_reference_glu_backward,
    .linear_forward = bn_reference_linear_forward,
    .linear_backward = bn_reference_linear_backward,
    .rope = bn_reference_rope,
    .attention_forward = bn_reference_attention_forward,
    .attention_backward = bn_reference_attention_backward,
    .head_loss = bn_reference_head_loss,
    .sum = bn_reference_sum,
    .sum_squares = bn_reference_sum_squares,
    .decide = bn_reference_decide,
    .adamw = bn_reference_adamw,
};

bn_status bn_reference_open(bn_backend *out, bn_error *err)
{
    bn_reference *ref = calloc(1, sizeof *ref);
    if (!ref) return bn_fail(err, BN_ENOMEM, "no memory for the reference backend");
    *out = (bn_backend){.ops = &table, .self = ref};
    return BN_OK;
}
