#include "engine/train.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/card.h"
#include "engine/checkpoint.h"
#include "engine/corpus/dataset.h"
#include "engine/device.h"
#include "engine/events.h"
#include "engine/meter.h"
#include "engine/parallel.h"
#include "engine/peak.h"
#include "engine/schedule.h"
#include "engine/validation.h"

#define RAPL_ROOT "/sys/class/powercap"

enum { REASON_MAX = 64, MARK_START = 0, MARK_END = 1 };

typedef struct trainer {
    const bn_train_job *job;
    bn_config config; /* vocabulary known */
    bn_config share;  /* the same for this rank alone: its rows of a batch, its threads */
    bn_parallel *parallel;
    bn_backend be;
    bn_dataset *data;
    const bn_dataset_info *info;
    bn_model *model;
    bn_optimizer *optimizer;
    bn_codes codes; /* low-bit variants with train.quant_every; rank 0's */
    bool watches_codes;
    bn_events *events; /* rank 0's */
    bn_progress progress;
    bn_meter meter;
    bn_values values; /* of the record being made */
    bn_optimizer_step last;
    double last_loss;
    int32_t *tokens, *targets; /* [rows] */
    int64_t saved_step;        /* of the newest checkpoint; -1: none */
    char folder[BN_PATH_MAX];  /* of checkpoints */
    char note[BN_DEVICE_NOTE_MAX];
} trainer;

static bool is_root(const trainer *t)
{
    return bn_parallel_rank(t->parallel) == 0;
}

/* The tokenizer decides the vocabulary unless a knob asks for a larger one. */
static bn_status settle_vocabulary(trainer *t, bn_error *err)
{
    int64_t *vocab = &t->config.model.vocab;
    if (*vocab == 0) *vocab = t->info->vocab;
    if (t->info->id_limit > 0 && *vocab > t->info->id_limit) {
        return bn_fail(err, BN_EINVAL,
                       "'model.vocab' must be at most %lld, what the ids of data.path can say, is "
                       "%lld",
                       (long long)t->info->id_limit, (long long)*vocab);
    }
    if (*vocab >= t->info->vocab) return BN_OK;
    return bn_fail(err, BN_EINVAL, "'model.vocab' must be at least the data's %d, is %lld",
                   t->info->vocab, (long long)*vocab);
}

static bn_status open_data(trainer *t, bn_error *err)
{
    const bn_config *config = &t->config;
    if (config->data.path[0] == '\0') {
        return bn_fail(err, BN_EINVAL, "'data.path' must name a text file or token shards");
    }
    bn_dataset_spec spec = {.path = config->data.path,
                            .tokenizer = config->data.tokenizer,
                            .cache = config->data.cache,
                            .val_fraction = config->data.val_fraction};
    bn_status status = bn_dataset_open(&t->data, &spec, (int)config->model.context, err);
    if (status != BN_OK) return status;
    t->info = bn_dataset_info_of(t->data);
    return settle_vocabulary(t, err);
}

/* A run that cannot fit would be killed by the system, or kill what else runs, without a word. */
static bn_status check_memory(const trainer *t, bn_error *err)
{
    bn_model_bytes bytes;
    assert(t->be.ops);
    if (bn_model_measure(&bytes, t->be, &t->share, err) != BN_OK) return err->status;
    double need = (double)(bytes.weights + bytes.grads + bytes.optimizer + bytes.activations);
    if (t->job->ranks) need *= t->job->ranks->local_world;
    bool on_host = strcmp(t->be.ops->name, "cuda") != 0;
    if (!on_host || !(need > bn_memory_installed())) return BN_OK;
    return bn_fail(err, BN_EINVAL,
                   "the run needs %.1f GB of memory, the machine has %.1f; lower 'train.batch' or "
                   "the size of the model",
                   need / 1e9, bn_memory_installed() / 1e9);
}

