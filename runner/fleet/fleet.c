#include "runner/fleet/fleet.h"

#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "runner/fleet/fleet_inside.h"
#include "runner/fleet/rundir.h"

enum { LOG_BYTES_MAX = 64 << 20 }; /* of stdout.log and stderr.log each */
enum { INVALID_MAX = 200 };        /* bytes of BN_FACT_INVALID's value */
#define INVALID_FIRST " passed over; the first: "
static const double LOOK_EVERY_S = 0.05; /* at living runs' events: the group commit */
static const double LOGS_EVERY_S = 1.0;
static const double BEGIN_TO_START_S = 60; /* more than a manager takes from the row to the deed */

bn_status bn_fleet_open(bn_fleet **out, const bn_fleet_options *options, bn_error *err)
{
    bn_fleet *fleet = calloc(1, sizeof *fleet);
    *out = NULL;
    if (!fleet) {
        options->launcher.ops->close(options->launcher.self);
        return bn_fail(err, BN_ENOMEM, "no memory for a fleet");
    }
    fleet->options = *options;
    fleet->looked_s = fleet->logs_s = -INFINITY;
    if (bn_ingest_open(&fleet->ingest, err) != BN_OK) {
        bn_fleet_close(fleet);
        return err->status;
    }
    *out = fleet;
    return BN_OK;
}

void bn_fleet_close(bn_fleet *fleet)
{
    if (!fleet) return;
    for (size_t i = 0; i < fleet->count; i++) free(fleet->members[i]);
    free(fleet->members);
    free(fleet->moves);
    bn_ingest_close(fleet->ingest);
    fleet->options.launcher.ops->close(fleet->options.launcher.self);
    free(fleet);
}

size_t bn_fleet_count(const bn_fleet *fleet)
{
    return fleet->count;
}

const bn_member *bn_fleet_at(const bn_fleet *fleet, size_t index)
{
    return fleet->members[index];
}

int64_t bn_fleet_records(const bn_fleet *fleet)
{
    return fleet->records;
}

int bn_fleet_free(const bn_fleet *fleet)
{
    int busy = 0;
    for (size_t i = 0; i < fleet->count; i++) busy += fleet->members[i]->phase != BN_PHASE_ENDED;
    return fleet->options.slots > busy ? fleet->options.slots - busy : 0;
}

static int free_slot(const bn_fleet *fleet)
{
    for (int slot = 0; slot < fleet->options.slots; slot++) {
        bool taken = false;
        for (size_t i = 0; i < fleet->count; i++) {
            const bn_member *m = fleet->members[i];
            taken = taken || (m->slot == slot && m->phase != BN_PHASE_ENDED);
        }
        if (!taken) return slot;
    }
    return -1;
}

/* The new member, or NULL and err says why. */
static bn_member *add_member(bn_fleet *fleet, const bn_run *run, bn_error *err)
{
    if (fleet->count == fleet->room) {
        size_t room = fleet->room ? fleet->room * 2 : 64;
        bn_member **members = realloc(fleet->members, room * sizeof(bn_member *));
        if (!members) {
            (void)bn_fail(err, BN_ENOMEM, "no memory for %zu runs", room);
            return NULL;
        }
        fleet->members = members;
        fleet->room = room;
    }
    char config[BN_PATH_MAX];
    bn_member *m = calloc(1, sizeof *m);
    if (!m) {
        (void)bn_fail(err, BN_ENOMEM, "no memory for a run");
        return NULL;
    }
    m->run = *run;
    m->slot = free_slot(fleet);
    m->source = (bn_source){
        .run = run->id, .mark_bytes = run->mark_bytes, .next_seq = run->next_seq, .last_step = -1};
    (void)snprintf(m->token.text, sizeof m->token.text, "%s", run->token);
    if (bn_path_join(m->dir, fleet->options.home, run->dir, err) != BN_OK ||
        bn_path_join(m->source.path, m->dir, BN_RUNDIR_EVENTS, err) != BN_OK ||
        bn_path_join(config, m->dir, BN_RUNDIR_CONFIG, err) != BN_OK) {
        free(m);
        return NULL;
    }
    m->external = bn_file_exists(config);
    fleet->members[fleet->count++] = m;
    return m;
}

/* The fleet's own, writable view of a member that a caller pointed at. */
static bn_member *own(bn_fleet *fleet, const bn_member *member)
{
    for (size_t i = 0; i < fleet->count; i++) {
        if (fleet->members[i] == member) return fleet->members[i];
    }
    assert(!"a member of this fleet");
    return NULL;
}

