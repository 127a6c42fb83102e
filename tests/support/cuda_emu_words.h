/* cuda_emu_words.h - the last part of cuda_emu.h: functions that CUDA has without being asked. */
#ifndef BN_TESTS_SUPPORT_CUDA_EMU_WORDS_H
#define BN_TESTS_SUPPORT_CUDA_EMU_WORDS_H

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

#endif
