#include "reporters/mlflow.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporters/link.h"

/* Of one log-batch request: 1,000 metrics, 100 parameters. */
enum { METRICS_MAX = 1000, PARAMS_MAX = 100, PARAM_VALUE_MAX = 500, BODY_BYTES_MAX = 900 << 10 };

static const double TIMEOUT_S = 60;

typedef struct mlflow {
    bn_store *store;
    bn_feed *feed;
    const bn_mlflow_options *options;
    bn_link link;
    char authorization[BN_AUTHORIZATION_MAX];
    char experiment_id[64];
    bn_text body, metrics;
    size_t metric_count;
    const bn_feed_batch *batch;
    char run_id[65]; /* of the batch's run there */
    int attempt;     /* as last told */
} mlflow;

/* ---- settings */

static bn_status copy(char *out, size_t size, const char *name, const char *value, bn_error *err)
{
    if (strlen(value) < size) {
        memcpy(out, value, strlen(value) + 1);
        return BN_OK;
    }
    return bn_fail(err, BN_EINVAL, "%s is longer than %zu characters", name, size - 1);
}

bn_status bn_mlflow_settings(bn_mlflow_options *options, const char *experiment,
                             bn_environment environment, bn_error *err)
{
    const char *url = environment("MLFLOW_TRACKING_URI");
    const char *named = experiment ? experiment : environment("MLFLOW_EXPERIMENT_NAME");
    const char *token = environment("MLFLOW_TRACKING_TOKEN");
    const char *user = environment("MLFLOW_TRACKING_USERNAME");
    const char *password = environment("MLFLOW_TRACKING_PASSWORD");
    if (!url || !*url) {
        return bn_fail(err, BN_EINVAL,
                       "mlflow needs MLFLOW_TRACKING_URI, e.g. "
                       "http://127.0.0.1:5000");
    }
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        return bn_fail(err, BN_EINVAL, "MLFLOW_TRACKING_URI must begin with http:// or https://");
    }
    bn_status status =
        copy(options->base_url, sizeof options->base_url, "MLFLOW_TRACKING_URI", url, err);
    if (status == BN_OK) {
        status = copy(options->experiment, sizeof options->experiment, "the experiment's name",
                      named && *named ? named : "bnexp", err);
    }
    for (size_t end = strlen(options->base_url); end > 0 && options->base_url[end - 1] == '/';) {
        options->base_url[--end] = '\0';
    }
    bn_secret *secret = &options->secret;
    int length = 0;
    options->token = token && *token;
    if (options->token) {
        length = snprintf(secret->text, sizeof secret->text, "%s", token);
    } else if (user && *user) {
        length =
            snprintf(secret->text, sizeof secret->text, "%s:%s", user, password ? password : "");
    }
    if (length >= (int)sizeof secret->text || strpbrk(secret->text, "\r\n")) {
        return bn_fail(err, BN_EINVAL, "the MLflow credentials are too long or hold a line break");
    }
    return status;
}

/* ---- requests */

static bn_status call(mlflow *m, bn_request_kind kind, const char *path, json_t **reply,
                      bn_error *err)
{
    char url[640];
    (void)snprintf(url, sizeof url, "%s/api/2.0/mlflow/%s", m->options->base_url, path);
    bn_http_request request = {
        .method = "POST",
        .url = url,
        .headers = {"Content-Type: application/json",
                    m->authorization[0] ? m->authorization : NULL},
        .body = m->body.data,
        .body_bytes = m->body.length,
        .timeout_s = bn_link_timeout_s(&m->link, TIMEOUT_S),
        .once = kind == BN_REQUEST_CREATE,
    };
    *reply = NULL;
    if (m->body.failed) return bn_fail(err, BN_ENOMEM, "no memory for a request");
    return bn_link_converse(&m->link, kind, &request, reply, err);
}

static bn_json begin_body(mlflow *m)
{
    bn_text_clear(&m->body);
    bn_json json = {.text = &m->body, .nonfinite = BN_NONFINITE_QUOTED};
    bn_json_object(&json);
    return json;
}

static void add_text(bn_json *json, const char *key, const char *words)
{
    bn_json_key(json, key);
    bn_json_string(json, words);
}

static void add_int(bn_json *json, const char *key, int64_t number)
{
    bn_json_key(json, key);
    bn_json_int(json, number);
}

static void add_pair(bn_json *json, const char *key, const char *value)
{
    bn_json_object(json);
    add_text(json, "key", key);
    add_text(json, "value", value);
    bn_json_end_object(json);
}

