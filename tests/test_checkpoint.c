#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/checkpoint.h"
#include "engine/checkpoint_dir.h"
#include "support/run_lab.h"

enum { STEPS = 12 };

/* The linker puts this in front of link(2): a file system that gives no file two names.
 * NOLINTBEGIN(*-identifier*) */
int __real_link(const char *, const char *);
int __wrap_link(const char *, const char *);

static bool no_links;

int __wrap_link(const char *from, const char *to)
{
    if (!no_links) return __real_link(from, to);
    errno = EPERM;
    return -1;
}
/* NOLINTEND(*-identifier*) */

/* What a run computed must be the same to the last bit; what it measured of itself may differ. */
static const char *const COMPUTED[] = {
    "train/loss",
    "val/loss",
    "lr",
    "wd",
    "grad_norm",
    "tokens",
    "quant/zero_frac",
    "quant/flip_rate",
    "quant/balance",
    "optim/loss_scale",
    "optim/skipped_steps",
};

static void assert_same_history(const char *folder, const char *one, const char *other)
{
    json_t *a = run_lab_events(folder, one), *b = run_lab_events(folder, other);
    for (int64_t seq = 0; run_lab_record(a, seq) || run_lab_record(b, seq); seq++) {
        json_t *x = json_object_get(run_lab_record(a, seq), "values");
        json_t *y = json_object_get(run_lab_record(b, seq), "values");
        assert_true(x && y);
        for (size_t i = 0; i < sizeof COMPUTED / sizeof COMPUTED[0]; i++) {
            json_t *p = json_object_get(x, COMPUTED[i]), *q = json_object_get(y, COMPUTED[i]);
            if (!p && !q) continue;
            if (json_equal(p, q)) continue;
            fail_msg("%s: '%s' of seq %d differs", other, COMPUTED[i], (int)seq);
        }
    }
    json_decref(a);
    json_decref(b);
}

/* Kills a child without warning as soon as `seq` is in the run's events: where in its work that
 * hits it is chance, which is the point. */
static void train_and_kill(const bn_config *config, const char *folder, const char *name,
                           const char *mark)
{
    char events[BN_PATH_MAX];
    int status = 0;
    (void)snprintf(events, sizeof events, "%s/%s/events.jsonl", folder, name);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)run_lab_train(config, folder, name);
        _exit(0);
    }
    for (int64_t look = 0; look < 20000000; look++) {
        bn_error err = {0};
        char *text = NULL;
        size_t size = 0;
        bool said =
            bn_file_read(events, 1 << 24, &text, &size, &err) == BN_OK && strstr(text, mark);
        free(text);
        if (said || waitpid(child, &status, WNOHANG) != 0) break;
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
}

/* Whenever the kill came: the next seq that the newest checkpoint names has all before it said. */
static void assert_events_are_ahead(const char *folder, const char *name)
{
    char dir[BN_PATH_MAX], path[BN_PATH_MAX];
    bn_error err = {0};
    bn_st_reader *file = NULL;
    (void)snprintf(dir, sizeof dir, "%s/%s/checkpoint", folder, name);
    if (bn_checkpoint_dir_path(path, dir, false, &err) != BN_OK) return; /* killed before one */
    assert_int_equal(bn_st_open(&file, path, &err), BN_OK);
    int64_t next = strtoll(bn_st_meta_of(file, "progress.seq"), NULL, 10);
    json_t *events = run_lab_events(folder, name);
    for (int64_t seq = 0; seq < next; seq++) assert_non_null(run_lab_record(events, seq));
    json_decref(events);
    bn_st_close(file);
}

static void check_killed_and_resumed(const char *folder, const char *variant)
{
    char row[64], name[64], mark[32];
    bn_config config = run_lab_config(folder);
    (void)snprintf(row, sizeof row, "quant.variant=%s", variant);
    run_lab_set(&config, row, "train.checkpoint_every=2", "train.device=cpu", "train.threads=1",
                NULL);
    (void)snprintf(name, sizeof name, "%s-whole", variant);
    (void)run_lab_train(&config, folder, name);
    run_lab_set(&config, "train.threads=3", NULL);
    for (int seq = 0; seq < STEPS; seq += 3) {
        char killed[64];
        (void)snprintf(killed, sizeof killed, "%s-killed-%d", variant, seq);
        (void)snprintf(mark, sizeof mark, "\"seq\":%d,", seq);
        train_and_kill(&config, folder, killed, mark);
        assert_events_are_ahead(folder, killed);
        assert_int_equal(run_lab_train(&config, folder, killed), BN_TRAIN_FINISHED);
        assert_same_history(folder, name, killed);
    }
}

