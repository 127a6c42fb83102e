/* gate.h - the gated unit's activation as device code: SwiGLU (arXiv:2002.05202), ReLU^2
 * (arXiv:2109.08668). */
#ifndef BN_ENGINE_CUDA_GATE_H
#define BN_ENGINE_CUDA_GATE_H

struct bn_slope {
    float value, gradient;
};

static __device__ __forceinline__ bn_slope bn_activate(float x, bool relu2)
{
    if (relu2) {
        float positive = x > 0 ? x : 0 * x; /* NaN stays NaN */
        return {positive * positive, 2 * positive};
    }
    float sigmoid = 1 / (1 + expf(-x));
    float value = x * sigmoid;
    return {value, sigmoid + value * (1 - sigmoid)};
}

#endif
