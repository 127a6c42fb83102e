#include "runner/search/acquire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "runner/search/lbfgs.h"
#include "runner/search/sobol.h"

/* Axes with at most so many values are searched one value after another; finer steps are walked
 * like real axes and then rounded. */
enum { VALUES_TRIED_MAX = 16, ROUNDS_MAX = 20 };

typedef struct candidate {
    double promise;
    int number; /* its place among the Sobol points */
} candidate;

/* The real (or finely stepped) axes of a point, for the descent; the others stay as they are. */
typedef struct descent {
    const bn_acquire *acquire;
    double x[BN_SPACE_PARAMS_MAX];
    int axes[BN_SPACE_PARAMS_MAX];
    double unit[BN_SPACE_PARAMS_MAX]; /* of each: its length scale */
    int count;
} descent;

static bool is_tried(const bn_axis *axis)
{
    return axis->kind == BN_AXIS_CHOICE ||
           (axis->kind == BN_AXIS_STEP && axis->count <= VALUES_TRIED_MAX);
}

static double promise_at(const bn_acquire *acquire, const double *x)
{
    return bn_gp_log_ei(acquire->gp, x, acquire->best, NULL);
}

static double descent_value(void *self, const double *scaled, double *gradient)
{
    descent *d = self;
    double full[BN_SPACE_PARAMS_MAX];
    for (int i = 0; i < d->count; i++) d->x[d->axes[i]] = scaled[i] * d->unit[i];
    double promise = bn_gp_log_ei(d->acquire->gp, d->x, d->acquire->best, full);
    for (int i = 0; i < d->count; i++) gradient[i] = -full[d->axes[i]] * d->unit[i];
    return -promise;
}

/* Real axes by L-BFGS in units of their length scales; true: it paid. */
static bool climb_real(const bn_acquire *acquire, double *x, double *promise)
{
    const bn_gp *gp = acquire->gp;
    double scaled[BN_SPACE_PARAMS_MAX], low[BN_SPACE_PARAMS_MAX] = {0}, high[BN_SPACE_PARAMS_MAX];
    descent d = {.acquire = acquire};
    memcpy(d.x, x, (size_t)gp->dims * sizeof *x);
    for (int i = 0; i < gp->dims; i++) {
        if (is_tried(&gp->axes->list[i])) continue;
        d.axes[d.count] = i;
        d.unit[d.count] = 1 / sqrt(gp->kernel.weights[i]);
        high[d.count] = 1 / d.unit[d.count];
        scaled[d.count] = x[i] / d.unit[d.count];
        d.count++;
    }
    if (d.count == 0) return false;
    bn_lbfgs problem = {.dims = d.count,
                        .low = low,
                        .high = high,
                        .iterations_max = 100,
                        .gradient_max = 1e-2,
                        .value = descent_value,
                        .self = &d};
    (void)bn_lbfgs_minimize(&problem, scaled);
    for (int i = 0; i < d.count; i++) {
        d.x[d.axes[i]] = bn_axis_snap(&gp->axes->list[d.axes[i]], scaled[i] * d.unit[i]);
    }
    double found = promise_at(acquire, d.x);
    if (!(found > *promise + 1e-9)) return false;
    memcpy(x, d.x, (size_t)gp->dims * sizeof *x);
    *promise = found;
    return true;
}

static double value_at(const bn_axis *axis, int64_t value)
{
    return axis->kind == BN_AXIS_STEP ? ((double)value + 0.5) / (double)axis->count : (double)value;
}

/* Each value of one axis; a fine axis: its neighbouring steps. */
static bool climb_axis(const bn_acquire *acquire, int index, double *x, double *promise)
{
    const bn_axis *axis = &acquire->gp->axes->list[index];
    if (axis->kind == BN_AXIS_REAL) return false;
    double kept = x[index], best = kept;
    int64_t first = 0, last = axis->count - 1;
    if (!is_tried(axis)) {
        int64_t cell = (int64_t)(kept * (double)axis->count);
        first = cell > 0 ? cell - 1 : 0;
        last = cell < last ? cell + 1 : last;
    } else if (axis->count > 64) {
        return false; /* a choice among very many is left to the candidates */
    }
    for (int64_t value = first; value <= last; value++) {
        x[index] = value_at(axis, value);
        double found = x[index] == kept ? *promise : promise_at(acquire, x);
        if (!(found > *promise + 1e-9)) continue;
        *promise = found;
        best = x[index];
    }
    x[index] = best;
    return best != kept;
}