static void test_killed_runs_go_on_to_the_same_last_bit(void **state)
{
    static const char *const variants[] = {"ternary", "binary", "int8", "bf16", "fp16", "fp32"};
    for (size_t i = 0; i < 6; i++) check_killed_and_resumed(*state, variants[i]);
}

/* Every step, without chance: a run of k steps' checkpoint, made by stopping there. */
static void test_a_run_stopped_after_any_step_goes_on_to_the_same_last_bit(void **state)
{
    bn_config config = run_lab_config(*state);
    run_lab_set(&config, "train.checkpoint_every=1", "train.checkpoint_keep=100",
                "train.log_every=4", NULL);
    (void)run_lab_train(&config, *state, "whole");
    for (int step = 0; step < STEPS - 1; step++) {
        char name[64], from[BN_PATH_MAX], to[BN_PATH_MAX];
        bn_error err = {0};
        (void)snprintf(name, sizeof name, "from-%d", step);
        (void)snprintf(from, sizeof from, "%s/whole/checkpoint/step-%012d.safetensors",
                       (const char *)*state, step + 1);
        (void)snprintf(to, sizeof to, "%s/%s/checkpoint", (const char *)*state, name);
        assert_int_equal(bn_dir_make(to, 0755, &err), BN_OK);
        (void)snprintf(to, sizeof to, "%s/%s/checkpoint/step-%012d.safetensors",
                       (const char *)*state, name, step + 1);
        assert_int_equal(link(from, to), 0);
        (void)run_lab_train(&config, *state, name);
        json_t *a = run_lab_events(*state, "whole"), *b = run_lab_events(*state, name);
        json_t *x = run_lab_record(a, -1), *y = run_lab_record(b, -1);
        assert_true(run_lab_value(x, "train/loss") == run_lab_value(y, "train/loss"));
        assert_true(run_lab_value(x, "val/loss") == run_lab_value(y, "val/loss"));
        assert_true(run_lab_value(x, "quant/flip_rate") == run_lab_value(y, "quant/flip_rate"));
        json_decref(a);
        json_decref(b);
    }
}

typedef struct heard {
    char text[8][256];
    int count;
} heard;

static void hear(void *self, const char *line)
{
    heard *h = self;
    if (h->count < 8) (void)snprintf(h->text[h->count++], sizeof h->text[0], "%s", line);
}

static bn_status train_hearing(const bn_config *config, const char *folder, heard *h, bn_error *err)
{
    bn_config resolved = *config;
    bn_train_end end;
    bn_train_job job = {.config = &resolved,
                        .attempt = 2,
                        .dir = scratch_path(folder, "run"),
                        .say = hear,
                        .say_self = h};
    assert_int_equal(bn_config_resolve(&resolved, err), BN_OK);
    return bn_train(&job, &end, err);
}

static int64_t resumed_step(const char *folder)
{
    json_t *events = run_lab_events(folder, "run"), *begin = NULL;
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *line = json_array_get(events, i);
        if (json_object_get(line, "resumed_step")) begin = line;
    }
    int64_t step = (int64_t)json_number_value(json_object_get(begin, "resumed_step"));
    json_decref(events);
    return step;
}

static const char *newest(const char *folder)
{
    return scratch_path(folder, "run/checkpoint/step-000000000012.safetensors");
}

static void flip_byte(const char *path, off_t at)
{
    char byte = 0;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 4);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static void test_a_truncated_checkpoint_is_passed_over_for_the_one_before(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    assert_int_equal(truncate(newest(*state), 20000), 0);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_int_equal(h.count, 1);
    assert_non_null(strstr(h.text[0], "step-000000000012.safetensors: cut short"));
    assert_int_equal(resumed_step(*state), 10);
}

static void test_a_flipped_bit_in_a_checkpoint_is_noticed(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    flip_byte(newest(*state), 30000);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_non_null(strstr(h.text[0], "checksum"));
    assert_int_equal(resumed_step(*state), 10);
}

