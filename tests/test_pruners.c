#include "runner/search/pruner.h"
#include "support/cmocka_all.h"

enum { RUNS = 12, REPORTS_MAX = 32 };

/* What wandb's own code decides (wandb/sweeps, hyperband_stopping.py); rows of runs r0 ... r11. */
typedef struct hyperband_case {
    bn_pruner pruner;
    const char *running, *stopped;       /* 'x' where it is so */
    int bands[8];                        /* 0 ends */
    double thresholds[8];                /* INFINITY: nobody came so far */
    double histories[RUNS][REPORTS_MAX]; /* 0 ends */
} hyperband_case;

/* clang-format off: rows of numbers */
static const hyperband_case
    CASES[] =
        {
            {.pruner = {.type = "hyperband", .max_iter = 27, .s = 2, .eta = 3},
             .running = ".xx.xx.xx.xx",
             .stopped = "........x..x",
             .bands = {3, 9},
             .thresholds = {1.124, 0.7382},
             .histories =
                 {
                     {1.7421, 1.6256, 1.566,  1.4616, 1.4405, 1.4344, 1.2761, 1.2063, 1.2014,
                      1.1374, 1.0702, 0.9665, 0.9621, 0.9514, 0.8047, 0.8065, 0.6939, 0.686,
                      0.6218, 0.6673, 0.5826, 0.628,  0.5923, 0.5466, 0.403,  0.4761},
                     {1.3791, 1.2299, 1.2188, 1.1332, 1.084, 1.1227, 0.9771, 0.9662, 0.9649, 0.8466,
                      0.8274, 0.7979, 0.7569, 0.6557, 0.6858, 0.7167, 0.5398},
                     {1.1681, 1.2416, 1.124, 0.973, 0.9863, 0.9635, 0.8796},
                     {1.6371, 1.5938, 1.5562, 1.3781, 1.3532, 1.2544, 1.2216, 1.0966, 1.0706,
                      1.0362, 1.0399, 1.0037, 0.8341, 0.8166, 0.8469},
                     {1.4156, 1.4141, 1.3198, 1.2063, 1.1446, 1.0938, 1.1285, 0.9796, 0.937, 0.9234,
                      0.8555, 0.8097, 0.7239, 0.741},
                     {1.1203, 1.0428, 0.9597, 0.9475, 0.8525, 0.8797, 0.7865, 0.7775,
                      0.6473, 0.6945, 0.5597, 0.5109, 0.5676, 0.5094, 0.5356, 0.6139,
                      0.4356, 0.4227, 0.442,  0.4354, 0.3819, 0.3613, 0.3886, 0.3623},
                     {0.4848, 0.4067, 0.45, 0.3728, 0.4441, 0.3858, 0.3623, 0.3108, 0.3178, 0.2081,
                      0.2364, 0.2968},
                     {1.0361, 0.858,  0.937,  0.813,  0.8526, 0.7805, 0.6593, 0.7627, 0.7382,
                      0.6303, 0.589,  0.5653, 0.4966, 0.5737, 0.4663, 0.4669, 0.4069, 0.3934,
                      0.3401, 0.4472, 0.3579, 0.396,  0.3315, 0.2799, 0.283,  0.2567},
                     {1.8431, 1.7561, 1.6158, 1.5622},
                     {0.7458, 0.6887, 0.7221, 0.7412, 0.5654, 0.5966, 0.5458, 0.4612, 0.5592,
                      0.4958, 0.4763, 0.4121, 0.4505, 0.3799, 0.3799, 0.3128, 0.2894},
                     {1.7934, 1.6904, 1.5875, 1.5057, 1.4879, 1.3703, 1.3102, 1.2546,
                      1.2512, 1.1683, 1.098,  0.9981, 0.9071, 0.9761, 0.9317, 0.8332,
                      0.8264, 0.7994, 0.7648, 0.734,  0.6316, 0.6982, 0.5298},
                     {1.3199, 1.2757, 1.2659, 1.189},
                 }},
            {.pruner = {.type = "hyperband", .min_iter = 3, .eta = 3},
             .running = ".xx.xx.xx.xx",
             .stopped = "..x.....x...",
             .bands = {3, 9, 27, 81, 243, 729},
             .thresholds = {1.2345, 0.969, INFINITY, INFINITY, INFINITY, INFINITY},
             .histories =
                 {
                     {0.9997},
                     {0.6358, 0.6474},
                     {1.7197, 1.6257, 1.532, 1.4709, 1.3543, 1.2535, 1.256, 1.1541, 1.0619},
                     {1.416, 1.3702, 1.2345, 1.1885, 1.1119, 1.0608, 1.061, 0.9608, 0.969},
                     {0.7123, 0.7882, 0.703, 0.6723, 0.5677, 0.586, 0.6164, 0.5469, 0.5282, 0.484,
                      0.532, 0.4501, 0.3191, 0.3736},
                     {0.6199, 0.7178, 0.7747, 0.6758, 0.582, 0.5624, 0.6362, 0.5593, 0.5269, 0.4963,
                      0.4765, 0.4917, 0.4571, 0.4193, 0.3364, 0.3952, 0.3174, 0.3891},
                     {1.7365},
                     {1.576, 1.4903, 1.325, 1.321, 1.2388, 1.0297, 1.1163, 1.0469, 1.0029, 0.8962,
                      0.8902, 0.8507},
                     {1.7546, 1.7458, 1.5601, 1.491, 1.346, 1.4452},
                     {1.8615, 1.7606, 1.6484, 1.5735, 1.474,  1.4039, 1.3478,
                      1.3551, 1.2449, 1.1548, 1.0723, 1.0158, 1.0766, 0.9732,
                      0.905,  0.8404, 0.7604, 0.7727, 0.7819, 0.6826, 0.6566},
                     {1.4809, 1.4727, 1.3693, 1.3874, 1.2391, 1.2442, 1.2323, 1.084,
                      1.016,  1.0046, 0.9464, 0.8507, 0.8795, 0.9155, 0.762,  0.727,
                      0.649,  0.683,  0.5721, 0.5482, 0.6381, 0.5008},
                     {0.6328, 0.5424, 0.5313, 0.5767},
                 }},
            {.pruner = {.type = "hyperband", .min_iter = 3, .eta = 3, .strict = true},
             .running = ".xx.xx.xx.xx",
             .stopped = ".....x.xx..x",
             .bands = {3, 9, 27, 81, 243, 729},
             .thresholds = {0.9034, 0.6558, 0.4134, INFINITY, INFINITY, INFINITY},
             .histories =
                 {
                     {0.7321, 0.7628},
                     {0.6993, 0.5724, 0.5466, 0.5354, 0.5479, 0.497, 0.4932, 0.4738, 0.4216, 0.4133,
                      0.4054},
                     {1.6975, 1.5554, 1.4541, 1.2963, 1.3326, 1.1518, 1.1178, 1.173,  1.1105,
                      1.0152, 0.8874, 0.9069, 0.8463, 0.8692, 0.9094, 0.7685, 0.6818, 0.627,
                      0.6493, 0.6115, 0.5325, 0.5671, 0.4764, 0.5635, 0.5362, 0.5138, 0.4134},
                     {0.7082, 0.6605, 0.6298, 0.5503, 0.513, 0.5964, 0.52,
                      0.5145, 0.5292, 0.3691, 0.3943},
                     {0.859, 0.8865, 0.8049, 0.6949, 0.6722, 0.724,
                      0.6735, 0.5237, 0.6558, 0.5897, 0.5996, 0.4873},
                     {1.5168, 1.6232, 1.4146, 1.4334, 1.2556, 1.2333, 1.0818, 1.0894,
                      1.1037, 0.9405, 1.0077, 0.9245, 0.8111, 0.7962, 0.7582, 0.7406,
                      0.68,   0.631,  0.6243, 0.557,  0.5142, 0.5481},
                     {1.124, 1.0365, 0.968, 1.0099, 0.8942, 0.9501, 0.7936, 0.8113, 0.742,
                      0.6789, 0.711, 0.6406, 0.6469, 0.5843},
                     {1.1363, 1.0883, 1.0807, 0.9371, 0.9325, 0.8028},
                     {1.0235, 1.0565, 1.0631},
                     {1.2481, 1.2018, 1.1221, 1.1401, 1.0261, 0.9783, 0.9941, 0.8801,
                      0.8947, 0.782,  0.7294, 0.6597, 0.8079, 0.664,  0.659,  0.6137,
                      0.5933, 0.5592, 0.625,  0.4518, 0.4013, 0.4052},
                     {1.1163, 0.9747, 0.9034},
                     {1.6409, 1.3537, 1.4481, 1.2986, 1.3385, 1.1698},
                 }},
            {.pruner = {.type = "hyperband",
                        .maximize = true,
                        .max_iter = 27,
                        .s = 3,
                        .eta = 2,
                        .strict = true},
             .running = ".xx.xx.xx.xx",
             .stopped = ".....x.xx...",
             .bands = {3, 6, 13},
             .thresholds = {0.9368, 0.8967, 0.4686},
             .histories =
                 {
                     {-0.5077, -0.5987, -0.5446, -0.4589, -0.4121, -0.3387, -0.3926, -0.3906,
                      -0.3688, -0.3502, -0.2815, -0.3178, -0.3035, -0.3551, -0.3697, -0.256,
                      -0.2117, -0.2346, -0.1959, -0.1781, -0.2018, -0.1426},
                     {-0.7495, -0.7304, -0.6737, -0.6132, -0.5705, -0.5759, -0.5316,
                      -0.5435, -0.5056, -0.4131, -0.4611, -0.3683, -0.3833, -0.3793,
                      -0.271,  -0.3611, -0.3466, -0.3147, -0.2856, -0.2732, -0.2288},
                     {-0.7424, -0.6416, -0.6794, -0.6422, -0.597, -0.5526},
                     {-0.655},
                     {-1.0856, -1.0384, -0.9368, -0.9092},
                     {-1.4507, -1.3698, -1.2175, -1.257, -1.2286, -1.1636, -1.0705, -0.9293,
                      -1.0052, -0.9039, -0.7402},
                     {-1.8231, -1.7641, -1.7719, -1.6064, -1.5592, -1.5577, -1.4783, -1.3252,
                      -1.2534, -1.1407, -1.1104, -1.1105, -1.0559, -0.9911, -0.9873, -0.8532,
                      -0.8455, -0.8435, -0.7968},
                     {-1.134,  -1.0443, -1.0262, -0.9088, -0.8302, -0.8967, -0.8226,
                      -0.8005, -0.662,  -0.6922, -0.6458, -0.5996, -0.4987, -0.5649,
                      -0.5981, -0.5453, -0.4706, -0.4755, -0.4908, -0.2929, -0.4036,
                      -0.417,  -0.405,  -0.4378, -0.3923},
                     {-1.6061, -1.4633, -1.4156, -1.3938, -1.3806, -1.2122},
                     {-1.5667, -1.548, -1.4071, -1.4134, -1.2262, -1.2031, -1.1434, -1.1364},
                     {-0.722, -0.7471, -0.6617, -0.5847, -0.6805, -0.6226, -0.5934, -0.5172,
                      -0.5661, -0.4775, -0.5205, -0.3974, -0.3786, -0.411, -0.3461, -0.3964},
                     {-0.819,  -0.8266, -0.7652, -0.7904, -0.6767, -0.6518, -0.7015,
                      -0.7216, -0.6799, -0.5548, -0.5357, -0.5758, -0.4686, -0.4028,
                      -0.4355, -0.4312, -0.3473, -0.2875, -0.2799, -0.3678},
                 }},
};
/* clang-format on */

