#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/cuda/cuda.h"
#include "engine/cuda/cuda_backend.h"
#include "engine/cuda/cuda_transport.h"

enum { CAPABILITY_MAJOR = BN_CUDA_CAPABILITY / 10, CAPABILITY_MINOR = BN_CUDA_CAPABILITY % 10 };

static bn_cuda *of(void *self)
{
    return static_cast<bn_cuda *>(self);
}

bool bn_cuda_failed(const void *self)
{
    return static_cast<const bn_cuda *>(self)->failure.status != BN_OK;
}

/* Memory can also run out where a kernel is loaded or a graph is made. */
static bn_status kind_of(const char *why)
{
    return strcmp(why, bn_runtime_short()) == 0 ? BN_ENOMEM : BN_EIO;
}

void bn_cuda_check(bn_cuda *cuda, const char *why, const char *what)
{
    if (why) (void)bn_fail(&cuda->failure, kind_of(why), "%s: %s", what, why);
}

void bn_cuda_launched(bn_cuda *cuda, const char *kernel)
{
    bn_cuda_check(cuda, bn_runtime_launched(), kernel);
}

/* Not zeroed; NULL sticks, with how much is missing, where that is the reason: a card that an
 * earlier kernel has broken gives no memory either. */
static void *allocate_raw(bn_cuda *cuda, size_t bytes)
{
    void *memory = nullptr;
    size_t free_bytes = 0, all_bytes = 0;
    const char *why = bn_runtime_alloc(&cuda->runtime, &memory, bytes ? bytes : 1);
    if (memory) return memory;
    if (why && kind_of(why) != BN_ENOMEM) {
        bn_cuda_check(cuda, why, "take memory");
        return nullptr;
    }
    (void)bn_runtime_memory(&cuda->runtime, &free_bytes, &all_bytes);
    size_t missing = bytes > free_bytes ? bytes - free_bytes : 0;
    (void)bn_fail(&cuda->failure, BN_ENOMEM,
                  "no memory for %zu bytes: %zu of %zu are free, %zu are missing", bytes,
                  free_bytes, all_bytes, missing);
    return nullptr;
}

static void *allocate(void *self, size_t bytes)
{
    void *memory = allocate_raw(of(self), bytes);
    if (memory) bn_cuda_zero(self, memory, bytes);
    return memory;
}

static void forget_replays(bn_cuda *cuda)
{
    for (int i = 0; i < BN_CUDA_REPLAYS; i++) {
        bn_runtime_forget(cuda->replays[i].graph);
        cuda->replays[i] = {};
    }
}

/* A graph may name the memory. */
static void release(void *self, void *memory)
{
    forget_replays(of(self));
    bn_runtime_free(&of(self)->runtime, memory);
}

void *bn_cuda_scratch(bn_cuda *cuda, bn_cuda_slot slot, size_t bytes)
{
    if (bn_cuda_failed(cuda)) return nullptr;
    if (bytes <= cuda->scratch[slot].bytes) return cuda->scratch[slot].memory;
    if (cuda->recording >= 0) {
        (void)bn_fail(&cuda->failure, BN_EIO, "work of one key asked for more memory than before");
        return nullptr;
    }
    cuda->generation++;
    if (slot == BN_CUDA_SLOT_ANGLES) cuda->rope = {};
    bn_runtime_free(&cuda->runtime, cuda->scratch[slot].memory);
    cuda->scratch[slot].bytes = 0;
    cuda->scratch[slot].memory = allocate_raw(cuda, bytes);
    if (cuda->scratch[slot].memory) cuda->scratch[slot].bytes = bytes;
    return cuda->scratch[slot].memory;
}

static void write_bytes(void *self, void *to, const void *from_host, size_t bytes)
{
    if (bn_cuda_failed(self) || !bytes) return;
    bn_cuda_check(of(self), bn_runtime_write(&of(self)->runtime, to, from_host, bytes), "write");
}

static void read_bytes(void *self, void *to_host, const void *from, size_t bytes)
{
    if (bn_cuda_failed(self) || !bytes) return;
    bn_cuda_check(of(self), bn_runtime_read(&of(self)->runtime, to_host, from, bytes), "read");
}

void bn_cuda_zero(void *self, void *memory, size_t bytes)
{
    if (bn_cuda_failed(self) || !bytes) return;
    bn_cuda_check(of(self), bn_runtime_zero(&of(self)->runtime, memory, bytes), "zero");
}

void bn_cuda_gemm(bn_cuda *cuda, const bn_gemm *product)
{
    char what[64];
    if (bn_cuda_failed(cuda)) return;
    const char *why = bn_gemm_run(cuda->gemm, product);
    if (!why) return;
    (void)snprintf(what, sizeof what, "product of %d x %d over %d", product->m, product->n,
                   product->k);
    bn_cuda_check(cuda, why, what);
}

