#include "reporters/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"

/* Each reader has a span of bytes, placed by its name: two that share one would only wait for each
 * other. */
enum { SPAN_BITS = 32 };

static int64_t place_of(const char *reader)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *c = reader; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619U;
    return (int64_t)(hash & 0x3FFFFFFF) << SPAN_BITS;
}

bn_status bn_claim_open(bn_claim *out, const char *home, const char *reader, bn_error *err)
{
    char path[BN_PATH_MAX];
    *out = (bn_claim){.fd = -1, .base = place_of(reader)};
    if (bn_path_join(path, home, "sync.lock", err) != BN_OK) return err->status;
    out->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    return out->fd < 0 ? bn_fail_errno(err, "open %s", path) : BN_OK;
}

void bn_claim_close(bn_claim *claim)
{
    if (claim->fd >= 0) (void)close(claim->fd);
    claim->fd = -1;
}

static struct flock range_of(const bn_claim *claim, int64_t sweep, short type)
{
    return (struct flock){.l_type = type,
                          .l_whence = SEEK_SET,
                          .l_start = (off_t)(claim->base + sweep),
                          .l_len = sweep ? 1 : (off_t)1 << SPAN_BITS};
}

bn_status bn_claim_take(const bn_claim *claim, int64_t sweep, bn_error *err)
{
    struct flock range = range_of(claim, sweep, F_WRLCK);
    if (fcntl(claim->fd, F_SETLK, &range) == 0) return BN_OK;
    if (errno != EACCES && errno != EAGAIN) return bn_fail_errno(err, "lock sync.lock");
    range = range_of(claim, sweep, F_WRLCK);
    bool known = fcntl(claim->fd, F_GETLK, &range) == 0 && range.l_type != F_UNLCK;
    char who[40] = "";
    if (known) (void)snprintf(who, sizeof who, " (pid %ld)", (long)range.l_pid);
    return bn_fail(err, BN_EAGAIN, "another process%s is delivering the same", who);
}

void bn_claim_drop(const bn_claim *claim, int64_t sweep)
{
    struct flock range = range_of(claim, sweep, F_UNLCK);
    (void)fcntl(claim->fd, F_SETLK, &range);
}
