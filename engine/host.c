#include "engine/host.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/clock.h"

enum { LINE_BYTES = 64, LARGE_PAGE = 2 << 20 };

bool bn_host_failed(const void *self)
{
    return ((const bn_host *)self)->failure.status != BN_OK;
}

/* Large blocks ask for large pages: panels are read faster than a table of small pages can be
 * walked. A system that has none to give is no worse off. */
void *bn_host_block(bn_host *host, size_t bytes)
{
    size_t unit = bytes >= LARGE_PAGE ? LARGE_PAGE : LINE_BYTES;
    size_t rounded = ((bytes ? bytes : 1) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    void *memory = NULL;
    if (rounded < bytes || posix_memalign(&memory, unit, rounded) != 0) {
        (void)bn_fail(&host->failure, BN_ENOMEM, "no memory for %zu bytes", bytes);
        return NULL;
    }
    if (unit == LARGE_PAGE) (void)madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
}

void bn_host_free(void *self, void *memory)
{
    (void)self;
    free(memory);
}

void bn_host_copy(void *self, void *to, const void *from, size_t bytes)
{
    if (bn_host_failed(self) || !bytes) return;
    memcpy(to, from, bytes);
}

bn_status bn_host_sync(void *self, bn_error *err)
{
    bn_host *host = self;
    if (!bn_host_failed(host)) return BN_OK;
    bn_status status = bn_fail(err, host->failure.status, "%s: %s", host->name, host->failure.text);
    host->failure.status = BN_OK;
    return status;
}

bool bn_host_replay(void *self, uint64_t key)
{
    (void)self, (void)key;
    return false;
}

void bn_host_replay_end(void *self)
{
    (void)self;
}

void bn_host_mark(void *self, int mark)
{
    ((bn_host *)self)->marks_s[mark] = bn_clock_mono_s();
}

double bn_host_seconds(void *self, int from, int to)
{
    const bn_host *host = self;
    if (!(host->marks_s[from] > 0 && host->marks_s[to] > 0)) return NAN;
    return host->marks_s[to] - host->marks_s[from];
}
