#include <jansson.h>

#include "engine/base/text.h"
#include "engine/corpus/hub.h"
#include "engine/corpus/hub_api.h"
#include "support/cmocka_all.h"
#include "support/fake_http.h"
#include "support/scratch.h"

#define RESPONSES BN_SHARED_DATA "/hf_responses/"

enum { ALL_ROWS = 250 };

typedef struct hub_fault {
    int code;
    const char *headers, *body;
    bool cut;
} hub_fault;

/* A hub with one dataset of ALL_ROWS rows and a fault for the n-th question. */
typedef struct hub {
    int asked, fault_at; /* 1, 2, ...; 0: none */
    hub_fault fault;
    const char *always; /* a body for every question, with code */
    int always_code;
    const char *always_headers;
    char last_head[4096];
    int cut_row; /* truncated_cells names its text; 0: none */
} hub;

static char *splits(void)
{
    return strdup("{\"splits\":[{\"dataset\":\"d\",\"config\":\"stories\",\"split\":\"train\"},"
                  "{\"dataset\":\"d\",\"config\":\"stories\",\"split\":\"test\"},"
                  "{\"dataset\":\"d\",\"config\":\"wikihow\",\"split\":\"train\"}]}");
}

static char *rows(const hub *h, long offset, long length)
{
    bn_text text = {0};
    bn_text_add(&text, "{\"features\":[],\"rows\":[");
    for (long i = offset; i < offset + length && i < ALL_ROWS; i++) {
        bn_text_addf(&text,
                     "%s{\"row_idx\":%ld,\"row\":{\"text\":\"row %ld \\u00e9 \\\"x\\\"\\nend\","
                     "\"n\":%ld,\"prompt\":\"p\"},\"truncated_cells\":[%s]}",
                     i > offset ? "," : "", i, i, i, i == h->cut_row && i ? "\"text\"" : "");
    }
    bn_text_addf(&text, "],\"num_rows_total\":%d,\"num_rows_per_page\":100,\"partial\":false}",
                 ALL_ROWS);
    return text.data;
}

static void answer(void *self, const char *head, fake_reply *reply)
{
    hub *h = self;
    h->asked++;
    (void)snprintf(h->last_head, sizeof h->last_head, "%s", head);
    if (h->asked == h->fault_at) {
        *reply = (fake_reply){h->fault.code, h->fault.headers, NULL, h->fault.cut};
        if (h->fault.body) reply->body = strdup(h->fault.body);
        return;
    }
    reply->code = 200;
    if (h->always) {
        reply->code = h->always_code;
        reply->headers = h->always_headers;
        reply->body = strdup(h->always);
    } else if (strncmp(head, "GET /splits?", 12) == 0) {
        reply->body = splits();
    } else if (strncmp(head, "GET /size?", 10) == 0) {
        reply->body = strdup("{\"size\":{\"splits\":[{\"split\":\"train\",\"num_rows\":250}]}}");
    } else {
        long offset = strtol(strstr(head, "offset=") + 7, NULL, 10);
        reply->body = rows(h, offset, strtol(strstr(head, "length=") + 7, NULL, 10));
    }
}

static double waited_s;

static void wait_not_at_all(void *self, double seconds)
{
    (void)self;
    waited_s += seconds;
}

static bn_hub_job job_of(const fake_http *server, const char *out)
{
    return (bn_hub_job){.url = server->url,
                        .token = "secret",
                        .dataset = "Some/d",
                        .config = "stories",
                        .column = "text",
                        .out = out,
                        .wait = wait_not_at_all};
}

/* The file must hold rows 0 ... count-1, each once, with their text. */
static void expect_rows(const char *out, int count)
{
    bn_error err = {0};
    char *text;
    size_t bytes;
    assert_int_equal(bn_file_read(scratch_path(out, "rows.jsonl"), 1 << 20, &text, &bytes, &err),
                     BN_OK);
    char *line = text;
    for (int i = 0; i < count; i++) {
        char expected[64];
        char *end = strchr(line, '\n');
        assert_non_null(end);
        json_t *row = json_loadb(line, (size_t)(end - line), 0, NULL);
        (void)snprintf(expected, sizeof expected, "row %d \xc3\xa9 \"x\"\nend", i);
        assert_int_equal(json_integer_value(json_object_get(row, "row")), i);
        assert_string_equal(json_string_value(json_object_get(row, "text")), expected);
        json_decref(row);
        line = end + 1;
    }
    assert_int_equal(*line, '\0');
    free(text);
}

