#include "runner/search/pruner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Lower is better from here on. */
static double lowered(const bn_pruner *pruner, double value)
{
    return pruner->maximize ? -value : value;
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

int bn_hyperband_bands(const bn_pruner *pruner, int64_t bands[BN_BANDS_MAX])
{
    int count = 0;
    if (pruner->max_iter > 0 && pruner->s > 0) {
        double band = (double)pruner->max_iter;
        for (int i = 0; i < pruner->s && count < BN_BANDS_MAX; i++) {
            band /= pruner->eta;
            if (band < 1) break;
            bands[count++] = (int64_t)band;
        }
    } else {
        double band = (double)pruner->min_iter;
        while (count < BN_BANDS_MAX && band > 0 && band < 0x1p53) {
            bands[count++] = (int64_t)band;
            band *= pruner->eta;
        }
    }
    qsort(bands, (size_t)count, sizeof *bands, by_number);
    return count;
}

/* The finite value number `index` of a run (wandb sees no others); false: it has fewer. */
static bool finite_at(const bn_contender *run, int64_t index, double *out)
{
    for (size_t i = 0; i < run->count; i++) {
        if (!isfinite(run->values[i])) continue;
        *out = run->values[i];
        if (index-- == 0) return true;
    }
    return false;
}

double bn_hyperband_threshold(const bn_pruner *pruner, const bn_contender *runs, size_t count,
                              int64_t band, double *scratch)
{
    size_t reached = 0;
    for (size_t i = 0; i < count; i++) {
        double value;
        if (finite_at(&runs[i], band - 1, &value)) scratch[reached++] = lowered(pruner, value);
    }
    if (reached == 0) return INFINITY;
    qsort(scratch, reached, sizeof *scratch, by_value);
    return scratch[(size_t)((double)reached / pruner->eta)];
}

/* wandb's measure of a run at a band: its value there (strict) or its best so far. */
static double hyperband_measure(const bn_pruner *pruner, const bn_contender *run, int64_t band)
{
    double value = NAN, best = INFINITY;
    if (pruner->strict) {
        (void)finite_at(run, band - 1, &value);
        return lowered(pruner, value);
    }
    for (size_t i = 0; i < run->count; i++) {
        if (isfinite(run->values[i])) best = fmin(best, lowered(pruner, run->values[i]));
    }
    return best;
}

static bn_status judge_hyperband(const bn_pruner *pruner, const bn_contender *runs, size_t count,
                                 bn_pruning *verdicts, bn_error *err)
{
    int64_t bands[BN_BANDS_MAX];
    int band_count = bn_hyperband_bands(pruner, bands);
    double *scratch = malloc((count + 1) * sizeof *scratch);
    if (!scratch) return bn_fail(err, BN_ENOMEM, "too little memory for %zu runs", count);
    for (int b = 0; b < band_count; b++) {
        double threshold = bn_hyperband_threshold(pruner, runs, count, bands[b], scratch);
        if (isinf(threshold)) break; /* nobody came so far, nor farther */
        for (size_t i = 0; i < count; i++) {
            double there;
            bool judged = runs[i].running && !runs[i].protect && !verdicts[i].diverged;
            if (!judged || !finite_at(&runs[i], bands[b] - 1, &there)) continue;
            double measure = hyperband_measure(pruner, &runs[i], bands[b]);
            /* The last band that a run has reached decides alone. */
            verdicts[i].stop = measure > threshold;
            verdicts[i].reason[0] = '\0';
            if (!verdicts[i].stop) continue;
            (void)snprintf(verdicts[i].reason, sizeof verdicts[i].reason,
                           "hyperband: %.6g is worse than %.6g in the band of %lld reports",
                           lowered(pruner, measure), lowered(pruner, threshold),
                           (long long)bands[b]);
        }
    }
    free(scratch);
    return BN_OK;
}

/* The first report of a run at or after a step; its count when there is none. */
static size_t report_at(const bn_contender *run, double step)
{
    size_t i = 0;
    while (i < run->count && (double)run->steps[i] < step) i++;
    return i;
}

/* How a report stands among those that had been at the rung by its time. */
typedef struct standing {
    int place, of; /* 1: the best */
} standing;

static standing standing_at(const bn_pruner *pruner, const bn_contender *runs, size_t count,
                            size_t own, double rung)
{
    const bn_contender *run = &runs[own];
    size_t at = report_at(run, rung);
    double value = lowered(pruner, run->values[at]);
    standing s = {.place = 1, .of = 1};
    for (size_t i = 0; i < count; i++) {
        size_t k = report_at(&runs[i], rung);
        if (i == own || k == runs[i].count || !isfinite(runs[i].values[k])) continue;
        bool later = run->wall_s && runs[i].wall_s && runs[i].wall_s[k] > run->wall_s[at];
        if (later) continue;
        s.of++;
        s.place += lowered(pruner, runs[i].values[k]) < value;
    }
    return s;
}

static void judge_asha(const bn_pruner *pruner, const bn_contender *runs, size_t count, size_t own,
                       bn_pruning *verdict)
{
    const bn_contender *run = &runs[own];
    double last = pruner->max_iter > 0 ? (double)pruner->max_iter : 0x1p62;
    double rung = (double)pruner->min_iter;
    for (int k = 0; k < BN_BANDS_MAX && rung < last; k++) {
        size_t at = report_at(run, rung);
        if (at == run->count) return;
        standing s = standing_at(pruner, runs, count, own, rung);
        rung *= pruner->eta;
        int kept = (int)ceil(s.of / pruner->eta);
        if (kept < 1) kept = 1;
        if (s.place <= kept) continue;
        verdict->stop = true;
        (void)snprintf(verdict->reason, sizeof verdict->reason,
                       "asha: %.6g at step %lld is number %d of %d, %d go%s on", run->values[at],
                       (long long)run->steps[at], s.place, s.of, kept, kept == 1 ? "es" : "");
        return;
    }
}

/* The last finite value up to a step; NaN: none. */
static double value_by(const bn_pruner *pruner, const bn_contender *run, int64_t step)
{
    double value = NAN;
    for (size_t i = 0; i < run->count && run->steps[i] <= step; i++) {
        if (isfinite(run->values[i])) value = lowered(pruner, run->values[i]);
    }
    return value;
}

static void judge_median(const bn_pruner *pruner, const bn_contender *runs, size_t count,
                         size_t own, double *scratch, bn_pruning *verdict)
{
    const bn_contender *run = &runs[own];
    int64_t step = run->steps[run->count - 1];
    size_t yardsticks = 0;
    double best = INFINITY;
    if (step < pruner->min_iter) return;
    for (size_t i = 0; i < count; i++) {
        double value = value_by(pruner, &runs[i], step);
        if (runs[i].complete && !isnan(value)) scratch[yardsticks++] = value;
    }
    if (yardsticks < BN_MEDIAN_RUNS_MIN) return;
    qsort(scratch, yardsticks, sizeof *scratch, by_value);
    double median = 0.5 * (scratch[(yardsticks - 1) / 2] + scratch[yardsticks / 2]);
    for (size_t i = 0; i < run->count; i++) {
        if (isfinite(run->values[i])) best = fmin(best, lowered(pruner, run->values[i]));
    }
    if (!(best > median)) return;
    verdict->stop = true;
    (void)snprintf(verdict->reason, sizeof verdict->reason,
                   "median: best %.6g by step %lld is worse than the median %.6g of %zu runs",
                   lowered(pruner, best), (long long)step, lowered(pruner, median), yardsticks);
}

static void judge_threshold(const bn_pruner *pruner, const bn_contender *run, bn_pruning *verdict)
{
    double value = run->values[run->count - 1];
    int64_t step = run->steps[run->count - 1];
    bool worse = lowered(pruner, value) > lowered(pruner, pruner->threshold);
    if (step < pruner->min_iter || !worse) return;
    verdict->stop = true;
    (void)snprintf(verdict->reason, sizeof verdict->reason,
                   "threshold: %.6g at step %lld is worse than %.6g", value, (long long)step,
                   pruner->threshold);
}

static void judge_divergence(const bn_contender *run, bn_pruning *verdict)
{
    *verdict = (bn_pruning){0};
    if (!run->running || run->count == 0 || isfinite(run->values[run->count - 1])) return;
    verdict->stop = verdict->diverged = true;
    (void)snprintf(verdict->reason, sizeof verdict->reason, "diverged: %s at step %lld",
                   isnan(run->values[run->count - 1]) ? "not a number" : "infinite",
                   (long long)run->steps[run->count - 1]);
}

typedef enum pruner_type { NONE, HYPERBAND, ASHA, MEDIAN, THRESHOLD } pruner_type;

static bn_status find_type(const char *word, pruner_type *out, bn_error *err)
{
    static const char *const words[] = {"", "hyperband", "asha", "median", "threshold"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], word) != 0) continue;
        *out = (pruner_type)i;
        return BN_OK;
    }
    return bn_fail(err, BN_EINVAL,
                   "there is no early termination '%.40s'; expected hyperband, asha, median or "
                   "threshold",
                   word);
}

bn_status bn_pruner_judge(const bn_pruner *pruner, const bn_contender *runs, size_t count,
                          bn_pruning *verdicts, bn_error *err)
{
    pruner_type type = NONE;
    bn_status status = find_type(pruner->type, &type, err);
    if (status != BN_OK) return status;
    for (size_t i = 0; i < count; i++) judge_divergence(&runs[i], &verdicts[i]);
    if (type == NONE) return BN_OK;
    if (type == HYPERBAND) return judge_hyperband(pruner, runs, count, verdicts, err);
    double *scratch = malloc((count + 1) * sizeof *scratch);
    if (!scratch) return bn_fail(err, BN_ENOMEM, "too little memory for %zu runs", count);
    for (size_t i = 0; i < count; i++) {
        if (!runs[i].running || runs[i].protect || verdicts[i].stop || runs[i].count == 0) continue;
        if (type == ASHA) judge_asha(pruner, runs, count, i, &verdicts[i]);
        if (type == MEDIAN) judge_median(pruner, runs, count, i, scratch, &verdicts[i]);
        if (type == THRESHOLD) judge_threshold(pruner, &runs[i], &verdicts[i]);
    }
    free(scratch);
    return BN_OK;
}
