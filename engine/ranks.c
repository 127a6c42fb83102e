#include "engine/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sha256.h"

enum { TOKEN_PARTS = 3 };

/* How a launcher tells a process its place. The local pair may be missing: then every rank is taken
 * to be alone on its machine. */
typedef struct dialect {
    const char *rank, *world, *local_rank, *local_world;
    const char *token[TOKEN_PARTS]; /* together they name one start; the first must be there */
    bool mpi;
} dialect;

/* mpirun inside a Slurm job sets both kinds, so its own come first. SLURM_STEP_NUM_TASKS is srun's:
 * a batch script, which is one process of a job of many tasks, does not have it. */
static const dialect DIALECTS[] = {
    {"BNEXP_RANK",
     "BNEXP_WORLD",
     "BNEXP_LOCAL_RANK",
     "BNEXP_LOCAL_WORLD",
     {"BNEXP_RANKS_TOKEN", NULL, NULL},
     false},
    {"OMPI_COMM_WORLD_RANK",
     "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE",
     {"PMIX_NAMESPACE", "OMPI_MCA_orte_hnp_uri", NULL},
     true},
    {"SLURM_PROCID",
     "SLURM_STEP_NUM_TASKS",
     "SLURM_LOCALID",
     NULL,
     {"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"},
     false},
};
enum { DIALECT_COUNT = sizeof DIALECTS / sizeof DIALECTS[0] };

typedef const char *(*lookup)(const char *name);

bn_ranks bn_ranks_alone(void)
{
    return (bn_ranks){.world = 1, .local_world = 1};
}

static bn_status read_number(lookup look, const char *name, int limit, int *out, bn_error *err)
{
    char *end = NULL;
    const char *text = look(name);
    if (!text) {
        return bn_fail(err, BN_EINVAL, "'%s' is not set, though this is one rank of many", name);
    }
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number < 0 || number >= limit) {
        return bn_fail(err, BN_EINVAL, "'%s' must be a whole number from 0 to %d, is '%.40s'", name,
                       limit - 1, text);
    }
    *out = (int)number;
    return BN_OK;
}

/* Tasks on this node from Slurm's "2(x3),1": two on each of three nodes, one on the next. */
static int slurm_local_world(lookup look)
{
    const char *list = look("SLURM_STEP_TASKS_PER_NODE"), *node = look("SLURM_NODEID");
    long left = node ? strtol(node, NULL, 10) : 0, tasks = 1;
    for (const char *at = list; at && *at && left >= 0;) {
        char *end = NULL;
        tasks = strtol(at, &end, 10);
        if (end == at) return 1;
        long times = 1;
        if (strncmp(end, "(x", 2) == 0) times = strtol(end + 2, &end, 10);
        left -= times;
        end += *end == ')';
        at = end + (*end == ',');
    }
    return tasks > 0 && tasks < BN_RANKS_MAX ? (int)tasks : 1;
}

static bn_status read_local(const dialect *d, lookup look, bn_ranks *out, bn_error *err)
{
    bn_status status = BN_OK;
    if (look(d->local_rank)) {
        status = read_number(look, d->local_rank, BN_RANKS_MAX, &out->local_rank, err);
    }
    if (status == BN_OK && d->local_world && look(d->local_world)) {
        status = read_number(look, d->local_world, BN_RANKS_MAX + 1, &out->local_world, err);
    }
    if (!d->local_world) out->local_world = slurm_local_world(look);
    if (out->local_world > out->world) out->local_world = out->world;
    return status;
}

static bn_status read_token(const dialect *d, lookup look, bn_ranks *out, bn_error *err)
{
    bn_sha256 hash;
    if (!look(d->token[0])) {
        return bn_fail(err, BN_EINVAL, "'%s' is not set, though '%s' is", d->token[0], d->world);
    }
    bn_sha256_init(&hash);
    for (int i = 0; i < TOKEN_PARTS && d->token[i]; i++) {
        const char *part = look(d->token[i]);
        if (part) bn_sha256_add(&hash, part, strlen(part));
        bn_sha256_add(&hash, "\n", 1);
    }
    bn_sha256_end(&hash, out->token);
    return BN_OK;
}

bn_status bn_ranks_read(bn_ranks *out, const char *(*look)(const char *name), bn_error *err)
{
    const dialect *spoken = NULL;
    int world = 1, rank = 0;
    *out = bn_ranks_alone();
    for (int i = 0; i < DIALECT_COUNT && !spoken; i++) {
        if (look(DIALECTS[i].world)) spoken = &DIALECTS[i];
    }
    if (!spoken) {
        const char *size = look("PMI_SIZE");
        if (!size || strcmp(size, "1") == 0) return BN_OK;
        return bn_fail(err, BN_EINVAL,
                       "PMI_SIZE is %.20s: this launcher is not known; start the "
                       "ranks with srun or with Open MPI's mpirun",
                       size);
    }
    if (read_number(look, spoken->world, BN_RANKS_MAX + 1, &world, err) != BN_OK) {
        return err->status;
    }
    if (world <= 1) return BN_OK;
    if (read_number(look, spoken->rank, world, &rank, err) != BN_OK) return err->status;
    out->rank = rank;
    out->world = world;
    out->mpi = spoken->mpi;
    if (read_local(spoken, look, out, err) != BN_OK) return err->status;
    return read_token(spoken, look, out, err);
}