static void fetch_ok(const bn_hub_job *job, bn_hub_progress *progress)
{
    bn_error err = {0};
    bn_status status = bn_hub_fetch(job, progress, &err);
    if (status != BN_OK) print_message("%s\n", err.text);
    assert_int_equal(status, BN_OK);
}

static void test_every_row_arrives_once_and_in_order(void **state)
{
    fake_http server;
    hub h = {0};
    bn_hub_progress progress;
    fake_start(&server, answer, &h);
    bn_hub_job job = job_of(&server, scratch_path(*state, "out"));
    fetch_ok(&job, &progress);
    fake_stop(&server);
    expect_rows(job.out, ALL_ROWS);
    assert_int_equal(progress.fetched, ALL_ROWS);
    assert_int_equal(progress.wanted, ALL_ROWS);
    assert_non_null(strstr(h.last_head, "dataset=Some%2Fd&config=stories&split=train&offset=200"));
}

static void test_a_fetch_goes_on_where_it_was_killed(void **state)
{
    fake_http server;
    hub h = {0};
    bn_hub_progress progress;
    bn_error err = {0};
    fake_start(&server, answer, &h);
    bn_hub_job job = job_of(&server, scratch_path(*state, "out"));
    job.rows = 130;
    fetch_ok(&job, &progress);
    expect_rows(job.out, 130);
    FILE *file = fopen(scratch_path(job.out, "rows.jsonl"), "a"); /* a line that was cut */
    assert_true(fputs("{\"row\":130,\"text\":\"half", file) >= 0);
    assert_int_equal(fclose(file), 0);
    job.rows = 0;
    fetch_ok(&job, &progress);
    expect_rows(job.out, ALL_ROWS);
    assert_int_equal(progress.fetched, ALL_ROWS - 130);
    fetch_ok(&job, &progress);
    assert_int_equal(progress.fetched, 0);
    job.config = "wikihow";
    assert_int_equal(bn_hub_fetch(&job, &progress, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "holds config 'stories', not 'wikihow'"));
    fake_stop(&server);
}

static void expect_patience(const char *folder, hub_fault fault, double least_wait_s)
{
    fake_http server;
    bn_hub_progress progress;
    for (int at = 1; at <= 5; at++) {
        hub h = {.fault_at = at, .fault = fault};
        char name[16];
        (void)snprintf(name, sizeof name, "out%d-%d", fault.code, at + 10 * fault.cut);
        fake_start(&server, answer, &h);
        bn_hub_job job = job_of(&server, scratch_path(folder, name));
        waited_s = 0;
        fetch_ok(&job, &progress);
        fake_stop(&server);
        expect_rows(job.out, ALL_ROWS);
        assert_true(waited_s >= least_wait_s);
    }
}

static void test_busy_servers_and_lost_connections_are_waited_for(void **state)
{
    expect_patience(*state, (hub_fault){.code = 429, .headers = "Retry-After: 7\r\n"}, 7);
    expect_patience(*state, (hub_fault){.code = 503, .body = "<html>"}, 1);
    expect_patience(*state,
                    (hub_fault){.code = 500,
                                .headers = "X-Error-Code: ResponseNotReady\r\n",
                                .body = "{\"error\":\"busier than usual\"}"},
                    1);
    expect_patience(*state, (hub_fault){.code = 0}, 1);
    expect_patience(*state, (hub_fault){.code = 200, .body = "{\"rows\":[1,2,3]}", .cut = true}, 1);
}

static void expect_refused(hub *h, bn_hub_job (*change)(bn_hub_job), const char *folder,
                           bn_status expected, const char *words)
{
    fake_http server;
    bn_hub_progress progress;
    bn_error err = {0};
    fake_start(&server, answer, h);
    bn_hub_job job = job_of(&server, scratch_path(folder, "refused"));
    if (change) job = change(job);
    assert_int_equal(bn_hub_fetch(&job, &progress, &err), expected);
    fake_stop(&server);
    if (!strstr(err.text, words)) fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(strchr(err.text, '\n'));
}

static bn_hub_job wrong_config(bn_hub_job job)
{
    job.config = "storys";
    return job;
}

