// One time step of an LSTM layer of any width, between the products that the host launches: `work` holds parts of the hidden
// product [splits, B, 4 H] (forward) or of the gradient that comes back from the step after [splits, B, H] (backward).
//
// Gates i, f, g, o; a row of `gates` and `dgates` is [4 H]. The running cell and its gradient stay in float.
// Macros: ACT_BF16. Grid: (ceil(H / 256), B, 1), block 256.

struct Info {
    i64 hidden, steps, step, splits;
    i64 has_cell;  // forward: cell_in is the cell before, else zero; backward: dcell_in is the gradient of the cell after, else zero
    i64 before;    // backward: the step before in the walk of the forward pass, -1 where that is c0
    i64 has_c0;    // backward
};

DEVICE float sum_parts(const float* work, i64 splits, i64 pitch) {
    float sum = 0.0f;
    for (i64 s = 0; s < splits; s++) sum += work[s * pitch];
    return sum;
}

extern "C" __global__ void __launch_bounds__(256) lstm_step_forward(const float* work, ACT* gates, const float* cell_in, ACT* y, ACT* cells, float* cell_out,
                                                                    const __grid_constant__ Info info) {
    const i64 hidden = info.hidden, unit = (i64)blockIdx.x * 256 + threadIdx.x, row = blockIdx.y, at = row * info.steps + info.step;
    if (unit >= hidden) return;
    const i64 pitch = (i64)gridDim.y * 4 * hidden;
    float v[4];
#pragma unroll
    for (int g = 0; g < 4; g++)
        v[g] = to_f32(gates[(at * 4 + g) * hidden + unit]) + sum_parts(work + (row * 4 + g) * hidden + unit, info.splits, pitch);
    const float i = sigmoid_act(v[0]), f = sigmoid_act(v[1]), g = tanh_act(v[2]), o = sigmoid_act(v[3]);
    const float before = info.has_cell ? cell_in[row * hidden + unit] : 0.0f;
    const float cell = fmaf(f, before, i * g);
    gates[(at * 4 + 0) * hidden + unit] = cast<ACT>(i);
    gates[(at * 4 + 1) * hidden + unit] = cast<ACT>(f);
    gates[(at * 4 + 2) * hidden + unit] = cast<ACT>(g);
    gates[(at * 4 + 3) * hidden + unit] = cast<ACT>(o);
    cells[at * hidden + unit] = cast<ACT>(cell);
    y[at * hidden + unit] = cast<ACT>(o * tanh_act(cell));
    cell_out[row * hidden + unit] = cell;
}

extern "C" __global__ void __launch_bounds__(256)
    lstm_step_backward(const float* work, const ACT* gates, const ACT* cells, const float* c0, const ACT* dy, const float* dcell_in, ACT* dgates,
                       float* dcell_out, const __grid_constant__ Info info) {
    const i64 hidden = info.hidden, unit = (i64)blockIdx.x * 256 + threadIdx.x, row = blockIdx.y, at = row * info.steps + info.step;
    if (unit >= hidden) return;
    const float dh = to_f32(dy[at * hidden + unit]) + sum_parts(work + row * hidden + unit, info.splits, (i64)gridDim.y * hidden);
    float v[4];
#pragma unroll
    for (int g = 0; g < 4; g++) v[g] = to_f32(gates[(at * 4 + g) * hidden + unit]);
    const float i = v[0], f = v[1], g = v[2], o = v[3];
    const float bent = tanh_act(to_f32(cells[at * hidden + unit]));
    const float before = info.before >= 0 ? to_f32(cells[(row * info.steps + info.before) * hidden + unit]) : info.has_c0 ? c0[row * hidden + unit] : 0.0f;
    const float after = info.has_cell ? dcell_in[row * hidden + unit] : 0.0f;
    const float dcell = fmaf(dh * o, 1.0f - bent * bent, after);
    dgates[(at * 4 + 0) * hidden + unit] = cast<ACT>(dcell * g * i * (1.0f - i));
    dgates[(at * 4 + 1) * hidden + unit] = cast<ACT>(dcell * before * f * (1.0f - f));
    dgates[(at * 4 + 2) * hidden + unit] = cast<ACT>(dcell * i * (1.0f - g * g));
    dgates[(at * 4 + 3) * hidden + unit] = cast<ACT>(dh * bent * o * (1.0f - o));
    dcell_out[row * hidden + unit] = dcell * f;
}
