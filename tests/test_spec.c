#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "runner/spec.h"
#include "support/cmocka_all.h"

/* Each test works in a folder of its own. */
static char work[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(work, sizeof work, "/tmp/bn_spec_XXXXXX");
    return mkdtemp(work) && chdir(work) == 0 ? 0 : -1;
}

static void put(const char *path, const char *text)
{
    bn_error err = {0};
    assert_int_equal(bn_file_write(path, text, strlen(text), 0600, &err), BN_OK);
}

static void read_good(bn_spec *spec, const char *text, const char *const *set, size_t count)
{
    bn_error err = {0};
    put("s.toml", text);
    if (bn_spec_read(spec, "s.toml", set, count, &err) != BN_OK) fail_msg("%s", err.text);
}

static void point_at(const bn_spec *spec, int64_t index, bn_point *out)
{
    bn_search *search = NULL;
    bn_error err = {0};
    assert_int_equal(bn_search_open(&search, &spec->space, &spec->search, &err), BN_OK);
    assert_int_equal(bn_search_suggest(search, index, NULL, 0, out, &err), BN_OK);
    bn_search_close(search);
}

static const char LR[] = "name = 'lr'\nmethod = 'grid'\nreplicates = 2\n[parameters]\n"
                         "'quant.variant' = { values = ['ternary', 'fp16'] }\n"
                         "'optim.lr' = { values = [3e-4, 1e-3] }\n"
                         "[config]\n'model.width' = 64\n'train.seed' = 7\n";

static void test_points_become_configurations_and_replicates_seeds(void **state)
{
    (void)state;
    bn_spec spec;
    bn_point point;
    bn_config config;
    bn_error err = {0};
    read_good(&spec, LR, NULL, 0);
    point_at(&spec, 3, &point);
    assert_int_equal(bn_spec_config(&spec, &point, 1, &config, &err), BN_OK);
    assert_int_equal(config.quant.variant, BN_VARIANT_FP16);
    assert_true(config.optim.lr == 1e-3);
    assert_int_equal(config.model.width, 64);
    assert_int_equal(config.train.seed, 8);
    bn_spec_release(&spec);
}

static void test_names_say_what_varies_and_nothing_else(void **state)
{
    (void)state;
    bn_spec spec;
    bn_point point;
    char name[96];
    read_good(&spec, LR, NULL, 0);
    point_at(&spec, 1, &point);
    bn_spec_run_name(&spec, &point, 0, name);
    assert_string_equal(name, "ternary-lr1e-3-s0");
    point_at(&spec, 2, &point);
    bn_spec_run_name(&spec, &point, 1, name);
    assert_string_equal(name, "fp16-lr3e-4-s1");
    bn_spec_release(&spec);
}

static void test_hostile_values_give_harmless_distinct_names(void **state)
{
    (void)state;
    bn_spec spec;
    bn_point point;
    char names[4][96];
    read_good(&spec,
              "method = 'grid'\n[run]\ncommand = ['true']\n[parameters]\n"
              "x = { values = ['../../etc', '__/__/etc', '$(rm -rf /); a very long text "
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', ''] }\n",
              NULL, 0);
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    for (int i = 0; i < 4; i++) {
        point_at(&spec, i, &point);
        bn_spec_run_name(&spec, &point, 0, names[i]);
        assert_int_equal(strspn(names[i], plain), strlen(names[i]));
        assert_true(strlen(names[i]) <= 64 && names[i][0] != '.' && names[i][0] != '-');
        for (int k = 0; k < i; k++) assert_string_not_equal(names[i], names[k]);
    }
    bn_spec_release(&spec);
}

static void test_set_fixes_knobs_parameters_and_keys(void **state)
{
    (void)state;
    const char *set[] = {"optim.lr=0.01", "model.layers=2", "resources.jobs=3", "run_cap=5"};
    bn_spec spec;
    bn_point point;
    bn_config config;
    bn_error err = {0};
    read_good(&spec, LR, set, 4);
    point_at(&spec, 1, &point);
    assert_int_equal(bn_spec_config(&spec, &point, 0, &config, &err), BN_OK);
    assert_int_equal(config.quant.variant, BN_VARIANT_FP16);
    assert_true(config.optim.lr == 0.01);
    assert_int_equal(config.model.layers, 2);
    assert_int_equal(spec.resources.jobs, 3);
    assert_int_equal(spec.run_cap, 5);
    bn_spec_release(&spec);
}

