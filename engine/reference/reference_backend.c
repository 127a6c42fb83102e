#include "engine/reference/reference_backend.h"

#include <stdlib.h>
#include <string.h>

#include "engine/reference/reference.h"

static void *allocate(void *self, size_t bytes)
{
    void *memory = bn_host_block(self, bytes);
    if (memory) memset(memory, 0, bytes);
    return memory;
}

float *bn_reference_scratch(bn_reference *ref, size_t count)
{
    if (bn_host_failed(ref)) return NULL;
    if (count > ref->scratch_count) {
        free(ref->scratch);
        ref->scratch_count = 0;
        ref->scratch = allocate(ref, count * sizeof(float));
        if (ref->scratch) ref->scratch_count = count;
    }
    return ref->scratch;
}

static void zero(void *self, void *memory, size_t bytes)
{
    if (bn_host_failed(self) || !bytes) return;
    memset(memory, 0, bytes);
}

static void close_backend(void *self)
{
    bn_reference *ref = self;
    free(ref->scratch);
    free(ref);
}

static const struct bn_ops table = {
    .name = "reference",
    .alloc = allocate,
    .free = bn_host_free,
    .write = bn_host_copy,
    .read = bn_host_copy,
    .zero = zero,
    .sync = bn_host_sync,
    .close = close_backend,
    .replay = bn_host_replay,
    .replay_end = bn_host_replay_end,
    .mark = bn_host_mark,
    .seconds = bn_host_seconds,
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
    ref->host.name = table.name;
    *out = (bn_backend){.ops = &table, .self = ref};
    return BN_OK;
}
