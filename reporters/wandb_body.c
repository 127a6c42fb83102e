#include "reporters/wandb_body.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"

/* What we measure about a machine, and wandb's name and unit for it. */
static const struct {
    const char *ours, *theirs;
    double factor;
} SYSTEM_NAMES[] = {
    {"mem/rss_bytes", "system.proc.memory.rssMB", 1.0 / 1048576},
    {"cpu/percent", "system.cpu", 1},
    {"mem/device_bytes", "system.gpu.0.memoryAllocatedBytes", 1},
    {"gpu/percent", "system.gpu.0.gpu", 1},
    {"gpu/power_w", "system.gpu.0.powerWatts", 1},
    {"gpu/temp_c", "system.gpu.0.temp", 1},
    {"gpu/memory_percent", "system.gpu.0.memory", 1},
    {"gpu/memory_used_percent", "system.gpu.0.memoryAllocated", 1},
    {"gpu/power_limit_w", "system.gpu.0.enforcedPowerLimitWatts", 1},
    {"gpu/sm_clock_mhz", "system.gpu.0.smClock", 1},
    {"gpu/memory_clock_mhz", "system.gpu.0.memoryClock", 1},
};
enum { SYSTEM_NAME_COUNT = sizeof SYSTEM_NAMES / sizeof SYSTEM_NAMES[0] };

static bool reserved(const char *key)
{
    static const char *const names[] = {"_step",  "_runtime",    "_timestamp",
                                        "_wandb", "bnexp/state", "bnexp/reason"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(key, names[i]) == 0) return true;
    }
    return false;
}

/* An external program may say anything as its time; wandb's charts need a number. */
static double time_of(const bn_record *record, double start_s)
{
    return isfinite(record->wall_s) ? record->wall_s : start_s;
}

static bool has_value(const bn_record *record, const char *key)
{
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(record->values[i].key, key) == 0) return true;
    }
    return false;
}

void bn_wandb_history_line(bn_text *out, const bn_record *record, bn_wandb_clock *clock)
{
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_BARE};
    clock->wall_s = time_of(record, clock->start_s);
    bool rises = record->step > clock->step;
    clock->step = rises ? record->step : clock->step + 1;
    bn_json_object(&json);
    bn_json_key(&json, "_step");
    bn_json_int(&json, clock->step);
    bn_json_key(&json, "_runtime");
    bn_json_real(&json, fmax(0, clock->wall_s - clock->start_s));
    bn_json_key(&json, "_timestamp");
    bn_json_real(&json, clock->wall_s);
    if (!rises && !has_value(record, "step")) {
        bn_json_key(&json, "step");
        bn_json_int(&json, record->step);
    }
    for (size_t i = 0; i < record->count; i++) {
        if (reserved(record->values[i].key)) continue;
        bn_json_key(&json, record->values[i].key);
        bn_json_real(&json, record->values[i].number);
    }
    bn_json_end_object(&json);
}

const char *bn_wandb_system_name(const char *key, double *factor)
{
    for (size_t i = 0; i < SYSTEM_NAME_COUNT; i++) {
        if (strcmp(SYSTEM_NAMES[i].ours, key) != 0) continue;
        *factor = SYSTEM_NAMES[i].factor;
        return SYSTEM_NAMES[i].theirs;
    }
    return NULL;
}

bool bn_wandb_event_line(bn_text *out, const bn_record *record, double start_s)
{
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_BARE};
    bool any = false;
    for (size_t i = 0; i < record->count; i++) {
        double factor = 1;
        const char *name = bn_wandb_system_name(record->values[i].key, &factor);
        if (!name) continue;
        if (!any) {
            double wall_s = time_of(record, start_s);
            bn_json_object(&json);
            bn_json_key(&json, "_wandb");
            bn_json_bool(&json, true);
            bn_json_key(&json, "_timestamp");
            bn_json_real(&json, wall_s);
            bn_json_key(&json, "_runtime");
            bn_json_real(&json, fmax(0, wall_s - start_s));
            any = true;
        }
        bn_json_key(&json, name);
        bn_json_real(&json, record->values[i].number * factor);
    }
    if (any) bn_json_end_object(&json);
    return any;
}

