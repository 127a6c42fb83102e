#include "engine/config_files.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/utf8.h"

/* A file of the list; `several`: it has more than one. */
static bn_status find(const char *piece, const char *beside, bool several, bn_text *out,
                      bn_error *err)
{
    char near[BN_PATH_MAX], absolute[BN_PATH_MAX];
    const char *found = bn_file_exists(piece) ? piece : NULL;
    if (!found && beside) {
        if (bn_path_join(near, beside, piece, err) != BN_OK) return err->status;
        if (bn_file_exists(near)) found = near;
    }
    if (!found) {
        bool elsewhere = beside && piece[0] != '/' && strcmp(beside, ".") != 0;
        return bn_fail(err, BN_EINVAL, "there is no file '%.100s' here%s%.60s%s", piece,
                       elsewhere ? " nor in " : "", elsewhere ? beside : "",
                       several ? "; ':' stands between files" : "");
    }
    if (bn_path_absolute(absolute, found, err) != BN_OK) return err->status;
    if (!bn_utf8_valid(absolute)) { /* a run's files and records could not say it */
        return bn_fail(err, BN_EINVAL, "the name of '%.100s' is not UTF-8; link it to one that is",
                       absolute);
    }
    bn_text_addf(out, "%s%s", out->length ? ":" : "", absolute);
    return BN_OK;
}

/* A list with ':' between its parts; `builtin` is no file. */
static bn_status find_list(char field[BN_CONFIG_TEXT_MAX], const char *builtin, const char *beside,
                           bn_error *err)
{
    char all[BN_CONFIG_TEXT_MAX], piece[BN_PATH_MAX];
    bn_text text;
    if (*field == '\0' || strcmp(field, builtin) == 0) return BN_OK;
    bool several = strchr(field, ':') != NULL;
    bn_text_fixed(&text, all, sizeof all);
    for (const char *c = field; *c; c += *c == ':') {
        size_t span = strcspn(c, ":");
        (void)snprintf(piece, sizeof piece, "%.*s", (int)span, c);
        c += span;
        if (span > 0 && find(piece, beside, several, &text, err) != BN_OK) return err->status;
    }
    if (text.failed) {
        return bn_fail(err, BN_EINVAL, "its absolute paths take more than %d bytes",
                       BN_CONFIG_TEXT_MAX - 1);
    }
    memset(field, 0, BN_CONFIG_TEXT_MAX);
    memcpy(field, all, text.length);
    return BN_OK;
}

bn_status bn_config_find_files(bn_config *config, const char *beside, bn_error *err)
{
    if (find_list(config->data.path, "synth", beside, err) != BN_OK) {
        return bn_fail_in(err, "'data.path'");
    }
    if (find_list(config->data.tokenizer, "bytes", beside, err) != BN_OK) {
        return bn_fail_in(err, "'data.tokenizer'");
    }
    return BN_OK;
}
