#include <stdlib.h>

#include "engine/base/rng.h"
#include "runner/search/tpe.h"
#include "support/cmocka_all.h"

/* The space of the vectors: lr log-uniform in [1e-5, 0.1], w whole in 128 ... 1024 by 128, q one of
 * three, x uniform in [0, 1]. */
static void vector_space(bn_space *space)
{
    memset(space, 0, sizeof *space);
    space->count = 4;
    space->params[0] = (bn_parameter){
        .name = "lr", .dist = BN_DIST_LOG_UNIFORM_VALUES, .min = 1e-5, .max = 0.1, .q = 1};
    space->params[1] =
        (bn_parameter){.name = "w", .dist = BN_DIST_Q_UNIFORM, .min = 128, .max = 1024, .q = 128};
    space->params[2] = (bn_parameter){.name = "q", .dist = BN_DIST_CATEGORICAL, .value_count = 3};
    space->params[2].values = calloc(3, sizeof *space->params[2].values);
    for (int i = 0; i < 3; i++) {
        space->params[2].values[i] = bn_setting_of_number(BN_SETTING_INT, i);
    }
    space->params[3] = (bn_parameter){.name = "x", .dist = BN_DIST_UNIFORM, .max = 1, .q = 1};
}

typedef struct vector_case {
    int first, last; /* parameters of the space that it has */
    int observations, points;
    const double (*seen)[4];
    const double (*x)[4];
    const double *log_density; /* per unit of log lr */
} vector_case;

static const double SEEN_0[][4] = {
    {0.0001, 0, 0, 0}, {0.00029999999999999997, 0, 0, 0}, {0.001, 0, 0, 0}, {0.02, 0, 0, 0}};
static const double X_0[][4] = {{1.0000000000000001e-05, 0, 0, 0},
                                {0.00020000000000000001, 0, 0, 0},
                                {0.001, 0, 0, 0},
                                {0.10000000000000001, 0, 0, 0}};
static const double DENSITY_0[] = {-2.9294211452136243, -1.8233906128257276, -2.0176406297532861,
                                   -2.7753543398716358};

static const double SEEN_1[][4] = {{0, 128, 0, 0}, {0, 256, 0, 0}, {0, 256, 0, 0}, {0, 1024, 0, 0}};
static const double X_1[][4] = {{0, 128, 0, 0}, {0, 256, 0, 0}, {0, 512, 0, 0}, {0, 1024, 0, 0}};
static const double DENSITY_1[] = {-1.5615217060837234, -1.5654956812474357, -2.2140006831679955,
                                   -2.6271401133933159};

static const double SEEN_2[][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 0}};
static const double X_2[][4] = {{0, 0, 0, 0}, {0, 0, 1, 0}, {0, 0, 2, 0}, {0, 0, 0, 0}};
static const double DENSITY_2[] = {-0.61310447288640879, -1.7917594692280547, -1.2321436812926323,
                                   -0.61310447288640879};

static const double SEEN_3[][4] = {{0, 0, 0, 0.10000000000000001},
                                   {0, 0, 0, 0.14999999999999999},
                                   {0, 0, 0, 0.20000000000000001},
                                   {0, 0, 0, 0.80000000000000004}};
static const double X_3[][4] = {{0, 0, 0, 0}, {0, 0, 0, 0.12}, {0, 0, 0, 0.5}, {0, 0, 0, 1}};
static const double DENSITY_3[] = {0.37897550376875366, 0.58786992544212202, -0.29402825520730302,
                                   -0.65685086427437722};

static const double SEEN_4[][4] = {{0.0001, 128, 0, 0.10000000000000001},
                                   {0.00029999999999999997, 256, 0, 0.14999999999999999},
                                   {0.001, 256, 2, 0.20000000000000001},
                                   {0.02, 1024, 0, 0.80000000000000004}};
static const double X_4[][4] = {{1.0000000000000001e-05, 128, 0, 0},
                                {0.00020000000000000001, 256, 1, 0.12},
                                {0.001, 512, 2, 0.5},
                                {0.10000000000000001, 1024, 0, 1}};
static const double DENSITY_4[] = {-3.9335817560181292, -4.2093443138781295, -5.2978039826748287,
                                   -5.2481114362622092};

static const double X_5[][4] = {{1.0000000000000001e-05, 128, 0, 0},
                                {0.00020000000000000001, 256, 1, 0.12},
                                {0.001, 512, 2, 0.5},
                                {0.10000000000000001, 1024, 0, 1}};
static const double DENSITY_5[] = {-5.6216766869362207, -5.4123301588580741, -5.2780486905826187,
                                   -5.6216766869362207};