static size_t length_of(const double *history)
{
    size_t count = 0;
    while (count < REPORTS_MAX && history[count] != 0) count++;
    return count;
}

static void test_hyperband_decides_as_wandb_does(void **state)
{
    (void)state;
    static const int64_t steps[REPORTS_MAX];
    for (size_t k = 0; k < sizeof CASES / sizeof CASES[0]; k++) {
        const hyperband_case *c = &CASES[k];
        bn_contender runs[RUNS];
        bn_pruning verdicts[RUNS];
        bn_error err = {0};
        for (int i = 0; i < RUNS; i++) {
            runs[i] = (bn_contender){.values = c->histories[i],
                                     .steps = steps,
                                     .count = length_of(c->histories[i]),
                                     .running = c->running[i] == 'x'};
        }
        assert_int_equal(bn_pruner_judge(&c->pruner, runs, RUNS, verdicts, &err), BN_OK);
        for (int i = 0; i < RUNS; i++) assert_int_equal(verdicts[i].stop, c->stopped[i] == 'x');
    }
}

static void test_hyperband_has_wandbs_bands_and_thresholds(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof CASES / sizeof CASES[0]; k++) {
        const hyperband_case *c = &CASES[k];
        bn_contender runs[RUNS];
        int64_t bands[BN_BANDS_MAX];
        double scratch[RUNS];
        int count = bn_hyperband_bands(&c->pruner, bands);
        for (int i = 0; i < RUNS; i++) {
            runs[i] =
                (bn_contender){.values = c->histories[i], .count = length_of(c->histories[i])};
        }
        for (int b = 0; b < 8 && c->bands[b]; b++) {
            assert_true(b < count);
            assert_int_equal(bands[b], c->bands[b]);
            double found = bn_hyperband_threshold(&c->pruner, runs, RUNS, bands[b], scratch);
            assert_true(found == c->thresholds[b]);
        }
    }
}

