// Adds up the partial results that gemm leaves with SPLIT, in a fixed order, and their column sums in the same launch.
//
// out[i] = (accumulate ? out[i] : 0) + sum over s of work[s, i], for i < count; the same for the second pair.
// Grid: (ceil((count + second_count) / 256), 1, 1), block 256. With second_count = 0 the second pair is not touched.

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
