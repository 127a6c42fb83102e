#include "store/place.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/file.h"

static const struct {
    long magic;
    const char *name;
} NETWORK[] = {
    {0x6969, "NFS"},
    {0x0bd00bd0, "Lustre"},
    {0x517b, "SMB"},
    {(long)0xff534d42, "CIFS"},
    {(long)0xfe534d42, "SMB"},
    {0x47504653, "GPFS"},
    {0x00c36400, "CephFS"},
    {0x19830326, "BeeGFS"},
    {0x20030528, "OrangeFS"},
    {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},
    {0x73757245, "Coda"},
    {0x01161970, "GFS2"},
    {0x7461636f, "OCFS2"},
    {(long)0xaad7aaea, "PanFS"},
    {0x013111a8, "WekaFS"},
};

const char *bn_place_network(long magic)
{
    long low = (long)((unsigned long)magic & 0xffffffffUL); /* some systems extend the sign */
    for (size_t i = 0; i < sizeof NETWORK / sizeof NETWORK[0]; i++) {
        if (NETWORK[i].magic == low) return NETWORK[i].name;
    }
    return NULL;
}

/* The folder that holds, or would hold, the file itself. */
static void folder_of(const char *path, char out[BN_PATH_MAX])
{
    char target[BN_PATH_MAX];
    (void)snprintf(out, BN_PATH_MAX, "%s", path);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length > 0 && target[0] == '/') {
        target[length] = '\0';
        (void)snprintf(out, BN_PATH_MAX, "%s", target);
    } /* a relative link stays in the folder, or near it */
    char *slash = strrchr(out, '/');
    if (!slash) {
        (void)snprintf(out, BN_PATH_MAX, ".");
    } else {
        slash[slash == out] = '\0';
    }
}

bn_status bn_place_check(const char *path, bn_error *err)
{
    char folder[BN_PATH_MAX];
    folder_of(path, folder);
    struct statfs info;
    while (statfs(folder, &info) != 0) {
        char *slash = strrchr(folder, '/');
        if (errno != ENOENT) return bn_fail_errno(err, "look at %s", folder);
        if (!slash || slash == folder) return BN_OK; /* nothing of the path exists yet */
        *slash = '\0';
    }
    const char *network = bn_place_network((long)info.f_type);
    if (!network) return BN_OK;
    return bn_fail(err, BN_EINVAL,
                   "%s is on %s, where SQLite loses data; use a home on a local disk, or link its "
                   "database to one: ln -s /local/disk/NAME.db %s",
                   folder, network, path);
}
