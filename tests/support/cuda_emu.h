/* cuda_emu.h - runs CUDA kernels on the host, for machines without a GPU: one fiber a thread, one
 * block at a time, in C++ under any compiler flag and sanitizer of an x86-64 machine.
 *
 * It defines the words that engine/cuda/words.h gives to nvcc, so a kernel file is the same text
 * for both; CMake puts one of the two in front of it. What it finds, besides wrong numbers:
 *   - results that depend on the order of threads, warps or blocks: BN_EMU_SEED (environment) 0
 * runs them forward, 1 backward, any other value shuffles them anew at every launch
 *   - barriers that some threads of a block do not reach, or that are not the same one
 *   - warp collectives that not every lane joins (masks are taken to be full)
 *   - reads of shared memory that nobody wrote in this block (it starts as NaN-like 0xA5 bytes),
 * and of cp.async targets before their group was waited for; writes beside a shared array
 *   - ldmatrix and cp.async at places that are not shared memory, or not aligned as they must be
 *   - launches that a card refuses: grids, blocks and shared memory beyond its limits
 *   - with the thread sanitizer, two threads at one place without a barrier between them, whatever
 * the schedule (cuda_emu_race.h)
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

#include "cuda_emu_race.h"
#include "engine/cuda/limits.h"

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
constexpr unsigned grid_x_max = 0x7FFFFFFF, grid_yz_max = 65535, block_max = 1024;

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
    unsigned block_barriers = 0, warp_barriers = 0;
};

/* A shared array of the kernel, which is the block's once a thread has come by its declaration. */
struct shared_array {
    const void *who;
    unsigned char *data;
};

