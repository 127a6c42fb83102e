#include "engine/base/file.h"
#include "runner/fleet/oom.h"
#include "support/fleet_lab.h"

/* Puts one file of a system into the root, with the folders above it. */
static void put(const char *root, const char *folder, const char *name, const char *text)
{
    char path[BN_PATH_MAX];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(path, root, folder, &err));
    ASSERT_OK(bn_dir_make(path, 0700, &err));
    lab_write(path, name, text);
}

static void test_kills_are_counted_in_the_own_control_group(void **state)
{
    put(*state, "proc/self", "cgroup", "0::/user/job\n");
    put(*state, "proc", "vmstat", "oom_kill 40\n");
    put(*state, "sys/fs/cgroup", "memory.events", "oom_kill 30\n");
    put(*state, "sys/fs/cgroup/user/job", "memory.events",
        "low 0\nmax 9\noom 7\noom_kill 2\noom_group_kill 5\n");
    assert_int_equal(bn_oom_kills_in(*state), 2);
    put(*state, "sys/fs/cgroup/user/job", "memory.events", "oom 8\noom_kill 3\n");
    assert_int_equal(bn_oom_kills_in(*state), 3);
}

static void test_kills_are_counted_in_a_group_of_the_first_version(void **state)
{
    put(*state, "proc/self", "cgroup", "5:cpu:/\n4:memory:/job\n0::/\n");
    put(*state, "proc", "vmstat", "oom_kill 40\n");
    put(*state, "sys/fs/cgroup/memory/job", "memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n");
    assert_int_equal(bn_oom_kills_in(*state), 6);
}

static void test_without_a_group_the_whole_machine_counts(void **state)
{
    put(*state, "proc", "vmstat", "pgfault 12\noom_kill 40\n");
    assert_int_equal(bn_oom_kills_in(*state), 40);
    put(*state, "proc/self", "cgroup", "0::/job\n"); /* one that keeps no count */
    assert_int_equal(bn_oom_kills_in(*state), 40);
}

static void test_a_system_that_does_not_say_is_told_from_none_killed(void **state)
{
    assert_int_equal(bn_oom_kills_in(*state), -1);
    put(*state, "proc", "vmstat", "oom_kill_allocating 40\n");
    assert_int_equal(bn_oom_kills_in(*state), -1);
    put(*state, "proc", "vmstat", "oom_kill 0\n");
    assert_int_equal(bn_oom_kills_in(*state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kills_are_counted_in_the_own_control_group,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(test_kills_are_counted_in_a_group_of_the_first_version,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(test_without_a_group_the_whole_machine_counts, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(test_a_system_that_does_not_say_is_told_from_none_killed,
                                        scratch_open, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
