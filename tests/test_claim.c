#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "reporters/claim.h"
#include "support/cmocka_all.h"

static char home[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/bnexp-claim-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static int teardown(void **state)
{
    char path[BN_PATH_MAX];
    bn_error err = {0};
    (void)state;
    assert_int_equal(bn_path_join(path, home, "sync.lock", &err), BN_OK);
    (void)unlink(path);
    return rmdir(home);
}

/* What another process is told that asks for the same. */
static bn_status asked_elsewhere(const char *reader, int64_t sweep)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bn_claim claim;
        bn_error err = {0};
        bn_status status = bn_claim_open(&claim, home, reader, &err);
        if (status == BN_OK) status = bn_claim_take(&claim, sweep, &err);
        _exit((int)status);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return (bn_status)WEXITSTATUS(how);
}

static void test_sweep_is_claimed_by_one_process_for_one_reader(void **state)
{
    bn_claim claim;
    bn_error err = {0};
    (void)state;
    assert_int_equal(bn_claim_open(&claim, home, "wandb", &err), BN_OK);
    assert_int_equal(bn_claim_take(&claim, 7, &err), BN_OK);
    assert_int_equal(asked_elsewhere("wandb", 7), BN_EAGAIN);
    assert_int_equal(asked_elsewhere("wandb", 0), BN_EAGAIN);
    assert_int_equal(asked_elsewhere("wandb", 8), BN_OK);
    assert_int_equal(asked_elsewhere("mlflow", 7), BN_OK);
    bn_claim_drop(&claim, 7);
    assert_int_equal(asked_elsewhere("wandb", 7), BN_OK);
    bn_claim_close(&claim);
}

static void test_claim_ends_with_its_process(void **state)
{
    bn_claim claim;
    bn_error err = {0};
    (void)state;
    assert_int_equal(asked_elsewhere("wandb", 7), BN_OK);
    assert_int_equal(bn_claim_open(&claim, home, "wandb", &err), BN_OK);
    assert_int_equal(bn_claim_take(&claim, 0, &err), BN_OK);
    assert_int_equal(asked_elsewhere("wandb", 7), BN_EAGAIN);
    bn_claim_close(&claim);
    assert_int_equal(asked_elsewhere("wandb", 7), BN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sweep_is_claimed_by_one_process_for_one_reader, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_claim_ends_with_its_process, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