static void test_a_wrong_set_names_itself_and_the_nearest_knob(void **state)
{
    (void)state;
    const char *bad[][2] = {
        {"optim.rl=1", "--set optim.rl=1: there is no knob 'optim.rl'; did you mean 'optim.lr'?"},
        {"optim.lr", "--set must be knob=value, such as optim.lr=1e-3, is 'optim.lr'"},
        {"resources.jobs=-1",
         "--set resources.jobs=-1: 'resources.jobs' must be a whole number from 0 to 4096, is -1"},
        {"data.path=no/such",
         "--set data.path=no/such: 'data.path': there is no file 'no/such' here"},
        {"optim.lr=-1", "--set optim.lr=-1: 'optim.lr' must be from 0 to 10, is -1"},
    };
    put("s.toml", LR);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bn_spec spec;
        bn_error err = {0};
        assert_int_not_equal(bn_spec_read(&spec, "s.toml", &bad[i][0], 1, &err), BN_OK);
        assert_string_equal(err.text, bad[i][1]);
    }
}

static void test_a_misspelt_key_is_no_parameter_of_a_program(void **state)
{
    (void)state;
    const char *right[] = {"resources.jobs=3", "model.depth=4"}, *wrong[] = {"resource.jobs=3"};
    static const char text[] = "method = 'grid'\ncommand = ['true']\n"
                               "[parameters]\nx = { values = [1, 2] }\n";
    bn_spec spec;
    bn_error err = {0};
    read_good(&spec, text, right, 2);
    assert_int_equal(spec.resources.jobs, 3);
    assert_true(bn_space_find(&spec.space, "model.depth") >= 0);
    bn_spec_release(&spec);
    assert_int_equal(bn_spec_read(&spec, "s.toml", wrong, 1, &err), BN_EINVAL);
    assert_string_equal(err.text, "--set resource.jobs=3: there is no key 'resource.jobs'; did you "
                                  "mean 'resources.jobs'?");
}

static void test_the_hash_is_of_what_is_asked(void **state)
{
    (void)state;
    bn_spec a, b, c, d;
    char text[1024];
    const char *cap[] = {"run_cap=3", "resources.jobs=2", "metric.target=1.5"},
               *width[] = {"model.width=128"};
    read_good(&a, LR, NULL, 0);
    (void)snprintf(text, sizeof text, "# a comment\n%s\n[resources]\njobs = 7\n", LR);
    read_good(&b, text, NULL, 0);
    read_good(&c, LR, cap, 3);
    read_good(&d, LR, width, 1);
    assert_string_equal(a.hash, b.hash);
    assert_string_equal(a.hash, c.hash);
    assert_string_not_equal(a.hash, d.hash);
    bn_spec_release(&a);
    bn_spec_release(&b);
    bn_spec_release(&c);
    bn_spec_release(&d);
}

static void test_data_is_found_here_or_beside_the_sweep_file(void **state)
{
    (void)state;
    bn_spec spec;
    bn_point point;
    bn_config config;
    bn_error err = {0};
    char expected[128];
    assert_int_equal(bn_dir_make("sub", 0700, &err), BN_OK);
    put("sub/a.txt", "x");
    put("b.txt", "x");
    put("sub/s.toml", "method = 'grid'\n[config]\n'data.path' = 'a.txt:b.txt'\n");
    assert_int_equal(bn_spec_read(&spec, "sub/s.toml", NULL, 0, &err), BN_OK);
    point_at(&spec, 0, &point);
    assert_int_equal(bn_spec_config(&spec, &point, 0, &config, &err), BN_OK);
    (void)snprintf(expected, sizeof expected, "%s/sub/a.txt:%s/b.txt", work, work);
    assert_string_equal(config.data.path, expected);
    bn_spec_release(&spec);
}

static void test_an_external_program_names_its_own_parameters(void **state)
{
    (void)state;
    bn_spec spec;
    bn_point point;
    read_good(&spec,
              "method = 'grid'\ncommand = ['python3', 'train.py', '${args}']\n[parameters]\n"
              "lr = { values = [0.1, 0.2] }\nmodel.parameters.depth.value = 3\n"
              "[config]\ndataset = 'mnist'\n",
              NULL, 0);
    assert_false(spec.builtin);
    assert_string_equal(spec.command[2], "${args}");
    assert_null(spec.command[3]);
    point_at(&spec, 1, &point);
    assert_int_equal(point.count, 3);
    assert_true(point.values[bn_space_find(&spec.space, "lr")].number == 0.2);
    assert_true(point.values[bn_space_find(&spec.space, "model.depth")].number == 3);
    assert_string_equal(point.values[bn_space_find(&spec.space, "dataset")].text, "mnist");
    bn_spec_release(&spec);
}

