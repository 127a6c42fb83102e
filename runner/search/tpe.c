#include "runner/search/tpe.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "runner/search/quantile.h"

static const double LOG_SQRT_TWO_PI = 0.91893853320467274178;

int bn_tpe_gamma(int n)
{
    int good = (n + 9) / 10;
    return good < 25 ? good : 25;
}

int bn_tpe_candidates(const bn_axes *axes)
{
    int count = 16 * axes->count;
    if (count < 24) return 24;
    return count < BN_TPE_CANDIDATES_MAX ? count : BN_TPE_CANDIDATES_MAX;
}

/* log(Phi(b) - Phi(a)) for a < b, exact in both tails. */
static double log_normal_mass(double a, double b)
{
    bool right = a > 0; /* the mirror image lies in the left tail */
    double top = bn_normal_log_cdf(right ? -a : b), bottom = bn_normal_log_cdf(right ? -b : a);
    return top + log1p(-exp(bottom - top));
}

/* Old observations count less once there are more than 25: from 1/N up to 1. */
static void set_weights(bn_parzen *parzen)
{
    enum { FULL = 25 };
    int count = parzen->kernels - 1;
    double sum = 1; /* the prior's */
    for (int j = 0; j < count; j++) {
        double weight = 1;
        int ramp = count - FULL;
        if (j < ramp) {
            weight = 1.0 / count;
            if (ramp > 1) weight += (1 - 1.0 / count) * j / (ramp - 1);
        }
        parzen->log_weights[j] = weight;
        sum += weight;
    }
    parzen->log_weights[count] = 1;
    for (int j = 0; j <= count; j++) parzen->log_weights[j] = log(parzen->log_weights[j] / sum);
}

typedef struct place {
    double mu;
    int kernel;
} place;

static int by_mu(const void *a, const void *b)
{
    const place *left = a, *right = b;
    if (left->mu != right->mu) return left->mu < right->mu ? -1 : 1;
    return left->kernel - right->kernel;
}

/* Widths of one axis: a kernel reaches to the farther of its neighbours (the prior is nobody's);
 * the outermost ones look inward only; nothing narrower than the floor. */
static void set_widths(bn_parzen *parzen, int axis, place *places)
{
    int stride = parzen->axis_count, count = parzen->kernels - 1;
    for (int j = 0; j < count; j++) {
        places[j] = (place){.mu = parzen->mu[j * stride + axis], .kernel = j};
    }
    qsort(places, (size_t)count, sizeof *places, by_mu);
    double least = 1.0 / fmin(parzen->floor.most, pow(2 + count, parzen->floor.power));
    for (int i = 0; i < count; i++) {
        double left = places[i].mu - (i > 0 ? places[i - 1].mu : 0);
        double right = (i + 1 < count ? places[i + 1].mu : 1) - places[i].mu;
        double width = fmax(left, right);
        if (count >= 2 && i == 0) width = right;
        if (count >= 2 && i == count - 1) width = left;
        parzen->sigma[places[i].kernel * stride + axis] = fmin(fmax(width, least), 1);
    }
    parzen->sigma[count * stride + axis] = 1;
    for (int j = 0; j <= count; j++) {
        double mu = parzen->mu[j * stride + axis], sigma = parzen->sigma[j * stride + axis];
        parzen->log_mass[j * stride + axis] = log_normal_mass(-mu / sigma, (1 - mu) / sigma);
    }
}

bn_status bn_parzen_init(bn_parzen *parzen, const double *observations, int count, bn_error *err)
{
    int axis_count = parzen->axis_count;
    size_t kernels = (size_t)count + 1, cells = kernels * (size_t)axis_count;
    parzen->kernels = count + 1;
    parzen->log_weights = calloc(kernels + 3 * cells, sizeof(double));
    place *places = malloc(kernels * sizeof *places);
    if (!parzen->log_weights || !places) {
        free(places);
        bn_parzen_release(parzen);
        return bn_fail(err, BN_ENOMEM, "too little memory for %d kernels", count);
    }
    parzen->mu = parzen->log_weights + kernels;
    parzen->sigma = parzen->mu + cells;
    parzen->log_mass = parzen->sigma + cells;
    if (count > 0) {
        memcpy(parzen->mu, observations, (size_t)count * (size_t)axis_count * sizeof(double));
    }
    set_weights(parzen);
    for (int axis = 0; axis < axis_count; axis++) {
        bool choice = parzen->axes[axis].kind == BN_AXIS_CHOICE;
        parzen->mu[count * axis_count + axis] = choice ? -1 : 0.5;
        if (!choice) set_widths(parzen, axis, places);
    }
    free(places);
    return BN_OK;
}