static bn_status sync(void *self, bn_error *err)
{
    bn_cuda *cuda = of(self);
    bn_cuda_check(cuda, bn_runtime_wait(&cuda->runtime), "wait");
    if (!bn_cuda_failed(cuda)) return BN_OK;
    bn_status status = bn_fail(err, cuda->failure.status, "cuda: %s", cuda->failure.text);
    cuda->failure.status = BN_OK;
    return status;
}

static void close_backend(void *self)
{
    bn_cuda *cuda = of(self);
    forget_replays(cuda);
    for (int i = 0; i < BN_MARKS; i++) bn_runtime_unmark(cuda->marks[i]);
    for (int i = 0; i < BN_CUDA_SLOTS; i++) {
        if (cuda->scratch[i].memory) bn_runtime_free(&cuda->runtime, cuda->scratch[i].memory);
    }
    bn_gemm_close(cuda->gemm);
    if (cuda->gemm_workspace) bn_runtime_free(&cuda->runtime, cuda->gemm_workspace);
    bn_runtime_close(&cuda->runtime);
    free(cuda);
}

/* The place of a key: its own, a free one, or that of the key before. */
static int place_of(const bn_cuda *cuda, uint64_t key)
{
    int empty = static_cast<int>(key % BN_CUDA_REPLAYS);
    for (int i = BN_CUDA_REPLAYS - 1; i >= 0; i--) {
        if (cuda->replays[i].seen && cuda->replays[i].key == key) return i;
        if (!cuda->replays[i].seen) empty = i;
    }
    return empty;
}

/* First seen: the work runs, and all scratch memory that it needs is there. Then it is recorded,
 * then replayed; when scratch memory has moved since, it is recorded again. */
static bool replay(void *self, uint64_t key)
{
    bn_cuda *cuda = of(self);
    if (bn_cuda_failed(cuda)) return false;
    int place = place_of(cuda, key);
    bn_cuda_replay *r = &cuda->replays[place];
    if (r->key != key || r->generation != cuda->generation) {
        bn_runtime_forget(r->graph);
        *r = {key, cuda->generation, r->key == key ? r->seen : 0, nullptr};
    }
    r->seen++;
    if (r->graph) {
        bn_cuda_check(cuda, bn_runtime_replay(&cuda->runtime, r->graph), "replay");
        return true;
    }
    if (r->seen < 2) return false;
    const char *why = bn_runtime_record_begin(&cuda->runtime);
    bn_cuda_check(cuda, why, "record");
    if (!why) cuda->recording = place;
    return false;
}

static void replay_end(void *self)
{
    bn_cuda *cuda = of(self);
    if (cuda->recording < 0) return;
    bn_cuda_replay *r = &cuda->replays[cuda->recording];
    cuda->recording = -1;
    bn_cuda_check(cuda, bn_runtime_record_end(&cuda->runtime, &r->graph), "record");
    if (!bn_cuda_failed(cuda)) {
        bn_cuda_check(cuda, bn_runtime_replay(&cuda->runtime, r->graph), "replay");
        return;
    }
    bn_runtime_forget(r->graph); /* a part of the work is missing from it */
    *r = {};
}

static void mark(void *self, int place)
{
    bn_cuda *cuda = of(self);
    if (bn_cuda_failed(cuda)) return;
    bn_cuda_check(cuda, bn_runtime_mark(&cuda->runtime, &cuda->marks[place]), "mark");
}

static double seconds(void *self, int from, int to)
{
    bn_cuda *cuda = of(self);
    double taken_s = NAN;
    if (bn_cuda_failed(cuda) || !cuda->marks[from] || !cuda->marks[to]) return NAN;
    bn_cuda_check(cuda, bn_runtime_seconds(cuda->marks[from], cuda->marks[to], &taken_s), "time");
    return taken_s;
}

static const struct bn_ops table = {
    .name = "cuda",
    .behind = true,
    .halves = true,
    .alloc = allocate,
    .free = release,
    .write = write_bytes,
    .read = read_bytes,
    .zero = bn_cuda_zero,
    .sync = sync,
    .close = close_backend,
    .replay = replay,
    .replay_end = replay_end,
    .mark = mark,
    .seconds = seconds,
    .weight_form_bytes = bn_cuda_weight_form_bytes,
    .weight_prepare = bn_cuda_weight_prepare,
    .weight_codes = bn_cuda_weight_codes,
    .embed_forward = bn_cuda_embed_forward,
    .embed_backward = bn_cuda_embed_backward,
    .norm_forward = bn_cuda_norm_forward,
    .norm_backward = bn_cuda_norm_backward,
    .glu_forward = bn_cuda_glu_forward,
    .glu_backward = bn_cuda_glu_backward,
    .linear_forward = bn_cuda_linear_forward,
    .linear_backward = bn_cuda_linear_backward,
    .rope = bn_cuda_rope,
    .attention_forward = bn_cuda_attention_forward,
    .attention_backward = bn_cuda_attention_backward,
    .head_loss = bn_cuda_head_loss,
    .sum = bn_cuda_sum,
    .sum_squares = bn_cuda_sum_squares,
    .decide = bn_cuda_decide,
    .adamw = bn_cuda_adamw,
};

