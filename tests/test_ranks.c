#include <string.h>

#include "engine/ranks.h"
#include "support/cmocka_all.h"

/* The environment of one test: name, value, ..., NULL. */
static const char *const *pretend;

static const char *look(const char *name)
{
    for (const char *const *at = pretend; *at; at += 2) {
        if (strcmp(at[0], name) == 0) return at[1];
    }
    return NULL;
}

static bn_ranks read_from(const char *const *environment)
{
    bn_ranks ranks;
    bn_error err = {0};
    pretend = environment;
    if (bn_ranks_read(&ranks, look, &err) != BN_OK) fail_msg("%s", err.text);
    return ranks;
}

static void refuses(const char *const *environment, const char *word)
{
    bn_ranks ranks;
    bn_error err = {0};
    pretend = environment;
    assert_int_equal(bn_ranks_read(&ranks, look, &err), BN_EINVAL);
    if (!strstr(err.text, word)) fail_msg("'%s' says nothing of %s", err.text, word);
}

static void test_without_a_launcher_a_process_is_alone(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    bn_ranks ranks = read_from(none);
    assert_int_equal(ranks.rank, 0);
    assert_int_equal(ranks.world, 1);
}

static void test_mpirun_tells_rank_and_world(void **state)
{
    (void)state;
    static const char *const env[] = {"OMPI_COMM_WORLD_RANK",
                                      "3",
                                      "OMPI_COMM_WORLD_SIZE",
                                      "8",
                                      "OMPI_COMM_WORLD_LOCAL_RANK",
                                      "1",
                                      "OMPI_COMM_WORLD_LOCAL_SIZE",
                                      "2",
                                      "PMIX_NAMESPACE",
                                      "1735196673",
                                      NULL};
    bn_ranks ranks = read_from(env);
    assert_int_equal(ranks.rank, 3);
    assert_int_equal(ranks.world, 8);
    assert_int_equal(ranks.local_rank, 1);
    assert_int_equal(ranks.local_world, 2);
    assert_true(ranks.mpi);
}

static void test_srun_tells_rank_world_and_tasks_of_this_node(void **state)
{
    (void)state;
    static const char *const env[] = {"SLURM_PROCID",
                                      "6",
                                      "SLURM_STEP_NUM_TASKS",
                                      "7",
                                      "SLURM_LOCALID",
                                      "0",
                                      "SLURM_STEP_TASKS_PER_NODE",
                                      "2(x3),1",
                                      "SLURM_NODEID",
                                      "3",
                                      "SLURM_JOB_ID",
                                      "77",
                                      "SLURM_STEP_ID",
                                      "0",
                                      NULL};
    bn_ranks ranks = read_from(env);
    assert_int_equal(ranks.rank, 6);
    assert_int_equal(ranks.world, 7);
    assert_int_equal(ranks.local_world, 1);
    assert_false(ranks.mpi);
}

static void test_an_earlier_node_of_slurm_has_its_own_count(void **state)
{
    (void)state;
    static const char *const env[] = {"SLURM_PROCID",
                                      "4",
                                      "SLURM_STEP_NUM_TASKS",
                                      "7",
                                      "SLURM_LOCALID",
                                      "0",
                                      "SLURM_STEP_TASKS_PER_NODE",
                                      "2(x3),1",
                                      "SLURM_NODEID",
                                      "2",
                                      "SLURM_JOB_ID",
                                      "77",
                                      NULL};
    assert_int_equal(read_from(env).local_world, 2);
}

static void test_a_batch_script_of_a_job_of_many_tasks_is_alone(void **state)
{
    (void)state;
    static const char *const env[] = {"SLURM_PROCID", "0", "SLURM_NTASKS", "4", "SLURM_JOB_ID",
                                      "77",           NULL};
    assert_int_equal(read_from(env).world, 1);
}

static void test_a_world_of_one_needs_nothing_more(void **state)
{
    (void)state;
    static const char *const env[] = {"OMPI_COMM_WORLD_SIZE", "1", NULL};
    assert_int_equal(read_from(env).world, 1);
}

static void test_tokens_of_two_starts_differ_and_of_one_start_agree(void **state)
{
    (void)state;
    static const char *const one[] = {"BNEXP_RANK",        "0", "BNEXP_WORLD", "2",
                                      "BNEXP_RANKS_TOKEN", "a", NULL};
    static const char *const same[] = {"BNEXP_RANK",        "1", "BNEXP_WORLD", "2",
                                       "BNEXP_RANKS_TOKEN", "a", NULL};
    static const char *const other[] = {"BNEXP_RANK",        "0", "BNEXP_WORLD", "2",
                                        "BNEXP_RANKS_TOKEN", "b", NULL};
    bn_ranks first = read_from(one), second = read_from(same), third = read_from(other);
    assert_string_equal(first.token, second.token);
    assert_string_not_equal(first.token, third.token);
}

static void test_what_is_missing_or_wrong_is_named(void **state)
{
    (void)state;
    static const char *const no_rank[] = {"BNEXP_WORLD", "2", NULL};
    static const char *const no_token[] = {"BNEXP_WORLD", "2", "BNEXP_RANK", "1", NULL};
    static const char *const beyond[] = {"BNEXP_WORLD", "2", "BNEXP_RANK", "2", NULL};
    static const char *const words[] = {"BNEXP_WORLD", "two", "BNEXP_RANK", "1", NULL};
    static const char *const foreign[] = {"PMI_SIZE", "4", "PMI_RANK", "0", NULL};
    refuses(no_rank, "BNEXP_RANK");
    refuses(no_token, "BNEXP_RANKS_TOKEN");
    refuses(beyond, "from 0 to 1");
    refuses(words, "'two'");
    refuses(foreign, "mpirun");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_launcher_a_process_is_alone),
        cmocka_unit_test(test_mpirun_tells_rank_and_world),
        cmocka_unit_test(test_srun_tells_rank_world_and_tasks_of_this_node),
        cmocka_unit_test(test_an_earlier_node_of_slurm_has_its_own_count),
        cmocka_unit_test(test_a_batch_script_of_a_job_of_many_tasks_is_alone),
        cmocka_unit_test(test_a_world_of_one_needs_nothing_more),
        cmocka_unit_test(test_tokens_of_two_starts_differ_and_of_one_start_agree),
        cmocka_unit_test(test_what_is_missing_or_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