static const double SEEN_6[][4] = {{0.0001, 128, 0, 0.10000000000000001}};
static const double X_6[][4] = {{1.0000000000000001e-05, 128, 0, 0},
                                {0.00020000000000000001, 256, 1, 0.12},
                                {0.001, 512, 2, 0.5},
                                {0.10000000000000001, 1024, 0, 1}};
static const double DENSITY_6[] = {-4.8872726208399451, -5.4644639654935565, -5.4823944581776001,
                                   -5.7256079775642368};

static const double SEEN_7[][4] = {{0.0035305856304085927, 768, 1, 0.75772884530829143},
                                   {0.00011999049779393493, 640, 1, 0.49742269548761897},
                                   {1.4584585665958877e-05, 384, 2, 0.52931216019677041},
                                   {1.1644223751767869e-05, 384, 0, 0.78578570071380749},
                                   {0.017909396718478333, 768, 2, 0.41465584935567079},
                                   {0.044773630318442316, 640, 0, 0.73448357178872936},
                                   {0.0026701957668594598, 640, 1, 0.71114287798974984},
                                   {0.0082791593946703549, 384, 1, 0.93205968661337824},
                                   {0.0014945139248881546, 896, 2, 0.11493263328090519},
                                   {0.054990756614060846, 512, 0, 0.72901511707630939},
                                   {0.018340628601973476, 384, 2, 0.92742392862455991},
                                   {1.025543297673201e-05, 1024, 2, 0.96792618992464641},
                                   {0.026891628709146732, 384, 2, 0.014706304965369288},
                                   {1.3625181657841062e-05, 256, 0, 0.86364009024557575},
                                   {0.008291283895033412, 768, 2, 0.98119504006634428},
                                   {5.0422280307889448e-05, 640, 2, 0.95721017961096355},
                                   {0.028360617945779446, 128, 0, 0.14876401223249791},
                                   {0.0014650244778091632, 128, 1, 0.97262881382295496},
                                   {0.00015806931168292119, 512, 1, 0.88993555572052063},
                                   {0.00049062410832548893, 896, 0, 0.82237382754307042},
                                   {1.2980119315177798e-05, 512, 1, 0.47998792380783217},
                                   {3.1414713692677135e-05, 896, 1, 0.23237291963930384},
                                   {0.004813906588782617, 384, 2, 0.80188057871830787},
                                   {0.0038793418027706235, 256, 2, 0.92353015978346953},
                                   {0.0028942793492824363, 896, 1, 0.26613027229229258},
                                   {0.00034253915105989419, 1024, 1, 0.53893440762218692},
                                   {0.097462992801989654, 128, 1, 0.4427528289745315},
                                   {0.083818783823089021, 128, 2, 0.931017315981155},
                                   {0.0055229096413666693, 768, 0, 0.040510711188434634},
                                   {0.0039979476683998753, 384, 1, 0.73200619565656078},
                                   {0.0056726621953885658, 640, 0, 0.61437324694899664},
                                   {0.00035948907446999874, 256, 1, 0.028365365113521057},
                                   {3.4704518246694736e-05, 896, 2, 0.71921977282674032},
                                   {0.0076904784720274654, 512, 1, 0.015991729523571974},
                                   {0.0012630405385729204, 1024, 1, 0.75795100235642809},
                                   {0.00017416765408325151, 896, 2, 0.51275872326207805},
                                   {0.00087769057616632654, 768, 1, 0.92910422079700616},
                                   {0.036136936901033985, 256, 2, 0.066082496724074735},
                                   {0.054472093148597911, 896, 0, 0.84131727961238323},
                                   {0.00026988626732963781, 128, 1, 0.066690008767101405}};
static const double X_7[][4] = {{1.0000000000000001e-05, 128, 0, 0},
                                {0.00020000000000000001, 256, 1, 0.12},
                                {0.001, 512, 2, 0.5},
                                {0.10000000000000001, 1024, 0, 1}};
static const double DENSITY_7[] = {-9.1388035355953718, -7.3571051356686326, -8.7902321207775049,
                                   -9.1387977812046994};

static const vector_case CASES[] = {
    {0, 0, 4, 4, SEEN_0, X_0, DENSITY_0}, {1, 1, 4, 4, SEEN_1, X_1, DENSITY_1},
    {2, 2, 4, 4, SEEN_2, X_2, DENSITY_2}, {3, 3, 4, 4, SEEN_3, X_3, DENSITY_3},
    {0, 3, 4, 4, SEEN_4, X_4, DENSITY_4}, {0, 3, 0, 4, NULL, X_5, DENSITY_5},
    {0, 3, 1, 4, SEEN_6, X_6, DENSITY_6}, {0, 3, 40, 4, SEEN_7, X_7, DENSITY_7},
};

