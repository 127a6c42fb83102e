#include "reporters/site.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "reporters/pyramid.h"
#include "reporters/site_assets.h"
#include "reporters/site_curves.h"
#include "reporters/site_index.h"
#include "reporters/site_run.h"

enum { THREADS_MAX = 32, PAGE_BYTES_MAX = 1 << 20 };

/* In our page's head; what tells it from a stranger's index.html. */
static const char OUR_MARK[] = "<meta name=\"generator\" content=\"bnexp\">";

/* What a run adds to the curves of its sweep: one object a metric, one after another. */
typedef struct run_curves {
    bn_text text;
    int64_t *metric; /* [count] */
    size_t *end;     /* [count] where each object ends */
    size_t count;
} run_curves;

/* What the writing threads share. */
typedef struct site_work {
    const bn_site_job *job;
    const bn_site_table *table;
    run_curves *curves; /* [runs] each written by the thread that has its run */
    atomic_size_t next; /* the run to write next */
    atomic_bool stop;
    pthread_mutex_t lock; /* of what follows */
    bn_error err;
    bn_site_summary summary;
} site_work;

static bn_status write_all(int file, const char *path, const void *data, size_t size_bytes,
                           bn_error *err)
{
    const char *at = data;
    while (size_bytes) {
        ssize_t done = write(file, at, size_bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return bn_fail_errno(err, "write %s", path);
        at += done;
        size_bytes -= (size_t)done;
    }
    return BN_OK;
}

/* Replaces a file whole. No fsync: it can be made again from the store, and a thousand runs make
 * thousands of files. */
static bn_status write_file(const char *folder, const char *name, const void *data,
                            size_t size_bytes, bn_error *err)
{
    char path[BN_PATH_MAX];
    char fresh[BN_PATH_MAX + 8];
    if (bn_path_join(path, folder, name, err) != BN_OK) return err->status;
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    int file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return bn_fail_errno(err, "open %s", fresh);
    bn_status status = write_all(file, fresh, data, size_bytes, err);
    if (close(file) != 0 && status == BN_OK) status = bn_fail_errno(err, "close %s", fresh);
    if (status == BN_OK && rename(fresh, path)) status = bn_fail_errno(err, "rename %s", fresh);
    if (status != BN_OK) (void)unlink(fresh);
    return status;
}

/* A data file of one run: made, written, counted. */
static bn_status write_part(site_work *work, const bn_site_history *history, bn_site_part part,
                            const bn_site_folder *folder, bn_text *text, bn_error *err)
{
    bn_text_clear(text);
    bn_status status = bn_site_run_text(history, part, folder, text, err);
    if (status != BN_OK) return status;
    char name[80];
    if (folder) {
        (void)snprintf(name, sizeof name, "data/run-%s.js", history->run->key);
    } else {
        (void)snprintf(name, sizeof name, "data/run-%s-%d-%lld.js", history->run->key, part.level,
                       (long long)part.chunk);
    }
    status = write_file(work->job->out, name, text->data, text->length, err);
    if (status != BN_OK) return status;
    (void)pthread_mutex_lock(&work->lock);
    work->summary.files++;
    work->summary.size_bytes += (int64_t)text->length;
    (void)pthread_mutex_unlock(&work->lock);
    return BN_OK;
}

/* Made while the run's history is at hand, written when those of the whole sweep are there. */
static bn_status keep_curves(site_work *work, size_t index, const bn_site_history *history,
                             bn_error *err)
{
    run_curves *curves = &work->curves[index];
    size_t runs = work->table->sizes[work->table->sweep_of[index]];
    curves->metric = calloc(history->count + 1, sizeof *curves->metric);
    curves->end = calloc(history->count + 1, sizeof *curves->end);
    if (!curves->metric || !curves->end) {
        return bn_fail(err, BN_ENOMEM, "run %s: no memory for its curves", history->run->key);
    }
    int64_t width = bn_site_curve_width(history->records, runs);
    for (size_t m = 0; m < history->count; m++) {
        bn_site_curve curve = {history->run, &history->series[m], history->records, width,
                               history->picks};
        bn_site_curve_text(&curve, &curves->text);
        curves->metric[curves->count] = history->metrics[m].key_id;
        curves->end[curves->count++] = curves->text.length;
    }
    if (!curves->text.failed) return BN_OK;
    return bn_fail(err, BN_ENOMEM, "run %s: no memory for its curves", history->run->key);
}

static void release_curves(site_work *work)
{
    for (size_t r = 0; work->curves && r < work->table->run_count; r++) {
        bn_text_release(&work->curves[r].text);
        free(work->curves[r].metric);
        free(work->curves[r].end);
    }
    free(work->curves);
}

static bn_status write_run(site_work *work, bn_store *store, size_t index, bn_text *text,
                           bn_error *err)
{
    const bn_run *run = &work->table->runs[index];
    bn_site_history history = {0};
    bn_site_folder folder = {0};
    if (bn_site_history_read(store, run, &history, err) != BN_OK) goto done;
    if (keep_curves(work, index, &history, err) != BN_OK) goto done;
    if (bn_site_folder_read(store, work->job->home, run, &folder, err) != BN_OK) goto done;
    int top = bn_pyramid_top(history.records);
    if (write_part(work, &history, (bn_site_part){top, 0}, &folder, text, err) != BN_OK) goto done;
    for (int level = top - 1; level >= 0; level--) {
        int64_t chunks = bn_pyramid_chunks(history.records, level);
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            bn_site_part part = {level, chunk};
            if (write_part(work, &history, part, NULL, text, err) != BN_OK) goto done;
        }
    }
done:
    bn_site_folder_release(&folder);
    bn_site_history_release(&history);
    return err->status;
}

