#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/utf8.h"
#include "engine/corpus/documents.h"
#include "engine/corpus/sentencepiece.h"
#include "engine/corpus/tokenizer.h"

enum { VOCAB_MIN = 300, VOCAB_MAX = 1 << 20, LINE_MAX_BYTES = 16384 };

/* Lines of the documents' passages, of which every `stride`-th is used. */
typedef struct bn_lines {
    bn_documents *documents;
    bn_passage passage;
    size_t at;
    int64_t stride, seen;
    bn_error err;
} bn_lines;

static bool next_passage(bn_lines *lines)
{
    do {
        bn_status status = bn_documents_next(lines->documents, &lines->passage, &lines->err);
        if (status != BN_OK || !lines->passage.text) return false;
    } while (lines->seen++ % lines->stride != 0);
    lines->at = 0;
    return true;
}

/* A line, or as much of a long one as ends before a space, else between characters. */
static size_t line_length(const char *text, size_t bytes)
{
    const char *newline = memchr(text, '\n', bytes);
    size_t length = newline ? (size_t)(newline - text) : bytes;
    if (length <= LINE_MAX_BYTES) return length;
    for (length = LINE_MAX_BYTES; length > 1 && text[length] != ' '; length--) {
    }
    if (length > 1) return length;
    /* Between characters: half of one would make this line, and all behind it, no text. */
    for (length = LINE_MAX_BYTES; ((unsigned char)text[length] & 0xC0) == 0x80; length--) {
        if (length == LINE_MAX_BYTES - BN_UTF8_MOST) return LINE_MAX_BYTES;
    }
    return length;
}

/* The trainer would replace what is no UTF-8 and then learn the replacement. */
static bool is_text(const char *text, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        size_t length = bn_utf8_length(text + at, bytes - at);
        if (length == 0 || text[at] == '\0') return false;
        at += length;
    }
    return bytes > 0;
}

static bool next_line(void *self, const char **line, size_t *bytes)
{
    bn_lines *lines = self;
    for (;;) {
        while (lines->at >= lines->passage.bytes) {
            if (!next_passage(lines)) return false;
        }
        *line = lines->passage.text + lines->at;
        *bytes = line_length(*line, lines->passage.bytes - lines->at);
        lines->at += *bytes;
        if (lines->at < lines->passage.bytes && lines->passage.text[lines->at] == '\n') lines->at++;
        if (is_text(*line, *bytes)) return true;
    }
}

/* What the trainer said, in our words where they are known. */
static bn_status refuse(const bn_tokenizer_training *training, const char *why, bn_error *err)
{
    const char *first = training->paths[0], *more = training->path_count > 1 ? ", ..." : "";
    const char *least = strstr(why, " vs "), *most = strstr(why, "value <= ");
    if (least && strstr(why, "required_chars")) {
        return bn_fail(err, BN_EINVAL,
                       "%s%s: so many characters need a vocabulary of at least %ld pieces, not %d",
                       first, more, strtol(least + strlen(" vs "), NULL, 10), training->vocab);
    }
    if (most) {
        return bn_fail(err, BN_EINVAL, "%s%s: so little text makes at most %ld pieces, not %d",
                       first, more, strtol(most + strlen("value <= "), NULL, 10), training->vocab);
    }
    return bn_fail(err, BN_EINVAL, "no tokenizer of %d pieces from %s%s: %s", training->vocab,
                   first, more, *why ? why : "it holds no line of text");
}

bn_status bn_tokenizer_train(const bn_tokenizer_training *training, bn_error *err)
{
    char why[160] = "";
    char *model = NULL;
    size_t bytes = 0;
    bn_lines lines = {0};
    if (training->vocab < VOCAB_MIN || training->vocab > VOCAB_MAX) {
        return bn_fail(err, BN_EINVAL,
                       "a vocabulary must have %d (256 bytes, 3 marks and some characters) to %d "
                       "pieces, not %d",
                       VOCAB_MIN, VOCAB_MAX, training->vocab);
    }
    bn_status status = bn_documents_open(&lines.documents, training->paths, training->path_count,
                                         training->column, err);
    if (status != BN_OK) return status;
    lines.stride = bn_documents_bytes(lines.documents) / BN_TOKENIZER_TRAIN_BYTES + 1;
    bool trained = bn_pieces_train(training->vocab, next_line, &lines, &model, &bytes, why);
    if (lines.err.status != BN_OK) {
        status = bn_fail(err, lines.err.status, "%s", lines.err.text);
    } else if (!trained) {
        status = refuse(training, why, err);
    } else {
        status = bn_file_write(training->out_path, model, bytes, 0666, err);
    }
    free(model);
    bn_documents_close(lines.documents);
    return status;
}
