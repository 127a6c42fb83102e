#include "runner/cli/knobs.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "runner/fleet/rundir.h"

enum { FILE_BYTES_MAX = 1 << 20, NAME_MAX_BYTES = 128 };

static void print_knob(const bn_knob *knob, FILE *out)
{
    char expected[160] = "";
    if (knob->kind == BN_KNOB_CHOICE) {
        (void)snprintf(expected, sizeof expected, "%s", knob->choices);
    } else if (knob->kind == BN_KNOB_BOOL) {
        (void)snprintf(expected, sizeof expected, "true|false");
    } else if (knob->kind != BN_KNOB_TEXT) {
        (void)snprintf(expected, sizeof expected, "%.12g to %.12g%s%s", knob->min, knob->max,
                       *knob->unit ? " " : "", knob->unit);
    } else {
        (void)snprintf(expected, sizeof expected, "text");
    }
    (void)fprintf(out, "  %-24s %s\n  %-24s default %s; %s\n", knob->name, knob->help, "",
                  *knob->standard ? knob->standard : "empty", expected);
}

void bn_knobs_print(FILE *out)
{
    size_t count = 0;
    const char *const *presets = bn_config_preset_names(&count);
    (void)fprintf(out, "\npresets:");
    for (size_t i = 0; i < count; i++) (void)fprintf(out, " %s", presets[i]);
    const bn_knob *table = bn_knob_table(&count);
    (void)fprintf(out, "\n\nknobs, for --set, TOML files and sweeps:\n");
    for (size_t i = 0; i < count; i++) print_knob(&table[i], out);
}

bn_status bn_knobs_set(bn_config *config, const char *assignment, bn_error *err)
{
    char name[NAME_MAX_BYTES];
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        return bn_fail(err, BN_EINVAL, "--set expects KNOB=VALUE, got '%.60s'", assignment);
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    return bn_config_set(config, name, equals + 1, err);
}

/* A table's knobs; one table inside it gives the part before the dot.
 * NOLINTNEXTLINE(misc-no-recursion): tables inside tables, at most two deep */
static bn_status read_table(const bn_toml_node *table, const char *prefix, const char *file,
                            bn_config *config, bn_error *err)
{
    for (size_t i = 0; i < bn_toml_count(table); i++) {
        const bn_toml_node *node = bn_toml_at(table, i);
        char name[NAME_MAX_BYTES];
        (void)snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "",
                       bn_toml_key(table, i));
        bool deeper = bn_toml_kind_of(node) == BN_TOML_TABLE && !*prefix;
        bn_status status = BN_OK;
        if (deeper) {
            bool whole = strcmp(name, "config") == 0;
            status = read_table(node, whole ? "" : name, file, config, err);
            if (status != BN_OK) return status;
            continue;
        }
        status = bn_rundir_knob(config, name, node, err);
        if (status != BN_OK) return bn_fail_in(err, "%s:%d", file, bn_toml_key_line(table, i));
    }
    return BN_OK;
}

bn_status bn_knobs_read(const char *file, bn_config *config, bn_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    bn_toml *document = NULL;
    bn_status status = bn_file_read(file, FILE_BYTES_MAX, &text, &bytes, err);
    if (status == BN_OK) status = bn_toml_parse(&document, text, bytes, file, err);
    if (status == BN_OK) status = read_table(bn_toml_root(document), "", file, config, err);
    bn_toml_close(document);
    free(text);
    return status;
}

bn_status bn_knobs_of_run(const char *dir, bn_config *config, bn_error *err)
{
    bn_rundir run;
    bn_status status = bn_rundir_read(dir, &run, err);
    if (status == BN_OK) *config = run.config;
    return status;
}