static void test_a_program_alone_is_run_as_wandb_runs_it(void **state)
{
    (void)state;
    const char *texts[] = {"method = 'grid'\nprogram = 'train.py'\n",
                           "method = 'grid'\nprogram = 'train.py'\ncommand = ['${env}', "
                           "'${interpreter}', '${program}', '${args}']\n"};
    const char *expected[] = {"${env}", "${interpreter}", "train.py", "${args}"};
    for (size_t k = 0; k < 2; k++) {
        bn_spec spec;
        read_good(&spec, texts[k], NULL, 0);
        assert_false(spec.builtin);
        for (int i = 0; i < 4; i++) assert_string_equal(spec.command[i], expected[i]);
        assert_null(spec.command[4]);
        bn_spec_release(&spec);
    }
}

static void test_all_keys_reach_their_fields(void **state)
{
    (void)state;
    bn_spec spec;
    read_good(&spec,
              "name = 'n'\ndescription = 'd'\nproject = 'p'\nentity = 'e'\nmethod = 'random'\n"
              "seed = 42\nrun_cap = 20\nmetric = { name = 'val/bpb', goal = 'maximize', "
              "target = 2.5, impute = 'latest' }\n"
              "[parameters]\n'optim.lr' = { distribution = 'log_uniform_values', min = 1e-4, "
              "max = 1e-2 }\n"
              "[resources]\njobs = 2\nthreads = 3\ngpus = 1\ntimeout = '6h'\n"
              "stall_timeout = '10m'\ngrace = 90\nretries = 2\nretry_on = ['oom', 'crashed']\n"
              "max_initial_failures = 4\n"
              "[early_terminate]\ntype = 'hyperband'\nmin_iter = 3\neta = 2.5\nstrict = false\n",
              NULL, 0);
    assert_true(spec.maximize && spec.search.seed == 42 && spec.run_cap == 20);
    assert_string_equal(spec.metric, "val/bpb");
    assert_true(spec.target == 2.5);
    assert_string_equal(spec.impute, "latest");
    assert_true(spec.resources.timeout_s == 21600 && spec.resources.stall_timeout_s == 600);
    assert_true(spec.resources.grace_s == 90 && spec.resources.retries == 2);
    assert_string_equal(spec.resources.retry_on[1], "crashed");
    assert_int_equal(spec.resources.retry_on_count, 2);
    assert_true(spec.early.eta == 2.5 && !spec.early.strict && spec.early.min_iter == 3);
    bn_spec_release(&spec);
}

static void test_relations_between_parameters_are_read(void **state)
{
    (void)state;
    bn_spec spec;
    bn_point point;
    bn_config config;
    bn_error err = {0};
    read_good(&spec,
              "method = 'grid'\norder = 'sobol'\n[parameters]\n"
              "'quant.variant' = { values = ['fp16', 'ternary'] }\n"
              "'quant.weight_scale' = { values = ['absmean', 'median'], when = "
              "'quant.variant == \"ternary\"' }\n"
              "'optim.lr' = { distribution = 'log_uniform_values', min = 1e-4, max = 1e-2, "
              "grid_points = 3 }\n"
              "[[zip]]\nmodel.layers = [2, 4]\nmodel.heads = [2, 4]\n"
              "[derived]\nmodel.ffn = '4 * model.width'\nlr_eff = 'optim.lr * 64 / model.width'\n"
              "[constraints]\nsmall = 'optim.lr < 5e-3 or model.layers == 2'\n"
              "[[enqueue]]\nquant.variant = 'fp16'\noptim.lr = 2e-3\nmodel.layers = 2\n"
              "model.heads = 2\n"
              "[baseline]\nwhere = 'quant.variant == \"fp16\"'\npair_on = ['optim.lr']\n",
              NULL, 0);
    point_at(&spec, 0, &point);
    assert_int_equal(bn_spec_config(&spec, &point, 0, &config, &err), BN_OK);
    assert_true(config.optim.lr == 2e-3 && config.model.ffn == 4 * config.model.width);
    assert_true(point.values[bn_space_find(&spec.space, "lr_eff")].number == 1e-3);
    bn_search *search = NULL;
    assert_int_equal(bn_search_open(&search, &spec.space, &spec.search, &err), BN_OK);
    /* (fp16 + 2 ternary) x 3 rates x 2 depths = 18, less 3 with 1e-2 at 4 layers, and 1 enqueued */
    assert_int_equal(bn_search_count(search), 16);
    bn_search_close(search);
    assert_string_equal(spec.baseline.pair_on[0], "optim.lr");
    bn_spec_release(&spec);
}