static const bn_latest *find_latest(const bn_wandb_summary *summary, const char *key)
{
    for (size_t i = 0; i < summary->count; i++) {
        if (strcmp(summary->latest[i].key, key) == 0) return &summary->latest[i];
    }
    return NULL;
}

static void add_best(bn_json *json, const bn_wandb_summary *summary)
{
    char key[BN_METRIC_NAME_MAX + 8];
    const bn_latest *latest = find_latest(summary, summary->objective);
    (void)snprintf(key, sizeof key, "best/%s", summary->objective);
    if (!latest || find_latest(summary, key)) return; /* a metric of the run's own goes first */
    double best = summary->maximize ? latest->max : latest->min;
    if (isnan(best)) return; /* no finite number yet */
    bn_json_key(json, key);
    bn_json_real(json, best);
}

void bn_wandb_summary_line(bn_text *out, const bn_wandb_summary *summary)
{
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_BARE};
    bn_json_object(&json);
    for (size_t i = 0; i < summary->count; i++) {
        const bn_latest *latest = &summary->latest[i];
        if (reserved(latest->key)) continue;
        bn_json_key(&json, latest->key);
        bn_json_real(&json, latest->last);
    }
    add_best(&json, summary);
    bn_json_key(&json, "bnexp/state");
    bn_json_string(&json, summary->state);
    if (summary->reason[0]) {
        bn_json_key(&json, "bnexp/reason");
        bn_json_string(&json, summary->reason);
    }
    if (summary->clock.step >= 0) {
        bn_json_key(&json, "_step");
        bn_json_int(&json, summary->clock.step);
        bn_json_key(&json, "_timestamp");
        bn_json_real(&json, summary->clock.wall_s);
    }
    bn_json_key(&json, "_runtime");
    bn_json_real(&json, summary->runtime_s);
    bn_json_key(&json, "_wandb");
    bn_json_object(&json);
    bn_json_key(&json, "runtime");
    bn_json_int(&json, (int64_t)summary->runtime_s);
    bn_json_end_object(&json);
    bn_json_end_object(&json);
}

/* The part of a console line that a terminal would still show. */
static const char *visible(const bn_wandb_log *log, size_t *length)
{
    const char *words = log->words;
    *length = log->length;
    while (*length > 0 && words[*length - 1] == '\r') (*length)--;
    for (size_t i = *length; i > 0; i--) {
        if (words[i - 1] != '\r') continue;
        words += i;
        *length -= i;
        break;
    }
    if (*length > BN_WANDB_LOG_LINE_MAX) *length = BN_WANDB_LOG_LINE_MAX;
    return words;
}

void bn_wandb_log_words(bn_text *out, const char *words, size_t length)
{
    for (size_t i = 0; i < length;) {
        const char *zero = memchr(words + i, '\0', length - i);
        size_t plain = zero ? (size_t)(zero - words) - i : length - i;
        bn_text_add_bytes(out, words + i, plain);
        if (zero) bn_text_add(out, "\xEF\xBF\xBD");
        i += plain + 1;
    }
}

void bn_wandb_log_line(bn_text *out, const bn_wandb_log *log)
{
    size_t length = 0;
    const char *words = visible(log, &length);
    char stamp[BN_CLOCK_TEXT_MAX];
    (void)bn_clock_text(stamp, log->read_s);
    size_t end = strlen(stamp);
    if (end > 0 && stamp[end - 1] == 'Z') stamp[end - 1] = '\0'; /* wandb's has no zone: UTC */
    if (!log->structured) {
        bn_text_addf(out, "%s%s ", log->from_stderr ? "ERROR " : "", stamp);
        bn_wandb_log_words(out, words, length);
        return;
    }
    bn_text line = {0};
    bn_wandb_log_words(&line, words, length);
    bn_json json = {.text = out};
    bn_json_object(&json);
    if (log->from_stderr) {
        bn_json_key(&json, "level");
        bn_json_string(&json, "error");
    }
    bn_json_key(&json, "ts");
    bn_json_string(&json, stamp);
    bn_json_key(&json, "content");
    bn_json_string(&json, line.data ? line.data : "");
    bn_json_end_object(&json);
    if (line.failed) out->failed = true;
    bn_text_release(&line);
}