void bn_parzen_release(bn_parzen *parzen)
{
    free(parzen->log_weights);
    *parzen = (bn_parzen){0};
}

/* A choice's share: 1/K + [seen], over all values. */
static double choice_share(const bn_parzen *parzen, const bn_axis *axis, double seen, double x)
{
    double prior = 1.0 / parzen->kernels, values = (double)axis->count;
    if (seen < 0) return 1.0 / values;
    return (prior + (seen == x)) / (prior * values + 1);
}

static double log_kernel(const bn_parzen *parzen, int kernel, int axis, double x)
{
    const bn_axis *a = &parzen->axes[axis];
    int cell = kernel * parzen->axis_count + axis;
    double mu = parzen->mu[cell];
    if (a->kind == BN_AXIS_CHOICE) return log(choice_share(parzen, a, mu, x));
    double sigma = parzen->sigma[cell];
    if (a->kind == BN_AXIS_STEP) {
        double half = 0.5 / (double)a->count;
        return log_normal_mass((x - half - mu) / sigma, (x + half - mu) / sigma) -
               parzen->log_mass[cell];
    }
    double z = (x - mu) / sigma;
    return -0.5 * z * z - LOG_SQRT_TWO_PI - log(sigma) - parzen->log_mass[cell];
}

double bn_parzen_log_density(const bn_parzen *parzen, const double *x)
{
    double most = -INFINITY, sum = 0; /* sum of exp(term - most), kept as most moves */
    for (int j = 0; j < parzen->kernels; j++) {
        double term = parzen->log_weights[j];
        for (int axis = 0; axis < parzen->axis_count; axis++) {
            term += log_kernel(parzen, j, axis, x[axis]);
        }
        if (term > most) {
            sum = sum * exp(most - term) + 1;
            most = term;
        } else if (!isinf(term)) {
            sum += exp(term - most);
        }
    }
    return most + log(sum);
}

/* Normal of a kernel within [0, 1], by inverting its distribution. */
static double draw_number(const bn_parzen *parzen, int cell, double u)
{
    double mu = parzen->mu[cell], sigma = parzen->sigma[cell];
    double low = exp(bn_normal_log_cdf(-mu / sigma)), mass = exp(parzen->log_mass[cell]);
    double x = mu + sigma * bn_normal_quantile(low + u * mass);
    return fmin(fmax(x, 0), 1);
}

static double draw_choice(const bn_parzen *parzen, const bn_axis *axis, double seen, double u)
{
    int64_t value = 0;
    double sum = choice_share(parzen, axis, seen, 0);
    while (value + 1 < axis->count && u >= sum) {
        value++;
        sum += choice_share(parzen, axis, seen, (double)value);
    }
    return (double)value;
}

void bn_parzen_draw(const bn_parzen *parzen, uint64_t key, int index, int count, double *x)
{
    assert(parzen->log_weights && index >= 0 && index < count);
    uint64_t stream = (uint64_t)index * (uint64_t)(parzen->axis_count + 1);
    double u = (index + bn_rng_uniform(key, stream)) / count, sum = exp(parzen->log_weights[0]);
    int kernel = 0;
    while (kernel + 1 < parzen->kernels && u >= sum) sum += exp(parzen->log_weights[++kernel]);
    for (int axis = 0; axis < parzen->axis_count; axis++) {
        const bn_axis *a = &parzen->axes[axis];
        int cell = kernel * parzen->axis_count + axis;
        u = bn_rng_uniform(key, stream + 1 + (uint64_t)axis);
        if (a->kind == BN_AXIS_CHOICE) {
            x[axis] = draw_choice(parzen, a, parzen->mu[cell], u);
        } else {
            x[axis] = bn_axis_snap(a, draw_number(parzen, cell, u));
        }
    }
}

/* A finished trial in the order of merit. */
typedef struct merit {
    const bn_trial *trial;
    size_t number;
} merit;

static int by_merit(const void *a, const void *b)
{
    const merit *left = a, *right = b;
    const bn_trial *l = left->trial, *r = right->trial;
    if (l->state != r->state) return l->state == BN_TRIAL_COMPLETE ? -1 : 1;
    if (l->state == BN_TRIAL_PRUNED && l->last_step != r->last_step) {
        return l->last_step > r->last_step ? -1 : 1;
    }
    if (isnan(l->value) != isnan(r->value)) return isnan(l->value) ? 1 : -1;
    if (!isnan(l->value) && l->value != r->value) return l->value < r->value ? -1 : 1;
    return left->number < right->number ? -1 : 1;
}

