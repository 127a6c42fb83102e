#include "runner/cli/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/history.h"

static const double DRAW_EVERY_S = 0.25, READ_EVERY_S = 1.0;
enum { VARIANTS_MAX = 8, LINE_MAX = 512, BAR_WIDTH = 24 };

/* The best run of one number format so far. */
typedef struct best {
    char variant[16], run[BN_NAME_MAX];
    double value;
} best;

struct bn_progress {
    FILE *stream;
    bn_store *store;
    const bn_spec *spec;
    bool terminal;
    int drawn; /* lines of the block on the screen */
    double start_s, drawn_s, read_s;
    best bests[VARIANTS_MAX];
    int best_count;
    double tokens_per_s; /* of all running runs */
    bn_run_state *seen;  /* what was said of each run */
    size_t seen_count;
};

bn_status bn_progress_open(bn_progress **out, FILE *stream, bn_store *store, const bn_spec *spec,
                           bn_error *err)
{
    bn_progress *p = calloc(1, sizeof *p);
    *out = p;
    if (!p) return bn_fail(err, BN_ENOMEM, "no memory for the progress");
    p->stream = stream;
    p->store = store;
    p->spec = spec;
    p->terminal = isatty(fileno(stream)) == 1;
    p->start_s = p->drawn_s = p->read_s = -INFINITY;
    p->tokens_per_s = NAN;
    return BN_OK;
}

void bn_progress_close(bn_progress *p)
{
    if (!p) return;
    free(p->seen);
    free(p);
}

const char *bn_progress_time(char out[32], double seconds)
{
    int64_t whole = isfinite(seconds) && seconds >= 0 ? (int64_t)seconds : 0;
    if (whole >= 3600) {
        (void)snprintf(out, 32, "%lld h %02lld m", (long long)(whole / 3600),
                       (long long)(whole / 60 % 60));
    } else if (whole >= 60) {
        (void)snprintf(out, 32, "%lld m %02lld s", (long long)(whole / 60),
                       (long long)(whole % 60));
    } else {
        (void)snprintf(out, 32, "%.1f s", isfinite(seconds) && seconds >= 0 ? seconds : 0);
    }
    return out;
}

static const bn_run *run_of(const bn_run *runs, size_t count, int64_t id)
{
    size_t low = 0, high = count; /* ids rise with numbers */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && runs[low].id == id ? &runs[low] : NULL;
}

static void note_best(bn_progress *p, const bn_run *run, double value)
{
    int place = 0;
    while (place < p->best_count && strcmp(p->bests[place].variant, run->variant) != 0) place++;
    if (place == VARIANTS_MAX || !isfinite(value)) return;
    best *b = &p->bests[place];
    bool better =
        place == p->best_count || (p->spec->maximize ? value > b->value : value < b->value);
    if (place == p->best_count) p->best_count++;
    if (!better) return;
    b->value = value;
    (void)snprintf(b->variant, sizeof b->variant, "%s", run->variant);
    (void)snprintf(b->run, sizeof b->run, "%s", run->name);
}

/* The numbers that the store has to be asked for. */
static void read_numbers(bn_progress *p, const bn_sweeper *sweeper)
{
    bn_latest *latest = NULL;
    size_t count = 0, run_count = 0;
    bn_error ignored = {0};
    bn_sweep_look look;
    double sum = 0;
    const bn_run *runs = bn_sweeper_runs(sweeper, &run_count);
    bn_sweeper_look(sweeper, &look);
    p->best_count = 0;
    p->tokens_per_s = (double)NAN;
    if (bn_history_latest_of(p->store, look.sweep, p->spec->metric, &latest, &count, &ignored) !=
        BN_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const bn_run *run = run_of(runs, run_count, latest[i].run);
        if (run) note_best(p, run, p->spec->maximize ? latest[i].max : latest[i].min);
    }
    free(latest);
    if (bn_history_latest_of(p->store, look.sweep, "tokens_per_s", &latest, &count, &ignored) !=
        BN_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const bn_run *run = run_of(runs, run_count, latest[i].run);
        bool live = run && run->state == BN_RUN_RUNNING && isfinite(latest[i].last);
        if (live) sum += latest[i].last;
    }
    if (sum > 0) p->tokens_per_s = sum;
    free(latest);
}

/* Steps done of the runs that are running, as a share of one run each; 0 where not known. */
static double running_share(const bn_progress *p, const bn_fleet *fleet)
{
    double share = 0, steps = (double)p->spec->config.train.steps;
    for (size_t i = 0; p->spec->builtin && i < bn_fleet_count(fleet); i++) {
        const bn_member *m = bn_fleet_at(fleet, i);
        if (m->source.last_step > 0) share += fmin(1, (double)m->source.last_step / steps);
    }
    return share;
}

/* Seconds until the end, from what this process has seen; NaN: nothing to go by yet. */
static double eta_s(const bn_progress *p, const bn_sweeper *sweeper, const bn_sweep_look *look,
                    double mono_s)
{
    const bn_fleet *fleet = bn_sweeper_fleet(sweeper);
    double running = (double)bn_fleet_count(fleet);
    double waiting = (double)(look->counts[BN_RUN_PENDING] + look->counts[BN_RUN_PREEMPTED]);
    double share = running_share(p, fleet), run_s = look->run_s;
    if (!isfinite(run_s) && share > 0) {
        double busy = 0;
        for (size_t i = 0; i < bn_fleet_count(fleet); i++) {
            const bn_member *m = bn_fleet_at(fleet, i);
            if (m->source.last_step > 0 && isfinite(m->since_s)) busy += mono_s - m->since_s;
        }
        run_s = busy / share;
    }
    if (!isfinite(run_s) || running < 1) return NAN;
    return run_s * (waiting + fmax(0, running - share)) / running;
}

