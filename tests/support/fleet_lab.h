/* fleet_lab.h - a home with runs, and a manager's loop with a bound instead of a sleep. */
#ifndef BN_TESTS_FLEET_LAB_H
#define BN_TESTS_FLEET_LAB_H

#include <fcntl.h>
#include <poll.h>

#include "engine/base/clock.h"
#include "runner/fleet/fleet.h"
#include "runner/fleet/launch_local.h"
#include "runner/fleet/process.h"
#include "runner/fleet/rundir.h"
#include "support/scratch.h"
#include "support/store_home.h"

enum { LAB_PATIENCE_S = 60 }; /* no test waits that long unless something is broken */

/* A moment for other processes to go on: until the next look, not for a fixed time. */
static inline void lab_pause(void)
{
    (void)poll(NULL, 0, 2);
}

static inline void lab_write(const char *dir, const char *name, const char *text)
{
    char path[BN_PATH_MAX];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(path, dir, name, &err));
    ASSERT_OK(bn_file_write(path, text, strlen(text), 0600, &err));
}

/* More bytes at the end of a file, with no newline of its own. */
static inline void lab_append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static inline char *lab_read(const char *dir, const char *name)
{
    char path[BN_PATH_MAX], *text = NULL;
    size_t bytes = 0;
    bn_error err = {0};
    ASSERT_OK(bn_path_join(path, dir, name, &err));
    ASSERT_OK(bn_file_read(path, 1 << 26, &text, &bytes, &err));
    return text;
}

static inline bn_run lab_run(bn_store *store, int64_t id)
{
    bn_run run;
    bn_error err = {0};
    ASSERT_OK(bn_run_get(store, id, &run, &err));
    return run;
}

static inline bn_fleet *lab_fleet(bn_store *store, const char *home, int slots)
{
    bn_fleet *fleet = NULL;
    bn_error err = {0};
    bn_fleet_options options = {.store = store,
                                .home = home,
                                .launcher = bn_launch_local(),
                                .slots = slots,
                                .grace_s = 0.2};
    ASSERT_OK(bn_fleet_open(&fleet, &options, &err));
    return fleet;
}

/* One round of a manager that decides nothing. */
static inline void lab_tick(bn_fleet *fleet)
{
    bn_error err = {0};
    ASSERT_OK(bn_fleet_tick(fleet, bn_clock_wall_s(), bn_clock_mono_s(), &err));
    ASSERT_OK(bn_fleet_commit(fleet, bn_clock_wall_s(), &err));
}

static inline void lab_drain(bn_fleet *fleet)
{
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    while (bn_fleet_count(fleet) > 0) {
        if (bn_clock_mono_s() > end_s) fail_msg("%zu runs never ended", bn_fleet_count(fleet));
        lab_tick(fleet);
        lab_pause();
    }
}

/* Gives a run a slot and starts `sh -c script` as an external program in its folder. */
static inline void lab_start(bn_fleet *fleet, const bn_run *run, const char *script)
{
    bn_error err = {0};
    char events[BN_PATH_MAX + 16];
    const char *argv[] = {"sh", "-c", script, NULL};
    ASSERT_OK(bn_fleet_plan(fleet, run, &err));
    ASSERT_OK(bn_fleet_commit(fleet, bn_clock_wall_s(), &err));
    for (size_t i = 0; i < bn_fleet_count(fleet); i++) {
        const bn_member *m = bn_fleet_at(fleet, i);
        if (m->run.id != run->id) continue;
        (void)snprintf(events, sizeof events, "BNEXP_EVENTS=%s", m->source.path);
        const char *env[] = {events, NULL};
        bn_launch launch = {.dir = m->dir,
                            .argv = argv,
                            .env = env,
                            .attempt = m->run.attempt,
                            .slot = m->slot,
                            .external = true};
        ASSERT_OK(bn_dir_make(m->dir, 0700, &err));
        lab_write(m->dir, BN_RUNDIR_CONFIG, "{}\n");
        bn_fleet_launch(fleet, m, &launch, bn_clock_mono_s());
        return;
    }
    fail_msg("the run got no slot");
}

#endif
