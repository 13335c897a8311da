// Partial column sums of x [rows, columns] (of type ACT): block (x, y) adds the rows y, y + chunks, ... of 256 columns into
// work[y, column]; gemm_reduce with count = columns and splits = chunks adds those up.
// Grid: (ceil(columns / 256), chunks, 1), block 256.

struct Info {
    i64 rows, columns;
};

extern "C" __global__ void __launch_bounds__(256) column_sum(const ACT* x, float* work, const __grid_constant__ Info info) {
    i64 column = (i64)blockIdx.x * 256 + threadIdx.x;
    if (column >= info.columns) return;
    float sum[4] = {};
    i64 row = blockIdx.y;
    const i64 step = gridDim.y;
    for (; row + 3 * step < info.rows; row += 4 * step)
#pragma unroll
        for (int i = 0; i < 4; i++) sum[i] += to_f32(x[(row + i * step) * info.columns + column]);
    for (; row < info.rows; row += step) sum[0] += to_f32(x[row * info.columns + column]);
    work[blockIdx.y * info.columns + column] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
