/* bnexp bench: products beside the peak of the same process, and whole training steps.
 *
 * Machines are noisy: variants are stepped in turn, round after round, and what is compared is the
 * median over rounds of the ratio within a round. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bench.h"
#include "engine/device.h"
#include "runner/cli/bench_infer.h"
#include "runner/cli/bench_peak.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/knobs.h"
#include "runner/cli/options.h"

enum { ROUNDS_MAX = 1000, CONTENDERS_MAX = 8, PRODUCT_REPEATS = 15 };

/* A way to train: knobs over the preset. */
typedef struct contender {
    const char *name;
    const char *knobs[3];
} contender;

static const contender contenders[] = {
    {"ternary", {"quant.variant=ternary", "quant.backward=bf16"}},
    {"ternary_int8bwd", {"quant.variant=ternary", "quant.backward=int8"}},
    {"ternary_fp32bwd", {"quant.variant=ternary", "quant.backward=fp32"}},
    {"bf16", {"quant.variant=bf16"}},
    {"fp32", {"quant.variant=fp32"}},
    {"fp16", {"quant.variant=fp16"}},
    {"int8", {"quant.variant=int8", "quant.backward=bf16"}},
    {"binary", {"quant.variant=binary", "quant.backward=bf16"}},
};
enum { CONTENDER_COUNT = sizeof contenders / sizeof contenders[0] };

typedef struct bench_options {
    const char *preset, *variants, *device;
    bn_option_list sets;
    int64_t threads, rounds;
    bool json, help, kernels_only, steps_only, inference_only;
} bench_options;

/* What was measured of one contender. */
typedef struct lane {
    const contender *who;
    bn_bench bench;
    double step_s[ROUNDS_MAX];
} lane;

typedef struct table {
    bn_backend be;
    lane lanes[CONTENDERS_MAX];
    int count;
    int rounds;
} table;

