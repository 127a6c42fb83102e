#include "support/run_lab.h"

#include "engine/base/rng.h"

enum { TEXT_BYTES = 4000 };

static void write_text(const char *folder)
{
    static const char *const words[] = {"the ", "cat ", "sat ", "on ", "a ", "mat", ". ", "and "};
    char text[TEXT_BYTES];
    size_t used = 0;
    for (uint64_t i = 0; used + 8 < sizeof text; i++) {
        const char *word = words[bn_rng_below(7, i, 8)];
        memcpy(text + used, word, strlen(word));
        used += strlen(word);
    }
    (void)scratch_write(folder, "text.txt", text, used);
}

bn_config run_lab_config(const char *folder)
{
    bn_config config;
    bn_config_init(&config);
    write_text(folder);
    run_lab_set(&config, "model.width=16", "model.layers=1", "model.heads=2", "model.ffn=32",
                "model.context=16", "train.steps=12", "train.batch=2", "train.log_every=1",
                "train.eval_every=4", "train.eval_tokens=64", "train.checkpoint_every=5",
                "train.quant_every=3", "train.device=reference", "optim.lr=0.01",
                "optim.warmup_steps=2", NULL);
    (void)snprintf(config.data.path, sizeof config.data.path, "%s/text.txt", folder);
    (void)snprintf(config.data.cache, sizeof config.data.cache, "%s/cache", folder);
    return config;
}

void run_lab_set(bn_config *config, ...)
{
    va_list rows;
    va_start(rows, config);
    for (const char *row = va_arg(rows, const char *); row; row = va_arg(rows, const char *)) {
        char name[64];
        bn_error err = {0};
        size_t span = strcspn(row, "=");
        (void)snprintf(name, sizeof name, "%.*s", (int)span, row);
        if (bn_config_set(config, name, row + span + 1, &err) != BN_OK) fail_msg("%s", err.text);
    }
    va_end(rows);
}

bn_train_end run_lab_train(const bn_config *config, const char *folder, const char *name)
{
    return run_lab_train_until(config, folder, name, -1);
}

bn_train_end run_lab_train_until(const bn_config *config, const char *folder, const char *name,
                                 int stop_at)
{
    bn_error err = {0};
    bn_config resolved = *config;
    bn_train_end end = BN_TRAIN_FINISHED;
    volatile sig_atomic_t stop = stop_at == 0;
    bn_train_job job = {.config = &resolved, .attempt = 1, .stop = &stop};
    job.dir = scratch_path(folder, name);
    if (bn_config_resolve(&resolved, &err) != BN_OK) fail_msg("%s", err.text);
    if (bn_train(&job, &end, &err) != BN_OK) fail_msg("%s", err.text);
    return end;
}

json_t *run_lab_events(const char *folder, const char *name)
{
    char path[BN_PATH_MAX], *text = NULL;
    size_t size = 0;
    bn_error err = {0};
    json_t *lines = json_array();
    (void)snprintf(path, sizeof path, "%s/%s/events.jsonl", folder, name);
    if (bn_file_read(path, 1 << 24, &text, &size, &err) != BN_OK) fail_msg("%s", err.text);
    for (char *line = text; *line;) {
        size_t span = strcspn(line, "\n");
        if (line[span] != '\n') break; /* a kill's: it does not count */
        json_t *value = json_loadb(line, span, 0, NULL);
        if (!value) fail_msg("no line of JSON: %.80s", line);
        (void)json_array_append_new(lines, value);
        line += span + 1;
    }
    free(text);
    return lines;
}

static json_t *last_of(json_t *events, const char *type, int64_t seq)
{
    json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *line = json_array_get(events, i);
        const char *word = json_string_value(json_object_get(line, "type"));
        if (!word || strcmp(word, type) != 0) continue;
        if (seq < 0 || json_integer_value(json_object_get(line, "seq")) == seq) found = line;
    }
    return found;
}

json_t *run_lab_record(json_t *events, int64_t seq)
{
    return last_of(events, "record", seq);
}

json_t *run_lab_end(json_t *events)
{
    return last_of(events, "end", -1);
}

double run_lab_value(json_t *record, const char *key)
{
    json_t *value = json_object_get(json_object_get(record, "values"), key);
    if (!json_is_number(value)) fail_msg("no number '%s'", key);
    return json_number_value(value);
}
