/* cuda_emu.h - runs CUDA kernels on the host, for machines without a GPU: one fiber a thread, one
 * block at a time, in C++ under any compiler flag and sanitizer of an x86-64 machine.
 *
 * It defines the words that engine/cuda/words.h gives to nvcc, so a kernel file is the same text
 * for both; CMake puts one of the two in front of it. What it finds, besides wrong numbers:
 *   - results that depend on the order of threads, warps or blocks: BN_EMU_SEED (environment) 0
 * runs them forward, 1 backward, any other value shuffles them anew at every launch
 *   - barriers that some threads of a block do not reach, or that are not the same one
 *   - warp collectives that not every lane joins (masks are taken to be full)
 *   - reads of shared memory that nobody wrote (it starts as NaN-like 0xA5 bytes), and of
 *     cp.async targets before their group was waited for
 * It tells on stderr and aborts. Not emulated: caches, timing, memory order between blocks.
 */
#ifndef BN_TESTS_SUPPORT_CUDA_EMU_H
#define BN_TESTS_SUPPORT_CUDA_EMU_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <sanitizer/asan_interface.h>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__

using std::isfinite;
using std::isnan;

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};

struct alignas(8) uint2 {
    unsigned x, y;
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

struct alignas(8) float2 {
    float x, y;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

inline float2 make_float2(float x, float y)
{
    return {x, y};
}

inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

namespace bn_emu
{
constexpr size_t stack_bytes = 64 << 10, entry_bytes = 2 << 10, mail_bytes = 32;
constexpr unsigned warp_lanes = 32;

enum lane_state { RUNNING, AT_BLOCK, AT_WARP, DONE };

/* What a lane shows to its warp at one collective; `turn` counts its collectives. */
struct mail {
    unsigned turn = 0;
    alignas(16) unsigned char bytes[mail_bytes];
};

/* A cp.async that has been given and not waited for. */
struct async_copy {
    unsigned char *to;
    unsigned char bytes[16];
    int count;
    int group;
};

struct lane {
    lane_state state = RUNNING;
    dim3 thread;
    unsigned number = 0;
    int line = 0; /* of the barrier it waits at */
    mail mails[2];
    unsigned turn = 0;
    int groups = 0;
    std::vector<async_copy> copies;
    void *stack_pointer = nullptr;
};

struct machine {
    lane *me = nullptr;
    void *scheduler = nullptr;
    dim3 block, grid, index;
    std::vector<lane> lanes;
    std::vector<unsigned char> shared;
    std::vector<std::unique_ptr<unsigned char, void (*)(void *)>> stacks;
    std::function<void()> body;
    unsigned seed = 0, chance = 1;
    std::vector<std::function<void()>> *record = nullptr;
    bool late = false; /* work is done when somebody waits for it */
    std::vector<std::function<void()>> given;
    long launches = 0;
};

/* Not thread-safe: one launch at a time in a process. */
inline machine m;

[[noreturn]] inline void die(const char *what, int line)
{
    (void)fprintf(stderr, "cuda_emu: %s (line %d, block %u,%u,%u, thread %u)\n", what, line,
                  m.index.x, m.index.y, m.index.z, m.me ? m.me->number : 0);
    abort();
}

/* Saves the callee-saved registers of the System V ABI and goes on with another stack. */
extern "C" void bn_emu_switch(void **save, void *to);
asm(".pushsection .text\n.weak bn_emu_switch\n.type bn_emu_switch,@function\nbn_emu_switch:\n"
    " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n.popsection");

inline void leave()
{
    lane *self = m.me;
    bn_emu_switch(&self->stack_pointer, m.scheduler);
}

inline void wait(lane_state what, int line)
{
    m.me->state = what;
    m.me->line = line;
    leave();
}

inline void entry()
{
    m.body();
    if (!m.me->copies.empty()) die("cp.async never waited for", 0);
    m.me->state = DONE;
    leave();
    abort();
}

inline unsigned draw()
{
    m.chance = m.chance * 1664525U + 1013904223U;
    return m.chance >> 8;
}

/* Lets the lanes of [low, high) go on when all that live wait at `what`. */
inline bool release(size_t low, size_t high, lane_state what)
{
    bool any = false, gone = false;
    int line = 0;
    for (size_t i = low; i < high; i++) {
        lane &l = m.lanes[i];
        if (l.state == DONE) gone = true;
        if (l.state == DONE) continue;
        if (l.state != what) return false;
        any = true;
        if (!line) line = l.line;
        m.me = &l;
        if (line != l.line) die("threads meet at different barriers", line);
    }
    if (any && gone && what == AT_BLOCK) die("a barrier after some threads have returned", line);
    for (size_t i = low; any && i < high; i++) {
        if (m.lanes[i].state == what) m.lanes[i].state = RUNNING;
    }
    return any;
}

/* One round of one warp: each lane that can run does so until it waits or ends. */
inline bool step_warp(size_t low, size_t high, size_t &left)
{
    size_t count = high - low, start = m.seed > 1 ? draw() % count : 0;
    bool moved = false;
    for (size_t k = 0; k < count; k++) {
        lane &l = m.lanes[low + (m.seed == 1 ? count - 1 - k : (start + k) % count)];
        if (l.state != RUNNING) continue;
        m.me = &l;
        moved = true;
        bn_emu_switch(&m.scheduler, l.stack_pointer);
        if (l.state == DONE) left--;
    }
    return release(low, high, AT_WARP) || moved;
}

/* entry() never returns, so what the address sanitizer noted of its frame would stay. */
inline void start_lane(lane &l, size_t i)
{
    ASAN_UNPOISON_MEMORY_REGION(m.stacks[i].get() + stack_bytes - entry_bytes, entry_bytes);
    l.state = RUNNING;
    l.turn = 0;
    l.groups = 0;
    l.mails[0].turn = l.mails[1].turn = 0;
    void **top = reinterpret_cast<void **>(m.stacks[i].get() + stack_bytes) - 2;
    *top = reinterpret_cast<void *>(entry);
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    l.stack_pointer = top;
}

/* Warps run as far as they can (the largest distance between them) or, shuffled, a few rounds. */
inline bool step_block(size_t count, size_t &left)
{
    size_t warps = (count + warp_lanes - 1) / warp_lanes, start = m.seed > 1 ? draw() % warps : 0;
    bool moved = false;
    for (size_t k = 0; k < warps; k++) {
        size_t warp = m.seed == 1 ? warps - 1 - k : (start + k) % warps, low = warp * warp_lanes;
        size_t high = low + warp_lanes < count ? low + warp_lanes : count;
        unsigned rounds = m.seed < 2 || draw() % 2 ? ~0U : 1 + draw() % 4;
        while (rounds-- > 0 && step_warp(low, high, left)) moved = true;
    }
    return release(0, count, AT_BLOCK) || moved;
}

inline void run_block(size_t count)
{
    while (m.stacks.size() < count) {
        m.stacks.emplace_back(static_cast<unsigned char *>(aligned_alloc(64, stack_bytes)), free);
    }
    for (size_t i = 0; i < count; i++) start_lane(m.lanes[i], i);
    size_t left = count;
    while (left > 0) {
        if (step_block(count, left) || left == 0) continue;
        for (lane &l : m.lanes) {
            if (l.state != DONE) m.me = &l;
        }
        die("deadlock: a barrier or warp collective that not all threads reach", m.me->line);
    }
    m.me = nullptr;
}

inline void run_grid(dim3 grid, dim3 block, size_t shared_bytes)
{
    const char *seed = getenv("BN_EMU_SEED");
    m.seed = seed ? static_cast<unsigned>(strtoul(seed, nullptr, 10)) : 0;
    if (m.seed > 1) m.chance += m.seed;
    m.grid = grid;
    m.block = block;
    size_t count = static_cast<size_t>(block.x) * block.y * block.z;
    m.lanes.resize(count);
    for (size_t i = 0; i < count; i++) {
        unsigned n = static_cast<unsigned>(i);
        m.lanes[i].number = n;
        m.lanes[i].thread = dim3(n % block.x, n / block.x % block.y, n / block.x / block.y);
    }
    unsigned blocks = grid.x * grid.y * grid.z, start = m.seed > 1 ? draw() % blocks : 0;
    for (unsigned k = 0; k < blocks; k++) {
        unsigned n = m.seed == 1 ? blocks - 1 - k : (start + k) % blocks;
        m.index = dim3(n % grid.x, n / grid.x % grid.y, n / grid.x / grid.y);
        m.shared.assign(shared_bytes + 16, 0xA5);
        run_block(count);
    }
}

/* Runs the work now, or when the stream is waited for, or keeps it for the graph that is being
 * recorded. */
inline void submit(std::function<void()> work)
{
    if (m.record) {
        m.record->push_back(std::move(work));
    } else if (m.late) {
        m.given.push_back(std::move(work));
    } else {
        work();
    }
}

/* All work given so far is done. */
inline void finish()
{
    std::vector<std::function<void()>> given;
    given.swap(m.given);
    for (const std::function<void()> &work : given) work();
}

/* Arguments are copied, as nvcc's launch does. */
template <class... Wanted, class... Given>
void launch(dim3 grid, dim3 block, size_t shared_bytes, void (*kernel)(Wanted...), Given... given)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x * block.y * block.z > 1024) {
        die("a grid without blocks, or a block of more than 1024 threads", 0);
    }
    if (!m.record) m.launches++;
    submit([=] {
        m.body = [=] { kernel(given...); };
        run_grid(grid, block, shared_bytes);
    });
}

/* Shows `bytes` to the warp and waits until every lane has; read with mail_of. Two mailboxes take
 * turns, so a lane cannot overwrite what a slower one has still to read. */
inline unsigned post(const void *from, size_t bytes, int line)
{
    lane *self = m.me;
    unsigned turn = ++self->turn;
    mail &box = self->mails[turn % 2];
    memcpy(box.bytes, from, bytes);
    box.turn = turn;
    wait(AT_WARP, line);
    return turn;
}

inline const unsigned char *mail_of(unsigned source, unsigned turn, int line)
{
    size_t i = m.me->number / warp_lanes * warp_lanes + source % warp_lanes;
    if (i >= m.lanes.size() || m.lanes[i].mails[turn % 2].turn != turn) {
        die("a warp collective reads from a lane that did not join", line);
    }
    return m.lanes[i].mails[turn % 2].bytes;
}

template <class T> T shuffle(T value, unsigned source, int line)
{
    static_assert(sizeof(T) <= 8, "what a shuffle moves");
    T result;
    memcpy(&result, mail_of(source, post(&value, sizeof value, line), line), sizeof result);
    return result;
}

inline unsigned lane_number()
{
    return m.me->number % warp_lanes;
}

inline unsigned down(unsigned by)
{
    unsigned to = lane_number() + by;
    return to < warp_lanes ? to : lane_number();
}

inline unsigned up(unsigned by)
{
    return lane_number() >= by ? lane_number() - by : lane_number();
}

inline unsigned ballot(bool value, int line)
{
    unsigned votes = 0, one = value, turn = post(&one, sizeof one, line);
    size_t low = m.me->number / warp_lanes * warp_lanes;
    for (unsigned i = 0; i < warp_lanes && low + i < m.lanes.size(); i++) {
        memcpy(&one, mail_of(i, turn, line), sizeof one);
        votes |= one << i;
    }
    return votes;
}

template <class T> T fetch_add(T *p, T value)
{
    T old = *p;
    *p = old + value;
    return old;
}

template <class T> T fetch_max(T *p, T value)
{
    T old = *p;
    if (value > old) *p = value;
    return old;
}
} // namespace bn_emu

