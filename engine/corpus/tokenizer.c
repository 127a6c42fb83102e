#include "engine/corpus/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"
#include "engine/base/utf8.h"
#include "engine/corpus/memo.h"
#include "engine/corpus/sentencepiece.h"

#define SPACE_MARK       "\xE2\x96\x81" /* U+2581: how SentencePiece writes a space */
#define SPACE_MARK_BYTES 3
#define UNKNOWN_TEXT     " \xE2\x81\x87 " /* U+2047 between spaces, as the library prints it */

enum { MEMO_WORTH_BYTES = 1 << 14 };

struct bn_tokenizer {
    int vocab, separator;
    char hash[BN_SHA256_HEX];
    char *surface;      /* what every id stands for, one after the other */
    size_t *starts;     /* [vocab + 1] offsets into surface */
    bn_pieces *first;   /* NULL: bytes */
    bn_pieces *rest;    /* the same model without its mark of a beginning */
    bool prefixed;      /* the model puts a space in front of a text */
    bool cut_lines;     /* no piece holds newlines and something else */
    bool cut_spaces;    /* no piece goes on with a space after another character */
    int32_t bytes[256]; /* id of each byte's piece; -1: none */
};

bn_status bn_ids_reserve(bn_ids *ids, size_t more, bn_error *err)
{
    if (ids->size - ids->count >= more) return BN_OK;
    size_t size = ids->size + ids->size / 2 + more;
    int32_t *data = realloc(ids->data, size * sizeof *data);
    if (!data) return bn_fail(err, BN_ENOMEM, "no memory for %zu tokens", size);
    ids->data = data;
    ids->size = size;
    return BN_OK;
}

static bn_status open_bytes(bn_tokenizer *tokenizer, bn_error *err)
{
    tokenizer->vocab = 256;
    tokenizer->separator = 0;
    (void)snprintf(tokenizer->hash, sizeof tokenizer->hash, "bytes");
    tokenizer->surface = malloc(256);
    tokenizer->starts = calloc(257, sizeof *tokenizer->starts);
    if (!tokenizer->surface || !tokenizer->starts) {
        return bn_fail(err, BN_ENOMEM, "no memory for the byte tokenizer");
    }
    for (size_t i = 0; i < 256; i++) {
        tokenizer->surface[i] = (char)(unsigned char)i;
        tokenizer->starts[i + 1] = i + 1;
    }
    return BN_OK;
}

/* The value of a piece "<0x0A>"; -1: it is written otherwise. */
static int byte_value(const char *text)
{
    char *end = NULL;
    if (strncmp(text, "<0x", 3) != 0) return -1;
    long value = strtol(text + 3, &end, 16);
    return strcmp(end, ">") == 0 && value >= 0 && value < 256 ? (int)value : -1;
}

/* A space may only stand at a piece's beginning and a newline only among newlines, or words and
 * lines cannot be encoded one by one. */
static void note_cuts(bn_tokenizer *tokenizer, const char *text)
{
    bool inside = false; /* something that is no space came before */
    size_t newlines = strspn(text, "\n");
    if (strchr(text, '\n') && text[newlines] != '\0') tokenizer->cut_lines = false;
    for (const char *c = text; *c;) {
        bool space = strncmp(c, SPACE_MARK, SPACE_MARK_BYTES) == 0;
        if (space && inside) tokenizer->cut_spaces = false;
        inside = inside || !space;
        c += space ? SPACE_MARK_BYTES : 1;
    }
}

static void add_surface(bn_text *surface, const char *text)
{
    while (*text) {
        const char *mark = strstr(text, SPACE_MARK);
        size_t plain = mark ? (size_t)(mark - text) : strlen(text);
        bn_text_add_bytes(surface, text, plain);
        if (mark) bn_text_add(surface, " ");
        text += plain + (mark ? SPACE_MARK_BYTES : 0);
    }
}

static void add_piece(bn_tokenizer *tokenizer, int id, bn_text *surface)
{
    bn_piece_kind kind;
    const char *text = bn_pieces_text(tokenizer->first, id, &kind);
    int value = byte_value(text);
    switch (kind) {
    case BN_PIECE_NORMAL:
        note_cuts(tokenizer, text);
        add_surface(surface, text);
        break;
    case BN_PIECE_CONTROL:
        break;
    case BN_PIECE_BYTE:
        if (value < 0) break;
        tokenizer->bytes[value] = id;
        bn_text_add_bytes(surface, &(char){(char)(unsigned char)value}, 1);
        break;
    case BN_PIECE_UNKNOWN:
        bn_text_add(surface, UNKNOWN_TEXT);
        break;
    }
}