static bn_status parse(int argc, char **argv, bench_options *o, bn_error *err)
{
    const bn_option rows[] = {
        {"--preset", 0, BN_OPTION_TEXT, &o->preset, "NAME", "model to train (default: bitnet70m)"},
        {"--variants", 0, BN_OPTION_TEXT, &o->variants, "A,B",
         "ternary, ternary_int8bwd, ternary_fp32bwd, bf16, fp32, fp16, int8, binary\n"
         "(default: ternary,ternary_int8bwd,bf16,fp32)"},
        {"--set", 0, BN_OPTION_LIST, &o->sets, "KNOB=VALUE", "set one knob; may be repeated"},
        {"--threads", 0, BN_OPTION_INT, &o->threads, "N", "0: one a core"},
        {"--device", 0, BN_OPTION_TEXT, &o->device, "NAME", "default: cpu"},
        {"--rounds", 'n', BN_OPTION_INT, &o->rounds, "N", "steps of each variant (default: 5)"},
        {"--kernels", 0, BN_OPTION_FLAG, &o->kernels_only, NULL, "products only"},
        {"--steps", 0, BN_OPTION_FLAG, &o->steps_only, NULL, "training steps only"},
        {"--inference", 0, BN_OPTION_FLAG, &o->inference_only, NULL, "prefill and decode only"},
        {"--json", 0, BN_OPTION_FLAG, &o->json, NULL, "as JSON on standard output"},
    };
    const bn_option_range ranges[] = {
        {&o->threads, 0, BN_OPTION_THREADS_MAX, false},
        {&o->rounds, 1, ROUNDS_MAX, false},
    };
    const bn_options options = {
        .usage = "bnexp bench [options]",
        .about =
            "Measures the products of a linear layer beside the peak of the same process,\n"
            "whole training steps of each variant on random tokens, in turn, and how fast the\n"
            "ternary and the bf16 network read a prompt and write tokens.",
        .table = rows,
        .count = sizeof rows / sizeof rows[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
    };
    bn_option_list arguments;
    return bn_options_parse(&options, argc, argv, &arguments, &o->help, err);
}

static const contender *find(const char *name, size_t length)
{
    for (size_t i = 0; i < CONTENDER_COUNT; i++) {
        const char *known = contenders[i].name;
        if (strlen(known) == length && strncmp(known, name, length) == 0) return &contenders[i];
    }
    return NULL;
}

static bn_status configure(const bench_options *o, const contender *who, bn_config *config,
                           bn_error *err)
{
    bn_config_init(config);
    bn_status status = bn_config_preset(config, o->preset, err);
    if (status == BN_OK) status = bn_knobs_set(config, "train.accum=1", err);
    for (size_t i = 0; status == BN_OK && i < o->sets.count; i++) {
        status = bn_knobs_set(config, o->sets.items[i], err);
    }
    for (int i = 0; status == BN_OK && i < 3 && who->knobs[i]; i++) {
        status = bn_knobs_set(config, who->knobs[i], err);
    }
    if (status == BN_OK && config->model.vocab == 0) config->model.vocab = 256; /* bytes */
    if (status == BN_OK) status = bn_config_resolve(config, err);
    return status;
}

/* A lane for each that the list "a,b,c" names, and whether its knobs go together: a mistake is told
 * before anything is measured. */
static bn_status name_lanes(table *t, const bench_options *o, bn_error *err)
{
    size_t length = 0;
    for (const char *at = o->variants; *at; at += length + (at[length] == ',')) {
        bn_config config;
        length = strcspn(at, ",");
        const contender *who = find(at, length);
        if (!who) {
            return bn_fail(err, BN_EINVAL, "--variants: there is no '%.*s'; --help lists them",
                           (int)length, at);
        }
        if (t->count == CONTENDERS_MAX) {
            return bn_fail(err, BN_EINVAL, "--variants: at most %d", CONTENDERS_MAX);
        }
        if (configure(o, who, &config, err) != BN_OK) return err->status = BN_EINVAL;
        t->lanes[t->count++].who = who;
    }
    return BN_OK;
}

static bn_status open_lanes(table *t, const bench_options *o, bn_error *err)
{
    for (int i = 0; i < t->count; i++) {
        bn_config config;
        bn_status status = configure(o, t->lanes[i].who, &config, err);
        if (status == BN_OK) status = bn_bench_open(&t->lanes[i].bench, t->be, &config, err);
        if (status != BN_OK) return status;
    }
    return BN_OK;
}

static bn_status run_rounds(table *t, int rounds, bn_error *err)
{
    int warm = t->count > 0 ? bn_bench_warm_steps(&t->lanes[0].bench) : 0;
    for (int round = -warm; round < rounds; round++) {
        for (int i = 0; i < t->count; i++) {
            double step_s = 0;
            bn_status status = bn_bench_step(&t->lanes[i].bench, &step_s, err);
            if (status != BN_OK) return bn_fail_in(err, "%s", t->lanes[i].who->name);
            if (round >= 0) {
                t->lanes[i].step_s[round] = step_s;
            } else {
                bn_bench_forget(&t->lanes[i].bench);
            }
        }
    }
    t->rounds = rounds;
    for (int i = 0; i < t->count; i++) {
        bn_status status = bn_bench_count(&t->lanes[i].bench, rounds, err);
        if (status != BN_OK) return bn_fail_in(err, "%s", t->lanes[i].who->name);
    }
    return BN_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double median_step_s(const table *t, int lane_index)
{
    double values[ROUNDS_MAX];
    memcpy(values, t->lanes[lane_index].step_s, (size_t)t->rounds * sizeof *values);
    return median(values, t->rounds);
}

/* How many times as many tokens a second a has as b: the median over rounds. */
static double ratio(const table *t, int a, int b)
{
    double values[ROUNDS_MAX];
    for (int i = 0; i < t->rounds; i++) values[i] = t->lanes[b].step_s[i] / t->lanes[a].step_s[i];
    return median(values, t->rounds);
}

static double tokens_per_s(const table *t, int i)
{
    return (double)bn_bench_tokens_a_step(&t->lanes[i].bench) / median_step_s(t, i);
}

static double op_ms(const bn_bench *bench, int op)
{
    return 1000 * bench->profile.seconds[op] / (double)bench->counted;
}

static void json_ops(bn_json *json, const bn_bench *bench)
{
    bn_json_key(json, "mean_ms");
    bn_json_object(json);
    for (int op = 0; op < BN_PROFILE_OPS; op++) {
        bn_json_key(json, bn_profile_name((bn_profile_op)op));
        bn_json_real(json, op_ms(bench, op));
    }
    bn_json_end_object(json);
}

static void json_steps(bn_json *json, const table *t)
{
    bn_json_key(json, "steps");
    bn_json_array(json);
    for (int i = 0; i < t->count; i++) {
        const bn_bench *bench = &t->lanes[i].bench;
        bn_json_object(json);
        bn_json_key(json, "variant");
        bn_json_string(json, t->lanes[i].who->name);
        bn_json_key(json, "tokens_per_s");
        bn_json_real(json, tokens_per_s(t, i));
        bn_json_key(json, "step_ms");
        bn_json_real(json, 1000 * median_step_s(t, i));
        json_ops(json, bench);
        double mfu = bn_bench_mfu(t->be, bench, tokens_per_s(t, i));
        if (mfu > 0) {
            bn_json_key(json, "mfu");
            bn_json_real(json, mfu);
        }
        bn_json_end_object(json);
    }
    bn_json_end_array(json);
    bn_json_key(json, "ratios");
    bn_json_object(json);
    for (int a = 0; a < t->count; a++) {
        for (int b = a + 1; b < t->count; b++) {
            char name[96];
            (void)snprintf(name, sizeof name, "%s_vs_%s", t->lanes[a].who->name,
                           t->lanes[b].who->name);
            bn_json_key(json, name);
            bn_json_real(json, ratio(t, a, b));
        }
    }
    bn_json_end_object(json);
}

static void print_steps(const table *t)
{
    (void)printf("\n%-16s %10s %9s  %s\n", "variant", "tokens/s", "ms/step",
                 t->be.ops->behind ? "where the time goes, op by op [ms]"
                                   : "where the time goes [ms]");
    for (int i = 0; i < t->count; i++) {
        const bn_bench *bench = &t->lanes[i].bench;
        (void)printf("%-16s %10.0f %9.1f ", t->lanes[i].who->name, tokens_per_s(t, i),
                     1000 * median_step_s(t, i));
        double mfu = bn_bench_mfu(t->be, bench, tokens_per_s(t, i));
        if (mfu > 0) (void)printf(" mfu %.1f %%", 100 * mfu);
        for (int op = 0; op < BN_PROFILE_OPS; op++) {
            (void)printf(" %s %.1f", bn_profile_name((bn_profile_op)op), op_ms(bench, op));
        }
        (void)printf("\n");
    }
    (void)printf("\n");
    for (int a = 0; a < t->count; a++) {
        for (int b = a + 1; b < t->count; b++) {
            (void)printf("%s is %.2fx %s\n", t->lanes[a].who->name, ratio(t, a, b),
                         t->lanes[b].who->name);
        }
    }
}

/* A product of the training shapes, in one number format. */
typedef struct kernel_row {
    const char *name;
    bn_dtype act;
    bn_weight_format format;
} kernel_row;

static const kernel_row kernel_rows[] = {
    {"f32", BN_F32, {.kind = BN_WEIGHT_F32}},
    {"bf16", BN_BF16, {.kind = BN_WEIGHT_BF16}},
    {"ternary", BN_I8, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_BF16}},
    {"ternary, int8 backward", BN_I8, {.kind = BN_WEIGHT_TERNARY, .backward = BN_PRODUCT_I8}},
};
static const int kernel_shapes[][3] = {{2048, 768, 768}, {2048, 768, 2304}, {2048, 2304, 768}};
enum {
    KERNEL_ROWS = sizeof kernel_rows / sizeof kernel_rows[0],
    KERNEL_SHAPES = sizeof kernel_shapes / sizeof kernel_shapes[0],
    CARD_TIMES = 16, /* as many rows: a card is idle for a moment before every product */
};

typedef struct kernel_result {
    double forward, backward;           /* operations a second */
    double forward_peak, backward_peak; /* of their formats */
} kernel_result;

static bn_dtype backward_dtype(const kernel_row *row)
{
    if (row->act != BN_I8) return row->act;
    return row->format.backward == BN_PRODUCT_I8 ? BN_I8 : BN_BF16;
}

static bn_status measure_kernel(bn_backend be, const kernel_row *row, const int shape[3],
                                kernel_result *out, bn_error *err)
{
    bn_bench_product product = {.rows = shape[0],
                                .ins = shape[1],
                                .outs = shape[2],
                                .act = row->act,
                                .format = row->format};
    bn_bench_times times;
    bn_status status = bn_bench_linear(&times, be, &product, PRODUCT_REPEATS, err);
    if (status != BN_OK) return status;
    double operations = 2.0 * shape[0] * shape[1] * shape[2];
    *out = (kernel_result){.forward = operations / times.forward_s,
                           .backward = 2 * operations / times.backward_s,
                           .forward_peak = bn_bench_device_peak(be, row->act),
                           .backward_peak = bn_bench_device_peak(be, backward_dtype(row))};
    return BN_OK;
}

/* "forward 892 G/s 84 %"; without the share where the device's peak is not known. */
static void print_rate(const char *name, double rate, double peak)
{
    (void)printf("  %s %7.0f G/s", name, rate / 1e9);
    if (peak > 0) (void)printf(" %3.0f %%", 100 * rate / peak);
}

static void tell_kernel(bn_json *json, const kernel_row *row, const int shape[3],
                        const kernel_result *r)
{
    if (!json) {
        (void)printf("%-24s %4d x %4d x %4d", row->name, shape[0], shape[1], shape[2]);
        print_rate("forward", r->forward, r->forward_peak);
        print_rate("backward", r->backward, r->backward_peak);
        (void)printf("\n");
        return;
    }
    const struct {
        const char *key;
        double number;
    } members[] = {{"rows", shape[0]},
                   {"ins", shape[1]},
                   {"outs", shape[2]},
                   {"forward_gflops", r->forward / 1e9},
                   {"forward_share", r->forward / r->forward_peak},
                   {"backward_gflops", r->backward / 1e9},
                   {"backward_share", r->backward / r->backward_peak}};
    bn_json_object(json);
    bn_json_key(json, "format");
    bn_json_string(json, row->name);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        bn_json_key(json, members[i].key);
        bn_json_real(json, members[i].number);
    }
    bn_json_end_object(json);
}

