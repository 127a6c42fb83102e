#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/parallel.h"
#include "engine/parallel_wires.h"
#include "support/model_lab.h"
#include "support/ranks_lab.h"

/* Sums of gradients are grouped by rank, so a loss differs from one rank's in the last bits of
 * float32, and low-bit codes that flip on them make it a little more. */
#define TOLERANCE 2e-3

static bn_config shared_config(const char *folder)
{
    bn_config config = run_lab_config(folder);
    run_lab_set(&config, "train.batch=4", "train.accum=2", "train.steps=12", "model.layers=2",
                NULL);
    return config;
}

static double worst_difference(const char *folder, const char *one, const char *other,
                               const char *key)
{
    json_t *a = run_lab_events(folder, one), *b = run_lab_events(folder, other);
    double worst = 0;
    for (int64_t seq = 0; run_lab_record(a, seq); seq++) {
        json_t *left = run_lab_record(a, seq), *right = run_lab_record(b, seq);
        assert_non_null(right);
        if (!json_object_get(json_object_get(left, "values"), key)) continue;
        worst = fmax(worst, fabs(run_lab_value(left, key) - run_lab_value(right, key)));
    }
    json_decref(a);
    json_decref(b);
    return worst;
}

static void follow_one_rank(const char *folder, const bn_config *config, const char *label)
{
    char one[64], many[64];
    (void)snprintf(one, sizeof one, "%s-one", label);
    (void)run_lab_train(config, folder, one);
    for (int world = 2; world <= 4; world += 2) {
        static const char *const keys[] = {"train/loss", "val/loss", "tokens"};
        ranks_lab lab = {.folder = folder, .name = many, .world = world};
        (void)snprintf(many, sizeof many, "%s-%d", label, world);
        ranks_lab_train(&lab, config, RANK_FINISHED);
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            double worst = worst_difference(folder, one, many, keys[i]);
            if (!(worst <= TOLERANCE)) fail_msg("%s: %s differs by %g", many, keys[i], worst);
        }
    }
}

static void test_ternary_losses_of_two_and_four_ranks_are_those_of_one(void **state)
{
    bn_config config = shared_config(*state);
    follow_one_rank(*state, &config, "ternary");
}

static void test_float_losses_with_an_untied_head_are_those_of_one(void **state)
{
    bn_config config = shared_config(*state);
    run_lab_set(&config, "quant.variant=fp32", "model.tied=false", NULL);
    follow_one_rank(*state, &config, "fp32");
}

static void test_fp16_ranks_skip_the_same_steps(void **state)
{
    bn_config config = shared_config(*state);
    run_lab_set(&config, "quant.variant=fp16", NULL);
    follow_one_rank(*state, &config, "fp16");
}

static void test_the_same_world_says_the_same_bits_again(void **state)
{
    bn_config config = shared_config(*state);
    ranks_lab first = {.folder = *state, .name = "first", .world = 3};
    ranks_lab again = {.folder = *state, .name = "again", .world = 3};
    run_lab_set(&config, "train.batch=6", NULL);
    ranks_lab_train(&first, &config, RANK_FINISHED);
    ranks_lab_train(&again, &config, RANK_FINISHED);
    assert_true(worst_difference(*state, "first", "again", "train/loss") == 0);
    assert_true(worst_difference(*state, "first", "again", "val/loss") == 0);
    assert_true(worst_difference(*state, "first", "again", "grad_norm") == 0);
}

static void test_begin_line_tells_how_many_ranks(void **state)
{
    bn_config config = shared_config(*state);
    ranks_lab lab = {.folder = *state, .name = "run", .world = 2};
    ranks_lab_train(&lab, &config, RANK_FINISHED);
    json_t *events = run_lab_events(*state, "run");
    json_t *begin = json_array_get(events, 0);
    assert_int_equal(json_integer_value(json_object_get(begin, "ranks")), 2);
    assert_int_equal(json_array_size(events), 1 + 12 + 1); /* one rank speaks */
    json_decref(events);
}