static void add_text(bn_json *json, const char *key, const char *words)
{
    bn_json_key(json, key);
    bn_json_string(json, words && words[0] ? words : NULL);
}

static void add_metadata_text(bn_json *json, const char *key, const char *words)
{
    if (words && words[0]) add_text(json, key, words);
}

void bn_wandb_metadata(bn_text *out, const bn_run *run, const char *commit)
{
    char started[BN_CLOCK_TEXT_MAX];
    bn_json json = {.text = out};
    bn_json_object(&json);
    add_metadata_text(
        &json, "startedAt",
        bn_clock_text(started, isfinite(run->started_s) ? run->started_s : run->created_s));
    add_text(&json, "program", "bnexp train");
    bn_json_key(&json, "args");
    bn_json_array(&json);
    bn_json_string(&json, run->dir);
    bn_json_end_array(&json);
    add_metadata_text(&json, "host", run->host);
    add_metadata_text(&json, strncmp(run->device, "cuda", 4) == 0 ? "gpu" : "cpu_type",
                      run->device);
    if (commit[0]) {
        bn_json_key(&json, "git");
        bn_json_object(&json);
        add_text(&json, "commit", commit);
        bn_json_end_object(&json);
    }
    add_text(&json, "writerId", run->key);
    bn_json_end_object(&json);
}

int bn_wandb_exit_code(const bn_run *run)
{
    switch (run->state) {
    case BN_RUN_FINISHED:
    case BN_RUN_PRUNED:
    case BN_RUN_SKIPPED:
        return 0;
    case BN_RUN_KILLED:
        return 255;
    case BN_RUN_FAILED:
    case BN_RUN_CRASHED:
    case BN_RUN_PENDING:
    case BN_RUN_RUNNING:
    case BN_RUN_PREEMPTED:
        break;
    }
    return run->exit_code > 0 ? run->exit_code : 1;
}

/* Opens {"query":...,"operationName":...,"variables":{ and leaves the variables to the caller. */
static bn_json begin_query(bn_text *out, const char *operation, const char *query)
{
    bn_json json = {.text = out};
    bn_json_object(&json);
    bn_json_key(&json, "query");
    bn_json_string(&json, query);
    bn_json_key(&json, "operationName");
    bn_json_string(&json, operation);
    bn_json_key(&json, "variables");
    bn_json_object(&json);
    return json;
}

static void end_query(bn_json *json)
{
    bn_json_end_object(json);
    bn_json_end_object(json);
    assert(json->depth == 0);
}

static const char UPSERT[] =
    "mutation UpsertBucket ($id: String, $name: String, $project: String, $entity: String, "
    "$groupName: String, $description: String, $displayName: String, $notes: String, "
    "$commit: String, $config: JSONString, $host: String, $debug: Boolean, $program: String, "
    "$repo: String, $jobType: String, $state: String, $sweep: String, $tags: [String!], "
    "$summaryMetrics: JSONString) { "
    "upsertBucket(input: {id: $id, name: $name, groupName: $groupName, modelName: $project, "
    "entityName: $entity, description: $description, displayName: $displayName, notes: $notes, "
    "config: $config, commit: $commit, host: $host, debug: $debug, jobProgram: $program, "
    "jobRepo: $repo, jobType: $jobType, state: $state, sweep: $sweep, tags: $tags, "
    "summaryMetrics: $summaryMetrics}) { "
    "bucket { id name displayName sweepName project { id name entity { id name } } "
    "historyLineCount } inserted } }";

void bn_wandb_upsert_body(bn_text *out, const bn_wandb_upsert *upsert)
{
    static const char *const unused[] = {"description", "debug", "repo", "state", "summaryMetrics"};
    const bn_run *run = upsert->run;
    bn_json json = begin_query(out, "UpsertBucket", UPSERT);
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++) add_text(&json, unused[i], NULL);
    add_text(&json, "id", upsert->id);
    add_text(&json, "name", run->key);
    add_text(&json, "project", upsert->project);
    add_text(&json, "entity", upsert->entity);
    bool grouped = upsert->group && upsert->group[0];
    add_text(&json, "groupName", grouped ? upsert->group : run->sweep_name);
    add_text(&json, "displayName", run->name);
    add_text(&json, "notes", upsert->notes);
    add_text(&json, "commit", upsert->commit);
    add_text(&json, "config", upsert->config_json);
    add_text(&json, "host", run->host);
    add_text(&json, "program", upsert->program);
    add_text(&json, "jobType", upsert->job_type);
    add_text(&json, "sweep", upsert->sweep);
    bn_json_key(&json, "tags");
    bn_json_array(&json);
    for (size_t i = 0; i < upsert->tag_count; i++) bn_json_string(&json, upsert->tags[i]);
    bn_json_end_array(&json);
    end_query(&json);
}

