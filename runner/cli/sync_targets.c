/* The places that `bnexp sync` delivers to: what each needs, and how it is opened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "engine/checkpoint_dir.h"
#include "reporters/tensorboard.h"
#include "reporters/wandb_offline.h"
#include "runner/cli/sync.h"
#include "runner/toml.h"

const char *bn_sync_variable(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): no thread yet, and none writes */
}

/* ---- wandb */

static bn_status read_settings(bn_sync *s, bn_error *err)
{
    bn_wandb_flags flags = {.entity = s->entity, .project = s->project};
    bn_status status = bn_wandb_settings_read(&s->settings, &flags, bn_sync_variable, err);
    if (status == BN_OK) s->quiet = s->quiet || s->settings.quiet;
    return status;
}

/* WANDB_MODE=offline turns it into files under WANDB_DIR/wandb, as wandb itself does. */
static bn_status prepare_wandb(bn_sync *s, bn_error *err)
{
    bn_status status = read_settings(s, err);
    if (status != BN_OK || s->settings.mode == BN_WANDB_DISABLED) return status;
    if (s->settings.mode == BN_WANDB_OFFLINE) {
        char folder[BN_PATH_MAX];
        status = bn_path_join(folder, s->settings.dir, "wandb", err);
        if (status == BN_OK) status = bn_path_absolute(s->folder, folder, err);
        if (status == BN_OK) status = bn_sync_find_target(&s->target, "wandb-offline", err);
        return status;
    }
    if (s->status) return BN_OK; /* looking needs no key */
    status = bn_credentials_find(&s->key, s->settings.base_url, bn_sync_variable, err);
    if (status == BN_ENOENT) err->status = BN_EINVAL; /* nothing is missing but a setting */
    return err->status;
}

/* A sweep file may say `project` and `entity`, as wandb's own do; a flag goes first. */
static void read_want(void *self, const char *sweep_file, bn_wandb_want *want)
{
    const bn_sync *s = self;
    bn_toml *document = NULL;
    bn_error ignored = {0}; /* the file has been read before, when the sweep began */
    if (bn_toml_parse(&document, sweep_file, strlen(sweep_file), "", &ignored) != BN_OK) return;
    const bn_toml_node *project = bn_toml_get(bn_toml_root(document), "project");
    const bn_toml_node *entity = bn_toml_get(bn_toml_root(document), "entity");
    if (!s->project && project && bn_toml_kind_of(project) == BN_TOML_TEXT) {
        (void)snprintf(want->project, sizeof want->project, "%s", bn_toml_text(project));
    }
    if (!s->entity && entity && bn_toml_kind_of(entity) == BN_TOML_TEXT) {
        (void)snprintf(want->entity, sizeof want->entity, "%s", bn_toml_text(entity));
    }
    bn_toml_close(document);
}

static bn_status find_checkpoint(char out[BN_PATH_MAX], const char *run_dir, bn_error *err)
{
    char folder[BN_PATH_MAX];
    bn_status status = bn_path_join(folder, run_dir, "checkpoint", err);
    return status == BN_OK ? bn_checkpoint_dir_path(out, folder, false, err) : status;
}

static bn_status open_wandb(bn_sync *s, bn_error *err)
{
    if (s->artifacts && bn_wandb_remind(s->feed, err) != BN_OK) return err->status;
    bn_wandb_options options = {
        .link = {.user_agent = "bnexp/" BN_VERSION,
                 .base_url = s->settings.base_url,
                 .key = &s->key,
                 .username = s->settings.username,
                 .email = s->settings.email,
                 .first_wait_s = s->first_wait_s,
                 .timeout_s = s->timeout_s},
        .home = s->home,
        .settings = &s->settings,
        .sweeps = true,
        .find_checkpoint = s->artifacts ? find_checkpoint : NULL,
        .read_want = read_want,
        .self = s,
    };
    return bn_wandb_open(&s->reporter, s->store, s->feed, &options, err);
}

static void end_wandb(bn_sync *s, char *where, size_t size)
{
    bn_error ignored = {0}; /* the runs are there; their sweep's state is an ornament */
    (void)!bn_wandb_end(&s->reporter, &ignored);
    bn_wandb_page(&s->reporter, where, size);
}

/* ---- folders */

static bn_status open_offline(bn_sync *s, bn_error *err)
{
    bn_wandb_options options = {
        .home = s->home, .settings = &s->settings, .read_want = read_want, .self = s};
    return bn_wandb_offline_open(&s->reporter, s->store, s->folder, &options, err);
}

static bn_status open_tensorboard(bn_sync *s, bn_error *err)
{
    return bn_tensorboard_open(&s->reporter, s->folder, err);
}

static bn_status nothing_to_prepare(bn_sync *s, bn_error *err)
{
    (void)s;
    (void)err;
    return BN_OK;
}

static void end_folder(bn_sync *s, char *where, size_t size)
{
    (void)snprintf(where, size, "%s", s->folder);
}

/* ---- MLflow */

static bn_status prepare_mlflow(bn_sync *s, bn_error *err)
{
    s->mlflow = (bn_mlflow_options){.user_agent = "bnexp/" BN_VERSION,
                                    .first_wait_s = s->first_wait_s,
                                    .timeout_s = s->timeout_s};
    return bn_mlflow_settings(&s->mlflow, s->project, bn_sync_variable, err);
}

static bn_status open_mlflow(bn_sync *s, bn_error *err)
{
    return bn_mlflow_open(&s->reporter, s->store, s->feed, &s->mlflow, err);
}

static void end_mlflow(bn_sync *s, char *where, size_t size)
{
    /* http://user:password@host is how some are told of their server: that part stays here. */
    const char *url = s->mlflow.base_url;
    const char *host = strstr(url, "://") + 3;
    const char *at = strrchr(host, '@');
    (void)snprintf(where, size, "%.*s%s, experiment '%s'", (int)(host - url), url,
                   at ? at + 1 : host, s->mlflow.experiment);
}

static const bn_sync_target TARGETS[] = {
    {"wandb", false, prepare_wandb, open_wandb, end_wandb},
    {"mlflow", false, prepare_mlflow, open_mlflow, end_mlflow},
    {"tensorboard", true, nothing_to_prepare, open_tensorboard, end_folder},
    {"wandb-offline", true, read_settings, open_offline, end_folder},
};
enum { TARGET_COUNT = sizeof TARGETS / sizeof TARGETS[0] };

bn_status bn_sync_find_target(const bn_sync_target **out, const char *name, bn_error *err)
{
    for (size_t i = 0; i < TARGET_COUNT; i++) {
        if (strcmp(TARGETS[i].name, name) != 0) continue;
        *out = &TARGETS[i];
        return BN_OK;
    }
    const char *near = bn_nearest(name, &TARGETS[0].name, TARGET_COUNT, sizeof TARGETS[0]);
    return bn_fail(err, BN_EINVAL,
                   "there is no reporter '%.40s', only wandb, mlflow, tensorboard and "
                   "wandb-offline%s%s%s",
                   name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}