static bn_status open_network(trainer *t, bn_error *err)
{
    const bn_config *config = &t->share;
    if (bn_parallel_share(&t->share, &t->config, t->job->ranks, err) != BN_OK) return err->status;
    if (bn_card_share(&t->share, t->job->ranks, err) != BN_OK) return err->status;
    bn_status status =
        bn_device_choose(&t->be, config->train.device, (int)config->train.threads, t->note, err);
    if (status == BN_OK) status = check_memory(t, err);
    if (status == BN_OK) status = bn_model_open(&t->model, t->be, config, err);
    if (status == BN_OK) status = bn_optimizer_open(&t->optimizer, t->model, config, err);
    if (status != BN_OK) return status;
    assert(t->model);
    size_t rows = (size_t)t->model->shape.rows;
    t->tokens = calloc(rows, sizeof *t->tokens);
    t->targets = calloc(rows, sizeof *t->targets);
    if (!t->tokens || !t->targets) return bn_fail(err, BN_ENOMEM, "no memory for a batch");
    bn_model_init(t->model, (uint64_t)config->train.seed);
    t->watches_codes =
        bn_variant_is_low_bit(config->quant.variant) && config->train.quant_every > 0;
    if (t->watches_codes && is_root(t)) status = bn_codes_init(&t->codes, t->model, err);
    if (status == BN_OK) status = bn_backend_sync(t->be, err);
    if (status != BN_OK) return status;
    return bn_parallel_attach(t->parallel, t->model, t->job->say, t->job->say_self, err);
}

static void open_meter(trainer *t)
{
    bn_meter *meter = &t->meter;
    size_t rows = (size_t)t->model->shape.rows;
    meter->cost = bn_cost_of(&t->config, &t->model->params);
    meter->bytes = t->model->bytes;
    meter->host_bytes = (double)(2 * t->codes.count + 2 * rows * sizeof *t->tokens +
                                 rows * (size_t)t->model->accum * sizeof(float));
    double world = bn_parallel_world(t->parallel);
    meter->tokens_per_step = world * (double)rows * (double)t->config.train.accum;
    bool on_card = bn_card_open(&meter->gpu, &meter->peak_flops, t->be, &t->share, t->job->say,
                                t->job->say_self);
    if (!on_card) meter->peak_flops = bn_peak_flops(t->be, &t->config);
    meter->peak_flops *= world;
    if (bn_parallel_first_here(t->parallel)) bn_rapl_init(&meter->rapl, RAPL_ROOT);
}

static bn_checkpoint checkpoint_of(trainer *t)
{
    return (bn_checkpoint){.config = &t->config,
                           .data_hash = t->info->hash,
                           .model = t->model,
                           .optimizer = t->optimizer,
                           .codes = t->codes.count > 0 ? &t->codes : NULL,
                           .progress = &t->progress};
}

/* The run's folder: events, and the checkpoint to go on from. */
static bn_status open_folder(trainer *t, bn_error *err)
{
    char events[BN_PATH_MAX];
    bool found = false;
    t->progress = (bn_progress){.val_loss = NAN, .best_val_loss = NAN};
    bool counts = t->meter.rapl.count > 0 || !isnan(t->meter.gpu.last_j);
    t->progress.energy_j = counts ? 0 : NAN;
    if (bn_path_join(t->folder, t->job->dir, "checkpoint", err) != BN_OK) return err->status;
    if (bn_path_join(events, t->job->dir, "events.jsonl", err) != BN_OK) return err->status;
    if (is_root(t) && bn_dir_make(t->folder, 0755, err) != BN_OK) return err->status;
    bn_checkpoint what = checkpoint_of(t);
    bn_listener listener = {t->job->say, t->job->say_self};
    bn_status status = bn_checkpoint_resume(&what, t->folder, listener, &found, err);
    t->saved_step = found ? t->progress.step : -1;
    if (status == BN_OK) status = bn_parallel_agree(t->parallel, &what, err);
    if (status == BN_OK && is_root(t)) status = bn_events_open(&t->events, events, err);
    return status;
}

/* Rank 0 speaks for all. */
static bn_status flush(trainer *t, bool sync, bn_error *err)
{
    return t->events ? bn_events_flush(t->events, sync, err) : BN_OK;
}

static bn_status say_begin(trainer *t, bn_error *err)
{
    if (!is_root(t)) return BN_OK;
    char device[BN_DEVICE_TEXT_MAX];
    bn_values *values = &t->values;
    values->count = 0;
    (void)bn_device_describe(t->be, device);
    size_t used = strlen(device);
    if (*t->note) (void)snprintf(device + used, sizeof device - used, "; no cuda: %s", t->note);
    bn_meter_facts(&t->meter, &t->model->params, values);
    if (!isnan(t->info->entropy_floor)) {
        bn_values_add(values, "data/entropy_floor", t->info->entropy_floor);
    }
    bn_values_add(values, "resumed_step", (double)t->progress.step);
    int world = bn_parallel_world(t->parallel);
    if (world > 1) bn_values_add(values, "ranks", world);
    bn_events_begin(t->events, t->job->attempt, device, values->rows, values->count);
    return flush(t, true, err);
}

