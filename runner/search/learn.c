#include "runner/search/learn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "runner/search/acquire.h"
#include "runner/search/tpe.h"
#include "runner/search/warp.h"

void bn_learn_init(bn_learn *learn, bn_learner learner, const bn_space *space, uint64_t seed)
{
    *learn = (bn_learn){.learner = learner, .space = space};
    bn_axes_init(&learn->axes, space);
    bn_sobol_points_init(&learn->sobol, space, seed);
    learn->key = bn_rng_key(seed, "learn", 0);
}

static bool is_finished(const bn_trial *trial)
{
    return trial->state == BN_TRIAL_COMPLETE || trial->state == BN_TRIAL_PRUNED;
}

/* One suggestion in the making. */
typedef struct task {
    const bn_learn *learn;
    const bn_tpe_data *data;
    int64_t index;
    bn_walk *taken;
    bn_point *out;
    bn_status status;
    bn_error *err;
} task;

/* Takes the point if it is new. */
static bool take(task *t)
{
    return bn_walk_take(t->taken, t->out, &t->status, t->err);
}

/* Rows of coordinates, best first: the first that completes, breaks no constraint and is new. */
static bool first_usable(task *t, const double *rows, int count)
{
    for (int i = 0; i < count && t->status == BN_OK; i++) {
        const double *x = rows + (ptrdiff_t)i * t->learn->axes.count;
        bool kept = bn_axes_decode(&t->learn->axes, t->learn->space, x, t->out) < 0;
        if (kept && take(t)) return true;
    }
    return false;
}

/* The Sobol point of that number or, when it is of no use, the first usable random one. */
static void suggest_spread(task *t)
{
    const bn_learn *learn = t->learn;
    uint64_t key = bn_rng_key(learn->key, "instead", (uint64_t)t->index);
    bn_sobol_candidate(&learn->sobol, t->index, t->out);
    if (bn_space_complete(learn->space, t->out) < 0 && take(t)) return;
    for (uint64_t i = 0; i < BN_WALK_TRIES && t->status == BN_OK; i++) {
        for (int a = 0; a < learn->sobol.axes; a++) {
            double u = bn_rng_uniform(key, i * BN_SPACE_PARAMS_MAX + (uint64_t)a);
            bn_space_choose_at(learn->space, learn->sobol.leads[a], u, t->out);
        }
        if (bn_space_complete(learn->space, t->out) < 0 && take(t)) return;
    }
    if (t->status != BN_OK) return;
    t->status = bn_fail(t->err, BN_ENOENT, "no untried point of the search space was found");
}

static bool suggest_tpe(task *t)
{
    enum { ATTEMPTS = 8 };
    uint64_t key = bn_rng_key(t->learn->key, "tpe", (uint64_t)t->index);
    int candidates = bn_tpe_candidates(&t->learn->axes);
    double *rows = malloc((size_t)candidates * (size_t)t->learn->axes.count * sizeof *rows);
    bool found = false;
    if (!rows) t->status = bn_fail(t->err, BN_ENOMEM, "too little memory for candidates");
    for (uint64_t attempt = 0; attempt < ATTEMPTS && t->status == BN_OK && !found; attempt++) {
        t->status = bn_tpe_propose(t->data, bn_rng_key(key, "try", attempt), rows, t->err);
        found = t->status == BN_OK && first_usable(t, rows, candidates);
    }
    free(rows);
    return found;
}

/* Failures and what diverged count as the worst that was seen. A pruned run had more to gain, but
 * was not better than the worst. */
static double value_of(const bn_trial *trial, double worst)
{
    if (trial->state == BN_TRIAL_FAILED || !isfinite(trial->value)) return worst;
    return trial->state == BN_TRIAL_PRUNED ? fmin(trial->value, worst) : trial->value;
}

/* The worst result that is one; -infinity: there is none. */
static double worst_of(const bn_trial *trials, size_t count)
{
    double worst = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        bool known = trials[i].state == BN_TRIAL_COMPLETE && isfinite(trials[i].value);
        if (known) worst = fmax(worst, trials[i].value);
    }
    return worst;
}

/* Of more than these the oldest are left out; running ones need room too. */
enum { TOLD_MAX = BN_GP_POINTS_MAX - 64 };

/* Adds what is known, larger is better; the best value and the incumbent's row. values: scratch of
 * data->count. */
