// The pointwise part of one LSTM step, for hidden sizes that lstm_forward and lstm_backward do not take: one product (gemm) and
// one of these kernels a step. The product reads the last hidden state from y itself (pitch steps * H, offset t' * H).
//
// Macros: ACT_BF16. Grid: (ceil(B * H / 256), 1, 1), block 256.

struct Info {
    i64 batch, steps, hidden;
    i64 t;           // the step
    i64 before;      // the step walked before it in the forward pass; -1 at the first one
    i64 has_product; // forward: product = h W_hh is given. backward: dh from the step after is given
    i64 has_state;   // forward: c holds the last cell state. backward: c0 is given (used at the first step), else zeros
    i64 has_dc;      // backward: dc holds a gradient; else zero
};

// c [B, H] f32 is read (has_state) and replaced; h [B, H] f32 receives the new hidden state.
extern "C" __global__ void __launch_bounds__(256)
    lstm_step_forward(const ACT* pre, const float* product, float* c, ACT* gates, ACT* cells, ACT* y, float* h, const __grid_constant__ Info info) {
    const i64 n = (i64)blockIdx.x * 256 + threadIdx.x, size = info.hidden;
    if (n >= info.batch * size) return;
    const i64 b = n / size, u = n % size, at = (b * info.steps + info.t) * 4 * size + u;
    float z[4];
#pragma unroll
    for (int q = 0; q < 4; q++) z[q] = to_f32(pre[at + q * size]) + (info.has_product ? product[b * 4 * size + q * size + u] : 0.0f);
    z[0] = sigmoid_act(z[0]);
    z[1] = sigmoid_act(z[1]);
    z[2] = tanh_act(z[2]);
    z[3] = sigmoid_act(z[3]);
    const float cell = z[1] * (info.has_state ? c[n] : 0.0f) + z[0] * z[2], out = z[3] * tanh_act(cell);
#pragma unroll
    for (int q = 0; q < 4; q++) gates[at + q * size] = cast<ACT>(z[q]);
    const i64 place = (b * info.steps + info.t) * size + u;
    cells[place] = cast<ACT>(cell);
    y[place] = cast<ACT>(out);
    c[n] = cell;
    h[n] = out;
}

// dh [B, H] f32 is the product of the later step's dgates with W_hh transposed; dc [B, H] f32 is replaced by that of the step before.
extern "C" __global__ void __launch_bounds__(256)
    lstm_step_backward(const ACT* gates, const ACT* cells, const float* c0, const ACT* dy, const float* dh, float* dc, ACT* dgates,
                       const __grid_constant__ Info info) {
    const i64 n = (i64)blockIdx.x * 256 + threadIdx.x, size = info.hidden;
    if (n >= info.batch * size) return;
    const i64 b = n / size, u = n % size, at = (b * info.steps + info.t) * 4 * size + u, place = (b * info.steps + info.t) * size + u;
    float q[4];
#pragma unroll
    for (int j = 0; j < 4; j++) q[j] = to_f32(gates[at + j * size]);
    const float tanh_c = tanh_act(to_f32(cells[place]));
    const float before = info.before >= 0 ? to_f32(cells[(b * info.steps + info.before) * size + u]) : info.has_state ? c0[n] : 0.0f;
    const float out = to_f32(dy[place]) + (info.has_product ? dh[n] : 0.0f);
    const float cell = (info.has_dc ? dc[n] : 0.0f) + out * q[3] * (1.0f - tanh_c * tanh_c);
    dgates[at] = cast<ACT>(cell * q[2] * q[0] * (1.0f - q[0]));
    dgates[at + size] = cast<ACT>(cell * before * q[1] * (1.0f - q[1]));
    dgates[at + 2 * size] = cast<ACT>(cell * q[0] * (1.0f - q[2] * q[2]));
    dgates[at + 3 * size] = cast<ACT>(out * tanh_c * q[3] * (1.0f - q[3]));
    dc[n] = cell * q[1];
}
