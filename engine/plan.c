/* The dry run: what a configuration would train and take, without data. */
#include <stdio.h>
#include <string.h>

#include "engine/corpus/tokenizer.h"
#include "engine/cost.h"
#include "engine/device.h"
#include "engine/model.h"
#include "engine/train.h"

typedef struct plan {
    bn_config config; /* vocabulary known */
    bn_params params;
    bn_model_bytes bytes;
    bn_cost cost;
} plan;

static bn_status settle_vocabulary(bn_config *config, bn_error *err)
{
    bn_tokenizer *tokenizer = NULL;
    if (config->model.vocab > 0) return BN_OK;
    bn_status status = bn_tokenizer_open(&tokenizer, config->data.tokenizer, err);
    if (status == BN_OK) config->model.vocab = bn_tokenizer_vocab(tokenizer);
    bn_tokenizer_close(tokenizer);
    return status;
}

/* A device that is not here still has a plan: the working forms are then counted as the reference
 * backend keeps them. */
static bn_status measure(plan *p, bn_error *err)
{
    bn_error absent = {0};
    bn_backend be = {0};
    bn_status status = bn_device_open(&be, p->config.train.device, 1, &absent);
    bool known = bn_device_is_card(p->config.train.device);
    if (status == BN_EINVAL && !known) return bn_fail(err, status, "%s", absent.text);
    if (status != BN_OK) status = bn_device_open(&be, "reference", 1, err);
    if (status == BN_OK) status = bn_model_measure(&p->bytes, be, &p->config, err);
    bn_backend_close(be);
    return status;
}

static size_t total_bytes(const bn_model_bytes *bytes)
{
    return bytes->weights + bytes->grads + bytes->optimizer + bytes->activations;
}

static const char *role_word(const bn_tensor *tensor)
{
    switch (tensor->role) {
    case BN_ROLE_EMBED:
        return "embedding";
    case BN_ROLE_HEAD:
        return "head";
    case BN_ROLE_FINAL_NORM:
    case BN_ROLE_NORM:
        return "norm";
    case BN_ROLE_LINEAR:
        break;
    }
    return "linear";
}

static void print_text(const plan *p, bn_text *out)
{
    char word[32];
    const char *variant = bn_config_word(&p->config, "quant.variant", word);
    bn_text_addf(out, "%-52s %-10s %14s %12s\n", "tensor", "kind", "shape", "parameters");
    for (size_t i = 0; i < p->params.count; i++) {
        const bn_tensor *tensor = &p->params.tensors[i];
        char shape[32];
        bool low = tensor->role == BN_ROLE_LINEAR;
        (void)snprintf(shape, sizeof shape, "%d x %d", tensor->rows, tensor->cols);
        bn_text_addf(out, "%-52s %-10s %14s %12zu\n", tensor->name,
                     low ? variant : role_word(tensor), shape, tensor->count);
    }
    bn_text_addf(out, "parameters      %lld\n", (long long)p->params.total);
    bn_text_addf(out, "low-bit         %lld (%.1f %%)\n", (long long)p->cost.ternary_params,
                 100.0 * (double)p->cost.ternary_params / (double)p->params.total);
    bn_text_addf(out,
                 "to train        %.1f MB: weights %.1f, gradients %.1f, optimizer %.1f, "
                 "activations %.1f\n",
                 (double)total_bytes(&p->bytes) / 1e6, (double)p->bytes.weights / 1e6,
                 (double)p->bytes.grads / 1e6, (double)p->bytes.optimizer / 1e6,
                 (double)p->bytes.activations / 1e6);
    bn_text_addf(out, "deployed        %.1f MB (fp16 twin: %.1f MB)\n",
                 p->cost.deployed_bytes / 1e6, p->cost.fp16_bytes / 1e6);
    bn_text_addf(out, "per token       %.1f MFLOP to train; arithmetic %.2f uJ to run (estimate)\n",
                 p->cost.train_flops_per_token / 1e6, p->cost.energy_estimate_j * 1e6);
}

static void print_bytes(const plan *p, bn_json *json)
{
    const struct {
        const char *key;
        double bytes;
    } rows[] = {
        {"weights", (double)p->bytes.weights},
        {"grads", (double)p->bytes.grads},
        {"optimizer", (double)p->bytes.optimizer},
        {"activations", (double)p->bytes.activations},
        {"total", (double)total_bytes(&p->bytes)},
        {"deployed", p->cost.deployed_bytes},
        {"fp16", p->cost.fp16_bytes},
    };
    bn_json_key(json, "bytes");
    bn_json_object(json);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bn_json_key(json, rows[i].key);
        bn_json_int(json, (int64_t)rows[i].bytes);
    }
    bn_json_end_object(json);
}

static void print_tensor(const bn_tensor *tensor, bn_json *json)
{
    bool gain = tensor->role == BN_ROLE_NORM || tensor->role == BN_ROLE_FINAL_NORM;
    bn_json_object(json);
    bn_json_key(json, "name");
    bn_json_string(json, tensor->name);
    bn_json_key(json, "kind");
    bn_json_string(json, role_word(tensor));
    bn_json_key(json, "shape");
    bn_json_array(json);
    if (!gain) bn_json_int(json, tensor->rows);
    bn_json_int(json, tensor->cols);
    bn_json_end_array(json);
    bn_json_key(json, "params");
    bn_json_int(json, (int64_t)tensor->count);
    bn_json_key(json, "decayed");
    bn_json_bool(json, tensor->decayed);
    bn_json_end_object(json);
}

static void print_json(const plan *p, bn_text *out)
{
    bn_json json = {.text = out, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "params");
    bn_json_int(&json, p->params.total);
    bn_json_key(&json, "ternary_params");
    bn_json_int(&json, p->cost.ternary_params);
    print_bytes(p, &json);
    bn_json_key(&json, "train_flops_per_token");
    bn_json_real(&json, p->cost.train_flops_per_token);
    bn_json_key(&json, "energy_estimate_j_per_token");
    bn_json_real(&json, p->cost.energy_estimate_j);
    bn_json_key(&json, "tensors");
    bn_json_array(&json);
    for (size_t i = 0; i < p->params.count; i++) print_tensor(&p->params.tensors[i], &json);
    bn_json_end_array(&json);
    bn_json_end_object(&json);
    bn_text_add(out, "\n");
}

bn_status bn_train_plan(const bn_config *config, bool json, bn_text *out, bn_error *err)
{
    plan p = {.config = *config};
    bn_status status = settle_vocabulary(&p.config, err);
    if (status == BN_OK) status = bn_params_init(&p.params, &p.config, err);
    if (status == BN_OK) status = measure(&p, err);
    if (status == BN_OK) {
        p.cost = bn_cost_of(&p.config, &p.params);
        if (json) {
            print_json(&p, out);
        } else {
            print_text(&p, out);
        }
        if (out->failed) status = bn_fail(err, BN_ENOMEM, "no memory for the plan");
    }
    bn_params_release(&p.params);
    return status;
}