static bn_hub_job no_config(bn_hub_job job)
{
    job.config = NULL;
    return job;
}

static bn_hub_job wrong_split(bn_hub_job job)
{
    job.split = "tset";
    return job;
}

static bn_hub_job wrong_column(bn_hub_job job)
{
    job.column = "n";
    return job;
}

static void test_unknown_names_are_told_with_those_that_exist(void **state)
{
    expect_refused(&(hub){0}, wrong_config, *state, BN_EINVAL,
                   "no config 'storys', did you mean stories; there are: stories, wikihow");
    expect_refused(&(hub){0}, no_config, *state, BN_EINVAL,
                   "several configs; there are: stories, wikihow");
    expect_refused(&(hub){0}, wrong_split, *state, BN_EINVAL,
                   "no split 'tset', did you mean test; there are: train, test");
    assert_false(bn_file_exists(scratch_path(*state, "refused")));
    expect_refused(&(hub){0}, wrong_column, *state, BN_EINVAL,
                   "no text in column 'n'; text is in: text, prompt");
}

static void test_a_hub_that_never_answers_is_given_up_with_the_way_on(void **state)
{
    hub h = {.always = "{\"error\":\"busy\"}", .always_code = 503};
    expect_refused(&h, NULL, *state, BN_EAGAIN, "the same command goes on");
    assert_int_equal(h.asked, BN_HUB_TRIES);
}