void bn_wandb_viewer_body(bn_text *out)
{
    bn_json json = begin_query(out, "Viewer", "query Viewer { viewer { id entity username } }");
    end_query(&json);
}

void bn_wandb_features_body(bn_text *out)
{
    bn_json json =
        begin_query(out, "ServerFeaturesQuery",
                    "query ServerFeaturesQuery { serverInfo { features { name isEnabled } } }");
    end_query(&json);
}

void bn_wandb_files_body(bn_text *out, const bn_wandb_place *place, const char *const *names,
                         size_t count)
{
    bn_json json = begin_query(
        out, "CreateRunFiles",
        "mutation CreateRunFiles ($entity: String!, $project: String!, $run: String!, "
        "$files: [String!]!) { createRunFiles(input: {entityName: $entity, projectName: $project, "
        "runName: $run, files: $files}) { runID uploadHeaders files { name uploadUrl } } }");
    add_text(&json, "entity", place->entity);
    add_text(&json, "project", place->project);
    add_text(&json, "run", place->run);
    bn_json_key(&json, "files");
    bn_json_array(&json);
    for (size_t i = 0; i < count; i++) bn_json_string(&json, names[i]);
    bn_json_end_array(&json);
    end_query(&json);
}

void bn_wandb_sweep_body(bn_text *out, const bn_wandb_sweep *sweep)
{
    bn_json json = begin_query(
        out, "UpsertSweep",
        "mutation UpsertSweep ($id: ID, $config: String, $description: String, "
        "$displayName: String, $entityName: String, $projectName: String, "
        "$controller: JSONString, $scheduler: JSONString, $state: String) { "
        "upsertSweep(input: {id: $id, config: $config, description: $description, "
        "displayName: $displayName, entityName: $entityName, projectName: $projectName, "
        "controller: $controller, scheduler: $scheduler, state: $state}) { "
        "sweep { id name state } configValidationWarnings } }");
    add_text(&json, "id", sweep->id);
    add_text(&json, "config", sweep->config);
    add_text(&json, "description", NULL);
    add_text(&json, "displayName", sweep->name);
    add_text(&json, "entityName", sweep->entity);
    add_text(&json, "projectName", sweep->project);
    add_text(&json, "controller", "{\"type\":\"local\"}");
    add_text(&json, "scheduler", NULL);
    add_text(&json, "state", sweep->state);
    end_query(&json);
}

void bn_wandb_sweeps_body(bn_text *out, const char *entity, const char *project)
{
    bn_json json = begin_query(out, "ProjectSweeps",
                               "query ProjectSweeps ($project: String!, $entity: String) { "
                               "project(name: $project, entityName: $entity) { "
                               "sweeps { edges { node { id name config } } } } }");
    add_text(&json, "project", project);
    add_text(&json, "entity", entity);
    end_query(&json);
}