/* This rank's rows of the batch whose first window is `first`. */
static void fill_batch(trainer *t, int64_t first)
{
    first += (int64_t)bn_parallel_rank(t->parallel) * t->model->shape.batch;
    size_t seq = (size_t)t->model->shape.seq;
    for (int row = 0; row < t->model->shape.batch; row++) {
        bn_dataset_train(t->data, (uint64_t)t->config.train.seed, first + row,
                         t->tokens + (size_t)row * seq, t->targets + (size_t)row * seq);
    }
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static bool is_last(const trainer *t)
{
    return t->progress.step == t->config.train.steps;
}

/* A record is due when any of its parts is: a function of the step alone, so that a resumed run
 * says the same records under the same seqs. */
static bool record_due(const trainer *t)
{
    int64_t step = t->progress.step;
    return is_last(t) || due(step, t->config.train.log_every) ||
           due(step, t->config.train.eval_every) ||
           (t->watches_codes && due(step, t->config.train.quant_every));
}

static void add_group_norms(trainer *t)
{
    bn_group_norm groups[BN_GROUPS_MAX];
    int count = bn_optimizer_group_norms(t->optimizer, groups);
    for (int i = 0; i < count; i++) bn_values_add(&t->values, groups[i].name, groups[i].norm);
}

/* One optimizer step: from progress.step to the next. It is given, not waited for. */
static bn_status train_step(trainer *t, bn_error *err)
{
    const bn_config *config = &t->config;
    int64_t step = t->progress.step, batch = config->train.batch, accum = config->train.accum;
    float scale = (float)(1 / t->meter.tokens_per_step);
    if (bn_optimizer_pending(t->optimizer) == 0) bn_backend_mark(t->be, MARK_START);
    for (int64_t micro = 0; micro < accum; micro++) {
        fill_batch(t, (step * accum + micro) * batch);
        if (micro == accum - 1) bn_parallel_begin(t->parallel);
        bn_model_train(t->model, (int)micro, t->tokens, t->targets, scale);
    }
    if (bn_parallel_finish(t->parallel, err) != BN_OK) return err->status;
    t->values.count = 0;
    t->progress.step++;
    if (config->train.layer_grad_norms && record_due(t)) add_group_norms(t);
    bn_optimizer_step rates = {.lr = bn_schedule_lr(config, step),
                               .wd = bn_schedule_wd(config, step)};
    bn_optimizer_give(t->optimizer, &rates);
    return BN_OK;
}

static bool diverged(const trainer *t)
{
    return !isfinite(t->last_loss) || t->last.stuck;
}

/* What became of the steps since the last look. Waits for them. The first that diverged is the
 * run's last: those after it count for nothing. */
static bn_status look(trainer *t, bn_error *err)
{
    bn_optimizer_step steps[BN_STEPS_MAX];
    double losses[BN_STEPS_MAX];
    int count = 0;
    if (bn_optimizer_pending(t->optimizer) == 0) return BN_OK;
    if (bn_optimizer_collect(t->optimizer, steps, &count, err) != BN_OK) return err->status;
    for (int i = 0; i < count; i++) losses[i] = steps[i].loss;
    if (bn_parallel_add(t->parallel, losses, count, losses, err) != BN_OK) return err->status;
    bn_backend_mark(t->be, MARK_END);
    bn_meter_steps(&t->meter, count, bn_backend_seconds(t->be, MARK_START, MARK_END));
    int64_t given = t->progress.step;
    t->progress.step -= count;
    for (int i = 0; i < count && !diverged(t); i++) {
        t->last = steps[i];
        t->last_loss = losses[i] / t->meter.tokens_per_step;
        t->progress.loss_sum += t->last_loss;
        t->progress.loss_steps++;
        t->progress.step++;
    }
    if (t->progress.step < given) t->values.count = 0; /* they are a later step's */
    return BN_OK;
}

static bn_status validate(trainer *t, bn_error *err)
{
    const bn_validation what = {.config = &t->config,
                                .data = t->data,
                                .model = t->model,
                                .parallel = t->parallel,
                                .tokens = t->tokens,
                                .targets = t->targets};
    double loss = NAN, per_token = t->info->val_bytes_per_token;
    if (bn_validate(&what, &loss, err) != BN_OK) return err->status;
    t->progress.val_loss = loss;
    bn_values_add(&t->values, "val/loss", loss);
    bn_values_add(&t->values, "val/ppl", exp(loss));
    if (per_token > 0) bn_values_add(&t->values, "val/bpb", loss / log(2) / per_token);
    return BN_OK;
}

/* Joules since the last record, of every machine that can tell. */
static bn_status add_energy(trainer *t, bn_error *err)
{
    double joules = bn_meter_joules(&t->meter), *spent = &t->progress.energy_j;
    double sums[2] = {isnan(joules) ? 0 : joules, isnan(joules) ? 0 : 1};
    if (bn_parallel_add(t->parallel, sums, 2, sums, err) != BN_OK) return err->status;
    if (sums[1] == 0) return BN_OK;
    *spent = (isnan(*spent) ? 0 : *spent) + sums[0];
    bn_values_add(&t->values, "energy_j", *spent);
    return BN_OK;
}

static void add_progress(trainer *t)
{
    bn_values *values = &t->values;
    const bn_optimizer_state *state = &t->last.state;
    bn_values_add(values, "train/loss", t->progress.loss_sum / (double)t->progress.loss_steps);
    bn_values_add(values, "lr", t->last.lr);
    bn_values_add(values, "wd", t->last.wd);
    bn_values_add(values, "grad_norm", t->last.grad_norm);
    bn_values_add(values, "tokens", (double)t->progress.step * t->meter.tokens_per_step);
    if (t->optimizer->rule.scaling) {
        bn_values_add(values, "optim/loss_scale", state->loss_scale);
        bn_values_add(values, "optim/skipped_steps", (double)state->skipped);
    }
}

static void add_codes(trainer *t)
{
    bn_quant_stats stats;
    bool histogram = t->config.quant.variant != BN_VARIANT_INT8;
    bn_codes_look(&t->codes, t->model, &stats);
    bn_quant_report(&stats, histogram, &t->values);
}

/* Takes the record of this step; with `alive` false only what a diverged run can still say. */
static bn_status say_record(trainer *t, bool alive, bn_error *err)
{
    const bn_config *config = &t->config;
    int64_t step = t->progress.step;
    add_progress(t);
    bn_status status = add_energy(t, err);
    bn_meter_report(&t->meter, &t->values);
    bool evaluates = alive && (is_last(t) || due(step, config->train.eval_every));
    if (status == BN_OK && evaluates) status = validate(t, err);
    if (status != BN_OK) return status;
    if (alive && t->codes.count > 0 && (is_last(t) || due(step, config->train.quant_every))) {
        add_codes(t);
    }
    if (is_last(t)) bn_meter_facts(&t->meter, &t->model->params, &t->values);
    if (is_last(t) && !isnan(t->info->entropy_floor)) {
        bn_values_add(&t->values, "data/entropy_floor", t->info->entropy_floor);
    }
    bn_record record = {.seq = t->progress.seq++,
                        .step = step,
                        .wall_s = bn_clock_wall_s(),
                        .values = t->values.rows,
                        .count = t->values.count};
    if (t->events) bn_events_record(t->events, &record);
    t->progress.loss_sum = 0;
    t->progress.loss_steps = 0;
    return flush(t, false, err);
}

/* Every line is on disk before the file that names the next seq. */
static bn_status save(trainer *t, bn_error *err)
{
    if (t->saved_step == t->progress.step) return BN_OK;
    if (bn_parallel_compare(t->parallel, err) != BN_OK) return err->status;
    if (flush(t, true, err) != BN_OK) return err->status;
    bn_checkpoint what = checkpoint_of(t);
    int keep = (int)t->config.train.checkpoint_keep;
    bn_status status = BN_OK;
    if (is_root(t)) status = bn_checkpoint_write(&what, t->folder, keep, err);
    if (status == BN_OK) t->saved_step = t->progress.step;
    return status;
}

/* Whether anybody needs to know by now what became of the steps. Looking costs nothing where they
 * are done already; a device that works behind our back should not have to wait for us. */
static bool look_due(const trainer *t)
{
    return !t->be.ops->behind || record_due(t) ||
           due(t->progress.step, t->config.train.checkpoint_every) ||
           bn_optimizer_pending(t->optimizer) == BN_STEPS_MAX;
}

/* After a step: record, checkpoint, or the end of a run that cannot be saved. */
static bn_status after_step(trainer *t, bn_train_end *end, bn_error *err)
{
    if (!look_due(t)) return BN_OK;
    if (look(t, err) != BN_OK) return err->status;
    if (diverged(t)) {
        *end = BN_TRAIN_DIVERGED;
        return say_record(t, false, err);
    }
    if (record_due(t) && say_record(t, true, err) != BN_OK) return err->status;
    bool save_now = is_last(t) || due(t->progress.step, t->config.train.checkpoint_every);
    return save_now ? save(t, err) : BN_OK;
}

/* A run that has diverged without anybody having looked is no run to go on with. */
static bn_status stop_here(trainer *t, bn_train_end *end, bn_error *err)
{
    if (look(t, err) != BN_OK) return err->status;
    *end = diverged(t) ? BN_TRAIN_DIVERGED : BN_TRAIN_STOPPED;
    return diverged(t) ? say_record(t, false, err) : save(t, err);
}

/* Asked of all ranks before each step, so that all stop before the same one. */
static bn_status hear_stop(trainer *t, bool *stop, bn_error *err)
{
    double asked = t->job->stop && *t->job->stop ? 1 : 0;
    bn_status status = bn_parallel_add(t->parallel, &asked, 1, &asked, err);
    *stop = asked > 0;
    return status;
}

static bn_status train_all(trainer *t, bn_train_end *end, bn_error *err)
{
    *end = BN_TRAIN_FINISHED;
    while (!is_last(t) && *end == BN_TRAIN_FINISHED) {
        bool stop = false;
        if (hear_stop(t, &stop, err) != BN_OK) return err->status;
        if (stop) return stop_here(t, end, err);
        if (train_step(t, err) != BN_OK) return err->status;
        if (after_step(t, end, err) != BN_OK) return err->status;
    }
    return BN_OK;
}

static bn_status say_end(trainer *t, bn_train_end end, bn_error *err)
{
    char reason[REASON_MAX] = "";
    static const char *const words[] = {
        [BN_TRAIN_FINISHED] = "finished",
        [BN_TRAIN_STOPPED] = "stopped",
        [BN_TRAIN_DIVERGED] = "diverged",
    };
    if (end == BN_TRAIN_DIVERGED) {
        (void)snprintf(reason, sizeof reason, "diverged at step %lld", (long long)t->progress.step);
    }
    if (t->events) bn_events_end(t->events, words[end], reason);
    bn_status status = flush(t, true, err);
    double done = 1; /* until rank 0 has written its last line nobody leaves */
    return status == BN_OK ? bn_parallel_add(t->parallel, &done, 1, &done, err) : status;
}

static void close_all(trainer *t)
{
    bn_events_close(t->events);
    bn_parallel_close(t->parallel);
    bn_codes_release(&t->codes);
    bn_gpu_meter_release(&t->meter.gpu);
    bn_optimizer_close(t->optimizer);
    bn_model_close(t->model);
    bn_backend_close(t->be);
    bn_dataset_close(t->data);
    free(t->tokens);
    free(t->targets);
    free(t);
}

bn_status bn_train(const bn_train_job *job, bn_train_end *end, bn_error *err)
{
    *end = BN_TRAIN_FINISHED;
    trainer *t = calloc(1, sizeof *t);
    if (!t) return bn_fail(err, BN_ENOMEM, "no memory for a run");
    t->job = job;
    t->config = *job->config;
    bn_parallel_spec ranks = {.ranks = job->ranks, .dir = job->dir, .stop = job->stop};
    bn_status status = bn_parallel_open(&t->parallel, &ranks, err);
    if (status == BN_OK) status = open_data(t, err);
    if (status == BN_OK) status = open_network(t, err);
    if (status == BN_OK) {
        open_meter(t);
        status = open_folder(t, err);
    }
    if (status == BN_OK) status = say_begin(t, err);
    if (status == BN_OK) status = train_all(t, end, err);
    if (status == BN_OK) status = say_end(t, *end, err);
    if (status != BN_OK && t->parallel) bn_parallel_fail(t->parallel, err);
    close_all(t);
    return status;
}