/* Runs with one report at each of the steps 10, 20, 40, 80. */
static const int64_t STEPS[4] = {10, 20, 40, 80};

static void judge(const bn_pruner *pruner, const bn_contender *runs, size_t count,
                  bn_pruning *verdicts)
{
    bn_error err = {0};
    assert_int_equal(bn_pruner_judge(pruner, runs, count, verdicts, &err), BN_OK);
}

static void test_asha_keeps_the_best_share_of_each_rung(void **state)
{
    (void)state;
    const bn_pruner asha = {.type = "asha", .min_iter = 10, .max_iter = 100, .eta = 2};
    const double values[6][4] = {{1}, {2}, {3}, {4}, {0.5, 6}, {0.6, 5}};
    const double wall_s[6][4] = {{1}, {2}, {3}, {4}, {5, 6}, {6, 7}};
    /* By arrival at step 10: 1 alone stays; 2 is last of 2; 3 and 4 are last; 0.5 and 0.6 lead. At
     * step 20: 6 is alone when it comes, 5 beats it. */
    const bool stopped[6] = {false, true, true, true, false, false};
    bn_contender runs[6];
    bn_pruning verdicts[6];
    for (int i = 0; i < 6; i++) {
        runs[i] = (bn_contender){.values = values[i],
                                 .steps = STEPS,
                                 .wall_s = wall_s[i],
                                 .count = i < 4 ? 1 : 2,
                                 .running = true};
    }
    judge(&asha, runs, 6, verdicts);
    for (int i = 0; i < 6; i++) assert_int_equal(verdicts[i].stop, stopped[i]);
    assert_string_equal(verdicts[3].reason, "asha: 4 at step 10 is number 4 of 4, 2 go on");
}

