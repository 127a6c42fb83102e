/* cuda_emu_race.h - the part of cuda_emu.h that knows of sanitizers: the shared memory of a block,
 * and what the thread sanitizer is told of the emulator's fibers.
 *
 * The thread sanitizer takes each fiber for a thread. It is told that barriers, the beginning and
 * the end of a launch put them in order, and nothing else: no shuffle, vote, ldmatrix or mma, as
 * none of these is a barrier for memory. So it finds every two accesses to one place, one of them a
 * write, that are not kept apart, in whatever order they happened to run here; cp.async writes
 * from when it is given until it is waited for. It also tells of blocks of one launch that meet.
 */
#ifndef BN_TESTS_SUPPORT_CUDA_EMU_RACE_H
#define BN_TESTS_SUPPORT_CUDA_EMU_RACE_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
/* Functions of the scheduler: what they touch is nobody's but theirs. */
#define BN_EMU_QUIET __attribute__((noinline, no_sanitize("thread")))
#else
#define BN_EMU_QUIET
#endif

namespace bn_emu
{
#ifdef __SANITIZE_THREAD__
inline void *race_fiber()
{
    return __tsan_create_fiber(0);
}

inline void *race_self()
{
    return __tsan_get_current_fiber();
}

BN_EMU_QUIET inline void race_switch(void *fiber)
{
    __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync);
}

BN_EMU_QUIET inline void race_release(void *tag)
{
    __tsan_release(tag);
}

BN_EMU_QUIET inline void race_acquire(void *tag)
{
    __tsan_acquire(tag);
}

/* Out of the sanitizer's sight. */
BN_EMU_QUIET inline void race_copy(void *to, const void *from, size_t bytes)
{
    volatile unsigned char *out = static_cast<unsigned char *>(to);
    const volatile unsigned char *in = static_cast<const unsigned char *>(from);
    for (size_t i = 0; i < bytes; i++) out[i] = in[i];
}
constexpr bool sees_races = true;
#else
inline void *race_fiber()
{
    return nullptr;
}

inline void *race_self()
{
    return nullptr;
}

inline void race_switch(void *)
{
}

inline void race_release(void *)
{
}

inline void race_acquire(void *)
{
}

inline void race_copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}
constexpr bool sees_races = false;
#endif

constexpr int arrays_max = 16;

/* The shared memory of the block that runs. For the thread sanitizer it is new memory in every
 * block: what the last block's threads did there is none of this block's affair. */
class shared_memory
{
    /* A tag for each barrier, then the kernel's arrays with gaps between, then what the launch
     * asked for, no better aligned than it must be. */
    static constexpr size_t tag_bytes = 1024, gap = 32, arrays_at = tag_bytes + gap,
                            dynamic_at = (64 << 10) + 16, bytes = 320 << 10;
    static constexpr unsigned __int128 noise = ~static_cast<unsigned __int128>(0) / 0xFF * 0xA5;
    unsigned char *base = nullptr;

    BN_EMU_QUIET static void write_byte(unsigned char *to)
    {
        *static_cast<volatile unsigned char *>(to) = 0xA5;
    }

    BN_EMU_QUIET unsigned char *take(size_t at, size_t size)
    {
        ASAN_UNPOISON_MEMORY_REGION(base + at, size);
        unsigned char *to = base + at, *end = to + size;
        while (to < end && reinterpret_cast<uintptr_t>(to) % sizeof noise != 0) write_byte(to++);
        for (; end - to >= static_cast<ptrdiff_t>(sizeof noise); to += sizeof noise) {
            *reinterpret_cast<volatile unsigned __int128 *>(to) = noise;
        }
        while (to < end) write_byte(to++);
        return base + at;
    }

  public:
    BN_EMU_QUIET void begin(size_t dynamic_bytes)
    {
        if (sees_races && base) (void)munmap(base, bytes);
        if (sees_races || !base) {
            void *fresh =
                mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (fresh == MAP_FAILED) abort();
            base = static_cast<unsigned char *>(fresh);
        }
        if (dynamic_at + dynamic_bytes > bytes) abort();
        ASAN_POISON_MEMORY_REGION(base, bytes);
        (void)take(dynamic_at, dynamic_bytes);
    }

    /* Tags take turns: a thread that is past a barrier may be at the next one already. */
    BN_EMU_QUIET unsigned char *block_tag(unsigned turn)
    {
        return base + turn % 2 * 8;
    }

    BN_EMU_QUIET unsigned char *warp_tag(unsigned warp, unsigned turn)
    {
        return base + 16 + warp * 16 + turn % 2 * 8;
    }

    /* The n-th array, `at` bytes behind the first one's beginning but for the gaps. */
    BN_EMU_QUIET unsigned char *array(size_t at, int n, size_t size)
    {
        return take(arrays_at + at + static_cast<size_t>(n) * gap, size);
    }

    BN_EMU_QUIET unsigned char *dynamic()
    {
        return base + dynamic_at;
    }

    BN_EMU_QUIET bool holds(const unsigned char *place)
    {
        return place >= base + arrays_at && place < base + bytes;
    }
};
} // namespace bn_emu
#endif
