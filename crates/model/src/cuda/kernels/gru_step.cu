// One time step of a GRU layer of any width, by the equations of gru_forward, between the products that the host launches:
// `work` holds parts of the hidden product [splits, B, 3 H] (forward), or, twice, of the gradient that comes back from the
// step after [splits, B, H] (backward: through r and z, and through the candidate).
//
// Gates r, z, n; a row of `gates` and `dgates` is [3 H]. Macros: ACT_BF16. Grid: (ceil(H / 256), B, 1), block 256.

struct Info {
    i64 hidden, steps, step, splits, more_splits;
    i64 before;  // the step before in the walk of the forward pass, -1 where that is h0
    i64 has_h0;
    i64 has_carry;  // backward: carry_in is the part of the gradient that goes past the gates of the step after, else zero
};

DEVICE float sum_parts(const float* work, i64 splits, i64 pitch) {
    float sum = 0.0f;
    for (i64 s = 0; s < splits; s++) sum += work[s * pitch];
    return sum;
}

DEVICE float state_before(const ACT* y, const float* h0, const Info& info, i64 row, i64 unit) {
    if (info.before >= 0) return to_f32(y[(row * info.steps + info.before) * info.hidden + unit]);
    return info.has_h0 ? h0[row * info.hidden + unit] : 0.0f;
}

extern "C" __global__ void __launch_bounds__(256) gru_step_forward(const float* work, ACT* gates, const float* bias_n, const float* h0, ACT* y, ACT* hidden_n,
                                                                   const __grid_constant__ Info info) {
    const i64 hidden = info.hidden, unit = (i64)blockIdx.x * 256 + threadIdx.x, row = blockIdx.y, at = row * info.steps + info.step;
    if (unit >= hidden) return;
    const i64 pitch = (i64)gridDim.y * 3 * hidden;
    float pre[3], product[3];
#pragma unroll
    for (int g = 0; g < 3; g++) {
        pre[g] = to_f32(gates[(at * 3 + g) * hidden + unit]);
        product[g] = sum_parts(work + (row * 3 + g) * hidden + unit, info.splits, pitch);
    }
    const float r = sigmoid_act(pre[0] + product[0]), z = sigmoid_act(pre[1] + product[1]), inner = product[2] + bias_n[unit];
    const float n = tanh_act(fmaf(r, inner, pre[2]));
    gates[(at * 3 + 0) * hidden + unit] = cast<ACT>(r);
    gates[(at * 3 + 1) * hidden + unit] = cast<ACT>(z);
    gates[(at * 3 + 2) * hidden + unit] = cast<ACT>(n);
    hidden_n[at * hidden + unit] = cast<ACT>(inner);
    y[at * hidden + unit] = cast<ACT>(fmaf(z, state_before(y, h0, info, row, unit) - n, n));
}

extern "C" __global__ void __launch_bounds__(256)
    gru_step_backward(const float* work, const float* more_work, const ACT* gates, const ACT* hidden_n, const ACT* y, const float* h0, const ACT* dy,
                      const float* carry_in, ACT* dgates, ACT* dhidden_n, float* carry_out, const __grid_constant__ Info info) {
    const i64 hidden = info.hidden, unit = (i64)blockIdx.x * 256 + threadIdx.x, row = blockIdx.y, at = row * info.steps + info.step;
    if (unit >= hidden) return;
    const i64 pitch = (i64)gridDim.y * hidden, place = row * hidden + unit;
    float dh = to_f32(dy[at * hidden + unit]) + sum_parts(work + place, info.splits, pitch) + sum_parts(more_work + place, info.more_splits, pitch);
    if (info.has_carry) dh += carry_in[place];
    const float r = to_f32(gates[(at * 3 + 0) * hidden + unit]), z = to_f32(gates[(at * 3 + 1) * hidden + unit]), n = to_f32(gates[(at * 3 + 2) * hidden + unit]);
    const float dn = dh * (1.0f - z) * (1.0f - n * n);
    dgates[(at * 3 + 0) * hidden + unit] = cast<ACT>(dn * to_f32(hidden_n[at * hidden + unit]) * r * (1.0f - r));
    dgates[(at * 3 + 1) * hidden + unit] = cast<ACT>(dh * (state_before(y, h0, info, row, unit) - n) * z * (1.0f - z));
    dgates[(at * 3 + 2) * hidden + unit] = cast<ACT>(dn);
    dhidden_n[at * hidden + unit] = cast<ACT>(dn * r);
    carry_out[place] = dh * z;
}

// dh0: all that comes back from the first step of the walk.
extern "C" __global__ void __launch_bounds__(256) gru_step_start(const float* work, const float* more_work, const float* carry, float* dh0,
                                                                 const __grid_constant__ Info info) {
    const i64 hidden = info.hidden, unit = (i64)blockIdx.x * 256 + threadIdx.x, row = blockIdx.y;
    if (unit >= hidden) return;
    const i64 pitch = (i64)gridDim.y * hidden, place = row * hidden + unit;
    dh0[place] = carry[place] + sum_parts(work + place, info.splits, pitch) + sum_parts(more_work + place, info.more_splits, pitch);
}