static void take_text(char *out, size_t size, const json_t *text)
{
    const char *words = json_string_value(text);
    (void)snprintf(out, size, "%s", words ? words : "");
}

/* ---- the experiment */

/* By search, which is a POST like all the rest; names are quoted as MLflow's filter wants them. */
static bn_status find_experiment(mlflow *m, bn_error *err)
{
    json_t *reply = NULL;
    char filter[600];
    (void)snprintf(filter, sizeof filter, "name = '%s'", m->options->experiment);
    bn_json json = begin_body(m);
    add_text(&json, "filter", filter);
    add_int(&json, "max_results", 1);
    bn_json_end_object(&json);
    bn_status status = call(m, BN_REQUEST_QUERY, "experiments/search", &reply, err);
    const json_t *first = json_array_get(json_object_get(reply, "experiments"), 0);
    take_text(m->experiment_id, sizeof m->experiment_id, json_object_get(first, "experiment_id"));
    json_decref(reply);
    return status;
}

static bn_status greet(void *self, bn_error *err)
{
    mlflow *m = self;
    json_t *reply = NULL;
    if (strchr(m->options->experiment, '\'')) {
        return bn_fail(err, BN_EINVAL, "the MLflow experiment's name may not hold a quote");
    }
    bn_status status = find_experiment(m, err);
    if (status != BN_OK || m->experiment_id[0]) return status;
    bn_json json = begin_body(m);
    add_text(&json, "name", m->options->experiment);
    bn_json_end_object(&json);
    /* Saying it twice makes one experiment: the second is refused, and the next search finds it. */
    status = call(m, BN_REQUEST_UPSERT, "experiments/create", &reply, err);
    take_text(m->experiment_id, sizeof m->experiment_id, json_object_get(reply, "experiment_id"));
    json_decref(reply);
    if (status == BN_EINVAL && m->link.code == 400) {
        *err = (bn_error){0};
        status = find_experiment(m, err);
    }
    if (status != BN_OK || m->experiment_id[0]) return status;
    return bn_fail(err, BN_EINVAL, "the server gives experiment '%s' no id",
                   m->options->experiment);
}

/* ---- the run */

static bn_status note(mlflow *m, bn_error *err)
{
    char memo[128];
    (void)snprintf(memo, sizeof memo, "%s %d", m->run_id, m->attempt);
    return bn_feed_note(m->feed, m->batch->run.id, memo, err);
}

static bn_status find_run(mlflow *m, bn_error *err)
{
    json_t *reply = NULL;
    char filter[64];
    (void)snprintf(filter, sizeof filter, "tags.`bnexp.run` = '%s'", m->batch->run.key);
    bn_json json = begin_body(m);
    bn_json_key(&json, "experiment_ids");
    bn_json_array(&json);
    bn_json_string(&json, m->experiment_id);
    bn_json_end_array(&json);
    add_text(&json, "filter", filter);
    add_int(&json, "max_results", 1);
    bn_json_end_object(&json);
    bn_status status = call(m, BN_REQUEST_QUERY, "runs/search", &reply, err);
    const json_t *info = json_object_get(json_array_get(json_object_get(reply, "runs"), 0), "info");
    take_text(m->run_id, sizeof m->run_id, json_object_get(info, "run_id"));
    json_decref(reply);
    return status;
}

static int64_t milliseconds(double wall_s)
{
    return isfinite(wall_s) ? (int64_t)(wall_s * 1e3) : 0;
}

static bn_status create_run(mlflow *m, bn_error *err)
{
    json_t *reply = NULL;
    const bn_run *run = &m->batch->run;
    bn_json json = begin_body(m);
    add_text(&json, "experiment_id", m->experiment_id);
    add_text(&json, "run_name", run->name);
    add_int(&json, "start_time",
            milliseconds(isfinite(run->started_s) ? run->started_s : run->created_s));
    bn_json_key(&json, "tags");
    bn_json_array(&json);
    add_pair(&json, "bnexp.run", run->key);
    add_pair(&json, "bnexp.sweep", run->sweep_name);
    add_pair(&json, "bnexp.variant", run->variant);
    add_pair(&json, "mlflow.source.name", "bnexp train");
    add_pair(&json, "mlflow.source.type", "LOCAL");
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_status status = call(m, BN_REQUEST_CREATE, "runs/create", &reply, err);
    const json_t *info = json_object_get(json_object_get(reply, "run"), "info");
    take_text(m->run_id, sizeof m->run_id, json_object_get(info, "run_id"));
    json_decref(reply);
    if (status != BN_OK || m->run_id[0]) return status;
    return bn_fail(err, BN_EINVAL, "the server gives the run no id");
}