bn_status bn_fleet_adopt(bn_fleet *fleet, const bn_run *run, bool *taken, bn_error *err)
{
    const char *why = NULL;
    const bn_launcher *launcher = &fleet->options.launcher;
    *taken = true;
    bn_member *m = add_member(fleet, run, err);
    if (!m) return err->status;
    m->phase = BN_PHASE_RUNNING;
    m->since_s = m->heard_s = m->asked_s = NAN; /* the first tick sets them */
    m->ask = bn_ask_parse(run->reason, &why);
    bn_status status =
        launcher->ops->find(launcher->self, m->dir, run->attempt, &m->token, taken, err);
    if (status == BN_OK && *taken) return BN_OK;
    free(m);
    fleet->count--;
    if (status != BN_OK) return status;
    bn_run_change back = {.from = BN_RUN_RUNNING,
                          .to = BN_RUN_PENDING,
                          .reason = "its manager died before it was started",
                          .exit_code = -1,
                          .ends_attempt = true};
    return bn_fleet_move(fleet, run->id, &back, err);
}

bn_status bn_fleet_adopt_dead(bn_fleet *fleet, const bn_run *run, double wall_s, bn_error *err)
{
    const bn_launcher *launcher = &fleet->options.launcher;
    char dir[BN_PATH_MAX];
    bn_token token = {0};
    bn_exit how;
    bool found = false, alive = false;
    if (bn_path_join(dir, fleet->options.home, run->dir, err) != BN_OK) return err->status;
    bn_status status = launcher->ops->find(launcher->self, dir, run->attempt, &token, &found, err);
    if (status == BN_OK && found) {
        status = launcher->ops->poll(launcher->self, dir, &token, &alive, &how, err);
    }
    /* Its manager may be about to start it; after a while there is none. */
    double age_s = wall_s - run->started_s; /* below 0: the clock was set back */
    bool young = !found && age_s >= 0 && age_s < BEGIN_TO_START_S;
    if (status != BN_OK || alive || young) return status;
    return bn_fleet_adopt(fleet, run, &found, err);
}

void bn_fleet_settled(bn_fleet *fleet, const bn_member *member)
{
    own(fleet, member)->settled = true;
}

bn_status bn_fleet_plan(bn_fleet *fleet, const bn_run *run, bn_error *err)
{
    char host[64] = "";
    assert(bn_fleet_free(fleet) > 0);
    bn_member *m = add_member(fleet, run, err);
    if (!m) return err->status;
    m->phase = BN_PHASE_PLANNED;
    m->token.text[0] = '\0';
    (void)gethostname(host, sizeof host - 1);
    bn_run_change begin = {.from = run->state,
                           .to = BN_RUN_RUNNING,
                           .host = host,
                           .exit_code = -1,
                           .begins_attempt = true};
    return bn_fleet_move(fleet, run->id, &begin, err);
}

/* The end of a member, into its row. */
static bn_status end(bn_fleet *fleet, bn_member *m, const bn_verdict *verdict, int exit_code,
                     bn_error *err)
{
    m->phase = BN_PHASE_ENDED;
    m->verdict = *verdict;
    bn_run_change change = {.from = BN_RUN_RUNNING,
                            .to = verdict->state,
                            .reason = verdict->reason,
                            .host = m->source.host,
                            .device = m->source.device,
                            .exit_code = exit_code,
                            .ends_attempt = true};
    if (m->ours) change.ran_s = bn_clock_mono_s() - m->since_s;
    return bn_fleet_move(fleet, m->run.id, &change, err);
}

void bn_fleet_launch_failed(bn_fleet *fleet, const bn_member *member, const char *why)
{
    bn_member *m = own(fleet, member);
    bn_error err = {0};
    bn_verdict verdict = {.state = BN_RUN_CRASHED};
    (void)snprintf(verdict.reason, sizeof verdict.reason, "cannot start: %.200s", why);
    /* Without memory for the change the row stays `running`; the next manager finds it dead. */
    if (end(fleet, m, &verdict, -1, &err) != BN_OK) m->phase = BN_PHASE_ENDED;
}

void bn_fleet_launch(bn_fleet *fleet, const bn_member *member, const bn_launch *launch,
                     double mono_s)
{
    bn_member *m = own(fleet, member);
    const bn_launcher *launcher = &fleet->options.launcher;
    bn_error err = {0};
    assert(m->phase == BN_PHASE_BEGUN);
    m->external = launch->external;
    if (launcher->ops->start(launcher->self, launch, &m->token, &err) != BN_OK) {
        bn_fleet_launch_failed(fleet, m, err.text);
        return;
    }
    m->phase = BN_PHASE_RUNNING;
    m->since_s = m->heard_s = mono_s;
    m->ours = true;
    bn_run_change record = {
        .from = BN_RUN_RUNNING, .to = BN_RUN_RUNNING, .token = m->token.text, .exit_code = -1};
    if (bn_fleet_move(fleet, m->run.id, &record, &err) != BN_OK) {
        return; /* the token is not recorded; it can be found again by the folder */
    }
}