static void test_what_is_no_file_is_no_other_run_s(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    assert_int_equal(bn_dir_make(scratch_path(*state, "run/checkpoint"), 0755, &err), BN_OK);
    const char *pipe = scratch_path(*state, "run/checkpoint/step-000000000005.safetensors");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_non_null(strstr(h.text[0], "not a file"));
}

static void test_a_foreign_file_is_passed_over(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    (void)scratch_write(*state, "run/checkpoint/step-000000000099.safetensors",
                        "\x02\0\0\0\0\0\0\0{}", 10);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_non_null(strstr(h.text[0], "not a checkpoint"));
    assert_int_equal(resumed_step(*state), 12);
}

static void test_when_nothing_is_sound_the_run_begins_again(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    run_lab_set(&config, "train.checkpoint_keep=1", "train.checkpoint_every=0",
                "train.eval_every=0", NULL);
    (void)run_lab_train(&config, *state, "run");
    assert_int_equal(truncate(newest(*state), 0), 0); /* and best, its other name */
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_int_equal(h.count, 3);
    assert_non_null(strstr(h.text[2], "from the beginning"));
    assert_int_equal(resumed_step(*state), 0);
}

static void test_a_checkpoint_of_another_shape_names_the_knob_and_both_values(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    run_lab_set(&config, "model.width=32", NULL);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "its 'model.width' is 16, the run's is 32"));
}

/* Overwrites what follows the first `mark` in a file. */
static void patch_behind(const char *path, const char *mark, const char *to)
{
    static char head[1 << 16];
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    size_t count = fread(head, 1, sizeof head, file), length = strlen(mark), at = 0;
    while (at + length < count && memcmp(head + at, mark, length) != 0) at++;
    assert_true(at + length < count);
    assert_int_equal(fseek(file, (long)(at + length), SEEK_SET), 0);
    assert_int_equal(fwrite(to, 1, strlen(to), file), strlen(to));
    assert_int_equal(fclose(file), 0);
}

/* A sound checkpoint of before there was the knob model.embed_std. */
static void make_older(const char *path)
{
    bn_error err = {0};
    bn_st_reader *file = NULL;
    patch_behind(path, "model.embed_", "old");
    assert_int_equal(bn_st_open(&file, path, &err), BN_OK);
    assert_int_equal(bn_st_verify(file, &err), BN_ECORRUPT);
    bn_st_close(file);
    const char *found = strstr(err.text, "its checksum is ");
    assert_non_null(found);
    char digits[9] = "";
    memcpy(digits, found + strlen("its checksum is "), 8);
    patch_behind(path, "\"crc32\":\"", digits);
}

static void test_a_knob_younger_than_the_checkpoint_had_its_default(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    make_older(newest(*state));
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_int_equal(resumed_step(*state), 12);
    run_lab_set(&config, "model.embed_std=0.1", NULL);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "its 'model.embed_std' is 0.02, the run's is 0.1"));
}

static void test_how_a_run_is_run_may_change_between_attempts(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    run_lab_set(&config, "train.threads=3", "train.log_every=7", "train.quant_every=0", NULL);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_int_equal(resumed_step(*state), 12);
}

static void test_another_text_under_the_same_name_is_another_run(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    char *text = calloc(1, 5001);
    memset(text, 'z', 5000);
    (void)scratch_write(*state, "text.txt", text, 5000);
    free(text);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "its data had the hash"));
}

static void test_the_newest_and_the_best_are_kept(void **state)
{
    bn_error err = {0};
    bn_checkpoint_list list;
    char best[BN_PATH_MAX];
    bn_config config = run_lab_config(*state);
    run_lab_set(&config, "train.checkpoint_every=2", "train.checkpoint_keep=3", NULL);
    (void)run_lab_train(&config, *state, "run");
    const char *folder = scratch_path(*state, "run/checkpoint");
    assert_int_equal(bn_checkpoint_dir_list(&list, folder, &err), BN_OK);
    assert_int_equal(list.count, 3);
    assert_true(list.steps[0] == 12 && list.steps[1] == 10 && list.steps[2] == 8);
    free(list.steps);
    assert_int_equal(bn_checkpoint_dir_path(best, folder, true, &err), BN_OK);
    assert_int_equal(scratch_count(folder), 4);
}