static bn_status read_pieces(bn_tokenizer *tokenizer, bn_error *err)
{
    tokenizer->vocab = bn_pieces_count(tokenizer->first);
    int end = bn_pieces_end_id(tokenizer->first);
    int start = bn_pieces_start_id(tokenizer->first);
    tokenizer->separator = end >= 0 ? end : start >= 0 ? start : 0;
    tokenizer->cut_lines = tokenizer->cut_spaces = true;
    for (size_t i = 0; i < 256; i++) tokenizer->bytes[i] = -1;
    tokenizer->starts = calloc((size_t)tokenizer->vocab + 1, sizeof *tokenizer->starts);
    if (!tokenizer->starts) return bn_fail(err, BN_ENOMEM, "no memory for the vocabulary");
    bn_text surface = {0};
    for (int id = 0; id < tokenizer->vocab; id++) {
        add_piece(tokenizer, id, &surface);
        tokenizer->starts[id + 1] = surface.length;
    }
    tokenizer->surface = surface.data;
    if (surface.failed) return bn_fail(err, BN_ENOMEM, "no memory for the vocabulary");
    int32_t with[4];
    int32_t without[4];
    size_t with_count = bn_pieces_encode(tokenizer->first, "a", 1, with, 4);
    size_t without_count = bn_pieces_encode(tokenizer->rest, "a", 1, without, 4);
    tokenizer->prefixed = with_count != without_count || (with_count > 0 && with[0] != without[0]);
    return BN_OK;
}

static bn_status open_model(bn_tokenizer *tokenizer, const char *path, bn_error *err)
{
    char *model = NULL;
    size_t bytes = 0;
    char why[160] = "";
    if (!bn_file_exists(path)) {
        return bn_fail(err, BN_EINVAL,
                       "tokenizer '%s': no such file; expected 'bytes' or a SentencePiece model",
                       path);
    }
    bn_status status = bn_file_read(path, BN_TOKENIZER_MODEL_MAX, &model, &bytes, err);
    if (status != BN_OK) return bn_fail_in(err, "tokenizer");
    tokenizer->first = bn_pieces_open(model, bytes, true, why, sizeof why);
    if (tokenizer->first) tokenizer->rest = bn_pieces_open(model, bytes, false, why, sizeof why);
    bn_sha256 hash;
    bn_sha256_init(&hash);
    bn_sha256_add(&hash, model, bytes);
    bn_sha256_end(&hash, tokenizer->hash);
    free(model);
    if (!tokenizer->rest) {
        return bn_fail(err, BN_EINVAL, "tokenizer '%s' is no SentencePiece model%s%s", path,
                       *why ? ": " : "", why);
    }
    status = read_pieces(tokenizer, err);
    return status == BN_OK ? BN_OK : bn_fail_in(err, "tokenizer '%s'", path);
}

bn_status bn_tokenizer_open(bn_tokenizer **out, const char *spec, bn_error *err)
{
    *out = NULL;
    bn_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) return bn_fail(err, BN_ENOMEM, "no memory for the tokenizer");
    bn_status status =
        strcmp(spec, "bytes") == 0 ? open_bytes(tokenizer, err) : open_model(tokenizer, spec, err);
    if (status != BN_OK) {
        bn_tokenizer_close(tokenizer);
        return status;
    }
    *out = tokenizer;
    return BN_OK;
}

void bn_tokenizer_close(bn_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    bn_pieces_close(tokenizer->first);
    bn_pieces_close(tokenizer->rest);
    free(tokenizer->surface);
    free(tokenizer->starts);
    free(tokenizer);
}

int bn_tokenizer_vocab(const bn_tokenizer *tokenizer)
{
    return tokenizer->vocab;
}

const char *bn_tokenizer_hash(const bn_tokenizer *tokenizer)
{
    return tokenizer->hash;
}

int bn_tokenizer_separator(const bn_tokenizer *tokenizer)
{
    return tokenizer->separator;
}

/* Bytes up to the next place where the text may be cut: around a run of newlines, before a run of
 * spaces, before bytes that are no UTF-8. At least 1; *valid: all of them are UTF-8. */
static size_t segment_length(const bn_tokenizer *tokenizer, const char *text, size_t bytes,
                             bool *valid)
{
    size_t end = bn_utf8_length(text, bytes);
    *valid = end > 0;
    if (end == 0) return 1;
    while (end < bytes) {
        bool line_ends = (text[end - 1] == '\n') != (text[end] == '\n');
        bool word_ends = text[end] == ' ' && text[end - 1] != ' ';
        if ((line_ends && tokenizer->cut_lines) || (word_ends && tokenizer->cut_spaces)) break;
        size_t length = bn_utf8_length(text + end, bytes - end);
        if (length == 0) break;
        end += length;
    }
    return end;
}

