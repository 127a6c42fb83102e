/* cmd_eval.c - bnexp eval RUN: how well a trained network predicts, measured with packed weights.
 */
#include <math.h>
#include <stdio.h>

#include "engine/base/text.h"
#include "engine/generate.h"
#include "runner/cli/checkpoint_of.h"
#include "runner/cli/command.h"
#include "runner/cli/commands.h"
#include "runner/cli/options.h"

typedef struct eval_options {
    const char *run, *home, *data, *head;
    int64_t tokens, threads;
    bool best, json, help;
} eval_options;

typedef struct eval_figures {
    const char *path; /* of the checkpoint */
    bn_evaluation measured;
    bn_infer_bytes bytes;
    double bits_per_byte; /* NaN: unknown */
    double floor;         /* nats per byte; NaN: unknown */
} eval_figures;

static bn_status parse(int argc, char **argv, eval_options *o, bn_error *err)
{
    const bn_option table[] = {
        {"--data", 0, BN_OPTION_TEXT, &o->data, "PATH", "another text than the run's (data.path)"},
        {"--tokens", 0, BN_OPTION_INT, &o->tokens, "N", "about so many of validation; 0: all"},
        {"--best", 0, BN_OPTION_FLAG, &o->best, NULL, "the best checkpoint, not the newest"},
        {"--head", 0, BN_OPTION_TEXT, &o->head, "HEAD", "trained, or int8 as generate has it"},
        {"--threads", 0, BN_OPTION_INT, &o->threads, "N", "0: one a core"},
        {"--json", 0, BN_OPTION_FLAG, &o->json, NULL, "one JSON object"},
        {"--home", 0, BN_OPTION_TEXT, &o->home, "DIR", "where runs are"},
    };
    const bn_option_range ranges[] = {
        {&o->tokens, 0, INFINITY, false},
        {&o->threads, 0, BN_OPTION_THREADS_MAX, false},
    };
    const bn_options options = {
        .usage = "bnexp eval RUN [options]",
        .about =
            "Loss of a trained network on the validation part, with the weights packed as for\n"
            "bnexp generate. RUN is a run's name or id, its folder, or a checkpoint's file.",
        .table = table,
        .count = sizeof table / sizeof table[0],
        .ranges = ranges,
        .range_count = sizeof ranges / sizeof ranges[0],
        .arguments_min = 1,
        .arguments_max = 1,
    };
    bn_option_list arguments;
    bn_status status = bn_options_parse(&options, argc, argv, &arguments, &o->help, err);
    if (status == BN_OK && o->data && !*o->data) {
        status = bn_fail(err, BN_EINVAL, "--data must name a text file or token shards, is ''");
    }
    if (status == BN_OK && !o->help) o->run = arguments.items[0];
    return status;
}

static void print_json(const eval_figures *f)
{
    const struct {
        const char *name;
        double number;
    } members[] = {
        {"loss", f->measured.loss},
        {"ppl", exp(f->measured.loss)},
        {"bits_per_byte", f->bits_per_byte},
        {"entropy_floor_nats_per_byte", f->floor},
        {"tokens", (double)f->measured.tokens},
        {"tokens_per_s", (double)f->measured.tokens / f->measured.seconds},
        {"linear_bytes", (double)f->bytes.linear},
        {"table_bytes", (double)f->bytes.table},
        {"head_bytes", (double)f->bytes.head},
        {"cache_bytes", (double)f->bytes.cache},
        {"bits_per_weight", 8.0 * (double)f->bytes.linear / (double)f->bytes.weights},
    };
    bn_text text = {0};
    bn_json json = {.text = &text, .nonfinite = BN_NONFINITE_NULL};
    bn_json_object(&json);
    bn_json_key(&json, "schema_version");
    bn_json_int(&json, 1);
    bn_json_key(&json, "checkpoint");
    bn_json_string(&json, f->path);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        bn_json_key(&json, members[i].name);
        bn_json_real(&json, members[i].number);
    }
    bn_json_end_object(&json);
    (void)printf("%s\n", text.data);
    bn_text_release(&text);
}

