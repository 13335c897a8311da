// GELU through erf, elementwise, and its backward pass.
//
// Macros: ACT_BF16. The backward pass takes the x of the forward pass.
// Grid: (ceil(count / 256), 1, 1), block 256.

struct Info {
    i64 count;
};

DEVICE float value(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }
DEVICE float slope(float x) {
    return fmaf(x * 0.39894228f, exp_fast(-0.5f * x * x), 0.5f * (1.0f + erff(x * 0.70710678f)));
}

extern "C" __global__ void __launch_bounds__(256) gelu_forward(const ACT* x, ACT* y, const __grid_constant__ Info info) {
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i >= info.count) return;
    float v = to_f32(x[i]);
    y[i] = cast<ACT>(value(v));
}

extern "C" __global__ void __launch_bounds__(256) gelu_backward(const ACT* dy, const ACT* x, ACT* dx, const __grid_constant__ Info info) {
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i >= info.count) return;
    float v = to_f32(x[i]);
    dx[i] = cast<ACT>(to_f32(dy[i]) * slope(v));
}