static void test_later_arrivals_do_not_change_an_earlier_verdict(void **state)
{
    (void)state;
    const bn_pruner asha = {.type = "asha", .min_iter = 10, .eta = 3};
    const double values[5] = {5, 4, 3, 2, 1}, wall_s[5] = {1, 2, 3, 4, 5};
    bn_contender runs[5];
    bn_pruning early[5], late[5];
    for (int i = 0; i < 5; i++) {
        runs[i] = (bn_contender){.values = &values[i],
                                 .steps = STEPS,
                                 .wall_s = &wall_s[i],
                                 .count = 1,
                                 .running = true};
    }
    for (size_t n = 1; n <= 5; n++) {
        judge(&asha, runs, n, early);
        judge(&asha, runs, 5, late);
        for (size_t i = 0; i < n; i++) assert_int_equal(early[i].stop, late[i].stop);
    }
}

static void test_median_waits_for_five_completed_runs(void **state)
{
    (void)state;
    const bn_pruner median = {.type = "median", .min_iter = 20};
    const double values[7][4] = {{9, 1}, {9, 2}, {9, 3}, {9, 4}, {9, 5}, {9, 3.5, 3.4}, {9, 2.5}};
    bn_contender runs[7];
    bn_pruning verdicts[7];
    for (int i = 0; i < 7; i++) {
        runs[i] = (bn_contender){.values = values[i], .steps = STEPS, .count = 2};
        runs[i].running = i >= 5;
        runs[i].complete = i < 5;
    }
    judge(&median, runs, 7, verdicts);
    assert_true(verdicts[5].stop);
    assert_false(verdicts[6].stop);
    runs[5].count = 1; /* only at step 10: not yet */
    judge(&median, runs, 7, verdicts);
    assert_false(verdicts[5].stop);
    runs[5].count = 2;
    judge(&median, runs + 1, 6, verdicts); /* four yardsticks */
    assert_false(verdicts[4].stop);
}

