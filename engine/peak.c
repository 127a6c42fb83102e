#include "engine/peak.h"

#include "engine/base/clock.h"

#define PEAK_ENOUGH_S 0.004
enum { PEAK_SMALLEST = 32, PEAK_LARGEST = 2048, PEAK_REPEATS = 3 };

typedef struct product {
    bn_act x;
    bn_weight weight;
    bn_mat out;
} product;

static void take(bn_backend be, product *p, const bn_config *config, int size)
{
    size_t cells = (size_t)size * (size_t)size;
    p->weight = (bn_weight){.rows = size, .cols = size, .format = bn_bitlinear_format(config)};
    p->x = (bn_act){.rows = size, .cols = size, .dtype = bn_bitlinear_dtype(config)};
    p->out = (bn_mat){.rows = size, .cols = size};
    p->weight.master = bn_backend_alloc(be, cells * sizeof(float));
    p->weight.form = bn_backend_alloc(be, bn_weight_form_bytes(be, size, size, p->weight.format));
    p->x.data = bn_backend_alloc(be, cells * bn_dtype_bytes(p->x.dtype));
    p->x.scale = bn_backend_alloc(be, (size_t)size * sizeof *p->x.scale);
    p->x.sum = bn_backend_alloc(be, (size_t)size * sizeof *p->x.sum);
    p->out.data = bn_backend_alloc(be, cells * sizeof(float));
}

static void give_back(bn_backend be, const product *p)
{
    bn_backend_free(be, p->weight.master);
    bn_backend_free(be, p->weight.form);
    bn_backend_free(be, p->x.data);
    bn_backend_free(be, p->x.scale);
    bn_backend_free(be, p->x.sum);
    bn_backend_free(be, p->out.data);
}

/* Seconds of the fastest of some repeats; negative: the device failed. */
static double time_product(bn_backend be, const product *p)
{
    bn_error ignored = {0}; /* mfu is left out; training will meet the same failure itself */
    const bn_linear_out layer = {.weight = &p->weight, .out = p->out};
    double best_s = -1;
    bn_weight_prepare(be, &p->weight);
    if (bn_backend_sync(be, &ignored) != BN_OK) return -1;
    for (int i = 0; i < PEAK_REPEATS; i++) {
        double start_s = bn_clock_mono_s();
        bn_linear_forward(be, p->x, &layer, 1);
        if (bn_backend_sync(be, &ignored) != BN_OK) return -1;
        double took_s = bn_clock_mono_s() - start_s;
        if (best_s < 0 || took_s < best_s) best_s = took_s;
    }
    return best_s;
}

double bn_peak_flops(bn_backend be, const bn_config *config)
{
    double flops = 0;
    for (int size = PEAK_SMALLEST; size <= PEAK_LARGEST; size *= 2) {
        product p;
        take(be, &p, config, size);
        double took_s = time_product(be, &p);
        give_back(be, &p);
        if (took_s <= 0) break;
        double now = 2 * (double)size * (double)size * (double)size / took_s;
        if (now > flops) flops = now;
        if (took_s >= PEAK_ENOUGH_S) break;
    }
    return flops;
}
