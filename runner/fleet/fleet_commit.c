/* fleet_commit.c - the changes of a tick, gathered and written in one transaction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/fleet/fleet_inside.h"

static void copy_text(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text ? text : "");
}

bn_status bn_fleet_move(bn_fleet *fleet, int64_t run, const bn_run_change *change, bn_error *err)
{
    if (fleet->move_count == fleet->move_room) {
        size_t room = fleet->move_room ? fleet->move_room * 2 : 64;
        bn_fleet_change *moves = realloc(fleet->moves, room * sizeof *moves);
        if (!moves) return bn_fail(err, BN_ENOMEM, "no memory for %zu changes", room);
        fleet->moves = moves;
        fleet->move_room = room;
    }
    bn_fleet_change *m = &fleet->moves[fleet->move_count++];
    m->run = run;
    m->change = *change;
    copy_text(m->reason, sizeof m->reason, change->reason);
    copy_text(m->token, sizeof m->token, change->token);
    copy_text(m->host, sizeof m->host, change->host);
    copy_text(m->device, sizeof m->device, change->device);
    return BN_OK;
}

/* Ended runs leave, planned ones have begun; those of `dropped` leave too. */
static void after_commit(bn_fleet *fleet)
{
    size_t kept = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        bn_member *m = fleet->members[i];
        if (m->phase == BN_PHASE_ENDED) {
            free(m);
            continue;
        }
        if (m->phase == BN_PHASE_PLANNED) {
            m->phase = BN_PHASE_BEGUN;
            m->run.state = BN_RUN_RUNNING;
            m->run.attempt++;
        }
        fleet->members[kept++] = m;
    }
    fleet->count = kept;
    fleet->move_count = 0;
}

/* Somebody else moved this run: it is no longer ours to hold. */
static void drop(bn_fleet *fleet, int64_t run)
{
    for (size_t i = 0; i < fleet->count; i++) {
        if (fleet->members[i]->run.id == run && fleet->members[i]->phase == BN_PHASE_PLANNED) {
            fleet->members[i]->phase = BN_PHASE_ENDED;
        }
    }
}

/* One by one, past those that are stale: together they were refused. */
static bn_status commit_each(bn_fleet *fleet, bn_error *err)
{
    for (size_t i = 0; i < fleet->move_count; i++) {
        bn_fleet_change *m = &fleet->moves[i];
        bn_error why = {0};
        bn_status status = bn_run_move(fleet->options.store, m->run, &m->change, &why);
        if (status == BN_OK) continue;
        if (status != BN_ESTALE && status != BN_ENOENT) {
            fleet->move_count -= i;
            memmove(fleet->moves, m, fleet->move_count * sizeof *m);
            return bn_fail(err, status, "%s", why.text);
        }
        drop(fleet, m->run);
    }
    return BN_OK;
}

bn_status bn_fleet_commit(bn_fleet *fleet, double wall_s, bn_error *err)
{
    size_t count = fleet->move_count;
    if (count == 0) return BN_OK;
    int64_t *runs = calloc(count, sizeof *runs);
    bn_run_change *changes = calloc(count, sizeof *changes);
    bn_error why = {0};
    bn_status status = BN_OK;
    if (!runs || !changes) {
        status = bn_fail(err, BN_ENOMEM, "no memory for %zu changes", count);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        bn_fleet_change *m = &fleet->moves[i];
        m->change.reason = m->reason;
        m->change.token = m->token;
        m->change.host = m->host;
        m->change.device = m->device;
        m->change.now_s = wall_s;
        runs[i] = m->run;
        changes[i] = m->change;
    }
    status = bn_run_move_all(fleet->options.store, runs, changes, count, &why);
    if (status == BN_ESTALE || status == BN_ENOENT) {
        status = commit_each(fleet, err);
    } else if (status != BN_OK) {
        (void)bn_fail(err, status, "%s", why.text);
    }
    if (status == BN_OK) after_commit(fleet);
done:
    free(runs);
    free(changes);
    return status;
}
