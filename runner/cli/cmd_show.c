/* cmd_show.c - bnexp show RUN: everything the home knows of one run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"
#include "runner/cli/print.h"
#include "runner/cli/table.h"
#include "runner/cli/words.h"
#include "store/label.h"

typedef struct show_all {
    bn_store *store;
    bn_run run;
    bn_sweep sweep;
    char *config;
    bn_param *params;
    bn_latest *latest;
    bn_attempt *attempts;
    bn_tag *tags;
    bn_note *notes;
    size_t param_count, latest_count, attempt_count, tag_count, note_count;
    double duration_s;
} show_all;

static void release(show_all *all)
{
    free(all->config);
    free(all->params);
    free(all->latest);
    free(all->attempts);
    free(all->tags);
    free(all->notes);
    bn_store_close(all->store);
}

static bn_status load(show_all *all, const char *home, const char *name, bn_error *err)
{
    bn_status status = bn_store_open(&all->store, home, BN_STORE_READ, err);
    if (status != BN_OK) return status;
    status = bn_run_find(all->store, name, &all->run, err);
    int64_t id = all->run.id;
    if (status == BN_OK) status = bn_sweep_get(all->store, all->run.sweep, &all->sweep, err);
    if (status == BN_OK) status = bn_run_config(all->store, id, &all->config, err);
    if (status == BN_OK) {
        status = bn_run_params(all->store, id, &all->params, &all->param_count, err);
    }
    if (status == BN_OK) {
        status = bn_history_latest(all->store, id, &all->latest, &all->latest_count, err);
    }
    if (status == BN_OK) {
        status = bn_run_attempts(all->store, id, &all->attempts, &all->attempt_count, err);
    }
    if (status == BN_OK) status = bn_tag_list(all->store, id, &all->tags, &all->tag_count, err);
    if (status == BN_OK) status = bn_note_list(all->store, id, &all->notes, &all->note_count, err);
    bool runs = all->run.state == BN_RUN_RUNNING;
    double current_s = runs ? fmax(0, bn_clock_wall_s() - all->run.started_s) : 0;
    all->duration_s = all->run.attempt ? all->run.duration_s + current_s : (double)NAN;
    return status;
}

static void json_metrics(bn_json *json, const show_all *all)
{
    bn_json_key(json, "metrics");
    bn_json_array(json);
    for (size_t i = 0; i < all->latest_count; i++) {
        const bn_latest *latest = &all->latest[i];
        const struct {
            const char *key;
            double number;
        } members[] = {{"last", latest->last}, {"min", latest->min}, {"max", latest->max}};
        bn_json_object(json);
        bn_json_key(json, "name");
        bn_json_string(json, latest->key);
        for (size_t k = 0; k < 3; k++) {
            bn_json_key(json, members[k].key);
            bn_json_real(json, members[k].number);
        }
        bn_json_key(json, "last_step");
        bn_json_int(json, latest->last_step);
        bn_json_key(json, "numbers");
        bn_json_int(json, latest->count);
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
}

static void json_attempts(bn_json *json, const show_all *all)
{
    bn_json_key(json, "attempts");
    bn_json_array(json);
    for (size_t i = 0; i < all->attempt_count; i++) {
        const bn_attempt *attempt = &all->attempts[i];
        bn_json_object(json);
        bn_json_key(json, "attempt");
        bn_json_int(json, attempt->number);
        bn_json_key(json, "state");
        bn_json_string(json, bn_run_state_name(attempt->state));
        bn_json_key(json, "reason");
        bn_json_string(json, attempt->reason);
        bn_json_key(json, "exit_code");
        bn_json_real(json, attempt->exit_code < 0 ? (double)NAN : attempt->exit_code);
        bn_json_key(json, "host");
        bn_json_string(json, attempt->host);
        bn_json_key(json, "device");
        bn_json_string(json, attempt->device);
        bn_print_time(json, "started", attempt->started_s);
        bn_print_time(json, "ended", attempt->ended_s);
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
}

static void json_fact(void *self, const bn_run_fact *fact)
{
    bn_json *json = self;
    bn_json_key(json, fact->name);
    bn_json_string(json, fact->value);
}

static bn_status json_labels(bn_json *json, const show_all *all, bn_error *err)
{
    bn_json_key(json, "varied");
    bn_json_object(json);
    for (size_t i = 0; i < all->param_count; i++) {
        if (!all->params[i].varied) continue;
        bn_json_key(json, all->params[i].name);
        bn_json_raw(json, all->params[i].value);
    }
    bn_json_end_object(json);
    bn_json_key(json, "tags");
    bn_json_array(json);
    for (size_t i = 0; i < all->tag_count; i++) bn_json_string(json, all->tags[i].tag);
    bn_json_end_array(json);
    bn_json_key(json, "notes");
    bn_json_array(json);
    for (size_t i = 0; i < all->note_count; i++) {
        bn_json_object(json);
        bn_print_time(json, "at", all->notes[i].at_s);
        bn_json_key(json, "text");
        bn_json_string(json, all->notes[i].text);
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
    bn_json_key(json, "origin");
    bn_json_object(json);
    bn_status status = bn_run_each_origin(all->store, all->run.id, json_fact, json, err);
    bn_json_end_object(json);
    return status;
}

static bn_status print_json(const show_all *all, bn_error *err)
{
    bn_text out = {0};
    bn_json json = bn_print_begin(&out);
    bn_print_run what = {.run = &all->run,
                         .sweep = &all->sweep,
                         .config = all->config,
                         .latest = all->latest,
                         .count = all->latest_count,
                         .duration_s = all->duration_s};
    bn_json_key(&json, "run");
    bn_json_object(&json);
    bn_print_run_members(&json, &what);
    bn_json_key(&json, "dir");
    bn_json_string(&json, all->run.dir);
    bn_print_time(&json, "started", all->run.started_s);
    bn_print_time(&json, "ended", all->run.ended_s);
    bn_json_key(&json, "records");
    bn_json_int(&json, all->run.next_seq);
    json_metrics(&json, all);
    json_attempts(&json, all);
    bn_status status = json_labels(&json, all, err);
    bn_json_end_object(&json);
    bn_json_end_object(&json);
    bn_text_add(&out, "\n");
    if (status == BN_OK) status = bn_print_text(&out, err);
    bn_text_release(&out);
    return status;
}

static void line(bn_table *table, const char *name, const char *words)
{
    if (!*words) return;
    bn_table_cell(table, name);
    bn_table_cell(table, words);
}

/* A note may be a whole report: here its first line does, or as much of it as a line takes. */
static void note_line(bn_table *table, const char *text)
{
    enum { SHOWN_BYTES = 240 };
    size_t length = strlen(text), shown = strcspn(text, "\r\n");
    if (shown > SHOWN_BYTES) shown = SHOWN_BYTES;
    while (shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80) shown--; /* whole letters */
    bn_table_cell(table, "note");
    if (shown + 1 >= length) {
        bn_table_cellf(table, "%.*s", (int)shown, text);
    } else {
        bn_table_cellf(table, "%.*s ... (%zu bytes; --json tells all)", (int)shown, text, length);
    }
}

