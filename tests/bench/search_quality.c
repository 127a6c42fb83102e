/* How good are the suggestions? Median best value found over seeds on four known surfaces, and what
 * a suggestion costs. Prints a table; docs/sweeps.md says how it compares.
 *
 *   search_quality [SEEDS [TRIALS [SURFACE [METHOD]]]]      default 30 seeds of 50 trials
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/rng.h"
#include "runner/search/search.h"

enum { SEEDS_MAX = 200, TRIALS_MAX = 200 };

static double number_of(const bn_point *point, int index)
{
    return point->values[index].number;
}

/* Branin-Hoo less its least value 0.397887. */
static double branin(const bn_point *p)
{
    const double pi = 3.14159265358979323846;
    double x = number_of(p, 0), y = number_of(p, 1);
    double a = y - 5.1 / (4 * pi * pi) * x * x + 5 / pi * x - 6;
    return a * a + 10 * (1 - 1 / (8 * pi)) * cos(x) + 10 - 0.39788735772973816;
}

/* Hartmann's function in six dimensions less its least value -3.32237. */
static double hartmann6(const bn_point *p)
{
    static const double alpha[4] = {1, 1.2, 3, 3.2};
    static const double a[4][6] = {{10, 3, 17, 3.5, 1.7, 8},
                                   {0.05, 10, 17, 0.1, 8, 14},
                                   {3, 3.5, 1.7, 10, 17, 8},
                                   {17, 8, 0.05, 10, 0.1, 14}};
    static const double c[4][6] = {{1312, 1696, 5569, 124, 8283, 5886},
                                   {2329, 4135, 8307, 3736, 1004, 9991},
                                   {2348, 1451, 3522, 2883, 3047, 6650},
                                   {4047, 8828, 8732, 5743, 1091, 381}};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double inner = 0;
        for (int d = 0; d < 6; d++) {
            double difference = number_of(p, d) - c[i][d] * 1e-4;
            inner += a[i][d] * difference * difference;
        }
        sum += alpha[i] * exp(-inner);
    }
    return 3.322368011391339 - sum;
}

/* Ackley's function in five dimensions on [-32.768, 32.768]. */
static double ackley5(const bn_point *p)
{
    double squares = 0, cosines = 0;
    for (int d = 0; d < 5; d++) {
        squares += number_of(p, d) * number_of(p, d);
        cosines += cos(6.28318530717958647692 * number_of(p, d));
    }
    return 20 - 20 * exp(-0.2 * sqrt(squares / 5)) + exp(1.0) - exp(cosines / 5);
}

/* A language model's sweep in shape: rate (log) with an optimum that depends on the variant and the
 * width, width in steps, variant, weight decay (log), warm-up. Its least value is 0. */
static double mixed(const bn_point *p)
{
    static const double shift[3] = {0, 0.05, 0.6}, cost[3] = {0, 0.01, 0.06};
    int variant = (int)number_of(p, 2);
    double width = number_of(p, 1) / 128;
    double rate = log10(number_of(p, 0)) + 3 - shift[variant] + 0.15 * log2(width / 8);
    double decay = log10(number_of(p, 3)) + 1, warmup = (number_of(p, 4) - 200) / 400;
    double bend = rate > 0 ? 0.35 * rate * rate + 0.8 * rate * rate * rate : 0.12 * rate * rate;
    return cost[variant] + 0.4 * (pow(width, -0.5) - pow(8, -0.5)) + bend + 0.02 * decay * decay +
           0.015 * warmup * warmup;
}

typedef struct surface {
    const char *name;
    double (*value)(const bn_point *point);
    void (*space)(bn_space *space);
} surface;

static void add(bn_space *space, bn_dist dist, double min, double max, double q)
{
    bn_parameter *p = &space->params[space->count];
    *p = (bn_parameter){.dist = dist, .min = min, .max = max, .q = q, .sigma = 1};
    p->name[0] = (char)('a' + space->count++);
}

static void branin_space(bn_space *space)
{
    add(space, BN_DIST_UNIFORM, -5, 10, 1);
    add(space, BN_DIST_UNIFORM, 0, 15, 1);
}

static void hartmann6_space(bn_space *space)
{
    for (int d = 0; d < 6; d++) add(space, BN_DIST_UNIFORM, 0, 1, 1);
}

