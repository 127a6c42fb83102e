/* The words of cuda_emu.h against plain loops, under several schedules. */
#include "support/cuda_emu.h"

extern "C" {
#include "support/cmocka_all.h"
}

#include "engine/cuda/kernel.h"

static const char *const seeds[] = {"0", "1", "7", "12345"};

/* Small whole numbers: exact in every format and sum. */
static int small(int i, int j)
{
    return (i * 7 + j * 5) % 9 - 4;
}

static __global__ void multiply_bf16(float *d)
{
    int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
    uint32_t a[4], b[2];
    for (int i = 0; i < 4; i++) {
        int row = g + (i % 2) * 8, k = 2 * t + (i / 2) * 8;
        a[i] =
            bn_pair_bf16(static_cast<float>(small(row, k)), static_cast<float>(small(row, k + 1)));
    }
    for (int i = 0; i < 2; i++) {
        int k = 2 * t + i * 8;
        b[i] = bn_pair_bf16(static_cast<float>(small(k, g + 3)),
                            static_cast<float>(small(k + 1, g + 3)));
    }
    float sums[4] = {1, 1, 1, 1};
    bn_mma_bf16(sums, a, b);
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
    float d[16 * 8];
    int e[16 * 8];
    for (const char *seed : seeds) {
        setenv("BN_EMU_SEED", seed, 1);
        BN_LAUNCH(nullptr, multiply_bf16, 1, 32, 0, d);
        BN_LAUNCH(nullptr, multiply_i8, 1, 32, 0, e);
        for (int i = 0; i < 16 * 8; i++) {
            assert_int_equal(static_cast<int>(d[i]), product(i / 8, i % 8, 16));
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
    if (odd == 0xAAAAAAAAU) atomicAdd(votes, 1);
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

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensor_core_products_follow_the_layout_of_the_isa),
        cmocka_unit_test(test_matrices_reach_the_registers_of_their_lanes),
        cmocka_unit_test(test_reductions_see_every_thread_of_the_block),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
