// The mean over time, [B, T, H] to [B, H], and its backward pass.
//
// Macros: ACT_BF16.
// Grid of mean_time_forward: (ceil(H / 64), B, 1); of mean_time_backward: (ceil(B * T * H / 1024), 1, 1). Block 256.

struct Info {
    i64 batch, steps, hidden;
};

extern "C" __global__ void __launch_bounds__(256) mean_time_forward(const ACT* x, ACT* y, const __grid_constant__ Info info) {
    __shared__ float room[4][64];
    const int column = threadIdx.x % 64, part = threadIdx.x / 64;
    const i64 c = (i64)blockIdx.x * 64 + column;
    float sum = 0.0f;
    if (c < info.hidden) {
        const ACT* p = x + (i64)blockIdx.y * info.steps * info.hidden + c;
#pragma unroll 4
        for (i64 t = part; t < info.steps; t += 4) sum += to_f32(p[t * info.hidden]);
    }
    room[part][column] = sum;
    __syncthreads();
    if (part == 0 && c < info.hidden)
        y[blockIdx.y * info.hidden + c] = cast<ACT>(((room[0][column] + room[1][column]) + (room[2][column] + room[3][column])) / (float)info.steps);
}

extern "C" __global__ void __launch_bounds__(256) mean_time_backward(const ACT* dy, ACT* dx, const __grid_constant__ Info info) {
    const i64 first = ((i64)blockIdx.x * 256 + threadIdx.x) * 4, count = info.batch * info.steps * info.hidden;
    const i64 row = info.steps * info.hidden;
    const float scale = 1.0f / (float)info.steps;
    if (first >= count) return;
    if (info.hidden % 4 == 0) {
        float4 v = load4(dy + first / row * info.hidden + first % info.hidden);
        store4(dx + first, make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale));
        return;
    }
    for (i64 e = first; e < first + 4 && e < count; e++) dx[e] = cast<ACT>(to_f32(dy[e / row * info.hidden + e % info.hidden]) * scale);
}
