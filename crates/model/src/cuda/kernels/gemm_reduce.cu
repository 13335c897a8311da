// Adds up the partial results that gemm leaves with SPLIT, in a fixed order, and their column sums in the same launch.
//
// out[i] = (accumulate ? out[i] : 0) + sum over s of work[s, i], for i < count; the same for the second pair.
// With second_count = 0 the second pair is not touched. Block 256.
// Grid of gemm_reduce: (ceil((count + second_count) / 256), 1, 1). Grid of gemm_reduce_tall, which does the same for few columns
// and many splits with eight threads a column: (ceil((count + second_count) / 32), 1, 1).

struct Info {
    i64 count, second_count, splits, accumulate;
};

DEVICE void reduce(const float* work, float* out, i64 i, i64 count, int splits, bool accumulate) {
    float sum = accumulate ? out[i] : 0.0f;
    int s = 0;
    for (; s + 8 <= splits; s += 8) {
        // Eight loads in flight; the sum keeps its order.
        float v[8];
#pragma unroll
        for (int j = 0; j < 8; j++) v[j] = work[(s + j) * count + i];
#pragma unroll
        for (int j = 0; j < 8; j++) sum += v[j];
    }
    for (; s < splits; s++) sum += work[s * count + i];
    out[i] = sum;
}

extern "C" __global__ void __launch_bounds__(256)
    gemm_reduce(const float* work, float* out, const float* second_work, float* second_out, const __grid_constant__ Info info) {
    i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i < info.count)
        reduce(work, out, i, info.count, (int)info.splits, info.accumulate);
    else if (i - info.count < info.second_count)
        reduce(second_work, second_out, i - info.count, info.second_count, (int)info.splits, info.accumulate);
}

extern "C" __global__ void __launch_bounds__(256)
    gemm_reduce_tall(const float* work, float* out, const float* second_work, float* second_out, const __grid_constant__ Info info) {
    __shared__ float room[8][32];
    const int column = threadIdx.x % 32, part = threadIdx.x / 32;
    i64 i = (i64)blockIdx.x * 32 + column, count = info.count;
    const bool first = i < count, live = i < count + info.second_count;
    if (!first) {
        i -= count;
        count = info.second_count;
        work = second_work;
        out = second_out;
    }
    float sum = 0.0f;
    if (live)
#pragma unroll 8
        for (i64 s = part; s < info.splits; s += 8) sum += work[s * count + i];
    room[part][column] = sum;
    __syncthreads();
    if (part || !live) return;
    for (int p = 1; p < 8; p++) sum += room[p][column];
    out[i] = info.accumulate ? out[i] + sum : sum;
}
