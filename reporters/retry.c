#include "reporters/retry.h"

#include <math.h>

/* A request a quota would forbid for longer than ten seconds goes out all the same: the server's
 * 429 is the better judge of whether it has recovered. */
static const double RATE_MIN_PER_S = 0.1;

bn_verdict bn_retry_judge(bn_request_kind kind, int code)
{
    if (code >= 200 && code <= 299) return BN_VERDICT_DONE;
    if (code == 0 || code == 408 || code == 429) return BN_VERDICT_AGAIN;
    if (code >= 500 && code <= 599 && code != 501) return BN_VERDICT_AGAIN;
    if (code == 409) return BN_VERDICT_AGAIN;
    /* Something between us and the server: a page to log in at, a proxy. It says nothing of a run.
     */
    if ((code >= 300 && code <= 399) || code == 407) return BN_VERDICT_AGAIN;
    if (code == 403 && kind == BN_REQUEST_UPLOAD) return BN_VERDICT_EXPIRED;
    return BN_VERDICT_REFUSED;
}

double bn_retry_wait_s(double first_s, int failures, bn_retry_hint hint, double chance)
{
    if (hint.retry_after_s >= 0) return hint.retry_after_s;
    if (hint.ratelimit_remaining == 0 && hint.ratelimit_reset_s >= 0) return hint.ratelimit_reset_s;
    int doublings = failures > 1 ? failures - 1 : 0;
    double wait_s = ldexp(first_s, doublings < 16 ? doublings : 16);
    return fmin(wait_s * (1 + 0.25 * chance), BN_RETRY_WAIT_MAX_S);
}

void bn_pace_init(bn_pace *pace, double now_s)
{
    *pace = (bn_pace){.tokens = BN_PACE_BURST, .at_s = now_s, .remaining = -1, .cost = 1};
}

double bn_pace_take(bn_pace *pace, double now_s)
{
    if (now_s < pace->closed_s) return pace->closed_s - now_s;
    if (pace->rate_per_s <= 0) return 0;
    pace->tokens = fmin(BN_PACE_BURST, pace->tokens + (now_s - pace->at_s) * pace->rate_per_s);
    pace->at_s = now_s;
    if (pace->tokens < 1) return (1 - pace->tokens) / pace->rate_per_s;
    pace->tokens -= 1;
    return 0;
}

void bn_pace_learn(bn_pace *pace, bn_retry_hint hint, double now_s)
{
    if (hint.ratelimit_remaining < 0 || hint.ratelimit_reset_s <= 0) return;
    double spent = pace->remaining - hint.ratelimit_remaining;
    if (pace->remaining >= 0 && spent >= 0) pace->cost = 0.7 * pace->cost + 0.3 * spent;
    pace->remaining = hint.ratelimit_remaining;
    if (hint.ratelimit_remaining == 0) {
        pace->closed_s = now_s + hint.ratelimit_reset_s;
        return;
    }
    /* Others share the quota, and their requests show up in the cost of ours: a request is never
     * counted as cheaper than a hundredth of a unit. */
    double requests = hint.ratelimit_remaining / fmax(pace->cost, 0.01);
    pace->rate_per_s = fmax(requests / hint.ratelimit_reset_s, RATE_MIN_PER_S);
}
