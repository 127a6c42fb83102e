/* retry.h - what to make of an HTTP answer, and how long to wait before the next request.
 *
 * Pure: clock and chance are arguments. The table is the one wandb's own client keeps to, but for
 * 409: that client gives a run's lines up at the first conflict. Ours are the same bytes at the
 * same place, so they are worth saying again, and only the caller's count of conflicts ends it.
 */
#ifndef BN_REPORTERS_RETRY_H
#define BN_REPORTERS_RETRY_H

/* What was asked for: the same code means different things to different requests. */
typedef enum bn_request_kind {
    BN_REQUEST_STREAM, /* lines of a run's files: wandb's file_stream, MLflow's log-batch */
    BN_REQUEST_UPSERT, /* create or change a run */
    BN_REQUEST_QUERY,  /* any other question */
    BN_REQUEST_CREATE, /* makes something new each time it is said */
    BN_REQUEST_UPLOAD, /* PUT to a signed address: 403 means that the address has expired */
} bn_request_kind;

typedef enum bn_verdict {
    BN_VERDICT_DONE,
    BN_VERDICT_AGAIN,   /* the same request once more, after a pause */
    BN_VERDICT_REFUSED, /* never */
    BN_VERDICT_EXPIRED, /* ask for a fresh address first */
} bn_verdict;

/* code 0: no whole answer came. */
bn_verdict bn_retry_judge(bn_request_kind kind, int code);

typedef struct bn_retry_hint {
    double retry_after_s, ratelimit_remaining, ratelimit_reset_s; /* -1: the server gave none */
} bn_retry_hint;

/* The pause before try `failures + 1`: what the server asks for, else first_s doubled with every
 * failure, plus up to a quarter of it by chance, at most BN_RETRY_WAIT_MAX_S. chance in [0, 1). */
enum { BN_RETRY_WAIT_MAX_S = 60 };
double bn_retry_wait_s(double first_s, int failures, bn_retry_hint hint, double chance);

/* A token bucket: BN_PACE_BURST requests at once, then as many as the server's quota lasts for.
 * Until the server has told of a quota it holds nothing back. */
enum { BN_PACE_BURST = 10 };

typedef struct bn_pace {
    double tokens;
    double rate_per_s; /* 0: no quota known */
    double at_s;       /* when tokens were counted */
    double closed_s;   /* nothing before this moment */
    double remaining;  /* as last told; -1: never */
    double cost;       /* of one request in the quota's unit, smoothed */
} bn_pace;

void bn_pace_init(bn_pace *pace, double now_s);

/* Seconds until a request may go, 0: now, and its token is taken. */
double bn_pace_take(bn_pace *pace, double now_s);

/* Learns from an answer's headers. */
void bn_pace_learn(bn_pace *pace, bn_retry_hint hint, double now_s);

#endif