/* One log-batch of parameters: knobs [*at...), as many as fit. */
static bn_status log_params(mlflow *m, json_t *config, void **at, bn_error *err)
{
    json_t *reply = NULL;
    bn_json json = begin_body(m);
    add_text(&json, "run_id", m->run_id);
    bn_json_key(&json, "params");
    bn_json_array(&json);
    for (int i = 0; i < PARAMS_MAX && *at; i++) {
        json_t *value = json_object_iter_value(*at);
        char *text =
            json_is_string(value)
                ? NULL
                : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
        char cut[PARAM_VALUE_MAX + 1];
        (void)snprintf(cut, sizeof cut, "%s", text ? text : json_string_value(value));
        add_pair(&json, json_object_iter_key(*at), cut);
        free(text);
        *at = json_object_iter_next(config, *at);
    }
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_status status = call(m, BN_REQUEST_STREAM, "runs/log-batch", &reply, err);
    json_decref(reply);
    return status;
}

static bn_status send_params(mlflow *m, bn_error *err)
{
    char *flat = NULL;
    bn_status status = bn_run_config(m->store, m->batch->run.id, &flat, err);
    json_t *config = status == BN_OK ? json_loads(flat, 0, NULL) : NULL;
    void *at = json_object_iter(config);
    while (status == BN_OK && at) status = log_params(m, config, &at, err);
    json_decref(config);
    free(flat);
    return status;
}

/* ---- metrics */

static bn_status send_metrics(mlflow *m, bn_error *err)
{
    json_t *reply = NULL;
    if (m->metric_count == 0) return BN_OK;
    bn_json json = begin_body(m);
    add_text(&json, "run_id", m->run_id);
    bn_json_key(&json, "metrics");
    bn_json_array(&json);
    bn_json_raw(&json, m->metrics.data);
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    if (m->metrics.failed) m->body.failed = true;
    bn_status status = call(m, BN_REQUEST_STREAM, "runs/log-batch", &reply, err);
    json_decref(reply);
    bn_text_clear(&m->metrics);
    m->metric_count = 0;
    return status;
}

/* MLflow may keep a metric in a file of its name, and takes no name that would be another path:
 * "a//b", "/a", "..". Such a part gets "_" in front. */
static void write_metric_name(char *out, size_t size, const char *key)
{
    bn_text name;
    bn_text_fixed(&name, out, size);
    for (const char *part = key;; part++) {
        size_t length = strcspn(part, "/");
        bool path = length == 0 || (length == 1 && part[0] == '.') || strncmp(part, "..", 2) == 0;
        if (path) bn_text_add(&name, "_");
        bn_text_add_bytes(&name, part, length);
        part += length;
        if (!*part) return;
        bn_text_add(&name, "/");
    }
}

static void add_metric(mlflow *m, const bn_record *record, const bn_value *value)
{
    char name[2 * BN_METRIC_NAME_MAX];
    write_metric_name(name, sizeof name, value->key);
    bn_json json = {.text = &m->metrics, .nonfinite = BN_NONFINITE_QUOTED};
    if (m->metric_count++ > 0) bn_text_add(&m->metrics, ",");
    bn_json_object(&json);
    add_text(&json, "key", name);
    bn_json_key(&json, "value");
    bn_json_real(&json, value->number);
    add_int(&json, "timestamp", milliseconds(record->wall_s));
    add_int(&json, "step", record->step);
    bn_json_end_object(&json);
}

static bn_status send_records(mlflow *m, bn_error *err)
{
    bn_status status = BN_OK;
    bn_text_clear(&m->metrics);
    m->metric_count = 0;
    for (size_t i = 0; i < m->batch->count; i++) {
        const bn_record *record = &m->batch->records[i];
        for (size_t k = 0; status == BN_OK && k < record->count; k++) {
            add_metric(m, record, &record->values[k]);
            bool full = m->metric_count == METRICS_MAX || m->metrics.length > BODY_BYTES_MAX;
            if (full) status = send_metrics(m, err);
        }
    }
    return status == BN_OK ? send_metrics(m, err) : status;
}

