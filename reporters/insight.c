#include "reporters/insight.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/rng.h"
#include "reporters/comparison_making.h"
#include "store/run.h"

static const double LOG_SPAN =
    30; /* a knob whose values span more is thought of by its logarithm */

/* A knob's values of the runs that count, as text; NULL where a run lacks it. */
typedef struct knob {
    char name[64];
    const char **words; /* [runs] */
    int *levels;        /* [runs] index among the different words */
    int level_count;
    double *numbers; /* [runs]; NULL when some word is no number */
    bool whole;      /* every run has it */
} knob;

typedef struct making {
    const bn_comparison *from;
    bn_run_param *varied; /* by run, then name */
    size_t varied_count;
    knob *knobs;
    size_t knob_count;
} making;

static void release(making *make)
{
    for (size_t i = 0; i < make->knob_count; i++) {
        free(make->knobs[i].words);
        free(make->knobs[i].levels);
        free(make->knobs[i].numbers);
    }
    free(make->knobs);
    free(make->varied);
}

static knob *find_knob(making *make, const char *name)
{
    for (size_t i = 0; i < make->knob_count; i++) {
        if (strcmp(make->knobs[i].name, name) == 0) return &make->knobs[i];
    }
    return NULL;
}

static bn_status add_knob(making *make, const char *name, knob **out, bn_error *err)
{
    size_t runs = make->from->run_count + 1;
    knob *more = realloc(make->knobs, (make->knob_count + 1) * sizeof *more);
    if (more) {
        make->knobs = more;
        knob *added = &more[make->knob_count++];
        *added = (knob){.words = calloc(runs, sizeof *added->words),
                        .levels = calloc(runs, sizeof *added->levels),
                        .numbers = calloc(runs, sizeof *added->numbers)};
        (void)snprintf(added->name, sizeof added->name, "%s", name);
        *out = added;
        if (added->words && added->levels && added->numbers) return BN_OK;
    }
    return bn_fail(err, BN_ENOMEM, "knobs of a sweep: out of memory");
}

static int place_of_run(const bn_comparison *from, int64_t run)
{
    for (size_t i = 0; i < from->run_count; i++) {
        if (from->runs[i].run == run) return (int)i;
    }
    return -1;
}

/* Rows come by run, so that each run's place is looked for once. */
static bn_status gather(making *make, bn_error *err)
{
    int64_t run = 0;
    int place = -1;
    for (size_t i = 0; i < make->varied_count; i++) {
        const bn_run_param *row = &make->varied[i];
        if (i == 0 || row->run != run) place = place_of_run(make->from, row->run);
        run = row->run;
        if (place < 0 || bn_comparison_is_seed(row->param.name)) continue;
        knob *of = find_knob(make, row->param.name);
        if (!of && add_knob(make, row->param.name, &of, err) != BN_OK) return err->status;
        assert(of);
        of->words[place] = row->param.value;
    }
    return BN_OK;
}

static void tell_levels(const making *make, knob *of)
{
    bool numbers = true;
    of->whole = true;
    for (size_t i = 0; i < make->from->run_count; i++) {
        if (!of->words[i]) {
            of->whole = false;
            return;
        }
        char *end = NULL;
        of->numbers[i] = strtod(of->words[i], &end);
        numbers &= *end == '\0' && isfinite(of->numbers[i]);
        size_t k = 0;
        while (strcmp(of->words[k], of->words[i]) != 0) k++;
        of->levels[i] = k < i ? of->levels[k] : of->level_count++;
    }
    if (numbers) return;
    free(of->numbers);
    of->numbers = NULL;
}

static int compare_knobs(const void *a, const void *b)
{
    return strcmp(((const knob *)a)->name, ((const knob *)b)->name);
}

/* Knobs with one value, or that some runs lack, tell nothing here. */
static void keep_telling(making *make)
{
    size_t kept = 0;
    for (size_t i = 0; i < make->knob_count; i++) {
        knob *of = &make->knobs[i];
        tell_levels(make, of);
        if (of->whole && of->level_count > 1) {
            knob moved = *of;
            *of = make->knobs[kept];
            make->knobs[kept++] = moved;
        }
    }
    for (size_t i = kept; i < make->knob_count; i++) {
        free(make->knobs[i].words);
        free(make->knobs[i].levels);
        free(make->knobs[i].numbers);
    }
    make->knob_count = kept;
    if (kept) qsort(make->knobs, kept, sizeof *make->knobs, compare_knobs);
}

static bn_status copy_losses(const making *make, bool maximize, double **out, bn_error *err)
{
    *out = calloc(make->from->run_count + 1, sizeof **out);
    if (!*out) return bn_fail(err, BN_ENOMEM, "knobs of a sweep: out of memory");
    for (size_t i = 0; i < make->from->run_count; i++) {
        (*out)[i] = maximize ? -make->from->runs[i].value : make->from->runs[i].value;
    }
    return BN_OK;
}

