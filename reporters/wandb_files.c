/* What the Files tab shows: where the run ran, its configuration, the sweep file, its summary.
 * Uploads go to signed addresses at other hosts, so the key stays at home. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "reporters/wandb_inside.h"

enum { FILES_MAX = 4 };

typedef struct files {
    const char *names[FILES_MAX];
    bn_text texts[FILES_MAX];
    size_t count;
} files;

static bn_text *add(files *all, const char *name)
{
    all->names[all->count] = name;
    return &all->texts[all->count++];
}

static bn_status gather(bn_wandb *w, bool begins, bool ends, const bn_text *summary, files *all,
                        bn_error *err)
{
    char *spec = NULL;
    bn_status status = BN_OK;
    if (begins) {
        status = bn_wandb_environment(w, add(all, "wandb-metadata.json"), err);
        if (status == BN_OK) status = bn_sweep_spec(w->store, w->batch->run.sweep, &spec, err);
        if (status == BN_OK) bn_text_add(add(all, "sweep.toml"), spec);
        free(spec);
    }
    if (status == BN_OK && ends) {
        status = bn_wandb_describe(w, true, add(all, "config.yaml"), err);
        bn_text_add(add(all, "wandb-summary.json"), summary->data);
    }
    for (size_t i = 0; status == BN_OK && i < all->count; i++) {
        if (all->texts[i].failed) status = bn_fail(err, BN_ENOMEM, "no memory for an upload");
    }
    return status;
}

bn_status bn_wandb_storage_ready(const bn_wandb *w, bn_error *err)
{
    if (w->upload_failures == 0 || bn_clock_mono_s() >= w->upload_ready_s) return BN_OK;
    return bn_fail(err, BN_EAGAIN, "%s", w->upload_error.text);
}

/* Storage that cannot be reached is not tried again for each run and each file. */
static void note_storage(bn_wandb *w, bn_status status, const bn_error *err)
{
    static const bn_retry_hint none = {-1, -1, -1};
    if (status != BN_EAGAIN) {
        w->upload_failures = 0;
        return;
    }
    w->upload_failures++;
    w->upload_error = *err;
    w->upload_ready_s = bn_clock_mono_s() +
                        bn_retry_wait_s(w->options.link.first_wait_s, w->upload_failures, none, 0);
}

bn_status bn_wandb_put(bn_wandb *w, const json_t *granted, const json_t *headers, const void *data,
                       size_t size_bytes, bn_error *err)
{
    bn_wandb_upload upload = {.url = json_string_value(json_object_get(granted, "uploadUrl")),
                              .data = data,
                              .size_bytes = size_bytes};
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(headers); i++) {
        const char *header = json_string_value(json_array_get(headers, i));
        if (!header || strpbrk(header, "\r\n")) continue;
        if (count == BN_WANDB_UPLOAD_HEADERS_MAX) {
            return bn_fail(err, BN_EINVAL, "the server asks for more than %d headers of an upload",
                           BN_WANDB_UPLOAD_HEADERS_MAX);
        }
        upload.headers[count++] = header;
    }
    if (!upload.url) return bn_fail(err, BN_EINVAL, "the server gives no upload address");
    bn_status status = bn_wandb_link_upload(w->link, &upload, err);
    note_storage(w, status, err);
    return status;
}

/* Asks for addresses and fills them. BN_ESTALE: one may have expired meanwhile. *known is false
 * when the server does not know this request: those of before 2024 do not, and their pages do
 * without the files. */
static bn_status send(bn_wandb *w, const files *all, bool *known, bn_error *err)
{
    json_t *data = NULL;
    bn_text_clear(&w->body);
    bn_wandb_files_body(&w->body, &w->memo.place, all->names, all->count);
    bn_status status = bn_wandb_link_query(w->link, BN_REQUEST_QUERY, &w->body, &data, err);
    *known = status != BN_EINVAL || bn_wandb_link_code(w->link) != 400;
    const json_t *granted = json_object_get(data, "createRunFiles");
    const json_t *list = json_object_get(granted, "files");
    if (status == BN_OK && json_array_size(list) != all->count) {
        status = bn_fail(err, BN_EINVAL, "the server gives addresses for other files");
    }
    for (size_t i = 0; status == BN_OK && i < all->count; i++) {
        status = bn_wandb_put(w, json_array_get(list, i), json_object_get(granted, "uploadHeaders"),
                              all->texts[i].data, all->texts[i].length, err);
        if (status != BN_OK) (void)bn_fail_in(err, "file %s", all->names[i]);
    }
    json_decref(data);
    return status;
}

static bn_status send_patiently(bn_wandb *w, files *all, bn_error *err)
{
    bool known = true;
    bn_status status = send(w, all, &known, err);
    for (int tries = 0; status == BN_ESTALE && tries < BN_WANDB_EXPIRIES_MAX; tries++) {
        *err = (bn_error){0};
        status = send(w, all, &known, err);
    }
    if (status == BN_ESTALE) err->status = status = BN_EINVAL;
    if (known) return status;
    *err = (bn_error){0};
    all->count = 0;
    return BN_OK;
}

bn_status bn_wandb_upload_files(bn_wandb *w, const bn_text *summary, bn_error *err)
{
    files all = {0};
    bool refused = !summary && w->memo.files & BN_WANDB_BEGIN_REFUSED;
    bool begins = !(w->memo.files & BN_WANDB_BEGIN_SENT) && !refused;
    bool ends = summary && !(w->memo.files & BN_WANDB_END_SENT);
    if (!begins && !ends) return BN_OK;
    if (bn_wandb_storage_ready(w, err) != BN_OK) return err->status;
    bn_status status = gather(w, begins, ends, summary, &all, err);
    if (status == BN_OK) status = send_patiently(w, &all, err);
    for (size_t i = 0; status == BN_OK && i < all.count; i++) {
        if (w->uploaded.length) bn_text_add(&w->uploaded, ",");
        bn_text_quoted(&w->uploaded, all.names[i]);
    }
    if (status == BN_OK && begins) w->memo.files |= BN_WANDB_BEGIN_SENT;
    if (status == BN_OK && ends) w->memo.files |= BN_WANDB_END_SENT;
    if (status == BN_EINVAL) w->memo.files |= BN_WANDB_BEGIN_REFUSED;
    for (size_t i = 0; i < FILES_MAX; i++) bn_text_release(&all.texts[i]);
    return status;
}

void bn_wandb_forget_files(bn_wandb *w)
{
    w->memo.files &= ~(BN_WANDB_END_SENT | BN_WANDB_CHECKPOINT_SENT | BN_WANDB_BEGIN_REFUSED);
    w->memo.ended = 0;
}
