#include "engine/cpu/stepper.h"

#include <assert.h>
#include <stdlib.h>

enum { ALIGNMENT = 64 };

/* What every seat needs room for. */
typedef struct needs {
    size_t cols, codes, words, scores, rows;
} needs;

static size_t at_least(size_t a, size_t b)
{
    return a > b ? a : b;
}

static needs needs_of(const bn_stepper *s)
{
    needs n = {0};
    size_t lanes = (size_t)s->cpu->isa->kernels[BN_PRODUCT_KIND_F32].nr;
    for (int i = 0; i < s->count; i++) {
        if (s->steps[i].kind == BN_STEP_ATTEND) {
            n.scores = at_least(n.scores, (size_t)s->steps[i].attend.cache->context + lanes);
            continue;
        }
        const bn_linear_step *linear = &s->steps[i].linear;
        n.cols = at_least(n.cols, (size_t)linear->x.cols);
        n.rows = at_least(n.rows, (size_t)linear->x.rows);
        if (linear->weights[0]->kind == BN_MATRIX_DENSE) continue;
        bn_layout l = bn_layout_of(s->cpu, linear->weights[0]);
        n.codes = at_least(n.codes, (size_t)l.words * 4);
        n.words = at_least(n.words, (size_t)l.words);
    }
    return n;
}

/* `bytes` more, in whole cache lines; memory NULL: only counts. */
static void *take(char *memory, size_t *used, size_t bytes)
{
    void *at = memory ? memory + *used : NULL;
    *used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static size_t place_seat(bn_stepper *s, const needs *n, bn_seat *seat, size_t used)
{
    size_t block = (size_t)s->cpu->isa->kernels[BN_PRODUCT_KIND_U8].mr;
    seat->row = take(s->memory, &used, n->cols * sizeof *seat->row);
    seat->halves = take(s->memory, &used, n->cols * sizeof *seat->halves);
    seat->codes = take(s->memory, &used, n->codes);
    seat->left = take(s->memory, &used, (n->words * block + 1) * sizeof *seat->left);
    seat->widened = take(s->memory, &used, n->cols * sizeof *seat->widened);
    seat->scores = take(s->memory, &used, n->scores * sizeof *seat->scores);
    return used;
}

bn_status bn_stepper_open(bn_stepper **out, bn_backend be, const bn_step *steps, int count,
                          bn_error *err)
{
    bn_cpu *cpu = be.self;
    int threads = bn_pool_threads(cpu->pool);
    bn_stepper *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return bn_fail(err, BN_ENOMEM, "no memory for %d steps", count);
    *s = (bn_stepper){.be = be, .cpu = cpu, .steps = steps, .count = count};
    s->seats = calloc((size_t)threads, sizeof *s->seats);
    needs n = needs_of(s);
    bn_seat none;
    size_t seat_bytes = place_seat(s, &n, &none, 0) + 2 * ALIGNMENT; /* no line of two seats */
    s->memory = bn_backend_alloc(be, seat_bytes * (size_t)threads);
    s->stats = bn_backend_alloc(be, n.rows * BN_NORM_STATS * sizeof *s->stats);
    if (!s->seats || !s->memory || !s->stats || bn_crew_open(&s->crew, threads, err) != BN_OK) {
        bn_stepper_close(s);
        return bn_fail(err, BN_ENOMEM, "no memory for %d threads", threads);
    }
    for (int i = 0; i < threads; i++) (void)place_seat(s, &n, &s->seats[i], (size_t)i * seat_bytes);
    *out = s;
    return BN_OK;
}

void bn_stepper_close(bn_stepper *stepper)
{
    if (!stepper) return;
    bn_backend_free(stepper->be, stepper->memory);
    bn_backend_free(stepper->be, stepper->stats);
    bn_crew_close(stepper->crew);
    free(stepper->seats);
    free(stepper);
}

void bn_stepper_run(bn_stepper *stepper, int count, int start, int rows)
{
    assert(rows > 0 && count <= stepper->count);
    if (bn_host_failed(stepper->cpu)) return;
    stepper->start = start;
    stepper->running = count;
    if (rows == 1) {
        bn_token_run(stepper);
    } else {
        bn_batch_run(stepper, rows);
    }
}