/* 1 if the message is not the expected one. */
static int check_case(const char *folder)
{
    char path[512], *expected = NULL;
    size_t size = 0;
    bn_error err = {0};
    bn_spec spec;
    (void)snprintf(path, sizeof path, "%s/%s", BN_CASES, folder);
    assert_int_equal(chdir(path), 0);
    assert_int_equal(bn_file_read("error.txt", 4096, &expected, &size, &err), BN_OK);
    expected[strcspn(expected, "\n")] = '\0';
    bn_status status = bn_spec_read(&spec, "input.toml", NULL, 0, &err);
    if (status == BN_OK) bn_spec_release(&spec);
    int wrong = strcmp(err.text, expected) != 0;
    if (wrong) print_error("%s:\n  says     %s\n  expected %s\n", folder, err.text, expected);
    free(expected);
    return wrong;
}

/* The tables of TOML gather what stands apart: the file's order is kept all the same. */
static void test_parameters_come_in_the_order_of_the_file(void **state)
{
    (void)state;
    static const char *const names[] = {"g.a", "b", "g.c", "g.d", "h.e.f"};
    bn_spec spec;
    read_good(&spec,
              "method = 'grid'\ncommand = ['true']\n[parameters]\ng.a = { values = [1, 2] }\n"
              "b = { values = [1, 2], when = 'g.a == 1' }\n"
              "g.c = { values = [1, 2], when = 'b == 2' }\n"
              "g.parameters.d = { values = [1] }\n"
              "h = { parameters = { e = { parameters = { f = { values = [1] } } } } }\n",
              NULL, 0);
    assert_int_equal(spec.space.count, 5);
    for (int i = 0; i < 5; i++) assert_string_equal(spec.space.params[i].name, names[i]);
    bn_spec_release(&spec);
}

static void test_every_mistake_is_one_line_with_its_place(void **state)
{
    (void)state;
    struct dirent **entries = NULL;
    int count = scandir(BN_CASES, &entries, NULL, alphasort), wrong = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') wrong += check_case(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(wrong, 0);
    assert_true(count >= 50);
}

static void check_sweep(const char *file)
{
    char path[512];
    bn_spec spec;
    bn_error err = {0};
    (void)snprintf(path, sizeof path, "%s/%s", BN_SWEEPS, file);
    if (bn_spec_read(&spec, path, NULL, 0, &err) != BN_OK) fail_msg("%s", err.text);
    bn_spec_release(&spec);
}

static void test_the_sweeps_that_come_with_the_program_are_right(void **state)
{
    (void)state;
    struct dirent **entries = NULL;
    int count = scandir(BN_SWEEPS, &entries, NULL, alphasort);
    assert_true(count > 4);
    for (int i = 0; i < count; i++) {
        if (strstr(entries[i]->d_name, ".toml")) check_sweep(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_points_become_configurations_and_replicates_seeds, setup),
        cmocka_unit_test_setup(test_names_say_what_varies_and_nothing_else, setup),
        cmocka_unit_test_setup(test_hostile_values_give_harmless_distinct_names, setup),
        cmocka_unit_test_setup(test_set_fixes_knobs_parameters_and_keys, setup),
        cmocka_unit_test_setup(test_a_misspelt_key_is_no_parameter_of_a_program, setup),
        cmocka_unit_test_setup(test_a_wrong_set_names_itself_and_the_nearest_knob, setup),
        cmocka_unit_test_setup(test_the_hash_is_of_what_is_asked, setup),
        cmocka_unit_test_setup(test_data_is_found_here_or_beside_the_sweep_file, setup),
        cmocka_unit_test_setup(test_an_external_program_names_its_own_parameters, setup),
        cmocka_unit_test_setup(test_a_program_alone_is_run_as_wandb_runs_it, setup),
        cmocka_unit_test_setup(test_all_keys_reach_their_fields, setup),
        cmocka_unit_test_setup(test_relations_between_parameters_are_read, setup),
        cmocka_unit_test_setup(test_parameters_come_in_the_order_of_the_file, setup),
        cmocka_unit_test(test_every_mistake_is_one_line_with_its_place),
        cmocka_unit_test(test_the_sweeps_that_come_with_the_program_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
