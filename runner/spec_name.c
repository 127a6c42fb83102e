/* What a run is called and what a sweep is: names from what varies, a hash of what is asked. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sha256.h"
#include "runner/spec_read.h"

enum { NAME_LENGTH_MAX = 64, WORD_MAX = 24 };

/* A name while it grows. lossy: it no longer says exactly which point it names. */
typedef struct naming {
    bn_text text;
    bool lossy;
} naming;

/* Letters, digits, '.', '_' and '-'; anything else could mean something to a shell, a path or a
 * page. */
static void add_word(naming *name, const char *words)
{
    int length = 0;
    for (const char *c = words; *c; c++, length++) {
        bool plain = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') ||
                     *c == '.' || *c == '-' || *c == '_';
        bool first = name->text.length == 0;
        if (length == WORD_MAX) {
            name->lossy = true;
            return;
        }
        if (first && (*c == '.' || *c == '-')) plain = false;
        if (!plain) name->lossy = true;
        bn_text_add_bytes(&name->text, plain ? c : "_", 1);
    }
    if (length == 0) bn_text_add(&name->text, "empty");
}

/* 1e-3, 0.05, 300, 2.5e-4: at most four digits, the shorter of both ways to write it. */
static void add_number(naming *name, double number)
{
    char plain[40], power[40];
    int digits = 1;
    if (number == floor(number) && fabs(number) < 1e9) {
        bn_text_addf(&name->text, "%.0f", number);
        return;
    }
    for (; digits < 4; digits++) {
        (void)snprintf(power, sizeof power, "%.*e", digits - 1, number);
        if (strtod(power, NULL) == number) break;
    }
    (void)snprintf(power, sizeof power, "%.*e", digits - 1, number);
    if (strtod(power, NULL) != number) name->lossy = true;
    char *e = strchr(power, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    (void)snprintf(e, sizeof power - (size_t)(e - power), "e%d", exponent);
    int decimals = digits - 1 - exponent;
    bool fits = decimals >= 0 && decimals < 12 && fabs(number) < 1e9;
    if (fits) (void)snprintf(plain, sizeof plain, "%.*f", decimals, number);
    bn_text_add(&name->text, fits && strlen(plain) <= strlen(power) ? plain : power);
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot[1] ? dot + 1 : name;
}

/* "lr" of "optim.lr", unless another parameter ends so too. */
static const char *short_name(const bn_space *space, int index)
{
    const char *own = last_part(space->params[index].name);
    for (int i = 0; i < space->count; i++) {
        if (i != index && strcmp(last_part(space->params[i].name), own) == 0) {
            return space->params[index].name;
        }
    }
    return own;
}

static bool varies(const bn_parameter *p)
{
    if (p->derived) return false;
    return p->dist != BN_DIST_CONSTANT && (p->dist != BN_DIST_CATEGORICAL || p->value_count > 1);
}

static void add_setting(naming *name, const bn_space *space, int index, const bn_setting *value)
{
    if (name->text.length > 0) bn_text_add(&name->text, "-");
    if (value->kind == BN_SETTING_TEXT) {
        add_word(name, value->text);
        return;
    }
    add_word(name, short_name(space, index));
    if (value->kind == BN_SETTING_BOOL) {
        bn_text_add(&name->text, value->number != 0 ? "1" : "0");
    } else {
        add_number(name, value->number);
    }
}

void bn_spec_run_name(const bn_spec *spec, const bn_point *point, int replicate, char out[96])
{
    char body[1024], tail[40] = "";
    naming name = {.lossy = false};
    bn_text_fixed(&name.text, body, sizeof body);
    for (int i = 0; i < point->count; i++) {
        if (point->values[i].kind == BN_SETTING_NONE || !varies(&spec->space.params[i])) continue;
        add_setting(&name, &spec->space, i, &point->values[i]);
    }
    if (name.text.length == 0) bn_text_add(&name.text, "run");
    char seed[16] = "";
    if (spec->replicates > 1) (void)snprintf(seed, sizeof seed, "-s%d", replicate);
    bool cut = name.text.failed || name.text.length + strlen(seed) > NAME_LENGTH_MAX;
    if (cut || name.lossy) {
        /* Seven hexadecimal digits of the point keep runs apart whose words are alike. */
        (void)snprintf(tail, sizeof tail, "-%07llx",
                       (unsigned long long)(bn_point_hash(point) >> 36));
    }
    int room = NAME_LENGTH_MAX - (int)strlen(tail) - (int)strlen(seed);
    (void)snprintf(out, 96, "%.*s%s%s", room, body, tail, seed);
}

static void add_parameter(bn_json *json, const bn_parameter *p)
{
    bn_json_object(json);
    bn_json_key(json, "name");
    bn_json_string(json, p->name);
    bn_json_key(json, "distribution");
    bn_json_string(json, bn_dist_name(p->dist));
    bn_json_key(json, "values");
    bn_json_array(json);
    for (int i = 0; i < p->value_count; i++) bn_setting_json(&p->values[i], json);
    bn_json_end_array(json);
    bn_json_key(json, "probabilities");
    bn_json_array(json);
    for (int i = 0; p->probabilities && i < p->value_count; i++) {
        bn_json_real(json, p->probabilities[i]);
    }
    bn_json_end_array(json);
    const double numbers[] = {p->min, p->max, p->mu, p->sigma, p->a, p->b, p->q, p->grid_points};
    bn_json_key(json, "numbers");
    bn_json_array(json);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) bn_json_real(json, numbers[i]);
    bn_json_end_array(json);
    bn_json_key(json, "zip");
    bn_json_int(json, p->zip);
    bn_json_key(json, "formulas");
    bn_json_array(json);
    bn_json_string(json, p->when ? bn_expr_text(p->when) : NULL);
    bn_json_string(json, p->derived ? bn_expr_text(p->derived) : NULL);
    bn_json_end_array(json);
    bn_json_end_object(json);
}

