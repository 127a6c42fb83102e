#include "engine/corpus/entropy.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { PIECE_TOKENS = 1 << 14, FIRST_SLOTS = 1 << 12 };

/* How often y came after x, in the training and the held-out part: open addressing, a power of two
 * of slots, at most half of them full. */
typedef struct bn_pair {
    uint64_t key; /* x << 32 | y, plus 1; 0: free */
    int64_t count[2];
} bn_pair;

typedef struct bn_tally {
    int vocab;
    int64_t *tokens[2]; /* [vocab] by part: how often y came as a follower */
    int64_t *starts[2]; /* [vocab]: how often x was followed */
    int64_t *followers; /* [vocab]: different followers of x in training */
    int64_t total[2];   /* pairs */
    bn_pair *pairs;
    size_t slots, used;
} bn_tally;

static bn_pair *place_of(bn_pair *pairs, size_t slots, uint64_t key)
{
    uint64_t mixed = key * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(mixed >> 32) & (slots - 1);
    while (pairs[at].key != 0 && pairs[at].key != key) at = (at + 1) & (slots - 1);
    return &pairs[at];
}

static bool grow(bn_tally *tally)
{
    size_t slots = tally->slots ? 2 * tally->slots : FIRST_SLOTS;
    bn_pair *pairs = calloc(slots, sizeof *pairs);
    if (!pairs) return false;
    for (size_t i = 0; i < tally->slots; i++) {
        if (tally->pairs[i].key) *place_of(pairs, slots, tally->pairs[i].key) = tally->pairs[i];
    }
    free(tally->pairs);
    tally->pairs = pairs;
    tally->slots = slots;
    return true;
}

static bool add_pair(bn_tally *tally, int part, int32_t x, int32_t y)
{
    if (2 * (tally->used + 1) > tally->slots && !grow(tally)) return false;
    uint64_t key = ((uint64_t)x << 32 | (uint64_t)y) + 1;
    bn_pair *pair = place_of(tally->pairs, tally->slots, key);
    if (pair->key == 0) tally->used++;
    pair->key = key;
    if (part == BN_DATASET_TRAIN && pair->count[part] == 0) tally->followers[x]++;
    pair->count[part]++;
    tally->tokens[part][y]++;
    tally->starts[part][x]++;
    tally->total[part]++;
    return true;
}

static bool count_part(bn_tally *tally, const bn_dataset *dataset, bn_dataset_part part,
                       int64_t tokens)
{
    int32_t ids[PIECE_TOKENS];
    for (int64_t at = 0; at + 1 < tokens;) {
        int64_t count = tokens - at < PIECE_TOKENS ? tokens - at : PIECE_TOKENS;
        bn_dataset_read(dataset, part, at, ids, count);
        for (int64_t i = 0; i + 1 < count; i++) {
            if (!add_pair(tally, (int)part, ids[i], ids[i + 1])) return false;
        }
        at += count - 1;
    }
    return true;
}

/* -count * log(share): what `count` draws of an outcome cost. */
static double cost(int64_t count, double share)
{
    return count ? -(double)count * log(share) : 0;
}

static void sum_tokens(const bn_tally *tally, bn_entropy *out)
{
    double train = (double)tally->total[0];
    double val = (double)tally->total[1];
    for (int y = 0; y < tally->vocab; y++) {
        int64_t seen = tally->tokens[0][y];
        int64_t held = tally->tokens[1][y];
        double smooth = ((double)seen + 1) / (train + tally->vocab);
        out->distinct += seen + held > 0;
        out->unigram += cost(seen + held, (double)(seen + held) / (train + val));
        out->val_unigram += cost(held, (double)held / val);
        out->cross_unigram += cost(held, smooth);
    }
}

static void sum_pairs(const bn_tally *tally, bn_entropy *out)
{
    for (size_t i = 0; i < tally->slots; i++) {
        const bn_pair *pair = &tally->pairs[i];
        if (!pair->key) continue;
        size_t x = (size_t)((pair->key - 1) >> 32);
        size_t y = (size_t)((pair->key - 1) & UINT32_MAX);
        int64_t seen = pair->count[0];
        int64_t held = pair->count[1];
        double starts = (double)tally->starts[0][x];
        double all = starts + (double)tally->starts[1][x];
        out->bigram += cost(seen + held, (double)(seen + held) / all);
        if (!held) continue;
        double single =
            ((double)tally->tokens[0][y] + 1) / ((double)tally->total[0] + tally->vocab);
        double spread = (double)tally->followers[x];
        double smooth = starts > 0 ? ((double)seen + spread * single) / (starts + spread) : single;
        out->val_bigram += cost(held, (double)held / (double)tally->starts[1][x]);
        out->cross_bigram += cost(held, smooth);
    }
}

static void release(bn_tally *tally)
{
    for (size_t i = 0; i < 2; i++) {
        free(tally->tokens[i]);
        free(tally->starts[i]);
    }
    free(tally->followers);
    free(tally->pairs);
}

bn_status bn_entropy_measure(const bn_dataset *dataset, bn_entropy *out, bn_error *err)
{
    *out = (bn_entropy){0};
    const bn_dataset_info *info = bn_dataset_info_of(dataset);
    bn_tally tally = {.vocab = info->vocab};
    size_t vocab = (size_t)info->vocab;
    tally.followers = calloc(vocab, sizeof(int64_t));
    bool ok = tally.followers != NULL;
    for (size_t i = 0; i < 2; i++) {
        tally.tokens[i] = calloc(vocab, sizeof(int64_t));
        tally.starts[i] = calloc(vocab, sizeof(int64_t));
        ok = ok && tally.tokens[i] && tally.starts[i];
    }
    ok = ok && count_part(&tally, dataset, BN_DATASET_TRAIN, info->train_tokens) &&
         count_part(&tally, dataset, BN_DATASET_VAL, info->val_tokens);
    if (ok) {
        double val = (double)tally.total[1];
        double all = (double)tally.total[0] + val;
        sum_tokens(&tally, out);
        sum_pairs(&tally, out);
        out->unigram /= all;
        out->bigram /= all;
        out->val_unigram /= val;
        out->val_bigram /= val;
        out->cross_unigram /= val;
        out->cross_bigram /= val;
    }
    release(&tally);
    return ok ? BN_OK : bn_fail(err, BN_ENOMEM, "no memory to count the pairs of tokens");
}