struct machine {
    lane *me = nullptr;
    void *scheduler = nullptr, *scheduler_fiber = nullptr;
    dim3 block, grid, index;
    std::vector<lane> lanes;
    shared_memory *shared = nullptr;
    size_t dynamic_bytes = 0, array_bytes = 0;
    shared_array arrays[arrays_max];
    int array_count = 0;
    std::vector<std::unique_ptr<unsigned char, void (*)(void *)>> stacks;
    std::vector<void *> fibers; /* what the thread sanitizer knows the lanes as */
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

BN_EMU_QUIET inline void leave()
{
    lane *self = m.me;
    race_switch(m.scheduler_fiber);
    bn_emu_switch(&self->stack_pointer, m.scheduler);
}

BN_EMU_QUIET inline void wait(lane_state what, int line)
{
    m.me->state = what;
    m.me->line = line;
    leave();
}

/* What the block's threads did before the barrier is seen by all after it. */
BN_EMU_QUIET inline void block_barrier(int line)
{
    unsigned char *tag = m.shared->block_tag(m.me->block_barriers++);
    race_release(tag);
    wait(AT_BLOCK, line);
    race_acquire(tag);
}

BN_EMU_QUIET inline void warp_barrier(int line)
{
    unsigned char *tag = m.shared->warp_tag(m.me->number / warp_lanes, m.me->warp_barriers++);
    race_release(tag);
    wait(AT_WARP, line);
    race_acquire(tag);
}

BN_EMU_QUIET inline void entry()
{
    race_acquire(&m.body);
    m.body();
    if (!m.me->copies.empty()) die("cp.async never waited for", 0);
    race_release(&m.lanes);
    m.me->state = DONE;
    leave();
    abort();
}

/* The block's array of this declaration. */
BN_EMU_QUIET inline void *shared_array_of(const void *who, size_t bytes, size_t alignment)
{
    for (int i = 0; i < m.array_count; i++) {
        if (m.arrays[i].who == who) return m.arrays[i].data;
    }
    size_t at = (m.array_bytes + alignment - 1) / alignment * alignment;
    if (m.array_count == arrays_max || at + bytes > BN_CUDA_SHARED_PLAIN_BYTES) {
        die("more shared arrays than a kernel may have", 0);
    }
    unsigned char *data = m.shared->array(at, m.array_count, bytes);
    m.arrays[m.array_count++] = {who, data};
    m.array_bytes = at + bytes;
    return data;
}

inline unsigned draw()
{
    m.chance = m.chance * 1664525U + 1013904223U;
    return m.chance >> 8;
}

/* Lets the lanes of [low, high) go on when all that live wait at `what`. */
BN_EMU_QUIET inline bool release(size_t low, size_t high, lane_state what)
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
BN_EMU_QUIET inline bool step_warp(size_t low, size_t high, size_t &left)
{
    size_t count = high - low, start = m.seed > 1 ? draw() % count : 0;
    bool moved = false;
    for (size_t k = 0; k < count; k++) {
        lane &l = m.lanes[low + (m.seed == 1 ? count - 1 - k : (start + k) % count)];
        if (l.state != RUNNING) continue;
        m.me = &l;
        moved = true;
        race_switch(m.fibers[l.number]);
        bn_emu_switch(&m.scheduler, l.stack_pointer);
        if (l.state == DONE) left--;
    }
    return release(low, high, AT_WARP) || moved;
}

/* entry() never returns, so what the address sanitizer noted of its frame would stay. */
BN_EMU_QUIET inline void start_lane(lane &l, size_t i)
{
    ASAN_UNPOISON_MEMORY_REGION(m.stacks[i].get() + stack_bytes - entry_bytes, entry_bytes);
    l.state = RUNNING;
    l.turn = 0;
    l.groups = 0;
    l.block_barriers = l.warp_barriers = 0;
    l.mails[0].turn = l.mails[1].turn = 0;
    void *volatile *top = reinterpret_cast<void **>(m.stacks[i].get() + stack_bytes) - 2;
    *top = reinterpret_cast<void *>(entry);
    for (int n = 0; n < 6; n++) *--top = nullptr;
    l.stack_pointer = const_cast<void **>(top);
}

/* Warps run as far as they can (the largest distance between them) or, shuffled, a few rounds. */
BN_EMU_QUIET inline bool step_block(size_t count, size_t &left)
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

/* A kernel that asks for more than a launch gives unasked must say so before (BN_LAUNCH does, for
 * what bn_cuda_shared_is_large), and none gets more than the smallest card that it runs on has. */
inline void check_shared()
{
    size_t all = m.dynamic_bytes + m.array_bytes;
    bool asked = bn_cuda_shared_is_large(m.dynamic_bytes);
    if (!asked && all > BN_CUDA_SHARED_PLAIN_BYTES) die("shared memory that was not asked for", 0);
    if (all > BN_CUDA_SHARED_A100_BYTES) die("more shared memory than an A100 gives a block", 0);
}

BN_EMU_QUIET inline void run_block(size_t count)
{
    m.array_count = 0;
    m.array_bytes = 0;
    m.shared->begin(m.dynamic_bytes);
    while (m.stacks.size() < count) {
        m.stacks.emplace_back(static_cast<unsigned char *>(aligned_alloc(64, stack_bytes)), free);
        m.fibers.push_back(race_fiber());
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
    check_shared();
}

BN_EMU_QUIET inline void run_grid(dim3 grid, dim3 block, size_t shared_bytes)
{
    static shared_memory shared;
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
    m.shared = &shared;
    m.dynamic_bytes = shared_bytes;
    m.scheduler_fiber = race_self();
    race_release(&m.body);
    unsigned blocks = grid.x * grid.y * grid.z, start = m.seed > 1 ? draw() % blocks : 0;
    for (unsigned k = 0; k < blocks; k++) {
        unsigned n = m.seed == 1 ? blocks - 1 - k : (start + k) % blocks;
        m.index = dim3(n % grid.x, n / grid.x % grid.y, n / grid.x / grid.y);
        run_block(count);
    }
    race_acquire(&m.lanes);
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
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x * block.y * block.z > block_max) {
        die("a grid without blocks, or a block of more than 1024 threads", 0);
    }
    if (grid.x > grid_x_max || grid.y > grid_yz_max || grid.z > grid_yz_max) {
        die("a grid of more blocks than a launch may have", 0);
    }
    if (!m.record) m.launches++;
    submit([=] {
        m.body = [=] { kernel(given...); };
        run_grid(grid, block, shared_bytes);
    });
}

/* Shows `bytes` to the warp and waits until every lane has; read with mail_of. Two mailboxes take
 * turns, so a lane cannot overwrite what a slower one has still to read. */
BN_EMU_QUIET inline unsigned post(const void *from, size_t bytes, int line)
{
    lane *self = m.me;
    unsigned turn = ++self->turn;
    mail &box = self->mails[turn % 2];
    race_copy(box.bytes, from, bytes);
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

inline unsigned reduce_max(unsigned value, int line)
{
    unsigned most = 0, one = value, turn = post(&one, sizeof one, line);
    size_t low = m.me->number / warp_lanes * warp_lanes;
    for (unsigned i = 0; i < warp_lanes && low + i < m.lanes.size(); i++) {
        memcpy(&one, mail_of(i, turn, line), sizeof one);
        if (one > most) most = one;
    }
    return most;
}

template <class T> T fetch_add(T *p, T value)
{
    return __atomic_fetch_add(p, value, __ATOMIC_RELAXED);
}

template <class T> T fetch_max(T *p, T value)
{
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    if (value > old) __atomic_store_n(p, value, __ATOMIC_RELAXED); /* only one lane runs */
    return old;
}
} // namespace bn_emu

#define threadIdx                    (bn_emu::m.me->thread)
#define blockIdx                     (bn_emu::m.index)
#define blockDim                     (bn_emu::m.block)
#define gridDim                      (bn_emu::m.grid)
#define warpSize                     32
#define __syncthreads()              bn_emu::block_barrier(__LINE__)
#define __syncwarp(...)              bn_emu::warp_barrier(__LINE__)
#define __shfl_sync(mask, v, l)      bn_emu::shuffle(v, static_cast<unsigned>(l), __LINE__)
#define __shfl_xor_sync(mask, v, x)  bn_emu::shuffle(v, bn_emu::lane_number() ^ (x), __LINE__)
#define __shfl_down_sync(mask, v, d) bn_emu::shuffle(v, bn_emu::down(d), __LINE__)
#define __shfl_up_sync(mask, v, d)   bn_emu::shuffle(v, bn_emu::up(d), __LINE__)
#define __ballot_sync(mask, v)       bn_emu::ballot(v, __LINE__)
#define __reduce_max_sync(mask, v)   bn_emu::reduce_max(v, __LINE__)
#define __any_sync(mask, v)          (bn_emu::ballot(v, __LINE__) != 0)

#define BN_SHARED(T, name, count)                                                                  \
    static const char name##_here = 0;                                                             \
    T *const name =                                                                                \
        static_cast<T *>(bn_emu::shared_array_of(&name##_here, sizeof(T) * (count), alignof(T)))
#define BN_DYN_SHARED(T, name) T *name = reinterpret_cast<T *>(bn_emu::m.shared->dynamic())
#define BN_LAUNCH(cuda, kernel, grid, block, shared_bytes, ...)                                    \
    (bn_emu::launch(dim3(grid), dim3(block), shared_bytes, kernel, __VA_ARGS__),                   \
     bn_cuda_launched(cuda, #kernel))

#include "cuda_emu_mma.h"
#include "cuda_emu_words.h"
#endif
