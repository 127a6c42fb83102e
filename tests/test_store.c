#include <sys/stat.h>
#include <sys/wait.h>

#include "store/label.h"
#include "store/store.h"
#include "support/store_home.h"

typedef struct fixture {
    char home[BN_PATH_MAX];
    bn_store *store;
    int64_t sweep;
} fixture;

static int setup(void **state)
{
    static fixture at;
    home_make(at.home);
    at.store = home_open(at.home, BN_STORE_WRITE);
    at.sweep = home_sweep(at.store, "lr");
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    fixture *at = *state;
    bn_store_close(at->store);
    home_remove(at->home);
    return 0;
}

static void test_reading_a_home_without_a_database_says_so(void **state)
{
    (void)state;
    bn_store *store = NULL;
    bn_error err = {0};
    assert_int_equal(bn_store_open(&store, "/tmp/no/such/home", BN_STORE_READ, &err), BN_ENOENT);
    assert_null(store);
    assert_false(bn_file_exists("/tmp/no/such/home"));
}

static void test_a_reader_cannot_write(void **state)
{
    fixture *at = *state;
    bn_store *reader = home_open(at->home, BN_STORE_READ);
    bn_error err = {0};
    assert_int_equal(bn_sweep_set_state(reader, at->sweep, BN_SWEEP_PAUSED, &err), BN_EINVAL);
    bn_store_close(reader);
}

static void test_the_same_sweep_is_found_again(void **state)
{
    fixture *at = *state;
    bn_sweep again = {.name = "lr", .hash = "aa", .method = "?"};
    bn_error err = {0};
    bool found = false;
    ASSERT_OK(bn_sweep_add(at->store, &again, "other text", &found, &err));
    assert_true(found);
    assert_int_equal(again.id, at->sweep);
    assert_string_equal(again.method, "grid");
    char *spec = NULL;
    ASSERT_OK(bn_sweep_spec(at->store, at->sweep, &spec, &err));
    assert_string_equal(spec, "other text"); /* the file given last */
    free(spec);
}

static void test_a_name_taken_by_another_sweep_is_refused(void **state)
{
    fixture *at = *state;
    bn_sweep other = {.name = "lr", .hash = "bb", .method = "grid"};
    bn_error err = {0};
    bool found = false;
    assert_int_equal(bn_sweep_add(at->store, &other, "", &found, &err), BN_EINVAL);
    assert_false(found);
}

static void test_a_misspelt_sweep_names_the_nearest(void **state)
{
    fixture *at = *state;
    (void)home_sweep(at->store, "quantization");
    bn_sweep sweep;
    bn_error err = {0};
    assert_int_equal(bn_sweep_find(at->store, "quantisation", &sweep, &err), BN_ENOENT);
    assert_non_null(strstr(err.text, "did you mean 'quantization'?"));
}

static void test_a_run_is_added_once(void **state)
{
    fixture *at = *state;
    bn_run first = home_run(at->store, at->sweep, 0), second = home_run(at->store, at->sweep, 0);
    assert_int_equal(first.id, second.id);
    assert_string_equal(first.key, second.key);
    assert_int_equal(strlen(first.key), 8);
    assert_int_equal(strspn(first.key, "0123456789abcdefghijklmnopqrstuvwxyz"), 8);
    assert_int_equal(first.state, BN_RUN_PENDING);
    assert_string_equal(first.sweep_name, "lr");
    assert_true(isnan(first.started_s));
    assert_int_equal(first.exit_code, -1);
}

static void test_runs_are_found_by_key_prefix_and_name(void **state)
{
    fixture *at = *state;
    bn_run made = home_run(at->store, at->sweep, 3), found;
    bn_error err = {0};
    ASSERT_OK(bn_run_find(at->store, made.key, &found, &err));
    assert_int_equal(found.id, made.id);
    ASSERT_OK(bn_run_find(at->store, "run-3", &found, &err));
    assert_int_equal(found.id, made.id);
    ASSERT_OK(bn_run_find(at->store, "lr/run-3", &found, &err));
    char prefix[4] = {made.key[0], made.key[1], made.key[2], '\0'};
    ASSERT_OK(bn_run_find(at->store, prefix, &found, &err));
    assert_int_equal(found.id, made.id);
    prefix[2] = '\0'; /* two characters are too few */
    assert_int_equal(bn_run_find(at->store, prefix, &found, &err), BN_ENOENT);
}