static bn_status run_kernels(bn_backend be, bn_json *json, bn_error *err)
{
    if (json) {
        bn_json_key(json, "kernels");
        bn_json_array(json);
    }
    for (int i = 0; i < KERNEL_ROWS * KERNEL_SHAPES; i++) {
        const kernel_row *row = &kernel_rows[i / KERNEL_SHAPES];
        const int *of = kernel_shapes[i % KERNEL_SHAPES];
        const int shape[] = {of[0] * (be.ops->behind ? CARD_TIMES : 1), of[1], of[2]};
        kernel_result result;
        bn_status status = measure_kernel(be, row, shape, &result, err);
        if (status != BN_OK) return status;
        tell_kernel(json, row, shape, &result);
    }
    if (json) bn_json_end_array(json);
    return BN_OK;
}

/* Whether --variants names it. */
static bool is_wanted(const bench_options *o, const char *variant)
{
    size_t length = strlen(variant);
    for (const char *at = o->variants; *at; at += *at == ',') {
        size_t named = strcspn(at, ",");
        if (named == length && strncmp(at, variant, length) == 0) return true;
        at += named;
    }
    return false;
}

static bn_status run_inference(const bench_options *o, bn_json *json, bn_error *err)
{
    static const struct {
        const char *name, *variant;
        bn_infer_head head;
    } rows[] = {{"ternary", "ternary", BN_INFER_HEAD_INT8},
                {"ternary_trained_head", "ternary", BN_INFER_HEAD_TRAINED},
                {"bf16", "bf16", BN_INFER_HEAD_TRAINED}};
    if (json) {
        bn_json_key(json, "inference");
        bn_json_array(json);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bn_config config;
        bn_infer_figures figures;
        if (!is_wanted(o, rows[i].variant)) continue;
        const bn_infer_options options = {.threads = (int)o->threads, .head = rows[i].head};
        const contender *who = find(rows[i].variant, strlen(rows[i].variant));
        bn_status status = configure(o, who, &config, err);
        if (status == BN_OK) status = bn_bench_infer(&config, &options, &figures, err);
        if (status != BN_OK) return status;
        if (json) {
            bn_infer_figures_json(&figures, rows[i].name, json);
        } else {
            bn_infer_figures_print(&figures, rows[i].name);
        }
    }
    if (json) bn_json_end_array(json);
    return BN_OK;
}

