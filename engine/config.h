/* config.h - THE knob table: every setting of a run, once.
 *
 * A row of the table gives a knob's name, kind, range, default, unit and help. TOML, --set, --help,
 * validation, wandb's config, the database and the dashboard's columns all follow from the row.
 * Adding a knob is adding a field to bn_config and a row to the table in config.c.
 */
#ifndef BN_ENGINE_CONFIG_H
#define BN_ENGINE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"
#include "engine/base/text.h"

/* The order of each enum is the order of the words in its knob's row. */
typedef enum bn_variant {
    BN_VARIANT_TERNARY, /* BitNet b1.58 (arXiv:2402.17764): absmean ternary weights, int8
                           activations */
    BN_VARIANT_BINARY,  /* BitNet v1 (arXiv:2310.11453): sign(W - mean W), int8 activations */
    BN_VARIANT_INT8,    /* W8A8: absmax int8 per weight tensor, the same activations */
    BN_VARIANT_BF16,
    BN_VARIANT_FP16, /* with dynamic loss scaling */
    BN_VARIANT_FP32,
} bn_variant;
typedef enum bn_act_bits { BN_ACT_BITS_8, BN_ACT_BITS_NONE } bn_act_bits;
typedef enum bn_weight_scale { BN_WEIGHT_SCALE_ABSMEAN, BN_WEIGHT_SCALE_MEDIAN } bn_weight_scale;
typedef enum bn_backward { BN_BACKWARD_FP32, BN_BACKWARD_BF16, BN_BACKWARD_INT8 } bn_backward;
typedef enum bn_norm { BN_NORM_LEARNED, BN_NORM_PLAIN, BN_NORM_NONE } bn_norm;
typedef enum bn_activation { BN_ACTIVATION_SILU, BN_ACTIVATION_RELU2 } bn_activation;
typedef enum bn_head_type { BN_HEAD_AUTO, BN_HEAD_FP32, BN_HEAD_BF16 } bn_head_type;
typedef enum bn_float_type {
    BN_FLOAT_AUTO, /* by variant, device or both: bitlinear.h */
    BN_FLOAT_FP32,
    BN_FLOAT_BF16,
    BN_FLOAT_FP16,
} bn_float_type;
typedef enum bn_lr_schedule {
    BN_LR_AUTO, /* never after bn_config_resolve */
    BN_LR_COSINE,
    BN_LR_LINEAR,
    BN_LR_WSD,       /* warm-up, stable, decay */
    BN_LR_TWO_STAGE, /* BitNet FAQ: linear from lr, at half-way on from lr2 */
    BN_LR_CONSTANT,
} bn_lr_schedule;
typedef enum bn_wd_schedule { BN_WD_AUTO, BN_WD_CONSTANT, BN_WD_TWO_STAGE } bn_wd_schedule;

enum { BN_CONFIG_TEXT_MAX = 1024 };

typedef struct bn_config {
    struct {
        int64_t vocab, width, layers, heads, kv_heads, ffn, context;
        bool tied;
        double rope_theta, norm_eps, init_std, embed_std;
        int attn_norm, attn_sub_norm, ffn_norm, ffn_sub_norm; /* bn_norm */
        bool inner_norm;
        int activation; /* bn_activation */
        int head;       /* bn_head_type */
        int attention;  /* bn_float_type */
    } model;
    struct {
        int variant, act_bits, weight_scale, backward; /* the enums above */
        bool fp16_scale;
    } quant;
    struct {
        double lr, lr2, lr_final, beta1, beta2, eps, weight_decay, clip, decay_fraction;
        int64_t warmup_steps;
        int schedule, wd_schedule;
    } optim;
    struct {
        int64_t seed, steps, batch, accum;
        int64_t log_every, eval_every, eval_tokens, checkpoint_every, checkpoint_keep, quant_every;
        int64_t threads;
        char device[16];
        bool layer_grad_norms;
        int activations; /* bn_float_type */
    } train;
    struct {
        char path[BN_CONFIG_TEXT_MAX];
        char tokenizer[BN_CONFIG_TEXT_MAX];
        char cache[BN_CONFIG_TEXT_MAX];
        double val_fraction;
    } data;
} bn_config;

typedef enum bn_knob_kind {
    BN_KNOB_INT,
    BN_KNOB_REAL,
    BN_KNOB_BOOL,
    BN_KNOB_CHOICE,
    BN_KNOB_TEXT
} bn_knob_kind;

typedef struct bn_knob {
    const char *name; /* "optim.lr": its name in TOML, --set, wandb, database and page */
    bn_knob_kind kind;
    size_t offset, size_bytes; /* of its field in bn_config */
    double min, max;           /* INT and REAL: both ends allowed */
    const char *choices;       /* CHOICE: "ternary|binary|..." in the order of its enum */
    const char *standard;      /* its default, as text */
    bool identity;             /* part of what is trained; false: only how (threads, cache, ...) */
    const char *unit;          /* "" when it has none */
    const char *help;          /* one line */
} bn_knob;

/* The whole table, *count rows. */
const bn_knob *bn_knob_table(size_t *count);
const bn_knob *bn_knob_find(const char *name); /* NULL: there is none */

/* Every knob at its default. */
void bn_config_init(bn_config *config);

/* Sets one knob from its text. BN_EINVAL names the knob, what was expected and, for a name that
 * does not exist, the nearest one that does. */
BN_MUST_CHECK bn_status bn_config_set(bn_config *config, const char *name, const char *text,
                                      bn_error *err);

/* Overlays a built-in preset ("tiny", "seed70m", ...). BN_ENOENT names the nearest. */
BN_MUST_CHECK bn_status bn_config_preset(bn_config *config, const char *preset, bn_error *err);
const char *const *bn_config_preset_names(size_t *count);

/* Fills what is left to the engine (0 in kv_heads, ffn, lr, ...) by its published rule and checks
 * the knobs against each other (heads divide the width, ...). BN_EINVAL names both knobs and
 * values. */
BN_MUST_CHECK bn_status bn_config_resolve(bn_config *config, bn_error *err);

/* One knob as text: what bn_config_set would take. */
void bn_config_get(const bn_config *config, const bn_knob *knob, bn_text *out);

/* One knob as a JSON value. */
void bn_config_json_value(const bn_config *config, const bn_knob *knob, bn_json *out);

/* {"model.width":128, ...} in the table's order. only_identity leaves out knobs that say how. */
void bn_config_json(const bn_config *config, bool only_identity, bn_json *out);

/* A choice knob's current word, e.g. bn_config_word(config, "quant.variant") -> "ternary". */
const char *bn_config_word(const bn_config *config, const char *name, char out[32]);

#endif
