/* cuda_emu_mma.h - the second half of cuda_emu.h: 16-bit floats, tensor-core products with the true
 * layout of their registers, ldmatrix and cp.async.
 *
 * The layouts are those of the PTX ISA (mma.m16n8k16, mma.m16n8k32, ldmatrix): with g = lane / 4
 * and t = lane % 4, lane holds of A [16, K] rows g and g + 8, of B [K, 8] column g, and of C and D
 * [16, 8] rows g and g + 8 of columns 2t and 2t + 1.
 */
#ifndef BN_TESTS_SUPPORT_CUDA_EMU_MMA_H
#define BN_TESTS_SUPPORT_CUDA_EMU_MMA_H

#include "engine/base/half.h"

inline uint16_t bn_bits_bf16(float value)
{
    return bn_bf16_from_float(value);
}

inline uint16_t bn_bits_f16(float value)
{
    return bn_f16_from_float(value);
}

inline float bn_value_bf16(uint16_t bits)
{
    return bn_bf16_to_float(bits);
}

inline float bn_value_f16(uint16_t bits)
{
    return bn_f16_to_float(bits);
}

inline uint32_t bn_pair_bf16(float low, float high)
{
    return static_cast<uint32_t>(bn_bits_bf16(high)) << 16 | bn_bits_bf16(low);
}

inline uint32_t bn_pair_f16(float low, float high)
{
    return static_cast<uint32_t>(bn_bits_f16(high)) << 16 | bn_bits_f16(low);
}

inline float bn_exp2(float x)
{
    return x < -126.0F ? 0.0F : std::exp2(x);
}

namespace bn_emu
{
/* The registers of one lane: four of A, two of B. */
struct fragment {
    uint32_t a[4], b[2];
};

/* A warp's A [16, K] and B [K, 8] as `size`-byte elements, found in the registers of its lanes. */
struct operands {
    fragment lanes[warp_lanes];
    int size;

    /* Element `index` of those that a register holds. */
    uint32_t part(uint32_t word, int index) const
    {
        return size == 2 ? (word >> (16 * index)) & 0xFFFFU : (word >> (8 * index)) & 0xFFU;
    }

    uint32_t a(int row, int k) const
    {
        int each = 4 / size, half = 4 * each;
        const fragment &f = lanes[row % 8 * 4 + k % half / each];
        return part(f.a[(row >= 8 ? 1 : 0) + (k >= half ? 2 : 0)], k % each);
    }

