#include "reporters/comparison.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "reporters/comparison_making.h"

static void find_baseline(bn_making *make)
{
    bn_comparison *out = make->out;
    out->baseline = -1;
    for (size_t i = 0; i < out->side_count; i++) {
        if (strcmp(out->sides[i], make->ask->baseline) == 0) out->baseline = (int)i;
    }
    if (out->baseline <= 0) return;
    /* First in every table: swap it to the front. */
    char moved[BN_SIDE_MAX];
    memcpy(moved, out->sides[0], sizeof moved);
    memcpy(out->sides[0], out->sides[out->baseline], sizeof moved);
    memcpy(out->sides[out->baseline], moved, sizeof moved);
    for (size_t i = 0; i < out->run_count; i++) {
        int side = out->runs[i].side;
        if (side == 0) out->runs[i].side = out->baseline;
        if (side == out->baseline) out->runs[i].side = 0;
    }
    out->baseline = 0;
}

/* Mean over the runs of a cell at one setting; a number that some of them lack is left out. */
static void average(const bn_comparison *out, bn_comparison_cell *cell)
{
    double sums[5] = {0}, squares = 0;
    int counts[5] = {0};
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *run = &out->runs[i];
        bool here = run->shape == cell->shape && run->side == cell->side;
        if (!here || run->setting != cell->setting) continue;
        const double numbers[5] = {run->value, run->tokens_per_s, run->memory_bytes,
                                   run->deployed_bytes, run->params};
        for (int k = 0; k < 5; k++) {
            if (!isfinite(numbers[k])) continue;
            sums[k] += numbers[k];
            counts[k]++;
        }
        squares += run->value * run->value;
    }
    double means[5];
    for (int k = 0; k < 5; k++) means[k] = counts[k] ? sums[k] / counts[k] : (double)NAN;
    cell->runs = counts[0];
    cell->value = means[0];
    cell->tokens_per_s = means[1];
    cell->memory_bytes = means[2];
    cell->deployed_bytes = means[3];
    cell->params = means[4];
    double variance = (squares - counts[0] * means[0] * means[0]) / (counts[0] - 1.0);
    cell->deviation = counts[0] > 1 ? sqrt(fmax(0, variance)) : (double)NAN;
}

/* The number behind the only '=' of a setting; NaN when several knobs were tuned, or none. */
static double setting_number(const char *setting)
{
    const char *equals = strchr(setting, '=');
    if (!equals || strchr(equals + 1, '=')) return (double)NAN;
    char *end = NULL;
    double number = strtod(equals + 1, &end);
    return *end ? (double)NAN : number;
}

/* Is this run the first of its shape, side and setting? */
static bool first_of_setting(const bn_comparison *out, size_t index)
{
    const bn_comparison_run *run = &out->runs[index];
    for (size_t i = 0; i < index; i++) {
        const bn_comparison_run *other = &out->runs[i];
        if (other->shape == run->shape && other->side == run->side &&
            other->setting == run->setting) {
            return false;
        }
    }
    return true;
}

static void choose_best(const bn_comparison *out, bool maximize, bn_comparison_cell *cell)
{
    double least = (double)INFINITY, most = -(double)INFINITY;
    int settings = 0;
    bn_comparison_cell best = *cell;
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *run = &out->runs[i];
        bool here = run->shape == cell->shape && run->side == cell->side;
        if (!here || !first_of_setting(out, i)) continue;
        bn_comparison_cell trial = {.shape = cell->shape, .side = cell->side};
        trial.setting = run->setting;
        average(out, &trial);
        bool better = maximize ? trial.value > best.value : trial.value < best.value;
        if (settings++ == 0 || better) best = trial;
        least = fmin(least, setting_number(out->settings[run->setting]));
        most = fmax(most, setting_number(out->settings[run->setting]));
    }
    *cell = best;
    cell->settings = settings;
    if (settings < 2) return;
    double chosen = setting_number(out->settings[cell->setting]);
    cell->edge = chosen == least || chosen == most;
}

/* The U of a cell over the one number that was tuned. */
static bn_status fit_valley(const bn_comparison *out, bool maximize, bn_comparison_cell *cell,
                            bn_error *err)
{
    double sign = maximize ? -1 : 1;
    size_t count = 0;
    bn_valley_point *points = calloc(out->run_count + 1, sizeof *points);
    if (!points) return bn_fail(err, BN_ENOMEM, "comparison: out of memory");
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *run = &out->runs[i];
        if (run->shape != cell->shape || run->side != cell->side) continue;
        double rate = setting_number(out->settings[run->setting]);
        points[count++] = (bn_valley_point){rate, sign * run->value};
    }
    bn_valley_fit(points, count, &cell->valley);
    free(points);
    if (!maximize) return BN_OK;
    double low = cell->valley.loss_low;
    cell->valley.loss = -cell->valley.loss;
    cell->valley.loss_low = -cell->valley.loss_high;
    cell->valley.loss_high = -low;
    return BN_OK;
}

static bn_status make_cells(bn_making *make, bn_error *err)
{
    bn_comparison *out = make->out;
    for (int shape = 0; shape < (int)out->shape_count; shape++) {
        for (int side = 0; side < (int)out->side_count; side++) {
            bn_comparison_cell cell = {.shape = shape, .side = side};
            choose_best(out, make->ask->maximize, &cell);
            if (cell.settings == 0) continue;
            bn_status status = bn_making_grow(&out->cells, out->cell_count, &make->cell_room,
                                              sizeof *out->cells, err);
            if (status == BN_OK) status = fit_valley(out, make->ask->maximize, &cell, err);
            if (status != BN_OK) return status;
            out->cells[out->cell_count++] = cell;
        }
    }
    return BN_OK;
}