static void test_a_run_stopped_on_one_rank_goes_on_with_another_number_of_ranks(void **state)
{
    bn_config config = shared_config(*state);
    run_lab_set(&config, "train.steps=400", "train.eval_every=0", NULL);
    (void)run_lab_train(&config, *state, "whole");
    ranks_lab lab = {.folder = *state, .name = "broken", .world = 2};
    ranks_lab_start_all(&lab, &config);
    ranks_lab_hear(&lab, 3);
    (void)kill(lab.pids[1], SIGTERM);
    assert_int_equal(ranks_lab_wait(&lab, 0), RANK_STOPPED);
    assert_int_equal(ranks_lab_wait(&lab, 1), RANK_STOPPED);
    lab.world = 4;
    ranks_lab_train(&lab, &config, RANK_FINISHED);
    /* 400 steps multiply what the last bits began: the curve is the same, not its digits. */
    double worst = worst_difference(*state, "whole", "broken", "train/loss");
    if (!(worst < 0.3)) fail_msg("the curves are %g apart", worst);
}

static void expect_words(const ranks_lab *lab, int rank, const char *words)
{
    const char *said = ranks_lab_words(lab, rank);
    if (!strstr(said, words)) fail_msg("rank %d said '%s', not '%s'", rank, said, words);
}

static void kill_one(const char *folder, int victim)
{
    bn_config config = shared_config(folder);
    char words[32];
    run_lab_set(&config, "train.steps=100000", "train.eval_every=0", NULL);
    ranks_lab lab = {.folder = folder, .name = "run", .world = 4};
    ranks_lab_start_all(&lab, &config);
    ranks_lab_hear(&lab, 2);
    (void)kill(lab.pids[victim], SIGKILL);
    (void)snprintf(words, sizeof words, "rank %d (", victim);
    for (int rank = 0; rank < lab.world; rank++) {
        ranks_lab_end end = ranks_lab_wait(&lab, rank);
        assert_int_equal(end, rank == victim ? RANK_KILLED : RANK_FAILED);
        if (rank != victim) expect_words(&lab, rank, words);
        if (rank != victim) expect_words(&lab, rank, "is gone");
    }
}

static void test_all_ranks_end_and_name_a_rank_that_was_killed(void **state)
{
    kill_one(*state, 2);
}

static void test_all_ranks_end_when_rank_0_was_killed(void **state)
{
    kill_one(*state, 0);
}

static void test_what_one_rank_fails_of_is_the_reason_of_all(void **state)
{
    bn_config config = shared_config(*state), bad = config;
    run_lab_set(&config, "train.batch=6", NULL);
    (void)snprintf(bad.data.path, sizeof bad.data.path, "%s/missing.txt", (const char *)*state);
    ranks_lab lab = {.folder = *state, .name = "run", .world = 3};
    ranks_lab_start(&lab, &config, 0);
    ranks_lab_start(&lab, &bad, 1);
    ranks_lab_start(&lab, &config, 2);
    for (int rank = 0; rank < 3; rank++) {
        assert_int_equal(ranks_lab_wait(&lab, rank), RANK_FAILED);
        expect_words(&lab, rank, "missing.txt");
    }
    expect_words(&lab, 2, "rank 1 (");
}

static void test_ranks_with_other_knobs_do_not_train_together(void **state)
{
    bn_config config = shared_config(*state), other = config;
    run_lab_set(&other, "optim.lr=0.5", NULL);
    ranks_lab lab = {.folder = *state, .name = "run", .world = 2};
    ranks_lab_start(&lab, &config, 0);
    ranks_lab_start(&lab, &other, 1);
    for (int rank = 0; rank < 2; rank++) {
        assert_int_equal(ranks_lab_wait(&lab, rank), RANK_FAILED);
        expect_words(&lab, rank, "rank 1 has other data or knobs");
    }
}

static void test_a_batch_that_cannot_be_shared_is_refused(void **state)
{
    bn_config config = shared_config(*state);
    ranks_lab lab = {.folder = *state, .name = "run", .world = 3};
    ranks_lab_start_all(&lab, &config);
    for (int rank = 0; rank < 3; rank++) {
        assert_int_equal(ranks_lab_wait(&lab, rank), RANK_FAILED);
        expect_words(&lab, rank, "'train.batch'");
    }
    expect_words(&lab, 0, "6 would do");
}

