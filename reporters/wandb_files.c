/* What the Files tab shows: where the run ran, its configuration, the sweep file, its summary.
 * Uploads go to signed addresses at other hosts, so the key stays at home. */
#include <stdlib.h>
#include <string.h>

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

bn_status bn_wandb_put(bn_wandb *w, const json_t *granted, const json_t *headers, const void *data,
                       size_t size_bytes, bn_error *err)
{
    bn_wandb_upload upload = {.url = json_string_value(json_object_get(granted, "uploadUrl")),
                              .data = data,
                              .size_bytes = size_bytes};
    const size_t room = sizeof upload.headers / sizeof upload.headers[0];
    for (size_t i = 0; i < json_array_size(headers) && i < room; i++) {
        const char *header = json_string_value(json_array_get(headers, i));
        if (!header || strpbrk(header, "\r\n")) continue;
        upload.headers[i] = header;
    }
    if (!upload.url) return bn_fail(err, BN_EINVAL, "the server gives no upload address");
    return bn_wandb_link_upload(w->link, &upload, err);
}

/* Asks for addresses and fills them. BN_ESTALE: one has expired meanwhile. */
static bn_status send(bn_wandb *w, const files *all, bn_error *err)
{
    json_t *data = NULL;
    bn_text_clear(&w->body);
    bn_wandb_files_body(&w->body, &w->memo.place, all->names, all->count);
    bn_status status = bn_wandb_link_query(w->link, BN_REQUEST_QUERY, &w->body, &data, err);
    const json_t *granted = json_object_get(data, "createRunFiles");
    const json_t *list = json_object_get(granted, "files");
    if (status == BN_OK && json_array_size(list) != all->count) {
        status = bn_fail(err, BN_EINVAL, "the server gives addresses for other files");
    }
    for (size_t i = 0; status == BN_OK && i < all->count; i++) {
        status = bn_wandb_put(w, json_array_get(list, i), json_object_get(granted, "uploadHeaders"),
                              all->texts[i].data, all->texts[i].length, err);
    }
    json_decref(data);
    return status;
}

bn_status bn_wandb_upload_files(bn_wandb *w, const bn_text *summary, bn_error *err)
{
    files all = {0};
    bool begins = !(w->memo.files & BN_WANDB_BEGIN_SENT);
    bool ends = summary && !(w->memo.files & BN_WANDB_END_SENT);
    if (!begins && !ends) return BN_OK;
    bn_status status = gather(w, begins, ends, summary, &all, err);
    for (int tries = 0; status == BN_OK; tries++) {
        status = send(w, &all, err);
        if (status != BN_ESTALE) break;
        if (tries == BN_WANDB_EXPIRIES_MAX) {
            err->status = status = BN_EINVAL;
            break;
        }
        *err = (bn_error){0};
        status = BN_OK;
    }
    /* Servers of before 2024 do not know this request. Their pages do without the files. */
    if (status == BN_EINVAL && bn_wandb_link_code(w->link) == 400) {
        *err = (bn_error){0};
        status = BN_OK;
        all.count = 0;
    }
    for (size_t i = 0; status == BN_OK && i < all.count; i++) {
        if (w->uploaded.length) bn_text_add(&w->uploaded, ",");
        bn_text_quoted(&w->uploaded, all.names[i]);
    }
    if (status == BN_OK && begins) w->memo.files |= BN_WANDB_BEGIN_SENT;
    if (status == BN_OK && ends) w->memo.files |= BN_WANDB_END_SENT;
    for (size_t i = 0; i < FILES_MAX; i++) bn_text_release(&all.texts[i]);
    return status;
}

void bn_wandb_forget_files(bn_wandb *w)
{
    w->memo.files &= ~(BN_WANDB_END_SENT | BN_WANDB_CHECKPOINT_SENT);
}