static void ackley5_space(bn_space *space)
{
    for (int d = 0; d < 5; d++) add(space, BN_DIST_UNIFORM, -32.768, 32.768, 1);
}

static void mixed_space(bn_space *space)
{
    add(space, BN_DIST_LOG_UNIFORM_VALUES, 1e-5, 1e-1, 1);
    add(space, BN_DIST_Q_UNIFORM, 128, 1024, 128);
    add(space, BN_DIST_CATEGORICAL, 0, 0, 1);
    bn_setting *values = calloc(3, sizeof *values);
    for (int i = 0; values && i < 3; i++) values[i] = bn_setting_of_number(BN_SETTING_INT, i);
    space->params[2].values = values;
    space->params[2].value_count = values ? 3 : 0;
    add(space, BN_DIST_LOG_UNIFORM_VALUES, 1e-4, 1, 1);
    add(space, BN_DIST_INT_UNIFORM, 0, 1000, 1);
}

static const surface SURFACES[] = {{"branin", branin, branin_space},
                                   {"hartmann6", hartmann6, hartmann6_space},
                                   {"ackley5", ackley5, ackley5_space},
                                   {"mixed", mixed, mixed_space}};
static const char *const METHODS[] = {"random", "sobol", "tpe", "gp"};
enum { SURFACE_COUNT = 4, METHOD_COUNT = 4 };

/* Processor time: other programs do not count. */
static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* One search; best[i]: least value of the first i + 1 trials. Returns the seconds that its last
 * suggestion took. */
static double search_once(const surface *s, const char *method, uint64_t seed, int trials,
                          double *best)
{
    static bn_trial known[TRIALS_MAX];
    bn_space space = {0};
    bn_search *search = NULL;
    bn_error err = {0};
    bn_search_options options = {.method = method, .seed = seed};
    double took = 0;
    s->space(&space);
    if (bn_search_open(&search, &space, &options, &err) != BN_OK) abort();
    for (int i = 0; i < trials; i++) {
        double start = now_s();
        bn_status status = bn_search_suggest(search, i, known, (size_t)i, &known[i].point, &err);
        took = now_s() - start;
        if (status != BN_OK) abort();
        known[i].state = BN_TRIAL_COMPLETE;
        known[i].value = s->value(&known[i].point);
        known[i].replicates = 1;
        best[i] = i > 0 ? fmin(best[i - 1], known[i].value) : known[i].value;
    }
    bn_search_close(search);
    bn_space_release(&space);
    return took;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static void print_row(const surface *s, const char *method, int seeds, int trials)
{
    static double best[SEEDS_MAX][TRIALS_MAX], column[SEEDS_MAX], cost[SEEDS_MAX];
    const int places[] = {25, 50, 100};
    for (int seed = 0; seed < seeds; seed++) {
        cost[seed] = search_once(s, method, (uint64_t)seed, trials, best[seed]);
    }
    printf("| %-9s | %-6s |", s->name, method);
    for (size_t k = 0; k < 3; k++) {
        if (places[k] > trials) continue;
        for (int seed = 0; seed < seeds; seed++) column[seed] = best[seed][places[k] - 1];
        printf(" %10.3g |", median(column, seeds));
    }
    printf(" %8.2f |\n", 1e3 * median(cost, seeds));
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    int seeds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 30;
    int trials = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 50;
    if (seeds < 1 || seeds > SEEDS_MAX || trials < 25 || trials > TRIALS_MAX) {
        (void)fprintf(stderr,
                      "usage: search_quality [SEEDS 1-%d [TRIALS 25-%d [SURFACE [METHOD]]]]\n",
                      SEEDS_MAX, TRIALS_MAX);
        return 2;
    }
    printf(
        "median over %d seeds of the best value after so many trials; ms of the last suggestion\n"
        "| surface   | method |        @25 |%s%s       ms |\n",
        seeds, trials >= 50 ? "        @50 |" : "", trials >= 100 ? "       @100 |" : "");
    for (int s = 0; s < SURFACE_COUNT; s++) {
        if (argc > 3 && strcmp(argv[3], SURFACES[s].name) != 0) continue;
        for (int m = 0; m < METHOD_COUNT; m++) {
            if (argc > 4 && strcmp(argv[4], METHODS[m]) != 0) continue;
            print_row(&SURFACES[s], METHODS[m], seeds, trials);
        }
    }
    return 0;
}