static void test_a_name_in_two_sweeps_is_ambiguous(void **state)
{
    fixture *at = *state;
    bn_run found;
    bn_error err = {0};
    (void)home_run(at->store, at->sweep, 0);
    (void)home_run(at->store, home_sweep(at->store, "width"), 0);
    assert_int_equal(bn_run_find(at->store, "run-0", &found, &err), BN_EAMBIGUOUS);
    assert_non_null(strstr(err.text, "ambiguous"));
    assert_non_null(strstr(err.text, "width/run-0"));
}

static void test_a_move_from_a_state_left_behind_changes_nothing(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_run_change begin = {.from = BN_RUN_PENDING,
                           .to = BN_RUN_RUNNING,
                           .exit_code = -1,
                           .now_s = 100,
                           .begins_attempt = true,
                           .host = "here"};
    bn_error err = {0};
    ASSERT_OK(bn_run_move(at->store, run.id, &begin, &err));
    assert_int_equal(bn_run_move(at->store, run.id, &begin, &err), BN_ESTALE);
    bn_error none = {0};
    assert_int_equal(bn_run_get(at->store, run.id, &run, &none), BN_OK);
    assert_int_equal(run.attempt, 1);
    assert_string_equal(run.host, "here");
}

static void test_moves_come_all_or_none(void **state)
{
    fixture *at = *state;
    int64_t ids[2] = {home_run(at->store, at->sweep, 0).id, home_run(at->store, at->sweep, 1).id};
    bn_run_change changes[2] = {
        {.from = BN_RUN_PENDING, .to = BN_RUN_RUNNING, .exit_code = -1, .begins_attempt = true},
        {.from = BN_RUN_RUNNING, .to = BN_RUN_FINISHED, .exit_code = 0}};
    bn_error err = {0};
    assert_int_equal(bn_run_move_all(at->store, ids, changes, 2, &err), BN_ESTALE);
    bn_run run;
    bn_error none = {0};
    assert_int_equal(bn_run_get(at->store, ids[0], &run, &none), BN_OK);
    assert_int_equal(run.state, BN_RUN_PENDING);
}

