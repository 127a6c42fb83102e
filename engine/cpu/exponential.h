/* exponential.h - what all exponentials in C share, for the files of an instruction set to include.
 */
#ifndef BN_ENGINE_CPU_EXPONENTIAL_H
#define BN_ENGINE_CPU_EXPONENTIAL_H

/* e^r to about 1e-7 of it, |r| <= ln 2 / 2: a polynomial of degree 7 (Cephes, expf). */
static inline float bn_exp_near_zero(float r)
{
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    return p * r * r + r + 1.0F;
}

#endif
