#include "runner/fleet/judge.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

typedef struct ask_row {
    const char *word;
    bn_run_state state; /* of a run that stopped because of it */
} ask_row;

/* By bn_ask. */
static const ask_row ASKS[] = {
    {"", BN_RUN_CRASHED},        {"later", BN_RUN_PREEMPTED}, {"canceled", BN_RUN_KILLED},
    {"pruned", BN_RUN_PRUNED},   {"timeout", BN_RUN_FAILED},  {"stalled", BN_RUN_CRASHED},
    {"diverged", BN_RUN_FAILED},
};
enum { ASK_COUNT = sizeof ASKS / sizeof ASKS[0] };

static const char STOPPING[] = "stopping (";

void bn_ask_text(bn_ask ask, const char *why, char out[240])
{
    assert(ask > BN_ASK_NOTHING && (int)ask < ASK_COUNT);
    (void)snprintf(out, 240, "%s%s): %s", STOPPING, ASKS[ask].word, why);
}

bn_ask bn_ask_parse(const char *reason, const char **why)
{
    *why = "";
    if (strncmp(reason, STOPPING, sizeof STOPPING - 1) != 0) return BN_ASK_NOTHING;
    const char *word = reason + sizeof STOPPING - 1;
    for (int ask = BN_ASK_LATER; ask < ASK_COUNT; ask++) {
        size_t length = strlen(ASKS[ask].word);
        if (strncmp(word, ASKS[ask].word, length) != 0) continue;
        if (strncmp(word + length, "): ", 3) != 0) continue;
        *why = word + length + 3;
        return (bn_ask)ask;
    }
    return BN_ASK_NOTHING;
}

#define OOM_WORDS "bnexp: oom: "

static bn_verdict verdict(bn_run_state state, const char *reason)
{
    bn_verdict out = {.state = state};
    (void)snprintf(out.reason, sizeof out.reason, "%s", reason);
    return out;
}

static bn_verdict by_exit(const bn_evidence *e)
{
    bn_verdict out = {.state = BN_RUN_CRASHED};
    const char *colon = *e->last_words ? ": " : "";
    if (e->exit.oom) return verdict(BN_RUN_CRASHED, "oom: killed for memory");
    if (e->exit.signal) {
        (void)snprintf(out.reason, sizeof out.reason, "signal %d%s%s", e->exit.signal, colon,
                       e->last_words);
        return out;
    }
    if (e->exit.code == BN_EXIT_REQUEUE) return verdict(BN_RUN_PREEMPTED, "asked to go on later");
    if (e->exit.code == 0 && e->external) return verdict(BN_RUN_FINISHED, "");
    if (e->exit.code == 0) return verdict(BN_RUN_CRASHED, "exit 0 without an end line");
    out.state = BN_RUN_FAILED;
    /* A run that its device has no memory for says so itself: the same reason as from outside. */
    if (strncmp(e->last_words, OOM_WORDS, sizeof OOM_WORDS - 1) == 0) {
        return verdict(BN_RUN_FAILED, e->last_words + sizeof OOM_WORDS - sizeof "oom: ");
    }
    (void)snprintf(out.reason, sizeof out.reason, "exit %d%s%s", e->exit.code, colon,
                   e->last_words);
    return out;
}

/* Its end line says "stopped", or it went without a word after we asked. */
static bn_verdict by_ask(const bn_evidence *e)
{
    bn_verdict out = {.state = ASKS[e->ask].state};
    const char *word = e->ask == BN_ASK_LATER ? "" : ASKS[e->ask].word;
    (void)snprintf(out.reason, sizeof out.reason, "%s%s%s", word, *word && *e->ask_why ? ": " : "",
                   e->ask_why);
    return out;
}

bn_verdict bn_judge(const bn_evidence *e)
{
    const char *how = e->how ? e->how : "";
    if (strcmp(how, "finished") == 0) return verdict(BN_RUN_FINISHED, "");
    if (strcmp(how, "diverged") == 0) {
        return verdict(BN_RUN_FAILED, *e->reason ? e->reason : "diverged");
    }
    /* An external program that ends well while it is asked to stop has finished. */
    bool well = e->external && e->exit.known && e->exit.code == 0;
    if (e->ask != BN_ASK_NOTHING && !(well && e->ask == BN_ASK_LATER)) return by_ask(e);
    /* A "stopped" line may be an earlier attempt's: this one's exit status knows better. */
    if (e->exit.known) return by_exit(e);
    if (strcmp(how, "stopped") == 0) return verdict(BN_RUN_PREEMPTED, "stopped");
    return verdict(BN_RUN_PREEMPTED, "lost: nobody saw it end");
}
