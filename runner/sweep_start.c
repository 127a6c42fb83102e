#include "runner/sweep_start.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/fleet/rundir.h"
#include "runner/sweep_command.h"

enum { ENV_COUNT = 8, ENV_MORE = 160, ENV_BYTES = BN_PATH_MAX + 32 };

static bn_status set_from_json(bn_config *config, const char *name, const json_t *value,
                               bn_error *err)
{
    bn_text text = {0};
    bn_text_add(&text, "");
    if (json_is_string(value)) {
        bn_text_add(&text, json_string_value(value));
    } else if (json_is_integer(value)) {
        bn_text_addf(&text, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        bn_text_number(&text, json_real_value(value), BN_NONFINITE_BARE);
    } else if (json_is_boolean(value)) {
        bn_text_add(&text, json_is_true(value) ? "true" : "false");
    }
    bn_status status = text.failed ? bn_fail(err, BN_ENOMEM, "no memory for '%s'", name)
                                   : bn_config_set(config, name, text.data, err);
    bn_text_release(&text);
    return status;
}

bn_status bn_start_config(const char *json, bn_config *config, bn_error *err)
{
    json_error_t why;
    const char *name = NULL;
    json_t *value = NULL;
    json_t *root = json_loads(json, 0, &why);
    bn_status status = BN_OK;
    if (!json_is_object(root)) status = bn_fail(err, BN_ECORRUPT, "configuration: %s", why.text);
    json_object_foreach(root, name, value)
    {
        if (status == BN_OK) status = set_from_json(config, name, value, err);
    }
    json_decref(root);
    return status;
}

/* The variables of one run, the memory they lie in, and the time of its start. */
typedef struct environment {
    double mono_s;
    char text[ENV_COUNT][ENV_BYTES];
    const char *list[ENV_COUNT + ENV_MORE + 1];
    size_t count;
} environment;

static void put(environment *env, const char *name, const char *value)
{
    char *text = env->text[env->count];
    (void)snprintf(text, ENV_BYTES, "%s=%s", name, value);
    env->list[env->count++] = text;
}

static void put_number(environment *env, const char *name, int64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    put(env, name, text);
}

/* Given as they are: a launcher's own variables, which its ranks must see. */
static void put_more(environment *env, const char *const *more)
{
    size_t count = env->count;
    for (size_t i = 0; more && more[i] && i < ENV_MORE; i++) env->list[count++] = more[i];
    env->list[count] = NULL;
}

/* The devices of a slot: gpus of them, starting at slot * gpus. */
static void gpu_list(const bn_start_options *o, int slot, char *out, size_t size)
{
    bn_text text;
    bn_text_fixed(&text, out, size);
    for (int i = 0; i < o->gpus && o->gpu_count > 0 && slot >= 0; i++) {
        int place = (slot * o->gpus + i) % o->gpu_count;
        bn_text_addf(&text, "%s%s", i ? "," : "", o->gpu_ids[place]);
    }
}

static bn_rundir folder_of(const bn_member *m)
{
    bn_rundir run = {.attempt = m->run.attempt};
    (void)snprintf(run.key, sizeof run.key, "%s", m->run.key);
    (void)snprintf(run.name, sizeof run.name, "%s", m->run.name);
    (void)snprintf(run.sweep, sizeof run.sweep, "%s", m->run.sweep_name);
    return run;
}

static bn_status make_builtin(const bn_member *m, const bn_start_options *o, const char *json,
                              bn_error *err)
{
    char cache[BN_PATH_MAX];
    bn_rundir run = folder_of(m);
    bn_config_init(&run.config);
    if (bn_start_config(json, &run.config, err) != BN_OK) return err->status;
    if (bn_path_join(cache, o->home, "cache", err) != BN_OK) return err->status;
    if (run.config.train.threads == 0) run.config.train.threads = o->threads;
    if (!*run.config.data.cache) {
        (void)snprintf(run.config.data.cache, sizeof run.config.data.cache, "%s", cache);
    }
    return bn_rundir_make(m->dir, &run, err);
}

static void launch_builtin(bn_fleet *fleet, const bn_member *m, const bn_start_options *o,
                           const environment *env)
{
    char count[16] = "";
    const char *argv[] = {"bnexp", "train", m->dir, NULL, count, NULL};
    bool on_gpus = o->gpus > 1;
    if (on_gpus || o->ranks > 1) argv[3] = on_gpus ? "--gpus" : "--ranks";
    (void)snprintf(count, sizeof count, "%d", on_gpus ? o->gpus : o->ranks);
    bn_launch launch = {.dir = m->dir,
                        .program = o->program ? o->program : "/proc/self/exe",
                        .argv = argv,
                        .env = env->list,
                        .attempt = m->run.attempt,
                        .slot = m->slot};
    bn_fleet_launch(fleet, m, &launch, env->mono_s);
}

static int64_t seed_of(const char *json)
{
    json_error_t why;
    json_t *root = json_loads(json, 0, &why);
    const json_t *seed = json_object_get(root, "seed");
    int64_t out = json_is_integer(seed) ? json_integer_value(seed) : 0;
    json_decref(root);
    return out;
}

static bn_status launch_external(bn_fleet *fleet, const bn_member *m, const bn_start_options *o,
                                 const char *json, environment *env, bn_error *err)
{
    char config[BN_PATH_MAX], here[BN_PATH_MAX], gpu[512];
    bn_rundir run = folder_of(m);
    char **argv = NULL;
    int64_t seed = seed_of(json);
    gpu_list(o, m->slot, gpu, sizeof gpu);
    bn_command_facts facts = {.config_json = json,
                              .config_path = config,
                              .run_id = m->run.key,
                              .run_dir = m->dir,
                              .gpu = gpu,
                              .seed = seed,
                              .slot = m->slot,
                              .attempt = m->run.attempt};
    if (bn_path_join(config, m->dir, BN_RUNDIR_CONFIG, err) != BN_OK ||
        bn_path_absolute(here, ".", err) != BN_OK ||
        bn_rundir_make_external(m->dir, &run, json, err) != BN_OK ||
        (m->run.attempt == 1 && bn_rundir_clear_events(m->dir, err) != BN_OK) ||
        bn_rundir_mend_events(m->dir, err) != BN_OK ||
        bn_command_expand(o->command, &facts, &argv, err) != BN_OK) {
        return err->status;
    }
    put(env, "BNEXP_CONFIG", config);
    put(env, "BNEXP_EVENTS", m->source.path);
    put_number(env, "BNEXP_SEED", seed);
    put_number(env, "OMP_NUM_THREADS", o->threads);
    bn_launch launch = {.dir = m->dir,
                        .cwd = here,
                        .argv = (const char *const *)argv,
                        .env = env->list,
                        .attempt = m->run.attempt,
                        .slot = m->slot,
                        .external = true};
    bn_fleet_launch(fleet, m, &launch, env->mono_s);
    bn_command_release(argv);
    return BN_OK;
}

void bn_start_run(bn_fleet *fleet, const bn_member *member, const bn_start_options *options,
                  double mono_s)
{
    bn_error err = {0};
    environment env = {.mono_s = mono_s};
    char *json = NULL, gpu[512];
    gpu_list(options, member->slot, gpu, sizeof gpu);
    put(&env, "BNEXP_RUN_DIR", member->dir);
    put_number(&env, "BNEXP_ATTEMPT", member->run.attempt);
    if (options->gpus > 0) put(&env, "CUDA_VISIBLE_DEVICES", gpu);
    bn_status status = bn_run_config(options->store, member->run.id, &json, &err);
    if (status == BN_OK && options->command) {
        status = launch_external(fleet, member, options, json, &env, &err);
    } else if (status == BN_OK) {
        status = make_builtin(member, options, json, &err);
        put_more(&env, options->more);
        if (status == BN_OK) launch_builtin(fleet, member, options, &env);
    }
    free(json);
    if (status != BN_OK) bn_fleet_launch_failed(fleet, member, err.text);
}