/* One thread: takes runs until there are none or somebody failed. */
static void *write_runs(void *argument)
{
    site_work *work = argument;
    bn_error err = {0};
    bn_text text = {0};
    bn_store *store = NULL;
    if (bn_store_open(&store, work->job->home, BN_STORE_READ, &err) == BN_OK) {
        while (!atomic_load(&work->stop)) {
            size_t run = atomic_fetch_add(&work->next, 1);
            if (run >= work->table->run_count) break;
            if (write_run(work, store, run, &text, &err) != BN_OK) break;
        }
    }
    if (err.status != BN_OK) {
        atomic_store(&work->stop, true);
        (void)pthread_mutex_lock(&work->lock);
        if (work->err.status == BN_OK) work->err = err;
        (void)pthread_mutex_unlock(&work->lock);
    }
    bn_store_close(store);
    bn_text_release(&text);
    return NULL;
}

static bn_status write_all_runs(site_work *work, bn_error *err)
{
    int threads = work->job->threads < THREADS_MAX ? work->job->threads : THREADS_MAX;
    pthread_t others[THREADS_MAX];
    int started = 0;
    while (started < threads - 1 && (size_t)started + 1 < work->table->run_count) {
        if (pthread_create(&others[started], NULL, write_runs, work) != 0) break;
        started++;
    }
    (void)write_runs(work);
    for (int i = 0; i < started; i++) (void)pthread_join(others[i], NULL);
    if (work->err.status != BN_OK) *err = work->err;
    return err->status;
}

/* One metric of one sweep; no file when none of its runs measured it. */
static bn_status write_curves(site_work *work, size_t sweep, const bn_site_metric *metric,
                              bn_text *text, bn_error *err)
{
    const bn_site_table *table = work->table;
    char name[80];
    size_t found = 0;
    bn_text_clear(text);
    bn_site_curves_begin(table->sweeps[sweep].id, metric, text);
    for (size_t r = 0; r < table->run_count; r++) {
        const run_curves *curves = &work->curves[r];
        if (table->sweep_of[r] != sweep) continue;
        for (size_t i = 0; i < curves->count; i++) {
            if (curves->metric[i] != metric->id) continue;
            size_t start = i ? curves->end[i - 1] : 0;
            if (found++) bn_text_add_bytes(text, ",", 1);
            bn_text_add_bytes(text, curves->text.data + start, curves->end[i] - start);
        }
    }
    bn_site_curves_end(text);
    if (text->failed) return bn_fail(err, BN_ENOMEM, "no memory for the curves of a sweep");
    if (!found) return BN_OK;
    (void)snprintf(name, sizeof name, "data/curves-%lld-%lld.js",
                   (long long)table->sweeps[sweep].id, (long long)metric->id);
    if (write_file(work->job->out, name, text->data, text->length, err) != BN_OK) {
        return err->status;
    }
    work->summary.files++;
    work->summary.size_bytes += (int64_t)text->length;
    return BN_OK;
}

static bn_status write_all_curves(site_work *work, bn_error *err)
{
    bn_text text = {0};
    for (size_t s = 0; s < work->table->sweep_count && err->status == BN_OK; s++) {
        for (size_t m = 0; m < work->table->metric_count && err->status == BN_OK; m++) {
            (void)write_curves(work, s, &work->table->metrics[m], &text, err);
        }
    }
    bn_text_release(&text);
    return err->status;
}

