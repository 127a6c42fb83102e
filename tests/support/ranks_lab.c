#include "support/ranks_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/base/clock.h"

static const double PATIENCE_S = 60;

static volatile sig_atomic_t stop_asked;

static void on_stop(int signo)
{
    (void)signo;
    stop_asked = 1;
}

static void words_path(const ranks_lab *lab, int rank, char out[BN_PATH_MAX])
{
    (void)snprintf(out, BN_PATH_MAX, "%s/%s-%d.txt", lab->folder, lab->name, rank);
}

/* The life of a rank, in its own process. */
static int be_rank(const ranks_lab *lab, const bn_config *config, int rank)
{
    bn_error err = {0}, ignored = {0};
    bn_config resolved = *config;
    bn_train_end end = BN_TRAIN_FINISHED;
    char dir[BN_PATH_MAX], path[BN_PATH_MAX];
    bn_ranks ranks = {.rank = rank,
                      .world = lab->world,
                      .local_rank = rank,
                      .local_world = lab->world,
                      .token = "one start of a test"};
    (void)snprintf(dir, sizeof dir, "%s/%s", lab->folder, lab->name);
    words_path(lab, rank, path);
    (void)unlink(path);
    (void)signal(SIGTERM, on_stop);
    bn_train_job job = {
        .config = &resolved, .dir = dir, .attempt = 1, .stop = &stop_asked, .ranks = &ranks};
    bn_status status = bn_config_resolve(&resolved, &err);
    if (status == BN_OK) status = bn_train(&job, &end, &err);
    if (status == BN_OK) return (int)end;
    (void)!bn_file_write(path, err.text, strlen(err.text), 0600, &ignored);
    return RANK_FAILED;
}

void ranks_lab_start(ranks_lab *lab, const bn_config *config, int rank)
{
    char dir[BN_PATH_MAX];
    bn_error err = {0};
    (void)snprintf(dir, sizeof dir, "%s/%s", lab->folder, lab->name);
    if (bn_dir_make(dir, 0755, &err) != BN_OK) fail_msg("%s", err.text);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(be_rank(lab, config, rank));
    assert_true(pid > 0);
    lab->pids[rank] = pid;
}

void ranks_lab_start_all(ranks_lab *lab, const bn_config *config)
{
    for (int rank = lab->world - 1; rank >= 0; rank--) ranks_lab_start(lab, config, rank);
}

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

ranks_lab_end ranks_lab_wait(ranks_lab *lab, int rank)
{
    int status = 0;
    double until_s = bn_clock_mono_s() + PATIENCE_S;
    while (waitpid(lab->pids[rank], &status, WNOHANG) == 0) {
        if (bn_clock_mono_s() > until_s) {
            (void)kill(lab->pids[rank], SIGKILL);
            fail_msg("rank %d hangs", rank);
        }
        nap();
    }
    return WIFEXITED(status) ? (ranks_lab_end)WEXITSTATUS(status) : RANK_KILLED;
}

void ranks_lab_train(ranks_lab *lab, const bn_config *config, ranks_lab_end expected)
{
    ranks_lab_start_all(lab, config);
    for (int rank = 0; rank < lab->world; rank++) {
        ranks_lab_end end = ranks_lab_wait(lab, rank);
        if (end == expected) continue;
        fail_msg("rank %d ended as %d: %s", rank, (int)end, ranks_lab_words(lab, rank));
    }
}

static size_t records_said(const ranks_lab *lab)
{
    char path[BN_PATH_MAX], *text = NULL;
    size_t size = 0, count = 0;
    bn_error not_yet = {0};
    (void)snprintf(path, sizeof path, "%s/%s/events.jsonl", lab->folder, lab->name);
    if (bn_file_read(path, 1 << 24, &text, &size, &not_yet) != BN_OK) return 0;
    for (const char *at = text; (at = strstr(at, "\"record\"")); at++) count++;
    free(text);
    return count;
}

void ranks_lab_hear(const ranks_lab *lab, size_t records)
{
    double until_s = bn_clock_mono_s() + PATIENCE_S;
    while (records_said(lab) < records) {
        if (bn_clock_mono_s() > until_s) fail_msg("the run said no %zu records", records);
        nap();
    }
}

const char *ranks_lab_words(const ranks_lab *lab, int rank)
{
    static char words[sizeof((bn_error *)NULL)->text];
    char path[BN_PATH_MAX];
    words_path(lab, rank, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, words, sizeof words - 1);
    if (fd >= 0) (void)close(fd);
    words[got > 0 ? got : 0] = '\0';
    return words;
}