/* Two ranks step a network three times; rank 1 may then break one weight. The child's exit code. */
static int compare_after_steps(const char *folder, int rank, bool breaks)
{
    bn_error err = {0};
    bn_ranks ranks = {.rank = rank, .world = 2, .local_world = 2, .token = "t"};
    bn_parallel_spec spec = {.ranks = &ranks, .dir = folder, .wait_s = 30};
    bn_parallel *parallel = NULL;
    bn_optimizer *optimizer = NULL;
    model_lab lab = model_lab_open("cpu:1", "quant.variant=ternary", NULL);
    bn_status status = bn_parallel_open(&parallel, &spec, &err);
    if (status == BN_OK) status = bn_parallel_attach(parallel, lab.model, NULL, NULL, &err);
    if (status == BN_OK) status = bn_optimizer_open(&optimizer, lab.model, &lab.config, &err);
    if (rank == 1) lab.tokens[0] = (lab.tokens[0] + 1) % 32; /* other rows, other gradients */
    for (int i = 0; i < 3 && status == BN_OK; i++) {
        bn_optimizer_step step = {.lr = 0.01};
        bn_parallel_begin(parallel);
        bn_model_train(lab.model, 0, lab.tokens, lab.targets, 0.01F);
        status = bn_parallel_finish(parallel, &err);
        if (status == BN_OK) status = bn_optimizer_apply(optimizer, &step, &err);
    }
    float broken = 1;
    if (breaks && rank == 1) bn_backend_write(lab.be, lab.model->weights, &broken, sizeof broken);
    if (status == BN_OK) status = bn_parallel_compare(parallel, &err);
    bn_parallel_close(parallel);
    bn_optimizer_close(optimizer);
    model_lab_close(&lab);
    return (int)status;
}

static void compare_two_ranks(const char *folder, bool breaks, bn_status expected)
{
    int status = 0;
    pid_t pids[2];
    for (int rank = 0; rank < 2; rank++) {
        (void)fflush(NULL);
        pids[rank] = fork();
        if (pids[rank] == 0) _exit(compare_after_steps(folder, rank, breaks));
    }
    for (int rank = 0; rank < 2; rank++) {
        assert_int_equal(waitpid(pids[rank], &status, 0), pids[rank]);
        assert_int_equal(WEXITSTATUS(status), expected);
    }
}

static void test_ranks_that_saw_other_rows_hold_the_same_weights(void **state)
{
    compare_two_ranks(*state, false, BN_OK);
}

static void test_a_weight_that_broke_on_one_rank_is_found(void **state)
{
    compare_two_ranks(*state, true, BN_ECORRUPT);
}

/* What had been told as done, copied at that moment. */
typedef struct told {
    const model_lab *lab;
    float *then;
    size_t from, calls;
} told;

static void note_done(void *self, size_t from)
{
    told *t = self;
    const bn_model *model = t->lab->model;
    assert_true(from <= t->from);
    size_t bytes = (t->from - from) * sizeof(float);
    bn_backend_read(model->be, t->then + from, model->grads + from, bytes);
    t->from = from;
    t->calls++;
}

static void follow_gradients(const char *tied)
{
    model_lab lab = model_lab_open("reference", tied, "quant.variant=fp32", NULL);
    size_t floats = lab.model->params.floats;
    told t = {.lab = &lab, .then = calloc(floats, sizeof(float)), .from = floats};
    bn_model_listen(lab.model, (bn_grad_listener){note_done, &t});
    bn_model_train(lab.model, 0, lab.tokens, lab.targets, 1);
    float *now = model_lab_grads(&lab);
    assert_int_equal(t.from, 0);
    assert_true(t.calls >= 4); /* head, two layers, token table */
    assert_memory_equal(t.then, now, floats * sizeof *now);
    free(now);
    free(t.then);
    model_lab_close(&lab);
}

static void test_a_gradient_that_was_told_as_done_does_not_change(void **state)
{
    (void)state;
    follow_gradients("model.tied=true");
    follow_gradients("model.tied=false");
}

static bn_status open_alone(const char *folder, int rank, bn_error *err)
{
    bn_ranks ranks = {.rank = rank, .world = 2, .local_world = 2, .token = "t"};
    bn_parallel_spec spec = {.ranks = &ranks, .dir = folder, .wait_s = 0.3};
    bn_parallel *parallel = NULL;
    bn_status status = bn_parallel_open(&parallel, &spec, err);
    bn_parallel_close(parallel);
    return status;
}