/* A folder that already shows a stranger's page is not ours to overwrite. */
static bn_status check_folder(const char *out, bn_error *err)
{
    char path[BN_PATH_MAX];
    if (bn_path_join(path, out, "index.html", err) != BN_OK) return err->status;
    if (!bn_file_exists(path)) return BN_OK;
    char *page = NULL;
    size_t size = 0;
    bn_error ignored = {0};
    bool ours = bn_file_read(path, PAGE_BYTES_MAX, &page, &size, &ignored) == BN_OK &&
                strstr(page, OUR_MARK) != NULL;
    free(page);
    if (ours) return BN_OK;
    return bn_fail(err, BN_EINVAL, "%s is not a bnexp dashboard; choose another folder", path);
}

/* The way from folder `from` to folder `to`, "../../runs/", or "" when there is none to tell. */
static void relative_way(const char *from, const char *to, bn_text *way)
{
    char *here = realpath(from, NULL);
    char *there = realpath(to, NULL);
    if (here && there) {
        size_t same = 0;
        size_t slash = 0;
        for (; here[same] && here[same] == there[same]; same++) {
            if (here[same] == '/') slash = same;
        }
        bool here_ends = !here[same] && (!there[same] || there[same] == '/');
        bool there_ends = !there[same] && here[same] == '/';
        if (here_ends || there_ends) slash = same;
        for (const char *c = here + slash; *c; c++) {
            if (*c == '/' && c[1]) bn_text_add(way, "../");
        }
        const char *rest = there + slash;
        while (*rest == '/') rest++;
        bn_text_add(way, rest);
        if (*rest) bn_text_add(way, "/");
        if (!way->length) bn_text_add(way, "./");
    }
    free(here);
    free(there);
}

static bn_status write_index(bn_store *store, const bn_site_table *table, site_work *work,
                             bn_error *err)
{
    bn_text text = {0};
    bn_text way = {0};
    relative_way(work->job->out, work->job->home, &way);
    bn_site_about about = {.knobs = work->job->knobs,
                           .knob_count = work->job->knob_count,
                           .now_s = work->job->now_s,
                           .files = way.data ? way.data : ""};
    bn_status status = bn_site_index_text(store, table, &about, &text, err);
    if (status == BN_OK) {
        status = write_file(work->job->out, "data/index.js", text.data, text.length, err);
    }
    work->summary.files++;
    work->summary.size_bytes += (int64_t)text.length;
    bn_text_release(&text);
    bn_text_release(&way);
    return status;
}

static bn_status write_assets(site_work *work, bn_error *err)
{
    size_t count = 0;
    const bn_site_asset *assets = bn_site_assets(&count);
    for (size_t i = 0; i < count; i++) {
        if (write_file(work->job->out, assets[i].name, assets[i].data, assets[i].size_bytes, err)) {
            return err->status;
        }
        work->summary.files++;
        work->summary.size_bytes += (int64_t)assets[i].size_bytes;
    }
    return BN_OK;
}

bn_status bn_site_write(const bn_site_job *job, bn_site_summary *summary, bn_error *err)
{
    char data[BN_PATH_MAX];
    bn_store *store = NULL;
    bn_site_table table = {0};
    site_work work = {.job = job, .table = &table, .lock = PTHREAD_MUTEX_INITIALIZER};
    if (bn_store_open(&store, job->home, BN_STORE_READ, err) != BN_OK) goto done;
    if (check_folder(job->out, err) != BN_OK) goto done;
    if (bn_site_table_read(store, &table, err) != BN_OK) goto done;
    if (bn_path_join(data, job->out, "data", err) != BN_OK) goto done;
    if (bn_dir_make(data, 0755, err) != BN_OK) goto done;
    work.curves = calloc(table.run_count + 1, sizeof *work.curves);
    if (!work.curves) (void)bn_fail(err, BN_ENOMEM, "no memory for the curves");
    if (!work.curves || write_all_runs(&work, err) != BN_OK) goto done;
    if (write_all_curves(&work, err) != BN_OK) goto done;
    if (write_assets(&work, err) != BN_OK) goto done;
    if (write_index(store, &table, &work, err) != BN_OK) goto done;
    work.summary.sweeps = table.sweep_count;
    work.summary.runs = table.run_count;
    *summary = work.summary;
done:
    release_curves(&work);
    bn_site_table_release(&table);
    bn_store_close(store);
    (void)pthread_mutex_destroy(&work.lock);
    return err->status;
}