static void add_points(bn_json *json, const bn_spec *spec)
{
    bn_json_key(json, "constraints");
    bn_json_array(json);
    for (int i = 0; i < spec->space.constraint_count; i++) {
        bn_json_string(json, bn_expr_text(spec->space.constraints[i].expr));
    }
    bn_json_end_array(json);
    bn_json_key(json, "enqueue");
    bn_json_array(json);
    for (size_t i = 0; i < spec->enqueue_count; i++) {
        for (int k = 0; k < spec->enqueue[i].count; k++) {
            bn_setting_json(&spec->enqueue[i].values[k], json);
        }
    }
    bn_json_end_array(json);
}

static void add_words(bn_json *json, const bn_spec *spec)
{
    bn_json_object(json);
    bn_json_key(json, "method");
    bn_json_string(json, spec->method);
    bn_json_key(json, "order");
    bn_json_string(json, spec->order);
    bn_json_key(json, "metric");
    bn_json_string(json, spec->metric);
    bn_json_key(json, "goal");
    bn_json_string(json, spec->goal);
    if (strcmp(spec->impute, "worst") !=
        0) { /* absent from hashes made before there was a choice */
        bn_json_key(json, "impute");
        bn_json_string(json, spec->impute);
    }
    bn_json_key(json, "seed");
    bn_json_int(json, spec->seed);
    bn_json_key(json, "replicates");
    bn_json_int(json, spec->replicates);
    bn_json_key(json, "command");
    bn_json_array(json);
    for (int i = 0; spec->command[i]; i++) bn_json_string(json, spec->command[i]);
    bn_json_end_array(json);
    const bn_early *early = &spec->early;
    bn_json_key(json, "early_terminate");
    bn_json_array(json);
    bn_json_string(json, early->type);
    bn_json_int(json, early->min_iter);
    bn_json_int(json, early->max_iter);
    bn_json_int(json, early->s);
    bn_json_real(json, early->eta);
    bn_json_bool(json, early->strict);
    bn_json_real(json, early->threshold);
    bn_json_string(json, early->protect);
    bn_json_end_array(json);
}

bn_status bn_spec_hash(bn_spec *spec, bn_error *err)
{
    bn_text text = {0};
    bn_json json = {.text = &text};
    add_words(&json, spec);
    bn_json_key(&json, "parameters");
    bn_json_array(&json);
    for (int i = 0; i < spec->space.count; i++) add_parameter(&json, &spec->space.params[i]);
    bn_json_end_array(&json);
    add_points(&json, spec);
    bn_json_key(&json, "config");
    bn_config_json(&spec->config, true, &json);
    bn_json_end_object(&json);
    bool failed = text.failed;
    if (!failed) {
        bn_sha256 hash;
        bn_sha256_init(&hash);
        bn_sha256_add(&hash, text.data, text.length);
        bn_sha256_end(&hash, spec->hash);
    }
    bn_text_release(&text);
    return failed ? bn_fail(err, BN_ENOMEM, "too little memory for a hash") : BN_OK;
}