    uint32_t b(int k, int column) const
    {
        int each = 4 / size, half = 4 * each;
        return part(lanes[column * 4 + k % half / each].b[k >= half ? 1 : 0], k % each);
    }
};

inline operands gather(const uint32_t a[4], const uint32_t b[2], int size, int line)
{
    operands all;
    fragment mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    all.size = size;
    unsigned turn = post(&mine, sizeof mine, line);
    for (unsigned i = 0; i < warp_lanes; i++) {
        memcpy(&all.lanes[i], mail_of(i, turn, line), sizeof all.lanes[i]);
    }
    return all;
}

/* Calls visit(n, row, column) for the four elements of D that this lane holds. */
template <class Visit> void each_result(Visit visit)
{
    int g = static_cast<int>(lane_number()) / 4, t = static_cast<int>(lane_number()) % 4;
    for (int n = 0; n < 4; n++) visit(n, g + (n >= 2 ? 8 : 0), 2 * t + n % 2);
}

/* Each lane reads two rows of A and two columns of B, 16 values each. */
template <float (*value)(uint16_t)> inline void multiply16(float d[4], const operands &all)
{
    unsigned g = lane_number() / 4, t = lane_number() % 4;
    float a[2][16], b[2][16];
    for (unsigned k = 0; k < 16; k++) {
        unsigned quad = k % 8 / 2, high = k / 8, shift = k % 2 * 16;
        const fragment &row = all.lanes[g * 4 + quad];
        for (unsigned i = 0; i < 2; i++) {
            const fragment &column = all.lanes[(2 * t + i) * 4 + quad];
            a[i][k] = value(static_cast<uint16_t>(row.a[i + 2 * high] >> shift));
            b[i][k] = value(static_cast<uint16_t>(column.b[high] >> shift));
        }
    }
    for (unsigned n = 0; n < 4; n++) {
        for (unsigned k = 0; k < 16; k++) d[n] += a[n / 2][k] * b[n % 2][k];
    }
}

/* Both words take 16 bytes of shared memory at a multiple of 16. */
inline void check_place(const void *place, const char *who, int line)
{
    const unsigned char *at = static_cast<const unsigned char *>(place);
    bool fits = m.shared->holds(at) && m.shared->holds(at + 15);
    if (fits && reinterpret_cast<uintptr_t>(at) % 16 == 0) return;
    (void)fprintf(stderr, "cuda_emu: %s: ", who);
    die(fits ? "an address that is not a multiple of 16" : "not shared memory", line);
}

/* The 16 bytes of a row of each of up to four 8 x 8 matrices, told by lanes 8i ... 8i + 7. */
inline void load_matrix(uint32_t *out, int count, const void *row, bool transposed, int line)
{
    unsigned char mine[16] = {};
    unsigned self = lane_number();
    if (self < 8 * static_cast<unsigned>(count)) {
        check_place(row, "ldmatrix", line);
        memcpy(mine, row, sizeof mine);
    }
    unsigned turn = post(mine, sizeof mine, line);
    for (int i = 0; i < count; i++) {
        uint16_t pair[2];
        for (unsigned j = 0; j < 2; j++) {
            unsigned r = transposed ? self % 4 * 2 + j : self / 4;
            unsigned c = transposed ? self / 4 : self % 4 * 2 + j;
            const unsigned char *from = mail_of(static_cast<unsigned>(i) * 8 + r, turn, line);
            memcpy(&pair[j], from + 2 * c, 2);
        }
        out[i] = static_cast<uint32_t>(pair[1]) << 16 | pair[0];
    }
}

inline void copy_async(void *to, const void *from, int bytes)
{
    async_copy copy = {static_cast<unsigned char *>(to), {0}, 16, m.me->groups};
    check_place(to, "cp.async", 0);
    if (bytes > 0 && reinterpret_cast<uintptr_t>(from) % 16 != 0) {
        die("cp.async from an address not of 16", 0);
    }
    if (bytes < 0 || bytes > 16) die("cp.async of more than 16 bytes", 0);
    if (bytes > 0) memcpy(copy.bytes, from, static_cast<size_t>(bytes));
    memset(copy.to, 0xA5, 16);
    m.me->copies.push_back(copy);
}

/* Lands the copies of all groups but the newest `pending`. */
inline void wait_async(int pending)
{
    std::vector<async_copy> left;
    for (const async_copy &copy : m.me->copies) {
        bool lands = copy.group < m.me->groups - pending;
        if (lands) memcpy(copy.to, copy.bytes, 16);
        if (!lands) left.push_back(copy);
    }
    m.me->copies.swap(left);
}
} // namespace bn_emu

#define bn_mma_bf16(d, a, b)                                                                       \
    bn_emu::multiply16<bn_bf16_to_float>(d, bn_emu::gather(a, b, 2, __LINE__))
#define bn_mma_f16(d, a, b)                                                                        \
    bn_emu::multiply16<bn_f16_to_float>(d, bn_emu::gather(a, b, 2, __LINE__))
#define bn_mma_i8(d, a, b) bn_emu_mma_i8(d, bn_emu::gather(a, b, 1, __LINE__))

inline void bn_emu_mma_i8(int d[4], const bn_emu::operands &all)
{
    bn_emu::each_result([&](int n, int row, int column) {
        for (int k = 0; k < 32; k++) {
            d[n] += static_cast<int8_t>(all.a(row, k)) * static_cast<int8_t>(all.b(k, column));
        }
    });
}

#define bn_ldmatrix_x4(out, row)       bn_emu::load_matrix(out, 4, row, false, __LINE__)
#define bn_ldmatrix_x2(out, row)       bn_emu::load_matrix(out, 2, row, false, __LINE__)
#define bn_ldmatrix_x4_trans(out, row) bn_emu::load_matrix(out, 4, row, true, __LINE__)
#define bn_ldmatrix_x2_trans(out, row) bn_emu::load_matrix(out, 2, row, true, __LINE__)

inline void bn_copy_async(void *to, const void *from, int bytes)
{
    bn_emu::copy_async(to, from, bytes);
}

inline void bn_copy_async_commit()
{
    bn_emu::m.me->groups++;
}

template <int pending> void bn_copy_async_wait()
{
    bn_emu::wait_async(pending);
}
#endif