static void test_threshold_is_the_worst_value_allowed(void **state)
{
    (void)state;
    bn_pruner pruner = {.type = "threshold", .min_iter = 20, .threshold = 4};
    const double values[2] = {9, 5};
    bn_contender run = {.values = values, .steps = STEPS, .count = 1, .running = true};
    bn_pruning verdict;
    judge(&pruner, &run, 1, &verdict);
    assert_false(verdict.stop); /* too early to say */
    run.count = 2;
    judge(&pruner, &run, 1, &verdict);
    assert_true(verdict.stop);
    assert_string_equal(verdict.reason, "threshold: 5 at step 20 is worse than 4");
    pruner.maximize = true;
    judge(&pruner, &run, 1, &verdict);
    assert_false(verdict.stop);
}

static void test_divergence_ends_a_run_always_and_protection_only_from_the_rest(void **state)
{
    (void)state;
    const char *types[] = {"", "hyperband", "asha", "median", "threshold"};
    const double good[2] = {1, 1}, bad[2] = {9, 9}, gone[2] = {1, NAN};
    for (size_t t = 0; t < 5; t++) {
        const bn_pruner pruner = {
            .type = types[t], .min_iter = 1, .eta = 2, .strict = true, .threshold = 4};
        bn_contender runs[7];
        bn_pruning verdicts[7];
        for (int i = 0; i < 7; i++) {
            runs[i] = (bn_contender){.values = good, .steps = STEPS, .count = 2, .complete = true};
        }
        runs[5] = (bn_contender){
            .values = bad, .steps = STEPS, .count = 2, .running = true, .protect = true};
        runs[6] = (bn_contender){
            .values = gone, .steps = STEPS, .count = 2, .running = true, .protect = true};
        judge(&pruner, runs, 7, verdicts);
        assert_false(verdicts[5].stop);
        assert_true(verdicts[6].stop && verdicts[6].diverged);
        assert_string_equal(verdicts[6].reason, "diverged: not a number at step 20");
        runs[5].protect = false;
        judge(&pruner, runs, 7, verdicts);
        assert_int_equal(verdicts[5].stop, t > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hyperband_decides_as_wandb_does),
        cmocka_unit_test(test_hyperband_has_wandbs_bands_and_thresholds),
        cmocka_unit_test(test_asha_keeps_the_best_share_of_each_rung),
        cmocka_unit_test(test_later_arrivals_do_not_change_an_earlier_verdict),
        cmocka_unit_test(test_median_waits_for_five_completed_runs),
        cmocka_unit_test(test_threshold_is_the_worst_value_allowed),
        cmocka_unit_test(test_divergence_ends_a_run_always_and_protection_only_from_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