#define threadIdx                    (bn_emu::m.me->thread)
#define blockIdx                     (bn_emu::m.index)
#define blockDim                     (bn_emu::m.block)
#define gridDim                      (bn_emu::m.grid)
#define warpSize                     32
#define __syncthreads()              bn_emu::wait(bn_emu::AT_BLOCK, __LINE__)
#define __syncwarp(...)              bn_emu::wait(bn_emu::AT_WARP, __LINE__)
#define __shfl_sync(mask, v, l)      bn_emu::shuffle(v, static_cast<unsigned>(l), __LINE__)
#define __shfl_xor_sync(mask, v, x)  bn_emu::shuffle(v, bn_emu::lane_number() ^ (x), __LINE__)
#define __shfl_down_sync(mask, v, d) bn_emu::shuffle(v, bn_emu::down(d), __LINE__)
#define __shfl_up_sync(mask, v, d)   bn_emu::shuffle(v, bn_emu::up(d), __LINE__)
#define __ballot_sync(mask, v)       bn_emu::ballot(v, __LINE__)
#define __any_sync(mask, v)          (bn_emu::ballot(v, __LINE__) != 0)

#define BN_SHARED(T, name, count) static T name[count]
#define BN_DYN_SHARED(T, name)                                                                     \
    T *name = reinterpret_cast<T *>((reinterpret_cast<uintptr_t>(bn_emu::m.shared.data()) + 15) &  \
                                    ~static_cast<uintptr_t>(15))
#define BN_LAUNCH(cuda, kernel, grid, block, shared_bytes, ...)                                    \
    (static_cast<void>(cuda),                                                                      \
     bn_emu::launch(dim3(grid), dim3(block), shared_bytes, kernel, __VA_ARGS__))

template <class T> T __ldg(const T *p)
{
    return *p;
}

inline float __expf(float x)
{
    return std::exp(x);
}

inline float __logf(float x)
{
    return std::log(x);
}

inline float __fdividef(float a, float b)
{
    return a / b;
}

inline float rsqrtf(float x)
{
    return 1.0F / std::sqrt(x);
}

inline float __uint_as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline uint32_t __float_as_uint(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline int atomicAdd(int *p, int value)
{
    return bn_emu::fetch_add(p, value);
}

inline unsigned atomicAdd(unsigned *p, unsigned value)
{
    return bn_emu::fetch_add(p, value);
}

inline unsigned atomicMax(unsigned *p, unsigned value)
{
    return bn_emu::fetch_max(p, value);
}

#include "cuda_emu_mma.h"
#endif