void bn_wandb_artifact_body(bn_text *out, const bn_wandb_artifact *artifact)
{
    bn_json json = begin_query(
        out, "CreateArtifact",
        "mutation CreateArtifact ($entityName: String!, $projectName: String!, $runName: String, "
        "$artifactTypeName: String!, $artifactCollectionName: String, $digest: String!, "
        "$digestAlgorithm: ArtifactDigestAlgorithm!, $aliases: [ArtifactAliasInput!], "
        "$metadata: JSONString, $clientID: ID, $sequenceClientID: ID, "
        "$enableDigestDeduplication: Boolean) { "
        "createArtifact(input: {entityName: $entityName, projectName: $projectName, "
        "runName: $runName, artifactTypeName: $artifactTypeName, "
        "artifactCollectionName: $artifactCollectionName, digest: $digest, "
        "digestAlgorithm: $digestAlgorithm, aliases: $aliases, metadata: $metadata, "
        "clientID: $clientID, sequenceClientID: $sequenceClientID, "
        "enableDigestDeduplication: $enableDigestDeduplication}) { artifact { id state } } }");
    add_text(&json, "entityName", artifact->place->entity);
    add_text(&json, "projectName", artifact->place->project);
    add_text(&json, "runName", artifact->place->run);
    add_text(&json, "artifactTypeName", "model");
    add_text(&json, "artifactCollectionName", artifact->collection);
    add_text(&json, "digest", artifact->digest_hex);
    add_text(&json, "digestAlgorithm", "MANIFEST_MD5");
    bn_json_key(&json, "aliases");
    bn_json_array(&json);
    bn_json_object(&json);
    add_text(&json, "artifactCollectionName", artifact->collection);
    add_text(&json, "alias", "latest");
    bn_json_end_object(&json);
    bn_json_end_array(&json);
    add_text(&json, "metadata", "{}");
    add_text(&json, "clientID", artifact->client_id);
    add_text(&json, "sequenceClientID", artifact->client_id);
    bn_json_key(&json, "enableDigestDeduplication");
    bn_json_bool(&json, true);
    end_query(&json);
}

void bn_wandb_manifest_body(bn_text *out, const bn_wandb_artifact *artifact)
{
    bn_json json = begin_query(
        out, "CreateArtifactManifest",
        "mutation CreateArtifactManifest ($artifactID: ID!, $name: String!, $digest: String!, "
        "$entityName: String!, $projectName: String!, $runName: String!, "
        "$type: ArtifactManifestType!, $includeUpload: Boolean!) { "
        "createArtifactManifest(input: {artifactID: $artifactID, name: $name, digest: $digest, "
        "entityName: $entityName, projectName: $projectName, runName: $runName, type: $type}) { "
        "artifactManifest { id file { id name uploadUrl @include(if: $includeUpload) "
        "uploadHeaders @include(if: $includeUpload) } } } }");
    add_text(&json, "artifactID", artifact->id);
    add_text(&json, "name", "wandb_manifest.json");
    bn_json_key(&json, "digest");
    bn_json_string(&json, artifact->manifest_md5);
    add_text(&json, "entityName", artifact->place->entity);
    add_text(&json, "projectName", artifact->place->project);
    add_text(&json, "runName", artifact->place->run);
    add_text(&json, "type", "FULL");
    bn_json_key(&json, "includeUpload");
    bn_json_bool(&json, artifact->manifest_md5[0] != '\0');
    end_query(&json);
}

void bn_wandb_artifact_files_body(bn_text *out, const bn_wandb_artifact *artifact)
{
    bn_json json = begin_query(
        out, "CreateArtifactFiles",
        "mutation CreateArtifactFiles ($artifactFiles: [CreateArtifactFileSpecInput!]!, "
        "$storageLayout: ArtifactStorageLayout!) { "
        "createArtifactFiles(input: {artifactFiles: $artifactFiles, "
        "storageLayout: $storageLayout}) { "
        "files { edges { node { id name uploadUrl uploadHeaders } } } } }");
    bn_json_key(&json, "artifactFiles");
    bn_json_array(&json);
    bn_json_object(&json);
    add_text(&json, "artifactID", artifact->id);
    add_text(&json, "artifactManifestID", artifact->manifest_id);
    add_text(&json, "name", artifact->file);
    add_text(&json, "md5", artifact->file_md5);
    bn_json_end_object(&json);
    bn_json_end_array(&json);
    add_text(&json, "storageLayout", "V2");
    end_query(&json);
}

void bn_wandb_commit_body(bn_text *out, const bn_wandb_artifact *artifact)
{
    bn_json json = begin_query(out, "CommitArtifact",
                               "mutation CommitArtifact ($artifactID: ID!) { "
                               "commitArtifact(input: {artifactID: $artifactID}) { "
                               "artifact { id state } } }");
    add_text(&json, "artifactID", artifact->id);
    end_query(&json);
}
