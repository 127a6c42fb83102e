/* The words of cuda_emu.h against plain loops, under several schedules; and kernels with a fault,
 * which must not get away with it. */
#include <sys/wait.h>
#include <unistd.h>

#include "support/cuda_emu.h"

extern "C" {
#include "support/cmocka_all.h"
}

#include "engine/cuda/kernel.h"

/* No backend hears of these launches. */
static void bn_cuda_launched(std::nullptr_t, const char *)
{
}

static const char *const seeds[] = {"0", "1", "7", "12345"};

/* Small whole numbers: exact in every format and sum. */
static int small(int i, int j)
{
    return (i * 7 + j * 5) % 9 - 4;
}

static __device__ void mma_bf16(float *d, const uint32_t *a, const uint32_t *b)
{
    bn_mma_bf16(d, a, b);
}

static __device__ void mma_f16(float *d, const uint32_t *a, const uint32_t *b)
{
    bn_mma_f16(d, a, b);
}

/* Both 16-bit formats share one layout. */
template <uint32_t (*pair)(float, float),
          void (*multiply)(float *, const uint32_t *, const uint32_t *)>
static __global__ void multiply16(float *d)
{
    int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
    uint32_t a[4], b[2];
    for (int i = 0; i < 4; i++) {
        int row = g + (i % 2) * 8, k = 2 * t + (i / 2) * 8;
        a[i] = pair(static_cast<float>(small(row, k)), static_cast<float>(small(row, k + 1)));
    }
    for (int i = 0; i < 2; i++) {
        int k = 2 * t + i * 8;
        b[i] = pair(static_cast<float>(small(k, g + 3)), static_cast<float>(small(k + 1, g + 3)));
    }
    float sums[4] = {1, 1, 1, 1};
    multiply(sums, a, b);
    for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

static __global__ void multiply_i8(int *d)
{
    int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
    uint32_t a[4] = {0}, b[2] = {0};
    for (int i = 0; i < 16; i++) {
        int n = i / 4, row = g + n % 2 * 8, k = 4 * t + n / 2 * 16 + i % 4;
        a[n] |= (static_cast<uint32_t>(small(row, k)) & 0xFFU) << (8 * (i % 4));
    }
    for (int i = 0; i < 8; i++) {
        int k = 4 * t + i / 4 * 16 + i % 4;
        b[i / 4] |= (static_cast<uint32_t>(small(k, g + 3)) & 0xFFU) << (8 * (i % 4));
    }
    int sums[4] = {1, 1, 1, 1};
    bn_mma_i8(sums, a, b);
    for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

static int product(int row, int column, int length)
{
    int sum = 1;
    for (int k = 0; k < length; k++) sum += small(row, k) * small(k, column + 3);
    return sum;
}

static void test_tensor_core_products_follow_the_layout_of_the_isa(void **state)
{
    (void)state;
    float d[16 * 8], h[16 * 8];
    int e[16 * 8];
    void (*bf16)(float *) = multiply16<bn_pair_bf16, mma_bf16>;
    void (*f16)(float *) = multiply16<bn_pair_f16, mma_f16>;
    for (const char *seed : seeds) {
        setenv("BN_EMU_SEED", seed, 1);
        BN_LAUNCH(nullptr, bf16, 1, 32, 0, d);
        BN_LAUNCH(nullptr, f16, 1, 32, 0, h);
        BN_LAUNCH(nullptr, multiply_i8, 1, 32, 0, e);
        for (int i = 0; i < 16 * 8; i++) {
            assert_int_equal(static_cast<int>(d[i]), product(i / 8, i % 8, 16));
            assert_int_equal(static_cast<int>(h[i]), product(i / 8, i % 8, 16));
            assert_int_equal(e[i], product(i / 8, i % 8, 32));
        }
    }
}

/* Rows of four matrices by cp.async, read back by ldmatrix, both ways. */
static __global__ void load_rows(const uint16_t *from, uint32_t *plain, uint32_t *across)
{
    BN_DYN_SHARED(uint16_t, tile);
    int lane = static_cast<int>(threadIdx.x);
    bn_copy_async(tile + 8 * lane, from + 8 * lane, 16);
    bn_copy_async_commit();
    bn_copy_async_wait<0>();
    __syncwarp();
    bn_ldmatrix_x4(plain + 4 * lane, tile + 8 * lane);
    bn_ldmatrix_x4_trans(across + 4 * lane, tile + 8 * lane);
}

static void test_matrices_reach_the_registers_of_their_lanes(void **state)
{
    (void)state;
    alignas(16) uint16_t from[4 * 64];
    uint32_t plain[4 * 32], across[4 * 32];
    for (int i = 0; i < 4 * 64; i++) from[i] = static_cast<uint16_t>(i);
    for (const char *seed : seeds) {
        setenv("BN_EMU_SEED", seed, 1);
        BN_LAUNCH(nullptr, load_rows, 1, 32, sizeof from, from, plain, across);
        for (int lane = 0; lane < 32; lane++) {
            for (int i = 0; i < 4; i++) {
                int row = lane / 4, pair = lane % 4 * 2, base = 64 * i;
                assert_int_equal(plain[4 * lane + i] & 0xFFFF, base + 8 * row + pair);
                assert_int_equal(plain[4 * lane + i] >> 16, base + 8 * row + pair + 1);
                assert_int_equal(across[4 * lane + i] & 0xFFFF, base + 8 * pair + row);
                assert_int_equal(across[4 * lane + i] >> 16, base + 8 * (pair + 1) + row);
            }
        }
    }
}

static __global__ void reduce(double *sums, unsigned *most, int *votes)
{
    int n = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    double sum = bn_block_sum(static_cast<double>(n));
    unsigned top = bn_block_max(static_cast<unsigned>(n * 37 % 101));
    unsigned odd = __ballot_sync(BN_ALL_LANES, n % 2);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
    if (threadIdx.x == 0) most[blockIdx.x] = top;
    unsigned own = static_cast<unsigned>(n * 37 % 101);
    bool alike = __reduce_max_sync(BN_ALL_LANES, own) == bn_warp_max(own);
    if (odd == 0xAAAAAAAAU && alike) atomicAdd(votes, 1);
}

static void test_reductions_see_every_thread_of_the_block(void **state)
{
    (void)state;
    for (const char *seed : seeds) {
        double sums[3] = {0};
        unsigned most[3] = {0};
        int votes = 0;
        setenv("BN_EMU_SEED", seed, 1);
        BN_LAUNCH(nullptr, reduce, 3, 128, 0, sums, most, &votes);
        for (int block = 0; block < 3; block++) {
            unsigned top = 0;
            for (int i = 0; i < 128; i++) {
                unsigned value = static_cast<unsigned>((block * 128 + i) * 37 % 101);
                if (value > top) top = value;
            }
            assert_int_equal(static_cast<int>(sums[block]), 128 * 128 * block + 127 * 64);
            assert_int_equal(most[block], top);
        }
        assert_int_equal(votes, 3 * 128);
    }
}

static __global__ void meet_without_a_barrier(int *out)
{
    BN_SHARED(int, all, 64);
    int n = static_cast<int>(threadIdx.x);
    all[n] = n;
    __syncthreads();
    all[n] += all[63 - n]; /* which may have been added to already */
    out[n] = all[n];
}

static __global__ void shuffle_for_a_barrier(int *out)
{
    BN_SHARED(int, all, 32);
    int n = static_cast<int>(threadIdx.x);
    all[n] = __shfl_xor_sync(BN_ALL_LANES, n, 1);
    out[n] = __shfl_xor_sync(BN_ALL_LANES, n, 1) + all[31 - n];
}

static __global__ void fill_while_it_is_read(const uint16_t *from, int *out)
{
    BN_DYN_SHARED(uint16_t, tile);
    int n = static_cast<int>(threadIdx.x);
    tile[n * 8] = 1;
    __syncthreads();
    out[n] = tile[(n + 1) % 32 * 8];
    bn_copy_async(tile + n * 8, from, 16);
    bn_copy_async_commit();
    bn_copy_async_wait<0>();
}

static __global__ void trust_the_last_block(int *out)
{
    BN_SHARED(int, left, 32);
    int n = static_cast<int>(threadIdx.x);
    if (blockIdx.x == 0) left[n] = n;
    if (left[n] != n) bn_emu::die("what the last block left is gone", __LINE__);
    out[n] = left[n];
}

static __global__ void load_crooked(uint32_t *out)
{
    BN_DYN_SHARED(uint16_t, tile);
    bn_ldmatrix_x4(out + 4 * threadIdx.x, tile + 8 * threadIdx.x + 2);
}

static __global__ void load_from_far(const uint16_t *far, uint32_t *out)
{
    bn_ldmatrix_x4(out + 4 * threadIdx.x, far + 8 * threadIdx.x);
}

static __global__ void share(unsigned char *out)
{
    BN_SHARED(unsigned char, own, 9 << 10);
    own[threadIdx.x] = 1;
    out[threadIdx.x] = own[threadIdx.x];
}

static __global__ void rest(int *out)
{
    out[0] = 0;
}

struct fault {
    const char *name;
    bool race; /* which only the thread sanitizer sees in every schedule */
    void (*run)(void);
};

alignas(16) static uint16_t halves[256];
static uint32_t words[128];
static int numbers[64];
static unsigned char bytes[32];

static const fault faults[] = {
    {"race", true, [] { BN_LAUNCH(nullptr, meet_without_a_barrier, 1, 64, 0, numbers); }},
    {"shuffle", true, [] { BN_LAUNCH(nullptr, shuffle_for_a_barrier, 1, 32, 0, numbers); }},
    {"fill", true, [] { BN_LAUNCH(nullptr, fill_while_it_is_read, 1, 32, 512, halves, numbers); }},
    {"stale", false, [] { BN_LAUNCH(nullptr, trust_the_last_block, 2, 32, 0, numbers); }},
    {"crooked", false, [] { BN_LAUNCH(nullptr, load_crooked, 1, 32, 1024, words); }},
    {"far", false, [] { BN_LAUNCH(nullptr, load_from_far, 1, 32, 0, halves, words); }},
    {"unasked", false, [] { BN_LAUNCH(nullptr, share, 1, 32, 40 << 10, bytes); }},
    {"much", false, [] { BN_LAUNCH(nullptr, share, 1, 32, 160 << 10, bytes); }},
    {"wide", false, [] { BN_LAUNCH(nullptr, rest, dim3(1, 65536), 32, 0, numbers); }},
};

/* This program again, with one of the faults: whether it ended well. */
static bool survives(const char *name)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        (void)execl("/proc/self/exe", "test_cuda_emu", name, static_cast<char *>(nullptr));
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_kernels_with_a_fault_are_found(void **state)
{
    (void)state;
    setenv("BN_EMU_SEED", "0", 1);
    assert_true(survives("none"));
    for (const fault &f : faults) {
        if (f.race && !bn_emu::sees_races) continue;
        if (survives(f.name)) fail_msg("'%s' is not found", f.name);
    }
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensor_core_products_follow_the_layout_of_the_isa),
        cmocka_unit_test(test_matrices_reach_the_registers_of_their_lanes),
        cmocka_unit_test(test_reductions_see_every_thread_of_the_block),
        cmocka_unit_test(test_kernels_with_a_fault_are_found),
    };
    if (count == 1) return cmocka_run_group_tests(tests, nullptr, nullptr);
    for (const fault &f : faults) {
        if (strcmp(f.name, arguments[1]) == 0) f.run();
    }
    return 0;
}