static void print_lines(const eval_figures *f)
{
    (void)printf("%s\n", f->path);
    (void)printf("  loss          %.4f nats per token, perplexity %.2f\n", f->measured.loss,
                 exp(f->measured.loss));
    if (!isnan(f->bits_per_byte)) (void)printf("  bits per byte %.4f\n", f->bits_per_byte);
    if (!isnan(f->floor)) {
        (void)printf("  floor         %.4f bits per byte, the source's own entropy\n",
                     f->floor / log(2.0));
    }
    (void)printf("  tokens        %lld at %.0f/s\n", (long long)f->measured.tokens,
                 (double)f->measured.tokens / f->measured.seconds);
    (void)printf("  weights       %.2f bits each in the blocks, %.2f MB\n",
                 8.0 * (double)f->bytes.linear / (double)f->bytes.weights,
                 (double)f->bytes.linear / 1e6);
    (void)printf("  beside them   token table %.2f MB, ", (double)f->bytes.table / 1e6);
    if (f->bytes.head) (void)printf("output head %.2f MB, ", (double)f->bytes.head / 1e6);
    (void)printf("keys and values %.2f MB\n", (double)f->bytes.cache / 1e6);
}

static bn_status open_data(const eval_options *o, const bn_config *config, bn_dataset **out,
                           bn_error *err)
{
    const bn_dataset_spec spec = {.path = o->data ? o->data : config->data.path,
                                  .tokenizer = config->data.tokenizer,
                                  .cache = config->data.cache,
                                  .val_fraction = config->data.val_fraction};
    bn_status status = bn_dataset_open(out, &spec, (int)config->model.context, err);
    if (status != BN_OK) return status;
    int vocab = bn_dataset_info_of(*out)->vocab;
    if (vocab <= config->model.vocab) return BN_OK;
    return bn_fail(err, BN_EINVAL,
                   "%.100s has %d different tokens, the network's 'model.vocab' is "
                   "%lld",
                   spec.path, vocab, (long long)config->model.vocab);
}

static bn_status evaluate(const eval_options *o, eval_figures *f, char path[BN_PATH_MAX],
                          bn_error *err)
{
    bn_infer *infer = NULL;
    bn_dataset *data = NULL;
    f->path = path;
    bn_infer_options options = {.threads = (int)o->threads};
    bn_status status = bn_infer_head_parse(&options.head, o->head, err);
    if (status == BN_OK) {
        status = bn_checkpoint_of(path, bn_command_home(o->home), o->run, o->best, err);
    }
    if (status == BN_OK) status = bn_infer_open_file(&infer, path, &options, err);
    if (status == BN_OK) status = open_data(o, bn_infer_config(infer), &data, err);
    if (status == BN_OK) status = bn_evaluate(infer, data, o->tokens, &f->measured, err);
    if (status == BN_OK) {
        const bn_dataset_info *info = bn_dataset_info_of(data);
        double per_token = info->val_bytes_per_token;
        f->bytes = bn_infer_measure(infer);
        f->floor = info->entropy_floor;
        f->bits_per_byte = per_token > 0 ? f->measured.loss / log(2.0) / per_token : (double)NAN;
    }
    bn_dataset_close(data);
    bn_infer_close(infer);
    return status;
}

int bn_cmd_eval(int argc, char **argv)
{
    eval_options o = {.head = "trained"};
    eval_figures figures = {0};
    bn_error err = {0};
    char path[BN_PATH_MAX];
    if (parse(argc, argv, &o, &err) != BN_OK) return bn_command_fail(&err);
    if (o.help) return BN_EXIT_OK;
    if (evaluate(&o, &figures, path, &err) != BN_OK) return bn_command_fail(&err);
    (o.json ? print_json : print_lines)(&figures);
    return BN_EXIT_OK;
}
