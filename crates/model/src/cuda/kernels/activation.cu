// Elementwise activations of x [rows, columns], with an optional bias [columns] added first, and their backward pass.
//
// Macros: ACT_BF16, KIND (1 relu, 2 gelu through erf), BIAS (0/1). The backward pass takes the same x (and bias) as the forward pass.
// Grid: (ceil(count / 256), 1, 1), block 256.

#ifndef KIND
#define KIND 2
#endif
#ifndef BIAS
#define BIAS 0
#endif

struct Info {
    i64 count, columns;
};

DEVICE float value(float x) { return KIND == 1 ? fmaxf(x, 0.0f) : 0.5f * x * (1.0f + erff(x * 0.70710678f)); }
DEVICE float slope(float x) {
    if (KIND == 1) return x > 0.0f ? 1.0f : 0.0f;
    return fmaf(x * 0.39894228f, exp_fast(-0.5f * x * x), 0.5f * (1.0f + erff(x * 0.70710678f)));
}

extern "C" __global__ void __launch_bounds__(256) activation_forward(const ACT* x, ACT* y
#if BIAS
                                                                     , const float* bias
#endif
                                                                     , const __grid_constant__ Info info) {
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i >= info.count) return;
    float v = to_f32(x[i]);
#if BIAS
    v += bias[i % info.columns];
#endif
    y[i] = cast<ACT>(value(v));
}

extern "C" __global__ void __launch_bounds__(256) activation_backward(const ACT* dy, const ACT* x, ACT* dx
#if BIAS
                                                                      , const float* bias
#endif
                                                                      , const __grid_constant__ Info info) {
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i >= info.count) return;
    float v = to_f32(x[i]);
#if BIAS
    v += bias[i % info.columns];
#endif
    dx[i] = cast<ACT>(to_f32(dy[i]) * slope(v));
}