static void draw_bar(bn_text *line, double share)
{
    int full = (int)(share * BAR_WIDTH + 0.5);
    for (int i = 0; i < BAR_WIDTH; i++) bn_text_add(line, i < full ? "#" : "-");
}

static void head_line(const bn_progress *p, const bn_sweeper *sweeper, double mono_s, bn_text *line)
{
    bn_sweep_look look;
    char time[32];
    bn_sweeper_look(sweeper, &look);
    int64_t done = look.counts[BN_RUN_FINISHED] + look.counts[BN_RUN_PRUNED] +
                   look.counts[BN_RUN_SKIPPED] + look.counts[BN_RUN_KILLED];
    int64_t failed = look.counts[BN_RUN_FAILED] + look.counts[BN_RUN_CRASHED];
    double planned = look.planned > 0 ? (double)look.planned : 1;
    bn_text_addf(line, "%s ", p->spec->name);
    draw_bar(line, fmin(1, ((double)(done + failed) + running_share(p, bn_sweeper_fleet(sweeper))) /
                               planned));
    bn_text_addf(line, " %lld/%lld done, %lld running, %lld failed", (long long)done,
                 (long long)look.planned, (long long)look.counts[BN_RUN_RUNNING],
                 (long long)failed);
    bn_text_addf(line, "  %s", bn_progress_time(time, mono_s - p->start_s));
    double left = eta_s(p, sweeper, &look, mono_s);
    if (isfinite(left)) bn_text_addf(line, ", about %s left", bn_progress_time(time, left));
    if (isfinite(p->tokens_per_s)) bn_text_addf(line, "  %.0f tokens/s", p->tokens_per_s);
    if (look.state == BN_SWEEP_PAUSED) bn_text_add(line, "  paused");
}

static void put_line(const bn_progress *p, const char *line)
{
    int columns = 100;
    const char *given = getenv("COLUMNS"); /* NOLINT(concurrency-mt-unsafe): one thread */
    if (given && strtol(given, NULL, 10) > 20) columns = (int)strtol(given, NULL, 10);
    (void)fprintf(p->stream, "\r\033[K%.*s\n", columns - 1, line);
}

void bn_progress_clear(bn_progress *p)
{
    if (p->drawn == 0) return;
    (void)fprintf(p->stream, "\033[%dA\033[J", p->drawn);
    (void)fflush(p->stream);
    p->drawn = 0;
}

static void draw(bn_progress *p, const bn_sweeper *sweeper, double mono_s)
{
    char words[LINE_MAX];
    bn_text line;
    bn_progress_clear(p);
    bn_text_fixed(&line, words, sizeof words);
    head_line(p, sweeper, mono_s, &line);
    put_line(p, words);
    p->drawn = 1;
    for (int i = 0; i < p->best_count; i++) {
        const best *b = &p->bests[i];
        bn_text_clear(&line);
        bn_text_addf(&line, "  best %s of %s: %.5g (%s)", p->spec->metric,
                     *b->variant ? b->variant : "all", b->value, b->run);
        put_line(p, words);
        p->drawn++;
    }
    (void)fflush(p->stream);
}

void bn_progress_say(bn_progress *p, const char *line)
{
    bn_progress_clear(p);
    (void)fprintf(p->stream, "%s\n", line);
    (void)fflush(p->stream);
}

static void say_run(bn_progress *p, const bn_run *run, size_t total)
{
    char words[LINE_MAX], time[32];
    bn_text line;
    bn_run row;
    bn_error ignored = {0};
    bn_text_fixed(&line, words, sizeof words);
    bool known = bn_run_get(p->store, run->id, &row, &ignored) == BN_OK;
    bn_text_addf(&line, "%s: run %d of %zu, %s, %s", p->spec->name, run->number + 1, total,
                 run->name, bn_run_state_name(run->state));
    if (known && row.duration_s > 0) {
        bn_text_addf(&line, " in %s", bn_progress_time(time, row.duration_s));
    }
    if (known && *row.reason) bn_text_addf(&line, ": %s", row.reason);
    bn_progress_say(p, words);
}

/* Runs that ended since the last look. On a terminal only the bad news: the block tells the rest.
 */
static void say_ended(bn_progress *p, const bn_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool fresh = i >= p->seen_count;
        bool changed = fresh ? false : p->seen[i] != runs[i].state;
        bool ended = runs[i].state != BN_RUN_PENDING && runs[i].state != BN_RUN_RUNNING;
        bool news = runs[i].state == BN_RUN_FAILED || runs[i].state == BN_RUN_CRASHED;
        if (changed && ended && (news || !p->terminal)) say_run(p, &runs[i], count);
    }
}

/* Remembers what was said; without memory for it less is said. */
static void remember(bn_progress *p, const bn_run *runs, size_t count)
{
    if (count > p->seen_count) {
        bn_run_state *seen = realloc(p->seen, count * sizeof *seen);
        if (!seen) return;
        p->seen = seen;
        p->seen_count = count;
    }
    for (size_t i = 0; i < count; i++) p->seen[i] = runs[i].state;
}

void bn_progress_show(bn_progress *p, const bn_sweeper *sweeper, double mono_s, bool last)
{
    size_t count = 0;
    const bn_run *runs = bn_sweeper_runs(sweeper, &count);
    if (!isfinite(p->start_s)) p->start_s = mono_s;
    if (!last && mono_s - p->drawn_s < DRAW_EVERY_S) return;
    p->drawn_s = mono_s;
    say_ended(p, runs, count);
    remember(p, runs, count);
    if (!p->terminal) return;
    if (mono_s - p->read_s >= READ_EVERY_S) {
        p->read_s = mono_s;
        read_numbers(p, sweeper);
    }
    draw(p, sweeper, mono_s);
}