const bn_comparison_cell *bn_comparison_at(const bn_comparison *comparison, int shape, int side)
{
    for (size_t i = 0; i < comparison->cell_count; i++) {
        const bn_comparison_cell *cell = &comparison->cells[i];
        if (cell->shape == shape && cell->side == side) return cell;
    }
    return NULL;
}

/* The baseline's run that a run is paired with, or NULL. */
static const bn_comparison_run *twin_of(const bn_comparison *out, const bn_comparison_run *run,
                                        int setting)
{
    for (size_t i = 0; i < out->run_count; i++) {
        const bn_comparison_run *other = &out->runs[i];
        if (other->side == out->baseline && other->shape == run->shape &&
            other->setting == setting && strcmp(other->seed, run->seed) == 0) {
            return other;
        }
    }
    return NULL;
}

/* The difference of a run from its twin; false when it has none. */
static bool difference(const bn_comparison *out, const bn_comparison_run *run, bool own_best,
                       double *value)
{
    int setting = run->setting;
    if (own_best) {
        const bn_comparison_cell *own = bn_comparison_at(out, run->shape, run->side);
        const bn_comparison_cell *base = bn_comparison_at(out, run->shape, out->baseline);
        if (!own || !base || own->setting != run->setting) return false;
        setting = base->setting;
    }
    const bn_comparison_run *twin = twin_of(out, run, setting);
    if (twin) *value = run->value - twin->value;
    return twin != NULL;
}

static int group_of(const bn_comparison *out, size_t run)
{
    size_t first = 0;
    while (out->runs[first].shape != out->runs[run].shape ||
           out->runs[first].setting != out->runs[run].setting) {
        first++;
    }
    return (int)first;
}

static bn_status pair_side(bn_making *make, int side, bool own_best, bn_error *err)
{
    bn_comparison *out = make->out;
    bn_pair_difference *list = calloc(out->run_count + 1, sizeof *list);
    if (!list) return bn_fail(err, BN_ENOMEM, "comparison: out of memory");
    size_t count = 0;
    for (size_t i = 0; i < out->run_count; i++) {
        if (out->runs[i].side != side) continue;
        if (difference(out, &out->runs[i], own_best, &list[count].value)) {
            list[count++].group = group_of(out, i);
        }
    }
    bn_comparison_pairs pairs = {.side = side, .own_best = own_best};
    /* By what is compared, so that the same home always shows the same interval. */
    uint64_t seed = bn_rng_key(bn_rng_key(0, make->ask->metric, own_best), out->sides[side], count);
    bn_status status = bn_paired_compare(list, count, seed, &pairs.loss, err);
    free(list);
    if (status != BN_OK || count == 0) return status;
    status =
        bn_making_grow(&out->pairs, out->pair_count, &make->pair_room, sizeof *out->pairs, err);
    if (status == BN_OK) out->pairs[out->pair_count++] = pairs;
    return status;
}

/* Several sides against one baseline are several questions: one of them would come out by chance.
 */
static void correct(bn_comparison *out, bool own_best)
{
    double p[BN_HOLM_MAX];
    size_t count = 0;
    for (size_t i = 0; i < out->pair_count && count < BN_HOLM_MAX; i++) {
        if (out->pairs[i].own_best == own_best) p[count++] = out->pairs[i].loss.p;
    }
    bn_holm(p, count);
    for (size_t i = 0, k = 0; i < out->pair_count; i++) {
        if (out->pairs[i].own_best != own_best) continue;
        out->pairs[i].p_holm = k < count ? p[k] : (double)NAN;
        k++;
    }
}

static bn_status make_pairs(bn_making *make, bn_error *err)
{
    bn_status status = BN_OK;
    if (make->out->baseline < 0) return BN_OK;
    for (int side = 0; status == BN_OK && side < (int)make->out->side_count; side++) {
        if (side == make->out->baseline) continue;
        status = pair_side(make, side, true, err);
        /* With one setting both ways of pairing are the same. */
        bool choice = make->out->setting_count > 1;
        if (status == BN_OK && choice) status = pair_side(make, side, false, err);
    }
    correct(make->out, true);
    correct(make->out, false);
    return status;
}

bn_status bn_comparison_make(bn_comparison *out, bn_store *store, const bn_comparison_ask *ask,
                             bn_error *err)
{
    *out = (bn_comparison){.baseline = -1};
    bn_making make = {.store = store, .ask = ask, .out = out};
    bn_status status = bn_making_read(&make, err);
    find_baseline(&make);
    if (status == BN_OK) status = make_cells(&make, err);
    if (status == BN_OK) status = make_pairs(&make, err);
    if (status != BN_OK) bn_comparison_release(out);
    return status;
}

void bn_comparison_release(bn_comparison *comparison)
{
    free(comparison->shapes);
    free(comparison->settings);
    free(comparison->sides);
    free(comparison->runs);
    free(comparison->cells);
    free(comparison->pairs);
    *comparison = (bn_comparison){.baseline = -1};
}
