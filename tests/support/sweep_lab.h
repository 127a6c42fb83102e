/* sweep_lab.h - sweeps of shell scripts, driven to their end without a sleep. */
#ifndef BN_TESTS_SWEEP_LAB_H
#define BN_TESTS_SWEEP_LAB_H

#include <sys/wait.h>

#include "runner/sweep.h"
#include "support/fleet_lab.h"

/* A sweep in a home of its own. */
typedef struct sweep_lab {
    char *home;
    bn_spec *spec;
    bn_store *store;
    bn_sweeper *sweeper;
    const char *const *gpu_ids; /* that it may give to runs; none unless a test says so */
    int gpu_count;
} sweep_lab;

static inline bn_status lab_sweeper_open(sweep_lab *lab, int jobs, bn_error *err)
{
    bn_sweeper_options options = {.store = lab->store,
                                  .home = lab->home,
                                  .spec = lab->spec,
                                  .launcher = bn_launch_local(),
                                  .jobs = jobs,
                                  .threads = 1,
                                  .gpu_ids = lab->gpu_ids,
                                  .gpu_count = lab->gpu_count};
    return bn_sweeper_open(&lab->sweeper, &options, err);
}

/* Reads the sweep file `text` and opens store and sweeper in the home. */
static inline void lab_sweep(sweep_lab *lab, const char *text, int jobs)
{
    char path[BN_PATH_MAX];
    bn_error err = {0};
    ASSERT_OK(bn_path_join(path, lab->home, "sweep.toml", &err));
    lab_write(lab->home, "sweep.toml", text);
    lab->spec = calloc(1, sizeof *lab->spec);
    assert_non_null(lab->spec);
    ASSERT_OK(bn_spec_read(lab->spec, path, NULL, 0, &err));
    lab->store = home_open(lab->home, BN_STORE_WRITE);
    ASSERT_OK(lab_sweeper_open(lab, jobs, &err));
}

static inline void lab_sweep_close(sweep_lab *lab)
{
    bn_sweeper_close(lab->sweeper);
    bn_store_close(lab->store);
    if (lab->spec) bn_spec_release(lab->spec);
    free(lab->spec);
    lab->sweeper = NULL;
    lab->store = NULL;
    lab->spec = NULL;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static inline bool lab_sweep_tick(sweep_lab *lab)
{
    bool done = false;
    bn_error err = {0};
    ASSERT_OK(bn_sweeper_tick(lab->sweeper, bn_clock_wall_s(), bn_clock_mono_s(), &done, &err));
    return done;
}

static inline void lab_sweep_run(sweep_lab *lab)
{
    double end_s = bn_clock_mono_s() + LAB_PATIENCE_S;
    while (!lab_sweep_tick(lab)) {
        if (bn_clock_mono_s() > end_s) fail_msg("the sweep never ended");
        lab_pause();
    }
}

static inline int64_t lab_count(const sweep_lab *lab, bn_run_state state)
{
    bn_sweep_look look;
    bn_sweeper_look(lab->sweeper, &look);
    return look.counts[state];
}

/* For cmocka: *state is a lab in a home of its own. */
static inline int lab_sweep_setup(void **state)
{
    static sweep_lab lab;
    void *home = NULL;
    if (scratch_open(&home) != 0) return 1;
    lab = (sweep_lab){.home = home};
    *state = &lab;
    return 0;
}

static inline int lab_sweep_teardown(void **state)
{
    sweep_lab *lab = *state;
    void *home = lab->home;
    lab_sweep_close(lab);
    return scratch_close(&home);
}

/* The row of run `number` of the sweep. */
static inline bn_run lab_row(const sweep_lab *lab, int number)
{
    size_t count = 0;
    const bn_run *runs = bn_sweeper_runs(lab->sweeper, &count);
    assert_true((size_t)number < count);
    return lab_run(lab->store, runs[number].id);
}

#endif