/* The host is in the run's own lines. */
static void fact_line(void *self, const bn_run_fact *fact)
{
    if (strcmp(fact->name, "host") != 0) line(self, fact->name, fact->value);
}

static bn_status print_head(const show_all *all, bn_error *err)
{
    const bn_run *run = &all->run;
    char words[BN_WORDS_MAX];
    bn_table table = {0};
    bn_table_column(&table, "run", false);
    bn_table_column(&table, run->key, false);
    line(&table, "name", run->name);
    line(&table, "sweep", run->sweep_name);
    line(&table, "state", bn_run_state_name(run->state));
    line(&table, "reason", run->reason);
    line(&table, "folder", run->dir);
    line(&table, "host", run->host);
    line(&table, "device", run->device);
    line(&table, "created", bn_words_time(words, run->created_s));
    line(&table, "started", bn_words_time(words, run->started_s));
    line(&table, "ended", bn_words_time(words, run->ended_s));
    line(&table, "duration", bn_words_duration(words, all->duration_s));
    for (size_t i = 0; i < all->tag_count; i++) line(&table, "tag", all->tags[i].tag);
    for (size_t i = 0; i < all->note_count; i++) note_line(&table, all->notes[i].text);
    bn_status status = bn_run_each_origin(all->store, run->id, fact_line, &table, err);
    if (status == BN_OK) status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    return status;
}

