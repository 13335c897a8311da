// Float to bfloat16, for weights of gemm_fast in bfloat16 mode. Grid: (ceil(count / 1024), 1, 1), block 256.

struct Info {
    i64 count;
};

extern "C" __global__ void __launch_bounds__(256) cast_bf16(const float* x, bf16* y, const __grid_constant__ Info info) {
    const i64 first = ((i64)blockIdx.x * 256 + threadIdx.x) * 4;
    if (first + 4 <= info.count) {
        store4(y + first, load4(x + first));
        return;
    }
    for (i64 i = first; i < info.count; i++) y[i] = to_bf16(x[i]);
}
