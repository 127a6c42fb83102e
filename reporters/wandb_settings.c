#include "reporters/wandb_settings.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/nearest.h"

enum { FILE_BYTES_MAX = 64 << 10 };

/* Every text setting: its variable, its name in a settings file, and where it goes. */
typedef struct row {
    const char *variable, *in_file;
    size_t place, size;
} row;

#define PLACE(member)                                                                              \
    offsetof(bn_wandb_settings, member), sizeof(((bn_wandb_settings *)NULL)->member)

static const row ROWS[] = {
    {"WANDB_BASE_URL", "base_url", PLACE(base_url)},
    {"WANDB_APP_URL", "app_url", PLACE(app_url)},
    {"WANDB_ENTITY", "entity", PLACE(entity)},
    {"WANDB_PROJECT", "project", PLACE(project)},
    {"WANDB_TAGS", NULL, PLACE(tags)},
    {"WANDB_RUN_GROUP", "run_group", PLACE(group)},
    {"WANDB_JOB_TYPE", NULL, PLACE(job_type)},
    {"WANDB_NOTES", NULL, PLACE(notes)},
    {"WANDB_USERNAME", NULL, PLACE(username)},
    {"WANDB_USER_EMAIL", NULL, PLACE(email)},
    {"WANDB_DIR", NULL, PLACE(dir)},
};
enum { ROW_COUNT = sizeof ROWS / sizeof ROWS[0] };

static bn_status set(bn_wandb_settings *out, const row *at, const char *source, const char *value,
                     bn_error *err)
{
    char *to = (char *)out + at->place;
    for (const char *c = value; *c; c++) {
        if (iscntrl((unsigned char)*c) && strcmp(source, "WANDB_NOTES") != 0) {
            return bn_fail(err, BN_EINVAL, "%s holds a control character", source);
        }
    }
    if (strlen(value) >= at->size) {
        return bn_fail(err, BN_EINVAL, "%s is longer than %zu characters", source, at->size - 1);
    }
    memcpy(to, value, strlen(value) + 1);
    return BN_OK;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1])) text[--length] = '\0';
    return text;
}

/* One line "key = value" of the section [default]. */
static bn_status read_line(bn_wandb_settings *out, char *line, const char *path, bn_error *err)
{
    char *equals = strpbrk(line, "=:");
    if (!equals || line[0] == '#' || line[0] == ';') return BN_OK;
    *equals = '\0';
    const char *key = trim(line);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!ROWS[i].in_file || strcmp(ROWS[i].in_file, key) != 0) continue;
        char source[BN_PATH_MAX + 64];
        (void)snprintf(source, sizeof source, "%s in %s", key, path);
        return set(out, &ROWS[i], source, trim(equals + 1), err);
    }
    return BN_OK; /* wandb's own client has more keys than matter here */
}

static bn_status read_file(bn_wandb_settings *out, const char *path, bn_error *err)
{
    char *text = NULL;
    size_t size = 0;
    bool ours = false;
    if (!bn_file_exists(path)) return BN_OK;
    bn_status status = bn_file_read(path, FILE_BYTES_MAX, &text, &size, err);
    for (char *line = text; status == BN_OK && line;) {
        char *next = strchr(line, '\n');
        if (next) *next++ = '\0';
        line = trim(line);
        if (line[0] == '[') {
            ours = strcmp(line, "[default]") == 0;
        } else if (ours) {
            status = read_line(out, line, path, err);
        }
        line = next;
    }
    free(text);
    return status;
}

static bn_status read_files(bn_wandb_settings *out, bn_environment environment, bn_error *err)
{
    char path[BN_PATH_MAX];
    const char *folder = environment("WANDB_CONFIG_DIR");
    const char *user_home = environment("HOME");
    bn_status status = BN_OK;
    if (folder && *folder) {
        status = bn_path_join(path, folder, "settings", err);
    } else if (user_home) {
        status = bn_path_join(path, user_home, ".config/wandb/settings", err);
    } else {
        path[0] = '\0';
    }
    if (status == BN_OK && path[0]) status = read_file(out, path, err);
    return status == BN_OK ? read_file(out, "wandb/settings", err) : status;
}

static bool is_true(const char *value)
{
    return value && (strcmp(value, "true") == 0 || strcmp(value, "1") == 0 ||
                     strcmp(value, "True") == 0 || strcmp(value, "yes") == 0);
}