static void test_attempts_keep_their_own_reasons_and_add_up(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    const bn_run_change changes[] = {
        {.from = BN_RUN_PENDING,
         .to = BN_RUN_RUNNING,
         .exit_code = -1,
         .now_s = 100,
         .begins_attempt = true},
        {.from = BN_RUN_RUNNING,
         .to = BN_RUN_CRASHED,
         .reason = "signal 9",
         .exit_code = -1,
         .now_s = 110,
         .ends_attempt = true},
        {.from = BN_RUN_CRASHED, .to = BN_RUN_PENDING, .exit_code = -1, .now_s = 111},
        {.from = BN_RUN_PENDING,
         .to = BN_RUN_RUNNING,
         .exit_code = -1,
         .now_s = 200,
         .begins_attempt = true},
        {.from = BN_RUN_RUNNING,
         .to = BN_RUN_FINISHED,
         .exit_code = 0,
         .now_s = 205,
         .ends_attempt = true},
    };
    bn_error err = {0};
    for (size_t i = 0; i < 5; i++) ASSERT_OK(bn_run_move(at->store, run.id, &changes[i], &err));
    bn_attempt *attempts = NULL;
    size_t count = 0;
    ASSERT_OK(bn_run_attempts(at->store, run.id, &attempts, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(attempts[0].state, BN_RUN_CRASHED);
    assert_string_equal(attempts[0].reason, "signal 9");
    assert_string_equal(attempts[1].reason, "");
    assert_int_equal(attempts[1].exit_code, 0);
    ASSERT_OK(bn_run_get(at->store, run.id, &run, &err));
    assert_true(run.duration_s == 15);
    assert_string_equal(run.reason, "");
    free(attempts);
}

static void test_a_clock_that_jumps_back_makes_no_negative_duration(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_run_change begin = {.from = BN_RUN_PENDING,
                           .to = BN_RUN_RUNNING,
                           .exit_code = -1,
                           .now_s = 1000,
                           .begins_attempt = true};
    bn_run_change end = {.from = BN_RUN_RUNNING,
                         .to = BN_RUN_FINISHED,
                         .exit_code = 0,
                         .now_s = 10,
                         .ends_attempt = true};
    bn_error err = {0};
    ASSERT_OK(bn_run_move(at->store, run.id, &begin, &err));
    ASSERT_OK(bn_run_move(at->store, run.id, &end, &err));
    ASSERT_OK(bn_run_get(at->store, run.id, &run, &err));
    assert_true(run.duration_s == 0);
}

static void test_a_finished_configuration_is_found_by_its_hash(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0), same;
    bn_run_change end = {.from = BN_RUN_PENDING, .to = BN_RUN_FINISHED, .exit_code = 0};
    bn_error err = {0};
    bool found = true;
    ASSERT_OK(bn_run_find_finished(at->store, "c0ffee", &found, &same, &err));
    assert_false(found);
    ASSERT_OK(bn_run_move(at->store, run.id, &end, &err));
    ASSERT_OK(bn_run_find_finished(at->store, "c0ffee", &found, &same, &err));
    assert_true(found);
    assert_int_equal(same.id, run.id);
}

static void test_hostile_names_are_data(void **state)
{
    fixture *at = *state;
    const char *name = "x'); DROP TABLE run; --\n\xff\"";
    bn_run_new fresh = {
        .sweep = at->sweep, .number = 9, .name = name, .dir = name, .config_json = "{}"};
    bn_run run, found;
    bn_error err = {0};
    ASSERT_OK(bn_run_add(at->store, &fresh, &run, &err));
    ASSERT_OK(bn_run_find(at->store, name, &found, &err));
    assert_string_equal(found.name, name);
    ASSERT_OK(bn_tag_add(at->store, run.id, "';--", &err));
}

static void test_params_and_configuration_come_back(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_param *params = NULL;
    size_t count = 0;
    char *json = NULL;
    bn_error err = {0};
    ASSERT_OK(bn_run_params(at->store, run.id, &params, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(params[1].value, "\"ternary\"");
    assert_true(params[0].varied);
    ASSERT_OK(bn_run_config(at->store, run.id, &json, &err));
    assert_string_equal(json, "{\"optim.lr\":0.001,\"quant.variant\":\"ternary\"}");
    free(json);
    free(params);
}

static void test_a_trashed_run_is_gone_and_its_place_is_free(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0), *runs = NULL;
    bn_error err = {0};
    size_t count = 9;
    ASSERT_OK(home_append(at->store, run.id, 0, 3, &err));
    ASSERT_OK(bn_run_trash(at->store, run.id, ".trash/x", &err));
    ASSERT_OK(bn_run_list(at->store, 0, &runs, &count, &err));
    assert_int_equal(count, 0);
    free(runs);
    bn_run again = home_run(at->store, at->sweep, 0);
    assert_int_not_equal(again.id, run.id);
    assert_int_equal(again.next_seq, 0);
}

static void test_only_what_is_in_the_trash_is_purged(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0), kept = home_run(at->store, at->sweep, 1);
    bn_error err = {0};
    ASSERT_OK(home_append(at->store, run.id, 0, 3, &err));
    ASSERT_OK(bn_run_trash(at->store, run.id, ".trash/x", &err));
    ASSERT_OK(bn_run_purge(at->store, run.id, &err));
    ASSERT_OK(bn_store_tidy(at->store, &err));
    ASSERT_OK(bn_store_check(at->store, &err));
    assert_int_equal(bn_run_purge(at->store, kept.id, &err), BN_ESTALE);
}

static void test_tags_are_a_set(void **state)
{
    fixture *at = *state;
    bn_run run = home_run(at->store, at->sweep, 0);
    bn_tag *tags = NULL;
    size_t count = 0;
    bn_error err = {0};
    ASSERT_OK(bn_tag_add(at->store, run.id, "best", &err));
    ASSERT_OK(bn_tag_add(at->store, run.id, "best", &err));
    ASSERT_OK(bn_tag_add(at->store, run.id, "bad", &err));
    ASSERT_OK(bn_tag_remove(at->store, run.id, "bad", &err));
    ASSERT_OK(bn_tag_list(at->store, run.id, &tags, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(tags[0].tag, "best");
    assert_int_equal(bn_tag_add(at->store, run.id, "two words", &err), BN_EINVAL);
    free(tags);
}

static void test_a_home_nobody_may_write_can_still_be_read(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        print_message("skipped: root may write everywhere\n");
        skip();
    }
    char home[BN_PATH_MAX];
    home_make(home);
    bn_store *store = home_open(home, BN_STORE_WRITE);
    (void)home_sweep(store, "lr");
    bn_store_close(store);
    assert_int_equal(chmod(home, 0500), 0);
    store = home_open(home, BN_STORE_READ);
    bn_sweep sweep;
    bn_error err = {0};
    ASSERT_OK(bn_sweep_find(store, "lr", &sweep, &err));
    bn_store_close(store);
    assert_int_equal(chmod(home, 0700), 0);
    home_remove(home);
}

typedef struct seen_facts {
    size_t count;
    char words[256];
} seen_facts;

static void see(void *self, const bn_run_fact *fact)
{
    seen_facts *seen = self;
    size_t length = strlen(seen->words);
    (void)snprintf(seen->words + length, sizeof seen->words - length, "%s=%s;", fact->name,
                   fact->value);
    seen->count++;
}

static void test_an_attempt_is_stamped_when_it_begins(void **state)
{
    fixture *at = *state;
    const bn_run_fact facts[] = {{"git.commit", "f410f54"}, {"argv", "bnexp sweep lr.toml"}};
    bn_run_change begin = {.from = BN_RUN_PENDING,
                           .to = BN_RUN_RUNNING,
                           .exit_code = -1,
                           .now_s = 1,
                           .begins_attempt = true};
    bn_run run = home_run(at->store, at->sweep, 0);
    seen_facts seen = {0};
    bn_error err = {0};
    ASSERT_OK(bn_run_stamp(at->store, facts, 2, &err));
    ASSERT_OK(bn_run_each_origin(at->store, run.id, see, &seen, &err));
    assert_int_equal(seen.count, 0);
    ASSERT_OK(bn_run_move(at->store, run.id, &begin, &err));
    ASSERT_OK(bn_run_each_origin(at->store, run.id, see, &seen, &err));
    assert_string_equal(seen.words, "argv=bnexp sweep lr.toml;git.commit=f410f54;");
}

static int open_and_leave(const char *home, int gate)
{
    char byte = 0;
    bn_store *store = NULL;
    bn_error err = {0};
    if (read(gate, &byte, 1) != 0) return 1; /* until the parent lets all go at once */
    bn_status status = bn_store_open(&store, home, BN_STORE_WRITE, &err);
    bn_sweep sweep = {.name = "lr", .hash = "aa", .method = "grid"};
    bool found = false;
    if (status == BN_OK) status = bn_sweep_add(store, &sweep, "", &found, &err);
    bn_store_close(store);
    return status == BN_OK ? 0 : 1;
}

static void test_many_processes_may_make_a_home_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        char home[BN_PATH_MAX];
        int gate[2], how = 0;
        home_make(home);
        assert_int_equal(pipe(gate), 0);
        for (int i = 0; i < 8; i++) {
            if (fork() != 0) continue;
            (void)close(gate[1]);
            _exit(open_and_leave(home, gate[0]));
        }
        (void)close(gate[0]);
        (void)close(gate[1]);
        while (wait(&how) > 0) assert_int_equal(how, 0);
        home_remove(home);
    }
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_a_home_without_a_database_says_so),
        WITH_HOME(test_a_reader_cannot_write),
        WITH_HOME(test_the_same_sweep_is_found_again),
        WITH_HOME(test_a_name_taken_by_another_sweep_is_refused),
        WITH_HOME(test_a_misspelt_sweep_names_the_nearest),
        WITH_HOME(test_a_run_is_added_once),
        WITH_HOME(test_runs_are_found_by_key_prefix_and_name),
        WITH_HOME(test_a_name_in_two_sweeps_is_ambiguous),
        WITH_HOME(test_a_move_from_a_state_left_behind_changes_nothing),
        WITH_HOME(test_moves_come_all_or_none),
        WITH_HOME(test_attempts_keep_their_own_reasons_and_add_up),
        WITH_HOME(test_a_clock_that_jumps_back_makes_no_negative_duration),
        WITH_HOME(test_a_finished_configuration_is_found_by_its_hash),
        WITH_HOME(test_hostile_names_are_data),
        WITH_HOME(test_params_and_configuration_come_back),
        WITH_HOME(test_a_trashed_run_is_gone_and_its_place_is_free),
        WITH_HOME(test_only_what_is_in_the_trash_is_purged),
        WITH_HOME(test_tags_are_a_set),
        WITH_HOME(test_an_attempt_is_stamped_when_it_begins),
        cmocka_unit_test(test_many_processes_may_make_a_home_at_once),
        cmocka_unit_test(test_a_home_nobody_may_write_can_still_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