static bn_status encode_segment(const bn_pieces *pieces, bn_passage segment, bn_ids *ids,
                                bn_error *err)
{
    size_t room = segment.bytes + 1; /* enough for all but normalizers that expand */
    for (;;) {
        if (bn_ids_reserve(ids, room, err) != BN_OK) return err->status;
        size_t count =
            bn_pieces_encode(pieces, segment.text, segment.bytes, ids->data + ids->count, room);
        if (count == SIZE_MAX) return bn_fail(err, BN_ENOMEM, "SentencePiece cannot encode");
        if (count <= room) {
            ids->count += count;
            return BN_OK;
        }
        room = count;
    }
}

/* A word in the middle of a text, from memory where it came before. memo NULL: there is none. */
static bn_status encode_word(const bn_tokenizer *tokenizer, bn_memo *memo, bn_passage word,
                             bn_ids *ids, bn_error *err)
{
    bn_memo_entry *entry = memo ? bn_memo_find(memo, word.text, word.bytes) : NULL;
    size_t before = ids->count;
    if (!entry || entry->bytes == 0) {
        bn_status status = encode_segment(tokenizer->rest, word, ids, err);
        if (status != BN_OK || !entry) return status;
        bn_memo_keep(
            memo, entry,
            &(bn_memo_fact){word.text, word.bytes, ids->data + before, ids->count - before});
        return BN_OK;
    }
    if (bn_ids_reserve(ids, entry->count, err) != BN_OK) return err->status;
    memcpy(ids->data + before, entry->ids, entry->count * sizeof *ids->data);
    ids->count += entry->count;
    return BN_OK;
}

static bn_status encode_pieces(const bn_tokenizer *tokenizer, bn_memo *memo, bn_passage passage,
                               bn_ids *ids, bn_error *err)
{
    bool continues = passage.continues;
    for (size_t at = 0; at < passage.bytes;) {
        const char *text = passage.text + at;
        bool valid;
        size_t length = segment_length(tokenizer, text, passage.bytes - at, &valid);
        int32_t byte_id = valid ? -1 : tokenizer->bytes[(unsigned char)*text];
        if (byte_id >= 0) {
            if (bn_ids_reserve(ids, 1, err) != BN_OK) return err->status;
            ids->data[ids->count++] = byte_id;
        } else {
            bn_passage segment = {text, length, continues};
            bn_status status = continues ? encode_word(tokenizer, memo, segment, ids, err)
                                         : encode_segment(tokenizer->first, segment, ids, err);
            if (status != BN_OK) return status;
        }
        continues = true;
        at += length;
    }
    return BN_OK;
}

bn_status bn_tokenizer_encode(const bn_tokenizer *tokenizer, bn_passage passage, bn_ids *ids,
                              bn_error *err)
{
    if (tokenizer->first) {
        /* A short text is done before a table is cleared. Without memory it only takes longer. */
        bn_memo *memo = passage.bytes >= MEMO_WORTH_BYTES ? calloc(1, sizeof *memo) : NULL;
        bn_status status = encode_pieces(tokenizer, memo, passage, ids, err);
        free(memo);
        return status;
    }
    if (bn_ids_reserve(ids, passage.bytes, err) != BN_OK) return err->status;
    for (size_t i = 0; i < passage.bytes; i++) {
        ids->data[ids->count++] = (unsigned char)passage.text[i];
    }
    return BN_OK;
}

bn_status bn_tokenizer_piece(const bn_tokenizer *tokenizer, int32_t id, bn_passage *out,
                             bool continues, bn_error *err)
{
    if (id < 0 || id >= tokenizer->vocab) {
        return bn_fail(err, BN_EINVAL, "token %d is outside the vocabulary of %d", id,
                       tokenizer->vocab);
    }
    size_t start = tokenizer->starts[id];
    size_t end = tokenizer->starts[id + 1];
    bool marked = tokenizer->prefixed && !continues && end > start;
    if (marked && tokenizer->surface[start] == ' ') start++;
    *out = (bn_passage){tokenizer->surface + start, end - start, continues};
    return BN_OK;
}

bn_status bn_tokenizer_decode(const bn_tokenizer *tokenizer, const int32_t *ids, size_t count,
                              char **out, size_t *bytes, bn_error *err)
{
    *out = NULL;
    *bytes = 0;
    bn_text text = {0};
    bn_text_add(&text, "");
    for (size_t i = 0; i < count; i++) {
        bn_passage piece = {"", 0, false};
        bool continues = text.length > 0 || i > 0;
        if (bn_tokenizer_piece(tokenizer, ids[i], &piece, continues, err) != BN_OK) {
            bn_text_release(&text);
            return err->status;
        }
        bn_text_add_bytes(&text, piece.text, piece.bytes);
    }
    if (text.failed) {
        bn_text_release(&text);
        return bn_fail(err, BN_ENOMEM, "no memory for the text of %zu tokens", count);
    }
    *out = text.data;
    *bytes = text.length;
    return BN_OK;
}