static bn_status print_attempts(const show_all *all, bn_error *err)
{
    static const char *const headings[] = {"attempt", "state", "exit", "started", "took", "reason"};
    if (all->attempt_count < 2) return BN_OK;
    bn_table table = {0};
    char words[BN_WORDS_MAX];
    for (size_t i = 0; i < 6; i++) bn_table_column(&table, headings[i], i == 4);
    for (size_t i = 0; i < all->attempt_count; i++) {
        const bn_attempt *attempt = &all->attempts[i];
        bn_table_cellf(&table, "%d", attempt->number);
        bn_table_cell(&table, bn_run_state_name(attempt->state));
        if (attempt->exit_code >= 0) bn_table_cellf(&table, "%d", attempt->exit_code);
        if (attempt->exit_code < 0) bn_table_cell(&table, "-");
        bn_table_cell(&table, bn_words_time(words, attempt->started_s));
        bn_table_cell(&table, bn_words_duration(words, attempt->ended_s - attempt->started_s));
        bn_table_cell(&table, attempt->reason);
    }
    (void)printf("\n");
    bn_status status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    return status;
}

static bn_status print_metrics(const show_all *all, bn_error *err)
{
    static const char *const headings[] = {"metric", "last", "min", "max", "numbers"};
    if (all->latest_count == 0) return BN_OK;
    bn_table table = {0};
    char words[BN_WORDS_MAX];
    for (size_t i = 0; i < 5; i++) bn_table_column(&table, headings[i], i > 0);
    for (size_t i = 0; i < all->latest_count; i++) {
        const bn_latest *latest = &all->latest[i];
        bn_table_cell(&table, latest->key);
        bn_table_cell(&table, bn_words_number(words, latest->last));
        bn_table_cell(&table, bn_words_number(words, latest->min));
        bn_table_cell(&table, bn_words_number(words, latest->max));
        bn_table_cellf(&table, "%lld", (long long)latest->count);
    }
    (void)printf("\n");
    bn_status status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    return status;
}

static bn_status print_knobs(const show_all *all, bn_error *err)
{
    if (all->param_count == 0) return BN_OK;
    bn_table table = {0};
    bn_table_column(&table, "knob", false);
    bn_table_column(&table, "value", false);
    bn_table_column(&table, "", false);
    for (int varied = 1; varied >= 0; varied--) {
        for (size_t i = 0; i < all->param_count; i++) {
            if (all->params[i].varied != (varied == 1)) continue;
            bn_table_cell(&table, all->params[i].name);
            bn_table_cell(&table, all->params[i].value);
            bn_table_cell(&table, varied ? "varied" : "");
        }
    }
    (void)printf("\n");
    bn_status status = bn_table_print(&table, stdout, err);
    bn_table_release(&table);
    return status;
}

static bn_status print_people(const show_all *all, bn_error *err)
{
    bn_status status = print_head(all, err);
    if (status == BN_OK) status = print_attempts(all, err);
    if (status == BN_OK) status = print_metrics(all, err);
    return status == BN_OK ? print_knobs(all, err) : status;
}

int bn_cmd_show(int argc, char **argv)
{
    const char *home = NULL;
    bool json = false, help = false;
    const bn_option table[] = {
        {"--home", 0, BN_OPTION_TEXT, &home, "DIR", "the home (BNEXP_HOME, else ./runs)"},
        {"--json", 0, BN_OPTION_FLAG, &json, NULL, "JSON instead of tables"},
    };
    const bn_options options = {
        .usage = "bnexp show RUN [options]",
        .about =
            "Shows one run: where it stands and why, its attempts, metrics, knobs and origin.\n"
            "RUN is its id, the first 3 or more characters of it, its name, or SWEEP/NAME.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_error err = {0};
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &help, &err);
    if (status == BN_OK && !help) {
        show_all all = {0};
        status = load(&all, bn_command_home(home), arguments.items[0], &err);
        if (status == BN_OK) status = json ? print_json(&all, &err) : print_people(&all, &err);
        release(&all);
    }
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