/* Real axes and the others in turn until neither pays. */
static double climb(const bn_acquire *acquire, double *x)
{
    double promise = promise_at(acquire, x);
    bool moved = true;
    for (int round = 0; round < ROUNDS_MAX && moved; round++) {
        moved = climb_real(acquire, x, &promise);
        for (int i = 0; i < acquire->gp->dims; i++) {
            moved = climb_axis(acquire, i, x, &promise) || moved;
        }
    }
    return promise;
}

static void candidate_at(const bn_acquire *acquire, const bn_sobol *sobol, int number, double *x)
{
    for (int i = 0; i < acquire->gp->dims; i++) {
        x[i] = bn_axis_at(&acquire->gp->axes->list[i], bn_sobol_at(sobol, i, (uint64_t)number));
    }
}

static int by_promise(const void *a, const void *b)
{
    const candidate *left = a, *right = b;
    if (left->promise != right->promise) return left->promise > right->promise ? -1 : 1;
    return left->number - right->number;
}

/* Draws one of the candidates beyond the first `taken`, by exp(promise), and swaps it there. */
static void draw_start(candidate *candidates, int taken, uint64_t key)
{
    double sum = 0, most = candidates[0].promise;
    for (int i = taken; i < BN_ACQUIRE_CANDIDATES; i++) sum += exp(candidates[i].promise - most);
    double u = sum * bn_rng_uniform(key, (uint64_t)taken);
    int drawn = taken;
    for (; drawn + 1 < BN_ACQUIRE_CANDIDATES; drawn++) {
        u -= exp(candidates[drawn].promise - most);
        if (u < 0) break;
    }
    candidate kept = candidates[taken];
    candidates[taken] = candidates[drawn];
    candidates[drawn] = kept;
}

/* A proposal while they are put in order. */
typedef struct proposal {
    double x[BN_SPACE_PARAMS_MAX];
    double promise;
} proposal;

static int by_proposal(const void *a, const void *b)
{
    const proposal *left = a, *right = b;
    return left->promise > right->promise ? -1 : left->promise < right->promise;
}

/* Local optima first (they are the best), then plain candidates in case those cannot be used. */
static int fill_proposals(const bn_acquire *acquire, candidate *candidates, const bn_sobol *sobol,
                          proposal *proposals)
{
    size_t bytes = (size_t)acquire->gp->dims * sizeof(double);
    int count = 0;
    qsort(candidates, BN_ACQUIRE_CANDIDATES, sizeof *candidates, by_promise);
    memcpy(proposals[0].x, acquire->incumbent, bytes);
    proposals[0].promise = climb(acquire, proposals[0].x);
    for (count = 1; count < BN_ACQUIRE_STARTS; count++) {
        int taken = count - 1;
        if (taken > 0) draw_start(candidates, taken, bn_rng_key(acquire->key, "starts", 0));
        candidate_at(acquire, sobol, candidates[taken].number, proposals[count].x);
        proposals[count].promise = climb(acquire, proposals[count].x);
    }
    for (; count < BN_ACQUIRE_PROPOSALS; count++) {
        const candidate *c = &candidates[count - 1];
        candidate_at(acquire, sobol, c->number, proposals[count].x);
        proposals[count].promise = c->promise;
    }
    qsort(proposals, (size_t)count, sizeof *proposals, by_proposal);
    return count;
}

int bn_acquire_propose(const bn_acquire *acquire, double *out, bn_status *status, bn_error *err)
{
    int dims = acquire->gp->dims, count = 0;
    candidate *candidates = malloc(BN_ACQUIRE_CANDIDATES * sizeof *candidates);
    proposal *proposals = malloc(BN_ACQUIRE_PROPOSALS * sizeof *proposals);
    *status = BN_OK;
    if (!candidates || !proposals) {
        *status = bn_fail(err, BN_ENOMEM, "too little memory for candidates");
        goto done;
    }
    bn_sobol sobol;
    bn_sobol_init(&sobol, acquire->key);
    for (int i = 0; i < BN_ACQUIRE_CANDIDATES; i++) {
        double x[BN_SPACE_PARAMS_MAX];
        candidate_at(acquire, &sobol, i, x);
        candidates[i] = (candidate){.promise = promise_at(acquire, x), .number = i};
    }
    count = fill_proposals(acquire, candidates, &sobol, proposals);
    for (int i = 0; i < count; i++) {
        memcpy(out + (ptrdiff_t)i * dims, proposals[i].x, (size_t)dims * sizeof *out);
    }
done:
    free(candidates);
    free(proposals);
    return count;
}