static bn_status read_mode(bn_wandb_settings *out, const char *value, bn_error *err)
{
    static const struct {
        const char *name;
        bn_wandb_mode mode;
    } modes[] = {{"online", BN_WANDB_ONLINE},     {"run", BN_WANDB_ONLINE},
                 {"offline", BN_WANDB_OFFLINE},   {"dryrun", BN_WANDB_OFFLINE},
                 {"disabled", BN_WANDB_DISABLED}, {"shared", BN_WANDB_ONLINE}};
    const size_t count = sizeof modes / sizeof modes[0];
    out->mode = BN_WANDB_ONLINE;
    if (!value || !*value) return BN_OK;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(modes[i].name, value) != 0) continue;
        out->mode = modes[i].mode;
        return BN_OK;
    }
    const char *near = bn_nearest(value, &modes[0].name, count, sizeof modes[0]);
    return bn_fail(err, BN_EINVAL,
                   "WANDB_MODE must be online, offline or disabled, is '%.40s'%s%s%s", value,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void strip_slashes(char *url)
{
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/') url[--length] = '\0';
}

static bn_status check_base_url(const char *url, bn_error *err)
{
    bool https = strncmp(url, "https://", 8) == 0;
    const char *host = https ? url + 8 : url + 7;
    if (!https && strncmp(url, "http://", 7) != 0) {
        bool secret = strchr(url, '@') != NULL; /* user:password@host is not for other eyes */
        return bn_fail(err, BN_EINVAL,
                       "WANDB_BASE_URL must begin with https:// or http://%s%.80s%s",
                       secret ? "" : ", is '", secret ? "" : url, secret ? "" : "'");
    }
    size_t length = strcspn(host, ":/?#");
    if (length == 0 || strpbrk(host, "?#@ ")) {
        return bn_fail(err, BN_EINVAL, "WANDB_BASE_URL must be https://HOST[:PORT][/PATH]");
    }
    bool public = length >= 8 && strncmp(host + length - 8, "wandb.ai", 8) == 0;
    if (public && (!https || strncmp(host, "api.", 4) != 0)) {
        return bn_fail(err, BN_EINVAL, "WANDB_BASE_URL must be https://api.wandb.ai, is '%.80s'",
                       url);
    }
    return BN_OK;
}

/* The pages are not where the API is: api.wandb.ai -> wandb.ai, api.example.com -> app.example.com
 */
static void guess_app_url(bn_wandb_settings *out)
{
    if (out->app_url[0]) return;
    const char *api = strstr(out->base_url, "://api.");
    const char *rest = api ? api + 7 : "";
    if (!api) {
        (void)snprintf(out->app_url, sizeof out->app_url, "%s", out->base_url);
    } else {
        const char *prefix = strncmp(rest, "wandb.", 6) == 0 ? "" : "app.";
        (void)snprintf(out->app_url, sizeof out->app_url, "%.*s://%s%s", (int)(api - out->base_url),
                       out->base_url, prefix, rest);
    }
}

static bn_status check_name(const char *what, const char *name, bn_error *err)
{
    size_t bad = strcspn(name, "/\\#?%:");
    /* In an address they would mean another place. */
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return bn_fail(err, BN_EINVAL, "the wandb %s may not be '%s'", what, name);
    }
    if (!name[bad]) return BN_OK;
    return bn_fail(err, BN_EINVAL, "the wandb %s '%.60s' may not hold '%c'", what, name, name[bad]);
}

bn_status bn_wandb_settings_read(bn_wandb_settings *out, const bn_wandb_flags *flags,
                                 bn_environment environment, bn_error *err)
{
    *out = (bn_wandb_settings){.base_url = "https://api.wandb.ai",
                               .project = "bnexp",
                               .job_type = "train",
                               .dir = ".",
                               .console = true};
    bn_status status = read_files(out, environment, err);
    for (size_t i = 0; status == BN_OK && i < ROW_COUNT; i++) {
        const char *value = environment(ROWS[i].variable);
        if (value && *value) status = set(out, &ROWS[i], ROWS[i].variable, value, err);
    }
    const row entity = {NULL, NULL, PLACE(entity)};
    const row project = {NULL, NULL, PLACE(project)};
    if (status == BN_OK && flags->entity) {
        status = set(out, &entity, "--entity", flags->entity, err);
    }
    if (status == BN_OK && flags->project) {
        status = set(out, &project, "--project", flags->project, err);
    }
    if (status == BN_OK) status = read_mode(out, environment("WANDB_MODE"), err);
    if (status != BN_OK) return status;
    strip_slashes(out->base_url);
    strip_slashes(out->app_url);
    const char *console = environment("WANDB_CONSOLE");
    out->console = !console || strcmp(console, "off") != 0;
    out->quiet = is_true(environment("WANDB_SILENT")) || is_true(environment("WANDB_QUIET"));
    if (check_base_url(out->base_url, err) != BN_OK) return err->status;
    guess_app_url(out);
    if (check_name("entity", out->entity, err) != BN_OK) return err->status;
    return check_name("project", out->project, err);
}
