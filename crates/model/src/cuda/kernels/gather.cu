// Batches out of a table that lies on the device.
//
// gather_windows: out[b, t, f] = matrix[start[b] + t, f]; a window is one contiguous run of the table.
//   Grid: (ceil(steps * features / 1024), B, 1), block 256.
// gather_rows: out[b, k] = table[start[b] + offset, k], f32, for targets. Grid: (ceil(B * columns / 256), 1, 1), block 256.
//
// Macros: ACT_BF16, START64 (starts are i64 instead of i32).

#ifndef START64
#define START64 0
#endif
#if START64
typedef i64 Start;
#else
typedef int Start;
#endif

struct WindowInfo {
    i64 steps, features;
};
struct RowInfo {
    i64 batch, columns, offset;
};

extern "C" __global__ void __launch_bounds__(256)
    gather_windows(const float* matrix, const Start* start, ACT* out, const __grid_constant__ WindowInfo info) {
    const i64 length = info.steps * info.features;
    const float* from = matrix + (i64)start[blockIdx.y] * info.features;
    ACT* to = out + blockIdx.y * length;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        i64 e = (i64)blockIdx.x * 1024 + i * 256 + threadIdx.x;
        if (e < length) to[e] = cast<ACT>(from[e]);
    }
}

extern "C" __global__ void __launch_bounds__(256)
    gather_rows(const float* table, const Start* start, float* out, const __grid_constant__ RowInfo info) {
    const i64 e = (i64)blockIdx.x * 256 + threadIdx.x;
    if (e < info.batch * info.columns) out[e] = table[((i64)start[e / info.columns] + info.offset) * info.columns + e % info.columns];
}