static bn_status run_steps(const bench_options *o, table *t, bn_json *json, bn_error *err)
{
    bn_status status = open_lanes(t, o, err);
    if (status == BN_OK) status = run_rounds(t, (int)o->rounds, err);
    if (status != BN_OK) return status;
    if (json) {
        json_steps(json, t);
    } else {
        print_steps(t);
    }
    return BN_OK;
}

static bn_status run(const bench_options *o, table *t, bn_json *json, bn_error *err)
{
    char device[BN_DEVICE_TEXT_MAX];
    bn_status status = name_lanes(t, o, err);
    if (status == BN_OK) status = bn_device_open(&t->be, o->device, (int)o->threads, err);
    if (status != BN_OK) return status;
    (void)bn_device_describe(t->be, device);
    if (json) {
        bn_json_key(json, "device");
        bn_json_string(json, device);
    } else {
        (void)printf("%s\n", device);
    }
    bool all = !o->kernels_only && !o->steps_only && !o->inference_only;
    if (all || o->kernels_only) status = run_kernels(t->be, json, err);
    if (status == BN_OK && (all || o->steps_only)) status = run_steps(o, t, json, err);
    if (status == BN_OK && (all || o->inference_only)) status = run_inference(o, json, err);
    return status;
}

int bn_cmd_bench(int argc, char **argv)
{
    bn_error err = {0};
    bench_options o = {.preset = "bitnet70m",
                       .variants = "ternary,ternary_int8bwd,bf16,fp32",
                       .device = "cpu",
                       .rounds = 5};
    bn_status status = parse(argc, argv, &o, &err);
    if (status != BN_OK) return bn_command_fail(&err);
    if (o.help) return BN_EXIT_OK;
    table *t = calloc(1, sizeof *t);
    if (!t) {
        (void)bn_fail(&err, BN_ENOMEM, "no memory for the measurements");
        return bn_command_fail(&err);
    }
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    status = run(&o, t, o.json ? &json : NULL, &err);
    bn_json_end_object(&json);
    if (status == BN_OK && o.json) (void)printf("%s\n", text.data);
    for (int i = 0; i < t->count; i++) bn_bench_close(&t->lanes[i].bench);
    bn_backend_close(t->be);
    free(t);
    bn_text_release(&text);
    return status == BN_OK ? BN_EXIT_OK : bn_command_fail(&err);
}
