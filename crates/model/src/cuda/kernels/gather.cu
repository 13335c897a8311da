// A batch of windows out of rows that lie on the device: windows[b, t, f] = features[first + t, f], a contiguous run, and
// outcomes[b, k] = targets[first + steps - 1, k], with first = words[place + b].
//
// Macros: ACT_BF16. Grid: (ceil(steps * columns / 1024), B, 1), block 256.

struct Info {
    i64 steps, columns, outputs, place;
};

extern "C" __global__ void __launch_bounds__(256) gather(const float* features, const float* targets, const u64* words, ACT* windows, float* outcomes,
                                                         const __grid_constant__ Info info) {
    const i64 length = info.steps * info.columns, first = (i64)words[info.place + blockIdx.y];
    const float* from = features + first * info.columns;
    ACT* to = windows + blockIdx.y * length;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const i64 e = (i64)blockIdx.x * 1024 + i * 256 + threadIdx.x;
        if (e < length) to[e] = cast<ACT>(from[e]);
    }
    if (blockIdx.x) return;
    for (i64 k = threadIdx.x; k < info.outputs; k += 256) outcomes[blockIdx.y * info.outputs + k] = targets[(first + info.steps - 1) * info.outputs + k];
}
