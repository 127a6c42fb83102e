/* Keys and values of the positions read so far, in the panels that products take: lanes of a key
 * panel are positions, lanes of a value panel run along the head's dimension. */
#include <string.h>

#include "engine/cpu/stepper.h"

static int lanes_of(const bn_cpu *cpu)
{
    return cpu->isa->kernels[BN_PRODUCT_KIND_F32].nr;
}

/* Of one head: the larger of keys in whole panels and values in whole panels. */
static size_t head_floats(const bn_cpu *cpu, const bn_cache *cache)
{
    int lanes = lanes_of(cpu);
    size_t keys = (size_t)(bn_cpu_blocks(cache->context, lanes) * lanes) * (size_t)cache->dim;
    size_t values = (size_t)(bn_cpu_blocks(cache->dim, lanes) * lanes) * (size_t)cache->context;
    return keys > values ? keys : values;
}

size_t bn_cache_floats(bn_backend be, const bn_cache *cache)
{
    return head_floats(be.self, cache) * (size_t)cache->heads;
}

bn_cache_head bn_cache_head_of(const bn_cpu *cpu, const bn_cache *cache, int head)
{
    size_t start = (size_t)head * head_floats(cpu, cache);
    return (bn_cache_head){.keys = cache->keys + start,
                           .values = cache->values + start,
                           .lanes = lanes_of(cpu),
                           .dim_panels = bn_cpu_blocks(cache->dim, lanes_of(cpu))};
}

static void rotate(const bn_cpu *cpu, const bn_attend_step *step, float *x, int position)
{
    int half = step->cache->dim / 2;
    size_t angle = (size_t)position * (size_t)half;
    cpu->isa->rows->rotate(x, step->cosine + angle, step->sine + angle, 1.0F, half);
}

float *bn_query_rotate(const bn_cpu *cpu, const bn_attend_step *step, int head, int start, int r)
{
    size_t at = (size_t)r * (size_t)step->q.cols + (size_t)head * (size_t)step->cache->dim;
    rotate(cpu, step, step->q.data + at, start + r);
    return step->q.data + at;
}

void bn_cache_append(const bn_cpu *cpu, const bn_attend_step *step, int head, int start, int r)
{
    bn_cache_head c = bn_cache_head_of(cpu, step->cache, head);
    size_t dim = (size_t)step->cache->dim;
    size_t lanes = (size_t)c.lanes;
    size_t position = (size_t)(start + r);
    size_t at = (size_t)r * (size_t)step->k.cols + (size_t)head * dim;
    float *key = step->k.data + at;
    rotate(cpu, step, key, start + r);
    float *column = c.keys + position / lanes * lanes * dim + position % lanes;
    for (size_t i = 0; i < dim; i++) column[i * lanes] = key[i];
    for (int panel = 0; panel < c.dim_panels; panel++) {
        size_t first = (size_t)panel * lanes;
        size_t row = (size_t)panel * (size_t)step->cache->context + position;
        size_t have = dim - first < lanes ? dim - first : lanes;
        memcpy(c.values + row * lanes, step->v.data + at + first, have * sizeof *key);
    }
}