static void test_where_no_file_has_two_names_the_best_is_a_copy(void **state)
{
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    no_links = true;
    (void)run_lab_train(&config, *state, "run");
    no_links = false;
    char best[BN_PATH_MAX], *text[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    const char *folder = scratch_path(*state, "run/checkpoint");
    assert_int_equal(bn_checkpoint_dir_path(best, folder, true, &err), BN_OK);
    assert_int_equal(bn_file_read(best, 1 << 24, &text[0], &size[0], &err), BN_OK);
    assert_int_equal(bn_file_read(newest(*state), 1 << 24, &text[1], &size[1], &err), BN_OK);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(text[0], text[1], size[0]);
    free(text[0]);
    free(text[1]);
}

/* What was refused is newer than all that follows. */
static void test_damaged_files_take_no_place_from_the_checkpoints_after_them(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    run_lab_set(&config, "train.checkpoint_every=2", "train.checkpoint_keep=2",
                "train.eval_every=0", NULL);
    (void)run_lab_train(&config, *state, "run");
    for (int step = 10; step <= STEPS; step += 2) {
        char name[64];
        (void)snprintf(name, sizeof name, "run/checkpoint/step-%012d.safetensors", step);
        assert_int_equal(truncate(scratch_path(*state, name), 9), 0); /* the last: best, too */
    }
    assert_int_equal(run_lab_train_until(&config, *state, "run", 0), BN_TRAIN_STOPPED);
    assert_true(
        bn_file_exists(scratch_path(*state, "run/checkpoint/step-000000000000.safetensors")));
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_OK);
    assert_int_equal(h.count, 2); /* the damaged ones; the run goes on with the one after them */
}

static void test_a_refused_run_is_told_once(void **state)
{
    heard h = {0};
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    (void)run_lab_train(&config, *state, "run");
    run_lab_set(&config, "train.batch=3", NULL);
    assert_int_equal(train_hearing(&config, *state, &h, &err), BN_EINVAL);
    assert_int_equal(h.count, 0); /* nor is anything said twice */
}

static void test_a_checkpoint_says_what_it_was_trained_with(void **state)
{
    bn_error err = {0};
    bn_config config = run_lab_config(*state), told;
    bn_st_reader *file = NULL;
    (void)run_lab_train(&config, *state, "run");
    assert_int_equal(bn_st_open(&file, newest(*state), &err), BN_OK);
    assert_int_equal(bn_checkpoint_config(&told, file, &err), BN_OK);
    assert_int_equal(bn_config_resolve(&config, &err), BN_OK);
    config.model.vocab = 256;
    assert_memory_equal(&told, &config, sizeof told);
    bn_st_close(file);
}

static void test_half_written_files_of_a_killed_attempt_are_cleared_away(void **state)
{
    bn_error err = {0};
    bn_config config = run_lab_config(*state);
    assert_int_equal(bn_dir_make(scratch_path(*state, "run/checkpoint"), 0755, &err), BN_OK);
    const char *path =
        scratch_write(*state, "run/checkpoint/step-000000000003.safetensors.tmp", "half", 4);
    (void)run_lab_train(&config, *state, "run");
    assert_false(bn_file_exists(path));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(test_killed_runs_go_on_to_the_same_last_bit),
        TEST(test_a_run_stopped_after_any_step_goes_on_to_the_same_last_bit),
        TEST(test_a_truncated_checkpoint_is_passed_over_for_the_one_before),
        TEST(test_a_flipped_bit_in_a_checkpoint_is_noticed),
        TEST(test_what_is_no_file_is_no_other_run_s),
        TEST(test_a_foreign_file_is_passed_over),
        TEST(test_when_nothing_is_sound_the_run_begins_again),
        TEST(test_a_checkpoint_of_another_shape_names_the_knob_and_both_values),
        TEST(test_a_knob_younger_than_the_checkpoint_had_its_default),
        TEST(test_how_a_run_is_run_may_change_between_attempts),
        TEST(test_another_text_under_the_same_name_is_another_run),
        TEST(test_the_newest_and_the_best_are_kept),
        TEST(test_where_no_file_has_two_names_the_best_is_a_copy),
        TEST(test_damaged_files_take_no_place_from_the_checkpoints_after_them),
        TEST(test_a_refused_run_is_told_once),
        TEST(test_a_checkpoint_says_what_it_was_trained_with),
        TEST(test_half_written_files_of_a_killed_attempt_are_cleared_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