static const char *status_of(bn_run_state state)
{
    switch (state) {
    case BN_RUN_PENDING:
    case BN_RUN_PREEMPTED:
        return "SCHEDULED";
    case BN_RUN_RUNNING:
        return "RUNNING";
    case BN_RUN_FINISHED:
    case BN_RUN_PRUNED:
    case BN_RUN_SKIPPED:
        return "FINISHED";
    case BN_RUN_FAILED:
    case BN_RUN_CRASHED:
        return "FAILED";
    case BN_RUN_KILLED:
        return "KILLED";
    }
    return "RUNNING";
}

static bn_status send_state(mlflow *m, bn_error *err)
{
    json_t *reply = NULL;
    const bn_run *run = &m->batch->run;
    bn_json json = begin_body(m);
    add_text(&json, "run_id", m->run_id);
    add_text(&json, "status", status_of(run->state));
    if (bn_run_state_final(run->state)) add_int(&json, "end_time", milliseconds(run->ended_s));
    bn_json_end_object(&json);
    bn_status status = call(m, BN_REQUEST_UPSERT, "runs/update", &reply, err);
    json_decref(reply);
    return status;
}

/* ---- one push */

static bn_status begin_run(mlflow *m, bn_error *err)
{
    bn_status status = find_run(m, err);
    if (status == BN_OK && !m->run_id[0]) status = create_run(m, err);
    if (status == BN_OK) status = send_params(m, err);
    return status == BN_OK ? note(m, err) : status;
}

static bn_status push(void *self, const bn_feed_batch *batch, bn_text *memo, bn_error *err)
{
    mlflow *m = self;
    m->batch = batch;
    m->run_id[0] = '\0';
    m->attempt = 0;
    if (batch->run.state == BN_RUN_SKIPPED && !batch->memo[0]) return BN_OK;
    size_t length = strcspn(batch->memo, " ");
    if (length > 0 && length < sizeof m->run_id) {
        (void)snprintf(m->run_id, sizeof m->run_id, "%.*s", (int)length, batch->memo);
        m->attempt = (int)strtol(batch->memo + length, NULL, 10);
    }
    bn_status status = m->run_id[0] ? BN_OK : begin_run(m, err);
    if (status == BN_OK) status = send_records(m, err);
    bool news = batch->run.state != BN_RUN_RUNNING || m->attempt != batch->run.attempt;
    if (status == BN_OK && batch->last && news) status = send_state(m, err);
    if (status != BN_OK) return status;
    bn_text_addf(memo, "%s %d", m->run_id, batch->last ? batch->run.attempt : m->attempt);
    return BN_OK;
}

static double pause_s(void *self)
{
    const mlflow *m = self;
    return bn_link_pause_s(&m->link);
}

static void close_mlflow(void *self)
{
    mlflow *m = self;
    bn_link_close(&m->link);
    bn_text_release(&m->body);
    bn_text_release(&m->metrics);
    memset(m->authorization, 0, sizeof m->authorization);
    free(m);
}

bn_status bn_mlflow_open(bn_reporter *out, bn_store *store, bn_feed *feed,
                         const bn_mlflow_options *options, bn_error *err)
{
    static const struct bn_reporter_ops ops = {
        .name = "mlflow", .greet = greet, .push = push, .pause_s = pause_s, .close = close_mlflow};
    bn_link_options inner = {.user_agent = options->user_agent,
                             .first_wait_s = options->first_wait_s,
                             .timeout_s = options->timeout_s};
    mlflow *m = calloc(1, sizeof *m);
    if (!m) return bn_fail(err, BN_ENOMEM, "no memory for the mlflow reporter");
    m->store = store;
    m->feed = feed;
    m->options = options;
    if (bn_link_open(&m->link, &inner, err) != BN_OK) {
        free(m);
        return err->status;
    }
    if (options->token) {
        (void)snprintf(m->authorization, sizeof m->authorization, "Authorization: Bearer %.2000s",
                       options->secret.text);
    } else if (options->secret.text[0]) {
        bn_credentials_header(m->authorization, "", &options->secret);
    }
    if (m->authorization[0]) {
        m->link.secrets[0] = options->secret.text;
        m->link.secrets[1] = strrchr(m->authorization, ' ') + 1;
    }
    m->link.where_to_look = "MLFLOW_TRACKING_URI, the experiment's name and the key's rights";
    m->link.key_place = "MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN";
    *out = (bn_reporter){&ops, m};
    return BN_OK;
}
