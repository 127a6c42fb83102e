#include <string.h>

#include "engine/base/clock.h"
#include "engine/cpu/cpu.h"
#include "engine/cpu/cpu_backend.h"

/* Panels of STEPS words lie in the first-level cache; a part runs them CALLS times. */
enum { STEPS = 128, CALLS = 200, PARTS_A_THREAD = 4, TRIES = 20 };

typedef struct race {
    const bn_kernel *kernel;
} race;

static void race_part(void *context, int part, int thread)
{
    const race *r = context;
    (void)part, (void)thread;
    _Alignas(64) uint32_t a[STEPS * BN_KERNEL_MR_MAX];
    _Alignas(64) uint32_t b[STEPS * BN_KERNEL_NR_MAX];
    _Alignas(64) uint32_t c[BN_KERNEL_MR_MAX * BN_KERNEL_NR_MAX];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    for (int i = 0; i < CALLS; i++) r->kernel->run(STEPS, a, b, c, false);
}

static bn_product_kind kind_of(bn_dtype format)
{
    switch (format) {
    case BN_BF16:
        return BN_PRODUCT_KIND_BF16;
    case BN_I8:
        return BN_PRODUCT_KIND_U8;
    case BN_F32:
    case BN_F16:
        break;
    }
    return BN_PRODUCT_KIND_F32;
}

double bn_cpu_peak(bn_backend be, bn_dtype format)
{
    bn_cpu *cpu = be.self;
    race r = {&cpu->isa->kernels[kind_of(format)]};
    int parts = PARTS_A_THREAD * bn_pool_threads(cpu->pool);
    double best_s = 0;
    for (int i = 0; i < TRIES; i++) {
        double start_s = bn_clock_mono_s();
        bn_pool_run(cpu->pool, parts, race_part, &r);
        double took_s = bn_clock_mono_s() - start_s;
        if (best_s <= 0 || took_s < best_s) best_s = took_s;
    }
    double products = (double)r.kernel->mr * r.kernel->nr * r.kernel->group * STEPS * CALLS;
    return best_s > 0 ? 2 * products * parts / best_s : 0;
}