/* good[i]: trial i is among the best; returns how many finished. Failed trials say nothing. */
static int split(const bn_tpe_data *data, merit *order, bool *good)
{
    int finished = 0;
    for (size_t i = 0; i < data->count; i++) {
        good[i] = false;
        bool done =
            data->trials[i].state == BN_TRIAL_COMPLETE || data->trials[i].state == BN_TRIAL_PRUNED;
        if (done) order[finished++] = (merit){.trial = &data->trials[i], .number = i};
    }
    qsort(order, (size_t)finished, sizeof *order, by_merit);
    for (int i = 0; i < bn_tpe_gamma(finished); i++) good[order[i].number] = true;
    return finished;
}

/* Scratch of a proposal, one allocation. */
typedef struct proposal {
    const bn_tpe_data *data;
    merit *order;
    bool *good;
    double *observations; /* [count, axes] */
    bn_axis axes[BN_SPACE_PARAMS_MAX];
    int columns[BN_SPACE_PARAMS_MAX]; /* of the group's axes in data->x */
    int axis_count;
} proposal;

/* Gathers the trials of one side that have all axes of the group. */
static int gather(const proposal *p, bool good)
{
    int count = 0, stride = p->data->axes->count;
    for (size_t i = 0; i < p->data->count; i++) {
        if (p->good[i] != good || p->data->trials[i].state == BN_TRIAL_FAILED) continue;
        double *row = p->observations + (size_t)count * (size_t)p->axis_count;
        bool whole = true;
        for (int a = 0; a < p->axis_count; a++) {
            row[a] = p->data->x[i * (size_t)stride + (size_t)p->columns[a]];
            whole = whole && !isnan(row[a]);
        }
        count += whole;
    }
    return count;
}

typedef struct scored {
    double x[BN_SPACE_PARAMS_MAX];
    double score;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *left = a, *right = b;
    return left->score > right->score ? -1 : left->score < right->score;
}

/* Draws and ranks the axes of one group into their columns of out. */
static bn_status propose_group(proposal *p, uint64_t key, double *out, bn_error *err)
{
    bn_parzen below = {.axes = p->axes, .axis_count = p->axis_count, .floor = BN_PARZEN_FLOOR};
    bn_parzen above = below;
    scored drawn[BN_TPE_CANDIDATES_MAX];
    int stride = p->data->axes->count, candidates = bn_tpe_candidates(p->data->axes);
    bn_status status = bn_parzen_init(&below, p->observations, gather(p, true), err);
    if (status == BN_OK) status = bn_parzen_init(&above, p->observations, gather(p, false), err);
    for (int i = 0; i < candidates && status == BN_OK; i++) {
        bn_parzen_draw(&below, key, i, candidates, drawn[i].x);
        drawn[i].score =
            bn_parzen_log_density(&below, drawn[i].x) - bn_parzen_log_density(&above, drawn[i].x);
    }
    if (status == BN_OK) qsort(drawn, (size_t)candidates, sizeof drawn[0], by_score);
    for (int i = 0; i < candidates && status == BN_OK; i++) {
        for (int a = 0; a < p->axis_count; a++) out[i * stride + p->columns[a]] = drawn[i].x[a];
    }
    bn_parzen_release(&below);
    bn_parzen_release(&above);
    return status;
}

static void pick_group(proposal *p, int group)
{
    p->axis_count = 0;
    for (int a = 0; a < p->data->axes->count; a++) {
        if (p->data->axes->list[a].group != group) continue;
        p->axes[p->axis_count] = p->data->axes->list[a];
        p->columns[p->axis_count++] = a;
    }
}

bn_status bn_tpe_propose(const bn_tpe_data *data, uint64_t key, double *out, bn_error *err)
{
    size_t count = data->count ? data->count : 1;
    proposal p = {.data = data};
    bn_status status = BN_OK;
    p.order = malloc(count * sizeof *p.order);
    p.good = malloc(count * sizeof *p.good);
    p.observations = malloc(count * (size_t)(data->axes->count + 1) * sizeof *p.observations);
    if (!p.order || !p.good || !p.observations) {
        status = bn_fail(err, BN_ENOMEM, "too little memory for %zu trials", data->count);
        goto done;
    }
    (void)split(data, p.order, p.good);
    for (int group = 0; group < data->axes->groups && status == BN_OK; group++) {
        pick_group(&p, group);
        if (p.axis_count == 0) continue;
        status = propose_group(&p, bn_rng_key(key, "group", (uint64_t)group), out, err);
    }
done:
    free(p.order);
    free(p.good);
    free(p.observations);
    return status;
}