/* A page of somebody else's, a list where an object belongs, an object without what was asked. */
static void test_an_answer_that_waiting_cannot_cure_is_an_error_at_once(void **state)
{
    static const struct {
        const char *body, *words;
    } cases[] = {{"<html>welcome</html>", "answers, but not in JSON: no dataset viewer is there"},
                 {"", "not in JSON"},
                 {"[1,2]", "not in JSON"},
                 {"{}", "names no splits"},
                 {"{\"splits\":\"none\"}", "names no splits"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hub h = {.always = cases[i].body, .always_code = 200};
        expect_refused(&h, NULL, *state, BN_EINVAL, cases[i].words);
        assert_int_equal(h.asked, 1);
    }
}

static bn_hub_job no_address(bn_hub_job job)
{
    job.url = "gopher://127.0.0.1/";
    return job;
}

static void test_what_is_no_address_is_not_asked_twice(void **state)
{
    waited_s = 0;
    expect_refused(&(hub){0}, no_address, *state, BN_EINVAL, "gopher://127.0.0.1/");
    assert_true(waited_s == 0);
}

/* Every recorded refusal of the real service: told in its own words, asked once, exit 2. */
static void test_recorded_refusals_are_told_in_the_hub_s_own_words(void **state)
{
    DIR *entries = opendir(RESPONSES);
    const struct dirent *entry;
    int seen = 0;
    if (!entries) {
        print_message("skipped: %s is absent\n", RESPONSES);
        skip();
    }
    while ((entry = readdir(entries))) {
        char *body;
        size_t bytes;
        bn_error err = {0};
        const char *code = strchr(entry->d_name, '.');
        if (strncmp(entry->d_name, "splits.", 7) != 0 || !code || code[1] < '4') continue;
        assert_int_equal(
            bn_file_read(scratch_path(RESPONSES, entry->d_name), 1 << 16, &body, &bytes, &err),
            BN_OK);
        json_t *root = json_loadb(body, bytes, 0, NULL);
        char words[100];
        (void)snprintf(words, sizeof words, "%.99s",
                       json_string_value(json_object_get(root, "error")));
        bool busy = strstr(entry->d_name, "not-ready") || strstr(entry->d_name, "unexpected");
        hub h = {.always = body, .always_code = (int)strtol(code + 1, NULL, 10)};
        expect_refused(&h, NULL, *state, busy ? BN_EAGAIN : BN_EINVAL, busy ? "500" : words);
        if (!busy) assert_int_equal(h.asked, 1);
        json_decref(root);
        free(body);
        seen++;
    }
    (void)closedir(entries);
    assert_true(seen >= 10);
}

static void test_recorded_rows_are_read(void **state)
{
    fake_http server;
    bn_error err = {0};
    hub h = {0};
    bn_hub_progress progress;
    char *body;
    size_t bytes;
    const char *file = RESPONSES "rows.200.A-slice-of-a-simple-dataset-stanfordnlp-imdb-.json";
    if (bn_file_read(file, 1 << 20, &body, &bytes, &err) != BN_OK) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    /* The recorded slice begins at row 234: the folder has the rows before it. */
    json_t *root = json_loadb(body, bytes, 0, NULL);
    size_t count = json_array_size(json_object_get(root, "rows"));
    h.fault_at = 3;
    h.fault = (hub_fault){.code = 200, .body = body};
    assert_int_equal(mkdir(scratch_path(*state, "out"), 0777), 0);
    static const char before[] = "{\"row\":233,\"text\":\"\"}\n";
    (void)scratch_write(*state, "out/rows.jsonl", before, sizeof before - 1);
    fake_start(&server, answer, &h);
    bn_hub_job job = job_of(&server, scratch_path(*state, "out"));
    job.rows = 234 + (int64_t)count;
    fetch_ok(&job, &progress);
    fake_stop(&server);
    assert_int_equal(progress.fetched, count);
    assert_true(progress.text_bytes > 500);
    json_decref(root);
    free(body);
}

static void test_rows_that_the_server_cut_are_counted_and_marked(void **state)
{
    fake_http server;
    hub h = {.cut_row = 3};
    bn_error err = {0};
    bn_hub_progress progress;
    char *text;
    size_t bytes;
    fake_start(&server, answer, &h);
    bn_hub_job job = job_of(&server, scratch_path(*state, "out"));
    job.rows = 10;
    fetch_ok(&job, &progress);
    fake_stop(&server);
    assert_int_equal(progress.cut_rows, 1);
    assert_int_equal(
        bn_file_read(scratch_path(job.out, "rows.jsonl"), 1 << 20, &text, &bytes, &err), BN_OK);
    assert_non_null(strstr(text, "end\",\"truncated\":true}\n{\"row\":4,"));
    free(text);
}

static void test_the_token_goes_to_the_hub_alone(void **state)
{
    fake_http server;
    hub h = {0};
    bn_hub_progress progress;
    fake_start(&server, answer, &h);
    bn_hub_job job = job_of(&server, scratch_path(*state, "out"));
    job.rows = 1;
    fetch_ok(&job, &progress);
    fake_stop(&server);
    assert_null(strstr(h.last_head, "secret"));
    assert_true(bn_hub_api_trusts("https://datasets-server.huggingface.co"));
    assert_true(bn_hub_api_trusts("https://huggingface.co/x"));
    assert_false(bn_hub_api_trusts("http://datasets-server.huggingface.co"));
    assert_false(bn_hub_api_trusts("https://huggingface.co.evil.org"));
    assert_false(bn_hub_api_trusts("https://nothuggingface.co"));
    assert_false(bn_hub_api_trusts("https://evil.org/huggingface.co"));
    assert_false(bn_hub_api_trusts("https://huggingface.co@evil.org"));
    assert_false(bn_hub_api_trusts("https://evil.org?x=.huggingface.co"));
    assert_false(bn_hub_api_trusts("https://"));
}

static void test_pauses_double_up_to_a_minute_and_obey_the_server(void **state)
{
    (void)state;
    assert_true(bn_hub_api_pause_s(1, -1) == 1);
    assert_true(bn_hub_api_pause_s(5, -1) == 16);
    assert_true(bn_hub_api_pause_s(9, -1) == 60);
    assert_true(bn_hub_api_pause_s(1, 30) == 30);
    assert_true(bn_hub_api_pause_s(1, 1e9) == 600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_row_arrives_once_and_in_order),
        TEST(test_a_fetch_goes_on_where_it_was_killed),
        TEST(test_busy_servers_and_lost_connections_are_waited_for),
        TEST(test_unknown_names_are_told_with_those_that_exist),
        TEST(test_a_hub_that_never_answers_is_given_up_with_the_way_on),
        TEST(test_an_answer_that_waiting_cannot_cure_is_an_error_at_once),
        TEST(test_what_is_no_address_is_not_asked_twice),
        TEST(test_recorded_refusals_are_told_in_the_hub_s_own_words),
        TEST(test_recorded_rows_are_read),
        TEST(test_rows_that_the_server_cut_are_counted_and_marked),
        TEST(test_the_token_goes_to_the_hub_alone),
        TEST(test_pauses_double_up_to_a_minute_and_obey_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