static void encode_row(const bn_space *space, const bn_axes *axes, const double row[4], double *x)
{
    bn_point point = {.count = 4};
    for (int i = 0; i < 4; i++) point.values[i] = bn_setting_of_number(BN_SETTING_REAL, row[i]);
    bn_axes_encode(axes, space, &point, x);
}

/* NumPy leaves equal values in no particular order, so which of 40 equal widths is the wide one is
 * chance: the vector says it. The last one is the prior. */
static void take_widths_of_ties(bn_parzen *parzen)
{
    static const char wide[] = "....WW.W.W.W.W.W...WW...W.W..W......WW..";
    for (int j = 0; j < 40; j++) {
        double sigma = wide[j] == 'W' ? 0.125 : 1.0 / 42;
        double mu = parzen->mu[j * 4 + 1];
        double root = sigma * sqrt(2);
        parzen->sigma[j * 4 + 1] = sigma;
        parzen->log_mass[j * 4 + 1] = log(0.5 * erfc((mu - 1) / root) - 0.5 * erfc(mu / root));
    }
}

static void check_case(const bn_space *space, const bn_axes *axes, size_t k)
{
    const vector_case *c = &CASES[k];
    int count = c->last - c->first + 1;
    double seen[40 * 4], x[4];
    for (int i = 0; i < c->observations; i++) {
        encode_row(space, axes, c->seen[i], x);
        memcpy(seen + (ptrdiff_t)i * count, x + c->first, (size_t)count * sizeof *x);
    }
    bn_parzen parzen = {
        .axes = &axes->list[c->first], .axis_count = count, .floor = BN_PARZEN_FLOOR_OPTUNA};
    bn_error err = {0};
    bn_status status = bn_parzen_init(&parzen, seen, c->observations, &err);
    assert_int_equal(status, BN_OK);
    if (c->observations == 40) take_widths_of_ties(&parzen);
    /* The vectors are per unit of log lr, ours per unit of [0, 1]. */
    double per_unit = c->first == 0 ? log(log(0.1 / 1e-5)) : 0;
    for (int i = 0; i < c->points; i++) {
        encode_row(space, axes, c->x[i], x);
        double found = bn_parzen_log_density(&parzen, x + c->first) - per_unit;
        if (fabs(found - c->log_density[i]) > 1e-8) {
            fail_msg("case %zu, point %d: %.12g, not %.12g", k, i, found, c->log_density[i]);
        }
    }
    bn_parzen_release(&parzen);
}

static void test_densities_are_optunas(void **state)
{
    (void)state;
    bn_space space;
    bn_axes axes;
    vector_space(&space);
    bn_axes_init(&axes, &space);
    for (size_t k = 0; k < sizeof CASES / sizeof CASES[0]; k++) check_case(&space, &axes, k);
    bn_space_release(&space);
}

static void test_gamma_is_optunas(void **state)
{
    (void)state;
    static const int cases[][2] = {{1, 1},    {9, 1},    {10, 1},   {11, 2},   {50, 5},
                                   {100, 10}, {249, 25}, {250, 25}, {251, 25}, {1000, 25}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(bn_tpe_gamma(cases[i][0]), cases[i][1]);
    }
}

/* Draws of a mixture have its density: shares of ten bins against integrals over them. */
static void test_draws_follow_the_density(void **state)
{
    (void)state;
    enum { DRAWS = 40000, BINS = 10, FINE = 200 };
    bn_axis axis = {.kind = BN_AXIS_REAL};
    const double seen[] = {0.03, 0.3, 0.35, 0.9, 1};
    bn_parzen parzen = {.axes = &axis, .axis_count = 1, .floor = BN_PARZEN_FLOOR};
    bn_error err = {0};
    assert_int_equal(bn_parzen_init(&parzen, seen, 5, &err), BN_OK);
    double shares[BINS] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double x;
        bn_parzen_draw(&parzen, bn_rng_key(1, "t", 0), i, DRAWS, &x);
        shares[(int)fmin(x * BINS, BINS - 1)] += 1.0 / DRAWS;
    }
    for (int b = 0; b < BINS; b++) {
        double mass = 0;
        for (int i = 0; i < FINE; i++) {
            double x = (b + (i + 0.5) / FINE) / BINS;
            mass += exp(bn_parzen_log_density(&parzen, &x)) / FINE / BINS;
        }
        assert_true(fabs(mass - shares[b]) < 0.012);
    }
    bn_parzen_release(&parzen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_densities_are_optunas),
        cmocka_unit_test(test_gamma_is_optunas),
        cmocka_unit_test(test_draws_follow_the_density),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
