/* wandb_body.h - what wandb wants to hear, word for word: lines, configuration, requests.
 *
 * Pure: the same arguments give the same bytes, so a line that is sent twice is the same line.
 * Lines are wandb's extended JSON (NaN, Infinity and -Infinity as bare words); everything around
 * them is strict JSON. Field names and order of magnitude of every limit are those of wandb's own
 * client.
 */
#ifndef BN_REPORTERS_WANDB_BODY_H
#define BN_REPORTERS_WANDB_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/record.h"
#include "engine/base/text.h"
#include "store/history.h"
#include "store/run.h"

enum {
    BN_WANDB_BODY_MAX = 9 << 20,      /* bytes of one request; the server takes about 10 MiB */
    BN_WANDB_LOG_LINE_MAX = 64 << 10, /* bytes of one console line, the rest is cut off */
    BN_WANDB_TAGS_MAX = 16,
};

/* Where a run's history stands. wandb wants _step to rise with every line: a record whose step does
 * not is given the next free one, and says its own step under "step". */
typedef struct bn_wandb_clock {
    double start_s; /* the zero of _runtime */
    double wall_s;  /* _timestamp of the last line; NaN: none yet */
    int64_t step;   /* _step of the last line; -1: none yet */
} bn_wandb_clock;

/* One line of wandb-history.jsonl, without its newline; moves the clock. */
void bn_wandb_history_line(bn_text *out, const bn_record *record, bn_wandb_clock *clock);

/* One line of wandb-events.jsonl: what the record says of the machine, under wandb's names.
 * false: nothing, and nothing is written. */
bool bn_wandb_event_line(bn_text *out, const bn_record *record, double start_s);

/* wandb's name ("system.cpu") for what we measure of a machine, and the factor to its unit; NULL:
 * the key is no such measure. */
const char *bn_wandb_system_name(const char *key, double *factor);

typedef struct bn_wandb_summary {
    const bn_latest *latest;
    size_t count;
    const char *objective; /* its least or largest number is kept under "best/..."; "" none */
    bool maximize;
    bn_wandb_clock clock;
    double runtime_s;
    const char *state, *reason;
} bn_wandb_summary;

/* The line of wandb-summary.json. */
void bn_wandb_summary_line(bn_text *out, const bn_wandb_summary *summary);

typedef struct bn_wandb_log {
    const char *words; /* one line of the console, no newline */
    size_t length;
    bool from_stderr;
    double read_s;   /* when it was read */
    bool structured; /* the server takes JSON */
} bn_wandb_log;

/* One line of output.log. Of a line that was overwritten with carriage returns the last stays. */
void bn_wandb_log_line(bn_text *out, const bn_wandb_log *log);

/* Console bytes as text: a zero, as in a file that was cut while its writer went on, is U+FFFD. */
void bn_wandb_log_words(bn_text *out, const char *words, size_t length);

typedef struct bn_wandb_config {
    const char *flat_json; /* {"optim.lr":0.001,...} */
    const bn_latest *metrics;
    size_t metric_count;
    const char *objective;
    bool maximize;
    const char *writer;           /* name of the environment below: the run's key */
    const char *environment_json; /* as bn_wandb_metadata writes it */
} bn_wandb_config;

/* {"optim":{"value":{"lr":0.001}},...,"_wandb":{...}}. BN_EINVAL: flat_json is no object. */
BN_MUST_CHECK bn_status bn_wandb_config_json(bn_text *out, const bn_wandb_config *config,
                                             bn_error *err);

/* How the page is to draw a metric. */
typedef struct bn_wandb_metric {
    const char *key, *axis; /* axis NULL: the step */
    int axis_place;         /* of the axis in this list, from 1; 0: none */
    bool synced;            /* with its axis; an axis itself is not */
    bool copied;            /* into the summary, else left out of it */
    int goal;               /* 1 less is better, 2 more, 0 nobody knows */
} bn_wandb_metric;

/* Shows the metrics, axes first. Of config only metrics and objective are read. */
typedef void bn_wandb_metric_seen(void *self, const bn_wandb_metric *metric);
void bn_wandb_metrics_each(const bn_wandb_config *config, bn_wandb_metric_seen *seen, void *self);

/* Shows the top values one by one: the name as JSON has it, "optim", and the value {"lr":0.001}.
 * Both NULL: there was no memory for one. BN_EINVAL as above. */
typedef void bn_wandb_value_seen(void *self, const char *quoted_name, const char *value_json);
BN_MUST_CHECK bn_status bn_wandb_config_each(const char *flat_json, bn_wandb_value_seen *seen,
                                             void *self, bn_error *err);

/* The same as config.yaml. */
BN_MUST_CHECK bn_status bn_wandb_config_yaml(bn_text *out, const bn_wandb_config *config,
                                             bn_error *err);

/* wandb-metadata.json: where and as what the run ran. */
void bn_wandb_metadata(bn_text *out, const bn_run *run, const char *commit);

/* 0 is finished there, any other number failed; 255 is what wandb's own client ends with when a
 * person stopped the run. */
int bn_wandb_exit_code(const bn_run *run);

typedef struct bn_wandb_upsert {
    const bn_run *run;
    const char *id;               /* the server's, once it is known; "" */
    const char *entity, *project; /* "": the server's choice */
    const char *group;            /* "": the sweep's name */
    const char *job_type, *notes, *commit, *program, *sweep; /* "": none */
    const char *tags[BN_WANDB_TAGS_MAX];
    size_t tag_count;
    const char *config_json;
} bn_wandb_upsert;

/* The body of POST /graphql that creates the run or, when it exists, brings it up to date. */
void bn_wandb_upsert_body(bn_text *out, const bn_wandb_upsert *upsert);

/* Other bodies of POST /graphql. */
void bn_wandb_viewer_body(bn_text *out);
void bn_wandb_features_body(bn_text *out);
typedef struct bn_wandb_place {
    char entity[129], project[129], run[65]; /* as the server calls them */
    char id[257];                            /* of the run in requests that change it */
} bn_wandb_place;
void bn_wandb_files_body(bn_text *out, const bn_wandb_place *place, const char *const *names,
                         size_t count);

/* The steps of an artifact: made, its list and its file announced, the list sealed by its hash. */
typedef struct bn_wandb_artifact {
    const bn_wandb_place *place;
    const char *collection, *file; /* its name there, and of the file in it */
    const char *client_id;         /* the same for the same artifact */
    const char *digest_hex;        /* of what is in it */
    const char *file_md5;          /* base64 */
    const char *manifest_md5;      /* base64; "": the manifest is announced, not sealed */
    const char *id, *manifest_id;  /* as the server calls them */
} bn_wandb_artifact;
void bn_wandb_artifact_body(bn_text *out, const bn_wandb_artifact *artifact);
void bn_wandb_manifest_body(bn_text *out, const bn_wandb_artifact *artifact);
void bn_wandb_artifact_files_body(bn_text *out, const bn_wandb_artifact *artifact);
void bn_wandb_commit_body(bn_text *out, const bn_wandb_artifact *artifact);

typedef struct bn_wandb_sweep {
    const char *id; /* storage id; "" creates */
    const char *entity, *project, *config, *name, *state;
} bn_wandb_sweep;
void bn_wandb_sweep_body(bn_text *out, const bn_wandb_sweep *sweep);
void bn_wandb_sweeps_body(bn_text *out, const char *entity, const char *project);

#endif