bn_status bn_fleet_ask(bn_fleet *fleet, const bn_member *member, bn_ask ask, const char *why,
                       bn_error *err)
{
    bn_member *m = own(fleet, member);
    const bn_launcher *launcher = &fleet->options.launcher;
    bool again = m->ask != BN_ASK_NOTHING && ask != BN_ASK_CANCEL;
    if (m->phase != BN_PHASE_RUNNING || again || m->ask == ask) return BN_OK;
    bn_run_change intent = {.from = BN_RUN_RUNNING,
                            .to = BN_RUN_RUNNING,
                            .exit_code = -1,
                            .now_s = bn_clock_wall_s(),
                            .reason = m->run.reason};
    bn_ask_text(ask, why, m->run.reason);
    bn_status status = bn_run_move(fleet->options.store, m->run.id, &intent, err);
    if (status == BN_ESTALE) {
        *err = (bn_error){0}; /* somebody else judged it: it is gone, and the tick will see that */
    } else if (status != BN_OK) {
        return status;
    }
    m->ask = ask;
    m->asked_s = NAN;
    return launcher->ops->stop(launcher->self, m->dir, &m->token, false, err);
}

bn_status bn_fleet_ask_all(bn_fleet *fleet, bn_ask ask, const char *why, bool force, bn_error *err)
{
    const bn_launcher *launcher = &fleet->options.launcher;
    for (size_t i = 0; i < fleet->count; i++) {
        bn_member *m = fleet->members[i];
        if (m->phase != BN_PHASE_RUNNING) continue;
        if (bn_fleet_ask(fleet, m, ask, why, err) != BN_OK) return err->status;
        if (!force) continue;
        if (launcher->ops->stop(launcher->self, m->dir, &m->token, true, err) != BN_OK) {
            return err->status;
        }
        m->forced = true;
    }
    return BN_OK;
}

/* One that floods its logs must not fill the disk for all. Its file is open for appending, so it
 * goes on at the new end. */
static void cut_log(const bn_member *m, const char *name)
{
    static const char note[] = "bnexp: this log was cut here, it had passed 64 MiB\n";
    char path[BN_PATH_MAX];
    bn_error ignored = {0};
    struct stat info;
    if (bn_path_join(path, m->dir, name, &ignored) != BN_OK) return;
    if (stat(path, &info) != 0 || info.st_size <= LOG_BYTES_MAX) return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return;
    if (ftruncate(fd, 0) == 0) {
        ssize_t unimportant = write(fd, note, sizeof note - 1);
        (void)unimportant;
    }
    (void)close(fd);
}

static void look(bn_fleet *fleet, bn_member *m, double wall_s, double mono_s)
{
    bn_error err = {0};
    int64_t before = m->source.ahead_bytes;
    if (bn_ingest_look(fleet->ingest, &m->source, wall_s, &err) != BN_OK &&
        m->source.bad_lines == 0) {
        m->source.bad_lines = 1;
        (void)snprintf(m->source.bad_first, sizeof m->source.bad_first, "%s", err.text);
    }
    if (m->source.ahead_bytes != before) m->heard_s = mono_s;
}

static void see_invalid(void *self, const bn_run_fact *fact)
{
    if (strcmp(fact->name, BN_FACT_INVALID) != 0) return;
    (void)snprintf(self, INVALID_MAX, "%s", fact->value);
}

/* What the run's file said in vain, into the row: more than earlier managers and attempts found.
 * Best effort: a store that is busy is told with the next look. */
static void tell_invalid(bn_fleet *fleet, bn_member *m)
{
    char before[INVALID_MAX] = "", now[INVALID_MAX];
    const bn_source *source = &m->source;
    bn_error ignored = {0};
    if (source->bad_lines == m->bad_told || source->refused) return;
    bn_store *store = fleet->options.store;
    if (bn_run_each_origin(store, m->run.id, see_invalid, before, &ignored) != BN_OK) return;
    long long count = strtoll(before, NULL, 10) + source->bad_lines - m->bad_told;
    const char *first = strstr(before, INVALID_FIRST);
    if (first) {
        (void)snprintf(now, sizeof now, "%lld%s", count, first);
    } else if (source->bad_first_line > 0) {
        (void)snprintf(now, sizeof now, "%lld" INVALID_FIRST BN_RUNDIR_EVENTS ":%lld: %s", count,
                       (long long)source->bad_first_line, source->bad_first);
    } else {
        (void)snprintf(now, sizeof now, "%s", source->bad_first);
    }
    bn_run_fact fact = {BN_FACT_INVALID, now};
    if (bn_run_set_origin(store, m->run.id, &fact, 1, &ignored) == BN_OK) {
        m->bad_told = source->bad_lines;
    }
}