static void test_a_rank_that_does_not_come_is_named(void **state)
{
    bn_error first = {0}, second = {0};
    assert_int_equal(open_alone(*state, 0, &first), BN_EAGAIN);
    assert_non_null(strstr(first.text, "rank 1 of 2 did not come"));
    assert_int_equal(open_alone(*state, 1, &second), BN_EAGAIN);
    assert_non_null(strstr(second.text, "found no rank 0"));
}

static void test_a_file_left_by_an_earlier_start_leads_nobody_astray(void **state)
{
    static const char *const left[] = {
        "token=of another start\nsecret=00\nport=9\naddress=127.0.0.1\n",
        "token=one start of a test\nsecret=00\nport=1\naddress=127.0.0.1\n",
        "token=one start of a test\nport=99999999999999999999\naddress=somewhere\n====\n",
    };
    bn_config config = shared_config(*state);
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        char dir[BN_PATH_MAX], name[16];
        (void)snprintf(name, sizeof name, "run-%zu", i);
        (void)snprintf(dir, sizeof dir, "%s/%s", (const char *)*state, name);
        assert_int_equal(mkdir(dir, 0755), 0);
        (void)scratch_write(dir, BN_WIRES_FILE, left[i], strlen(left[i]));
        ranks_lab lab = {.folder = *state, .name = name, .world = 2};
        ranks_lab_start(&lab, &config, 1);
        ranks_lab_start(&lab, &config, 0);
        assert_int_equal(ranks_lab_wait(&lab, 0), RANK_FINISHED);
        assert_int_equal(ranks_lab_wait(&lab, 1), RANK_FINISHED);
    }
}

/* Where rank 0 listens, once its file says so. */
static int port_of(const ranks_lab *lab)
{
    char path[BN_PATH_MAX], *text = NULL;
    size_t size = 0;
    (void)snprintf(path, sizeof path, "%s/%s/%s", lab->folder, lab->name, BN_WIRES_FILE);
    for (int i = 0; i < 10000; i++) {
        bn_error not_yet = {0};
        if (bn_file_read(path, 1 << 16, &text, &size, &not_yet) == BN_OK) break;
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    assert_non_null(text);
    int port = (int)strtol(strstr(text, "port=") + 5, NULL, 10);
    free(text);
    return port;
}

static void test_a_stranger_at_the_door_is_sent_away(void **state)
{
    bn_config config = shared_config(*state);
    ranks_lab lab = {.folder = *state, .name = "run", .world = 2};
    ranks_lab_start(&lab, &config, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port_of(&lab))};
    char words[4096], answer = 0;
    memset(words, 'x', sizeof words);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_true(send(fd, words, sizeof words, MSG_NOSIGNAL) > 0);
    assert_true(recv(fd, &answer, 1, 0) <= 0);
    (void)close(fd);
    ranks_lab_start(&lab, &config, 1);
    assert_int_equal(ranks_lab_wait(&lab, 0), RANK_FINISHED);
    assert_int_equal(ranks_lab_wait(&lab, 1), RANK_FINISHED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        TEST(test_ternary_losses_of_two_and_four_ranks_are_those_of_one),
        TEST(test_float_losses_with_an_untied_head_are_those_of_one),
        TEST(test_fp16_ranks_skip_the_same_steps),
        TEST(test_the_same_world_says_the_same_bits_again),
        TEST(test_begin_line_tells_how_many_ranks),
        TEST(test_a_run_stopped_on_one_rank_goes_on_with_another_number_of_ranks),
        TEST(test_all_ranks_end_and_name_a_rank_that_was_killed),
        TEST(test_all_ranks_end_when_rank_0_was_killed),
        TEST(test_what_one_rank_fails_of_is_the_reason_of_all),
        TEST(test_ranks_with_other_knobs_do_not_train_together),
        TEST(test_a_batch_that_cannot_be_shared_is_refused),
        TEST(test_ranks_that_saw_other_rows_hold_the_same_weights),
        TEST(test_a_weight_that_broke_on_one_rank_is_found),
        TEST(test_a_gradient_that_was_told_as_done_does_not_change),
        TEST(test_a_rank_that_does_not_come_is_named),
        TEST(test_a_file_left_by_an_earlier_start_leads_nobody_astray),
        TEST(test_a_stranger_at_the_door_is_sent_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