static void tell(bn_gp *gp, const bn_tpe_data *data, double *values, bn_acquire *acquire)
{
    double worst = worst_of(data->trials, data->count);
    size_t known = 0;
    bn_warp warp;
    for (size_t i = 0; i < data->count; i++) {
        if (data->trials[i].state == BN_TRIAL_RUNNING) continue;
        values[known++] = value_of(&data->trials[i], worst);
    }
    bn_warp_fit(&warp, values, known);
    acquire->best = -INFINITY;
    for (size_t i = 0; i < data->count; i++) {
        const bn_trial *trial = &data->trials[i];
        const double *x = data->x + i * (size_t)data->axes->count;
        if (trial->state == BN_TRIAL_RUNNING || known-- > TOLD_MAX) continue;
        double slope, y = -bn_warp_at(&warp, value_of(trial, worst), &slope), variance = 0;
        if (trial->replicates > 1 && isfinite(trial->variance)) {
            variance = trial->variance / trial->replicates * slope * slope;
        }
        bn_gp_add(gp, x, y, variance);
        if (y <= acquire->best) continue;
        acquire->best = y;
        acquire->incumbent = x;
    }
}

/* Running trials count as what the process expects of them, so that others look elsewhere. */
static void believe(bn_gp *gp, const bn_tpe_data *data)
{
    for (size_t i = 0; i < data->count && gp->count < gp->stride; i++) {
        const double *x = data->x + i * (size_t)data->axes->count;
        double mean, deviation;
        if (data->trials[i].state != BN_TRIAL_RUNNING) continue;
        bn_gp_predict(gp, x, &mean, &deviation);
        bn_gp_add(gp, x, mean, 0);
        if (!bn_gp_factor(gp)) { /* it stands on another point: nothing to learn from it */
            gp->count--;
            (void)bn_gp_factor(gp);
        }
    }
}

/* Proposals of a process that is open and empty. */
static bool propose_gp(task *t, bn_gp *gp, double *rows)
{
    bn_acquire acquire = {.gp = gp, .key = bn_rng_key(t->learn->key, "gp", (uint64_t)t->index)};
    tell(gp, t->data, rows, &acquire);
    bn_gp_fit(gp);
    if (!bn_gp_factor(gp)) return false;
    believe(gp, t->data);
    int count = bn_acquire_propose(&acquire, rows, &t->status, t->err);
    return first_usable(t, rows, count);
}

static bool suggest_gp(task *t)
{
    bn_gp gp = {0};
    bool found = false;
    size_t points = t->data->count < BN_GP_POINTS_MAX ? t->data->count : BN_GP_POINTS_MAX;
    if (!isfinite(worst_of(t->data->trials, t->data->count))) return false; /* only failures */
    size_t cells = BN_ACQUIRE_PROPOSALS * (size_t)t->learn->axes.count + t->data->count;
    double *rows = malloc((cells + 1) * sizeof *rows);
    if (!rows) {
        t->status = bn_fail(t->err, BN_ENOMEM, "too little memory for candidates");
        return false;
    }
    t->status = bn_gp_open(&gp, t->data->axes, (int)points, t->err);
    if (t->status == BN_OK) found = propose_gp(t, &gp, rows);
    bn_gp_close(&gp);
    free(rows);
    return found;
}

static bool use_gp(const bn_learn *learn, size_t finished)
{
    if (learn->learner == BN_LEARNER_BAYES) {
        return finished <= BN_BAYES_GP_MAX && learn->axes.groups == 1;
    }
    return learn->learner == BN_LEARNER_GP;
}

static void suggest_learned(task *t)
{
    const bn_axes *axes = &t->learn->axes;
    size_t finished = 0, startup = 10;
    bool found = false;
    for (size_t i = 0; i < t->data->count; i++) finished += is_finished(&t->data->trials[i]);
    bool gp = use_gp(t->learn, finished);
    if (gp && axes->count > 5) startup = 2 * (size_t)axes->count;
    if (finished >= startup && axes->count > 0) found = gp ? suggest_gp(t) : suggest_tpe(t);
    if (!found && t->status == BN_OK) suggest_spread(t);
}

bn_status bn_learn_suggest(const bn_learn *learn, int64_t index, const bn_known *known,
                           bn_walk *taken, bn_point *out, bn_error *err)
{
    size_t dims = (size_t)learn->axes.count;
    double *x = malloc((known->count * dims + 1) * sizeof *x);
    if (!x) return bn_fail(err, BN_ENOMEM, "too little memory for %zu trials", known->count);
    bn_tpe_data data = {
        .axes = &learn->axes, .trials = known->trials, .x = x, .count = known->count};
    task t = {
        .learn = learn, .data = &data, .index = index, .taken = taken, .out = out, .err = err};
    bn_walk_forget(taken);
    for (size_t i = 0; i < known->count && t.status == BN_OK; i++) {
        const bn_point *point = &known->trials[i].point;
        bn_axes_encode(&learn->axes, learn->space, point, x + i * dims);
        (void)bn_walk_take(taken, point, &t.status, err);
    }
    if (t.status == BN_OK) suggest_learned(&t);
    free(x);
    return t.status;
}
