#include "runner/cli/options.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/nearest.h"

static const bn_option *find(const bn_options *options, const char *word, size_t length)
{
    for (size_t i = 0; i < options->count; i++) {
        const bn_option *option = &options->table[i];
        bool by_name = strlen(option->name) == length && strncmp(option->name, word, length) == 0;
        bool by_letter =
            length == 2 && word[0] == '-' && option->letter && word[1] == option->letter;
        if (by_name || by_letter) return option;
    }
    return NULL;
}

static bn_status unknown(const bn_options *options, const char *word, bn_error *err)
{
    const char *near =
        bn_nearest(word, &options->table[0].name, options->count, sizeof options->table[0]);
    return bn_fail(err, BN_EINVAL, "there is no option '%.40s'%s%s%s", word,
                   near ? "; did you mean '" : "; see --help", near ? near : "", near ? "'?" : "");
}

static const bn_option_range *range_of(const bn_options *options, const bn_option *option)
{
    for (size_t i = 0; i < options->range_count; i++) {
        if (options->ranges[i].value == option->value) return &options->ranges[i];
    }
    return NULL;
}

static bool within(const bn_option_range *range, double number)
{
    bool enough = range->above ? number > range->least : number >= range->least;
    return enough && number <= range->most;
}

static bn_status refuse_number(const bn_option *option, const bn_option_range *range,
                               const char *text, bn_error *err)
{
    const char *what = option->kind == BN_OPTION_INT ? "a whole number" : "a number";
    char bounds[80];
    double least = range->least, most = range->most;
    if (range->above) {
        (void)snprintf(bounds, sizeof bounds, " above %.12g", least);
        if (isfinite(most)) {
            (void)snprintf(bounds, sizeof bounds, " above %.12g and at most %.12g", least, most);
        }
    } else if (isfinite(most)) {
        (void)snprintf(bounds, sizeof bounds, " from %.12g to %.12g", least, most);
    } else {
        (void)snprintf(bounds, sizeof bounds, ", %.12g or more", least);
    }
    return bn_fail(err, BN_EINVAL, "%s must be %s%s, is '%.40s'", option->name, what, bounds, text);
}

static bn_status set_number(const bn_options *options, const bn_option *option, const char *text,
                            bn_error *err)
{
    const bn_option_range *range = range_of(options, option);
    assert(range);
    char *end = NULL;
    errno = 0;
    if (option->kind == BN_OPTION_INT) {
        long long whole = strtoll(text, &end, 10);
        if (end > text && !*end && errno == 0 && within(range, (double)whole)) {
            *(int64_t *)option->value = whole;
            return BN_OK;
        }
    } else {
        double real = strtod(text, &end);
        if (end > text && !*end && isfinite(real) && within(range, real)) {
            *(double *)option->value = real;
            return BN_OK;
        }
    }
    return refuse_number(option, range, text, err);
}

static bn_status append(bn_option_list *list, const char *what, const char *text, bn_error *err)
{
    if (list->count == BN_OPTION_LIST_MAX) {
        return bn_fail(err, BN_EINVAL, "more than %d %s", BN_OPTION_LIST_MAX, what);
    }
    list->items[list->count++] = text;
    return BN_OK;
}

static bn_status set(const bn_options *options, const bn_option *option, const char *text,
                     bn_error *err)
{
    switch (option->kind) {
    case BN_OPTION_FLAG:
        if (text) return bn_fail(err, BN_EINVAL, "%s takes no value", option->name);
        *(bool *)option->value = true;
        return BN_OK;
    case BN_OPTION_TEXT:
        *(const char **)option->value = text;
        return BN_OK;
    case BN_OPTION_INT:
    case BN_OPTION_REAL:
        return set_number(options, option, text, err);
    case BN_OPTION_LIST:
        return append(option->value, option->name, text, err);
    }
    return BN_OK;
}

/* One option at argv[*i]; moves *i over its value. */
static bn_status take(const bn_options *options, int argc, char **argv, int *i, bn_error *err)
{
    const char *word = argv[*i];
    size_t length = strcspn(word, "=");
    const bn_option *option = find(options, word, length);
    if (!option) return unknown(options, word, err);
    const char *value = word[length] == '=' ? word + length + 1 : NULL;
    if (option->kind != BN_OPTION_FLAG && !value) {
        if (*i + 1 >= argc) {
            return bn_fail(err, BN_EINVAL, "%s needs a value: %s %s", option->name, option->name,
                           option->argument);
        }
        value = argv[++*i];
    }
    return set(options, option, value, err);
}

static bn_status check_count(const bn_options *options, size_t count, bn_error *err)
{
    if (count < options->arguments_min) {
        return bn_fail(err, BN_EINVAL, "something is missing; usage: %s", options->usage);
    }
    if (count > options->arguments_max) {
        return bn_fail(err, BN_EINVAL, "too many arguments; usage: %s", options->usage);
    }
    return BN_OK;
}

bn_status bn_options_parse(const bn_options *options, int argc, char **argv,
                           bn_option_list *arguments, bool *help, bn_error *err)
{
    *help = false;
    arguments->count = 0;
    bool only_arguments = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool option = !only_arguments && word[0] == '-' && word[1] != '\0';
        if (option && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (option && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            *help = true;
            bn_options_help(options, stdout);
            return BN_OK;
        } else if (option) {
            if (take(options, argc, argv, &i, err) != BN_OK) return err->status;
        } else if (append(arguments, "arguments", word, err) != BN_OK) {
            return err->status;
        }
    }
    return check_count(options, arguments->count, err);
}

void bn_options_help(const bn_options *options, FILE *out)
{
    (void)fprintf(out, "usage: %s\n\n%s\n", options->usage, options->about);
    if (options->count) (void)fprintf(out, "\noptions:\n");
    for (size_t i = 0; i < options->count; i++) {
        const bn_option *option = &options->table[i];
        char left[64];
        (void)snprintf(left, sizeof left, "%s%c%s %s%s%s", option->letter ? "-" : "  ",
                       option->letter ? option->letter : ' ', option->letter ? "," : " ",
                       option->name, option->argument ? " " : "",
                       option->argument ? option->argument : "");
        (void)fprintf(out, "  %-30s ", left);
        for (const char *c = option->help; *c; c++) {
            (void)fputc(*c, out);
            if (*c == '\n') (void)fprintf(out, "%33s", "");
        }
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "  %-30s %s\n", "-h, --help", "this text");
}