static bn_status make_anova(const making *make, const double *losses, bn_insight *out,
                            bn_error *err)
{
    int counts[BN_ANOVA_FACTORS_MAX];
    size_t runs = make->from->run_count, cells = 1;
    if (make->knob_count == 0 || make->knob_count > BN_ANOVA_FACTORS_MAX) return BN_OK;
    for (size_t k = 0; k < make->knob_count; k++) {
        counts[k] = make->knobs[k].level_count;
        cells *= (size_t)counts[k];
        if (cells > runs) return BN_OK; /* no grid: some cell must be empty */
    }
    int *levels = calloc(runs * make->knob_count, sizeof *levels);
    if (!levels) return bn_fail(err, BN_ENOMEM, "analysis of variance: out of memory");
    for (size_t i = 0; i < runs; i++) {
        for (size_t k = 0; k < make->knob_count; k++) {
            levels[i * make->knob_count + k] = make->knobs[k].levels[i];
        }
    }
    bn_anova_data data = {levels, counts, (int)make->knob_count, losses, runs};
    bn_status status = bn_anova_make(&data, &out->anova, &out->full_grid, err);
    free(levels);
    return status;
}

/* The knobs as numbers: words by their place among the different ones. */
static bn_status as_numbers(making *make, bn_importance_knob *knobs, bn_error *err)
{
    size_t runs = make->from->run_count;
    for (size_t k = 0; k < make->knob_count; k++) {
        knob *of = &make->knobs[k];
        knobs[k].categorical = of->numbers == NULL;
        if (!of->numbers) of->numbers = calloc(runs, sizeof *of->numbers);
        if (!of->numbers) return bn_fail(err, BN_ENOMEM, "importance: out of memory");
        double low = (double)INFINITY, high = 0;
        for (size_t i = 0; i < runs; i++) {
            if (knobs[k].categorical) of->numbers[i] = of->levels[i];
            low = fmin(low, of->numbers[i]);
            high = fmax(high, of->numbers[i]);
        }
        knobs[k].values = of->numbers;
        knobs[k].logarithmic = !knobs[k].categorical && low > 0 && high / low >= LOG_SPAN;
    }
    return BN_OK;
}

static bn_status weigh_knobs(const bn_importance_data *data, bn_insight *out, bn_error *err)
{
    if (data->count >= BN_EFFECT_RUNS_MIN) {
        out->effects = calloc(data->knob_count, sizeof *out->effects);
        if (!out->effects) return bn_fail(err, BN_ENOMEM, "effects of knobs: out of memory");
        if (bn_effects_make(data, data->seed, out->effects, err) != BN_OK) return err->status;
    }
    if (out->full_grid || data->count < BN_INSIGHT_RUNS_MIN) return BN_OK;
    out->importance = calloc(data->knob_count, sizeof *out->importance);
    if (!out->importance) return bn_fail(err, BN_ENOMEM, "importance: out of memory");
    bn_status status = bn_importance_make(data, out->importance, &out->top, err);
    out->searched = status == BN_OK && out->top >= BN_IMPORTANCE_TOP_MIN;
    return status;
}

static bn_status make_importance(making *make, const double *losses, bn_insight *out, bn_error *err)
{
    size_t runs = make->from->run_count;
    if (runs < BN_EFFECT_RUNS_MIN || make->knob_count == 0) return BN_OK;
    bn_importance_knob *knobs = calloc(make->knob_count, sizeof *knobs);
    if (!knobs) return bn_fail(err, BN_ENOMEM, "importance: out of memory");
    bn_importance_data data = {knobs, make->knob_count, losses, runs,
                               bn_rng_key(0, "importance", runs)};
    bn_status status = as_numbers(make, knobs, err);
    if (status == BN_OK) status = weigh_knobs(&data, out, err);
    free(knobs);
    return status;
}

/* The runs of a side at its best settings, as points of a scaling law. */
static size_t take_points(const bn_comparison *from, int side, bn_size_kind kind,
                          bn_scaling_point *points)
{
    size_t count = 0;
    for (size_t i = 0; i < from->run_count; i++) {
        const bn_comparison_run *run = &from->runs[i];
        const bn_comparison_cell *cell = bn_comparison_at(from, run->shape, side);
        if (run->side != side || !cell || cell->setting != run->setting) continue;
        double size = kind == BN_SIZE_PARAMETERS ? run->params : run->deployed_bytes;
        if (!(size > 0) || !isfinite(size) || !(run->value > 0)) continue;
        points[count++] = (bn_scaling_point){size, run->value};
    }
    return count;
}

/* The width of a model of that size, by a power law through the sweep's own widths. */
static double width_at(making *make, double size)
{
    const knob *width = find_knob(make, "model.width");
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    if (!width || !width->numbers || !(size > 0)) return (double)NAN;
    for (size_t i = 0; i < make->from->run_count; i++) {
        double params = make->from->runs[i].params;
        if (!(params > 0) || !(width->numbers[i] > 0)) continue;
        n++;
        x += log(params);
        y += log(width->numbers[i]);
        xx += log(params) * log(params);
        xy += log(params) * log(width->numbers[i]);
    }
    double slope = (n * xy - x * y) / (n * xx - x * x);
    return isfinite(slope) ? exp((y - slope * x) / n + slope * log(size)) : (double)NAN;
}

