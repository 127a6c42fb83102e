#include "runner/fleet/launch_local.h"

#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "runner/fleet/nursery.h"

static bn_status start(void *self, const bn_launch *launch, bn_token *out, bn_error *err)
{
    bn_identity identity;
    bn_nursery *nursery = self;
    bn_status status = nursery ? bn_nursery_start(nursery, launch, &identity, err)
                               : bn_process_start(launch, &identity, err);
    if (status != BN_OK) return status;
    bn_identity_text(&identity, out);
    return BN_OK;
}

static bn_status find(void *self, const char *dir, int attempt, bn_token *out, bool *found,
                      bn_error *err)
{
    bn_process_note note;
    bool alive = false;
    (void)self;
    *found = false;
    bn_status status = bn_process_look(dir, &note, &alive, err);
    if (status == BN_ENOENT) *err = (bn_error){0}; /* never started there: an answer, no failure */
    if (status == BN_ENOENT) return BN_OK;
    *found = status == BN_OK && note.attempt == attempt && note.identity.pid != 0;
    if (*found) bn_identity_text(&note.identity, out);
    return status;
}

/* What wait told of a child of ours: second-hand evidence, for a shepherd that died silently. */
static bn_exit exit_of(int status)
{
    bool signaled = WIFSIGNALED(status);
    return (bn_exit){.known = true,
                     .code = signaled ? -1 : WEXITSTATUS(status),
                     .signal = signaled ? WTERMSIG(status) : 0};
}

static bn_status poll(void *self, const char *dir, const bn_token *token, bool *alive, bn_exit *how,
                      bn_error *err)
{
    bn_identity identity;
    bn_process_note note;
    int status = 0;
    *alive = true;
    *how = (bn_exit){.code = -1};
    if (bn_identity_parse(token->text, &identity, err) != BN_OK) return err->status;
    if (self && bn_nursery_holds(self, identity.pid)) return BN_OK;
    /* 0: a child that still runs, the common answer. Not our child: we adopted it. */
    pid_t reaped = waitpid((pid_t)identity.pid, &status, WNOHANG);
    if (reaped == 0) return BN_OK;
    if (bn_process_look(dir, &note, alive, err) != BN_OK) return err->status;
    bool same = note.identity.pid == identity.pid;
    if (*alive && same) return BN_OK;
    *alive = false; /* a lock held by another pid: somebody runs the folder again, by hand */
    if (same && note.how.known) {
        *how = note.how;
    } else if (reaped > 0) {
        *how = exit_of(status);
    }
    return BN_OK;
}

static bn_status stop(void *self, const char *dir, const bn_token *token, bool force, bn_error *err)
{
    bn_identity identity;
    (void)self;
    (void)dir;
    if (bn_identity_parse(token->text, &identity, err) != BN_OK) return err->status;
    return bn_identity_signal(&identity, force ? SIGKILL : SIGTERM, err);
}

static void close_nursery(void *self)
{
    bn_nursery_close(self);
}

static const struct bn_launcher_ops OPS = {"local", start, find, poll, stop, close_nursery};

bn_launcher bn_launch_local(void)
{
    return (bn_launcher){.ops = &OPS, .self = NULL};
}

bn_launcher bn_launch_local_many(void)
{
    bn_nursery *nursery = NULL;
    bn_error ignored = {0};
    (void)!bn_nursery_open(&nursery, &ignored);
    return (bn_launcher){.ops = &OPS, .self = nursery};
}