/* Who runs on, from the begin line, into the row with the next commit. */
static bn_status tell(bn_fleet *fleet, bn_member *m, bn_error *err)
{
    if (m->told || !m->source.begun) return BN_OK;
    m->told = true;
    bn_run_change change = {.from = BN_RUN_RUNNING,
                            .to = BN_RUN_RUNNING,
                            .host = m->source.host,
                            .device = m->source.device,
                            .exit_code = -1};
    return bn_fleet_move(fleet, m->run.id, &change, err);
}

static bn_status judge(bn_fleet *fleet, bn_member *m, const bn_exit *how, bn_error *err)
{
    char words[160];
    const char *why = "";
    bn_run row;
    if (!m->source.ended) bn_ingest_recall(fleet->ingest, &m->source);
    bn_rundir_last_words(m->dir, words, sizeof words);
    /* bnexp stop writes its intent into the row and signals the run itself. */
    if (m->ask == BN_ASK_NOTHING && strcmp(m->source.how, "finished") != 0) {
        if (bn_run_get(fleet->options.store, m->run.id, &row, err) != BN_OK) return err->status;
        m->run = row;
        m->ask = bn_ask_parse(m->run.reason, &why);
    }
    (void)bn_ask_parse(m->run.reason, &why);
    bn_evidence evidence = {.ask = m->ask,
                            .ask_why = why,
                            .external = m->external,
                            .how = m->source.ended ? m->source.how : NULL,
                            .reason = m->source.reason,
                            .exit = *how,
                            .last_words = words};
    bn_verdict verdict = bn_judge(&evidence);
    return end(fleet, m, &verdict, how->known ? how->code : -1, err);
}

/* Is it gone? Past its grace it is killed. */
static bool poll_member(bn_fleet *fleet, bn_member *m, double mono_s, bn_exit *how)
{
    const bn_launcher *launcher = &fleet->options.launcher;
    bn_error err = {0};
    bool alive = true;
    if (m->ask != BN_ASK_NOTHING && isnan(m->asked_s)) m->asked_s = mono_s;
    if (isnan(m->since_s)) m->since_s = m->heard_s = mono_s;
    if (launcher->ops->poll(launcher->self, m->dir, &m->token, &alive, how, &err) != BN_OK) {
        return false; /* not told: ask again next time */
    }
    bool late = m->ask != BN_ASK_NOTHING && mono_s - m->asked_s > fleet->options.grace_s;
    if (alive && late && !m->forced) {
        m->forced = launcher->ops->stop(launcher->self, m->dir, &m->token, true, &err) == BN_OK;
    }
    return !alive;
}

bn_status bn_fleet_tick(bn_fleet *fleet, double wall_s, double mono_s, bn_error *err)
{
    bool all = mono_s - fleet->looked_s >= LOOK_EVERY_S;
    bool logs = mono_s - fleet->logs_s >= LOGS_EVERY_S;
    int64_t records = 0;
    bn_exit *exits = calloc(fleet->count + 1, sizeof *exits);
    bool *gone = calloc(fleet->count + 1, sizeof *gone);
    bn_status status = BN_OK;
    if (!exits || !gone) {
        status = bn_fail(err, BN_ENOMEM, "no memory for a tick");
        goto done;
    }
    if (all) fleet->looked_s = mono_s;
    if (logs) fleet->logs_s = mono_s;
    for (size_t i = 0; i < fleet->count; i++) {
        bn_member *m = fleet->members[i];
        if (m->phase != BN_PHASE_RUNNING) continue;
        gone[i] = poll_member(fleet, m, mono_s, &exits[i]);
        if (all || gone[i]) look(fleet, m, wall_s, mono_s);
        while (gone[i] && m->source.more) look(fleet, m, wall_s, mono_s);
        if (logs) cut_log(m, BN_RUNDIR_STDOUT);
        if (logs) cut_log(m, BN_RUNDIR_STDERR);
    }
    status = bn_ingest_commit(fleet->ingest, fleet->options.store, &records, err);
    if (status == BN_OK) fleet->records += records;
    for (size_t i = 0; status == BN_OK && i < fleet->count; i++) {
        bn_member *m = fleet->members[i];
        if (logs || gone[i] || m->bad_told == 0) tell_invalid(fleet, m);
    }
    for (size_t i = 0; status == BN_OK && i < fleet->count; i++) {
        bn_member *m = fleet->members[i];
        if (m->phase != BN_PHASE_RUNNING) continue;
        status = gone[i] ? judge(fleet, m, &exits[i], err) : tell(fleet, m, err);
    }
done:
    free(exits);
    free(gone);
    return status;
}