/* Of the side alone, so that a law's interval is the same whatever it is held against. */
static uint64_t law_seed(const bn_comparison *from, int side, bn_size_kind kind)
{
    return bn_rng_key(bn_rng_key(0, "law", kind), from->sides[side], 0);
}

static bn_status make_laws(const making *make, bn_scaling_fits **fits, bn_insight *out,
                           bn_error *err)
{
    const bn_comparison *from = make->from;
    bn_status status = BN_OK;
    out->laws = calloc(from->side_count * BN_SIZE_KINDS + 1, sizeof *out->laws);
    if (!out->laws) return bn_fail(err, BN_ENOMEM, "scaling: out of memory");
    bn_scaling_point *points = calloc(from->run_count + 1, sizeof *points);
    if (!points) return bn_fail(err, BN_ENOMEM, "scaling: out of memory");
    for (int i = 0; status == BN_OK && i < (int)from->side_count * BN_SIZE_KINDS; i++) {
        bn_insight_law *made = &out->laws[out->law_count];
        made->side = i / BN_SIZE_KINDS;
        made->kind = (bn_size_kind)(i % BN_SIZE_KINDS);
        size_t count = take_points(from, made->side, made->kind, points);
        uint64_t seed = law_seed(from, made->side, made->kind);
        status = bn_scaling_open(&fits[i], points, count, seed, err);
        if (status != BN_OK) break;
        made->law = bn_scaling_law(fits[i]);
        out->law_count += made->law.fitted;
    }
    free(points);
    return status;
}

static bn_status make_twins(making *make, bn_scaling_fits *const *fits, bn_insight *out,
                            bn_error *err)
{
    const bn_comparison *from = make->from;
    int base = from->baseline;
    out->scaling = calloc(from->side_count + 1, sizeof *out->scaling);
    if (!out->scaling) return bn_fail(err, BN_ENOMEM, "scaling: out of memory");
    for (int side = 0; base >= 0 && side < (int)from->side_count; side++) {
        if (side == base) continue;
        bn_insight_scaling *made = &out->scaling[out->scaling_count];
        made->twins = bn_scaling_compare(fits[side * BN_SIZE_KINDS + BN_SIZE_PARAMETERS],
                                         fits[base * BN_SIZE_KINDS + BN_SIZE_PARAMETERS]);
        made->side = side;
        made->width = width_at(make, made->twins.size);
        size_t sizes = made->twins.side.sizes < made->twins.base.sizes ? made->twins.side.sizes
                                                                       : made->twins.base.sizes;
        if (sizes >= BN_SCALING_SIZES_MIN) out->scaling_count++;
    }
    return BN_OK;
}

static bn_status make_scaling(making *make, const bn_comparison_ask *ask, bn_insight *out,
                              bn_error *err)
{
    if (ask->maximize) return BN_OK; /* laws are of losses */
    size_t count = make->from->side_count * BN_SIZE_KINDS;
    bn_scaling_fits **fits = calloc(count + 1, sizeof(bn_scaling_fits *));
    if (!fits) return bn_fail(err, BN_ENOMEM, "scaling: out of memory");
    bn_status status = make_laws(make, fits, out, err);
    if (status == BN_OK) status = make_twins(make, fits, out, err);
    for (size_t i = 0; i < count; i++) bn_scaling_close(fits[i]);
    free(fits);
    return status;
}

static bn_status name_knobs(const making *make, bn_insight *out, bn_error *err)
{
    out->run_count = make->from->run_count;
    out->knobs = calloc(make->knob_count + 1, sizeof *out->knobs);
    if (!out->knobs) return bn_fail(err, BN_ENOMEM, "knobs of a sweep: out of memory");
    for (; out->knob_count < make->knob_count; out->knob_count++) {
        (void)snprintf(out->knobs[out->knob_count], sizeof *out->knobs, "%s",
                       make->knobs[out->knob_count].name);
    }
    return BN_OK;
}

bn_status bn_insight_make(bn_insight *out, bn_store *store, const bn_comparison_ask *ask,
                          const bn_comparison *from, bn_error *err)
{
    *out = (bn_insight){0};
    making make = {.from = from};
    double *losses = NULL;
    bn_status status = bn_comparison_varied(store, ask, &make.varied, &make.varied_count, err);
    if (status == BN_OK) status = gather(&make, err);
    if (status == BN_OK) {
        keep_telling(&make);
        status = name_knobs(&make, out, err);
    }
    if (status == BN_OK) status = copy_losses(&make, ask->maximize, &losses, err);
    if (status == BN_OK) status = make_anova(&make, losses, out, err);
    if (status == BN_OK) status = make_importance(&make, losses, out, err);
    if (status == BN_OK) status = make_scaling(&make, ask, out, err);
    free(losses);
    release(&make);
    if (status != BN_OK) bn_insight_release(out);
    return status;
}

void bn_insight_release(bn_insight *insight)
{
    free(insight->knobs);
    free(insight->effects);
    free(insight->importance);
    free(insight->laws);
    free(insight->scaling);
    *insight = (bn_insight){0};
}