/* CUDA 12 and 13 run on these drivers and newer ones. */
static int driver_for(int version)
{
    return version >= 13000 ? 580 : 525;
}

static bn_status count_cards(int *out, bn_error *err)
{
    int driver = bn_runtime_driver(), version = bn_runtime_version();
    *out = 0;
    const char *why = bn_runtime_count(out);
    if (!why && *out > 0) return BN_OK;
    if (driver > 0 && driver < version) {
        return bn_fail(err, BN_EINVAL,
                       "the NVIDIA driver is made for CUDA %d.%d, bnexp needs CUDA %d.%d: driver "
                       "%d or newer",
                       driver / 1000, driver % 1000 / 10, version / 1000, version % 1000 / 10,
                       driver_for(version));
    }
    if (driver == 0) {
        return bn_fail(err, BN_EINVAL, "no NVIDIA driver; bnexp needs driver %d or newer",
                       driver_for(version));
    }
    return bn_fail(err, BN_EINVAL, "no NVIDIA card to use: %s", why ? why : "none is visible");
}

static bn_cuda_card card_of(const bn_gpu_facts *facts)
{
    bn_cuda_card card = {};
    (void)snprintf(card.name, sizeof card.name, "%s", facts->name);
    (void)snprintf(card.bus, sizeof card.bus, "%s", facts->bus);
    card.major = facts->major;
    card.minor = facts->minor;
    card.processors = facts->processors;
    card.memory_bytes = facts->memory_bytes;
    card.free_bytes = facts->free_bytes;
    return card;
}

static bn_status look_at(int index, bn_gpu_facts *facts, bn_error *err)
{
    int count = 0;
    if (count_cards(&count, err) != BN_OK) return err->status;
    if (index < 0 || index >= count) {
        return bn_fail(err, BN_EINVAL, "no card %d: there %s %d, from 0", index,
                       count == 1 ? "is" : "are", count);
    }
    const char *why = bn_runtime_facts(index, facts);
    return why ? bn_fail(err, BN_EINVAL, "card %d: %s", index, why) : BN_OK;
}

static bn_status look(int index, bn_cuda_card *out, bn_error *err)
{
    bn_gpu_facts facts = {};
    bn_status status = look_at(index, &facts, err);
    *out = card_of(&facts);
    return status;
}

static bn_status open_parts(bn_cuda *cuda, int index, bn_error *err)
{
    const char *why = bn_runtime_open(&cuda->runtime, index);
    if (why) return bn_fail(err, kind_of(why), "card %d: %s", index, why);
    cuda->gemm_workspace = allocate_raw(cuda, BN_GEMM_WORKSPACE_BYTES);
    if (!cuda->gemm_workspace) return bn_fail(err, cuda->failure.status, "%s", cuda->failure.text);
    why = bn_gemm_open(&cuda->gemm, &cuda->runtime, cuda->gemm_workspace);
    return why ? bn_fail(err, kind_of(why), "card %d: cublasLt: %s", index, why) : BN_OK;
}

static bn_status open_backend(bn_backend *out, int index, bn_error *err)
{
    bn_gpu_facts facts = {};
    *out = {};
    if (look_at(index, &facts, err) != BN_OK) return err->status;
    if (facts.major * 10 + facts.minor < BN_CUDA_CAPABILITY) {
        return bn_fail(err, BN_EINVAL,
                       "%s has compute capability %d.%d, bnexp needs %d.%d (A100) or newer",
                       facts.name, facts.major, facts.minor, CAPABILITY_MAJOR, CAPABILITY_MINOR);
    }
    bn_cuda *cuda = static_cast<bn_cuda *>(calloc(1, sizeof *cuda));
    if (!cuda) return bn_fail(err, BN_ENOMEM, "no memory for the cuda backend");
    cuda->facts = facts;
    cuda->recording = -1;
    if (open_parts(cuda, index, err) != BN_OK) {
        close_backend(cuda);
        return err->status;
    }
    *out = {&table, cuda};
    return BN_OK;
}

static bn_cuda_card card(bn_backend be)
{
    return card_of(&static_cast<const bn_cuda *>(be.self)->facts);
}

static const bn_cuda_plugin plugin = {.abi = BN_CUDA_ABI,
                                      .ops_bytes = sizeof(struct bn_ops),
                                      .open = open_backend,
                                      .count = count_cards,
                                      .look = look,
                                      .card = card,
                                      .transport = bn_cuda_transport};

extern "C" __attribute__((visibility("default"))) const bn_cuda_plugin *bn_cuda_plugin_entry(void)
{
    return &plugin;
}
