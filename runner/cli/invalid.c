#include "runner/cli/invalid.h"

#include "store/run.h"

enum { SHOWN_MAX = 5 };

typedef struct printing {
    FILE *stream;
    int64_t count;
} printing;

static void print_one(void *self, const bn_run_fact *fact)
{
    printing *p = self;
    if (p->count++ >= SHOWN_MAX) return;
    (void)fprintf(p->stream, "bnexp: run %s: invalid events: %s\n", fact->name, fact->value);
}

void bn_invalid_print(bn_store *store, int64_t sweep, FILE *stream)
{
    printing p = {.stream = stream};
    bn_error ignored = {0};
    bn_status status = bn_run_each_with(store, sweep, BN_FACT_INVALID, print_one, &p, &ignored);
    if (status != BN_OK || p.count <= SHOWN_MAX) return;
    (void)fprintf(stream, "bnexp: and %lld more runs; 'bnexp show RUN' tells of each\n",
                  (long long)(p.count - SHOWN_MAX));
}
