// y = x * mask / (1 - p) [+ residual]; the backward pass is the same on dy, without the residual.
//
// Macros: ACT_BF16, RESIDUAL (0/1), DIALS, RAGGED (a sample's numbers are no multiple of 4: its last block is short). y may be x.
// Grid: (ceil(groups / 256), 1, 1) with groups = samples * ceil(width / 4), block 256: one random counter, four elements, a thread.

#ifndef RESIDUAL
#define RESIDUAL 0
#endif
#ifndef RAGGED
#define RAGGED 0
#endif

struct Info {
    i64 count, seed, first_group;
    double p;
    i64 width;  // numbers in a sample
};

extern "C" __global__ void __launch_bounds__(256) dropout(const ACT* x, ACT* y
#if RESIDUAL
                                                          , const ACT* residual
#endif
                                                          DIALS_ARGUMENT, const __grid_constant__ Info info) {
    const i64 group = (i64)blockIdx.x * 256 + threadIdx.x;
#if RAGGED
    const i64 blocks = (info.width + 3) / 4, block = group % blocks;
    const i64 first = group / blocks * info.width + block * 4, end = min(first + 4, first - block * 4 + info.width);
#else
    const i64 first = group * 4, end = first + 4;
#endif
    if (first >= info.count) return;
    const Dropout d(DIAL(info.seed), info.first_group, info.p);
    const u32 keep = d.keep4((u64)group);
#if RAGGED
    for (int i = 0; first + i < end; i++) {
        float v = keep >> i & 1 ? to_f32(x[first + i]) * d.scale : 0.0f;
#if RESIDUAL
        v += to_f32(residual[first + i]);
#endif
        y[first + i] = cast<ACT>(v);
    }
#else
    float4 v = load4(x + first);
    v = make_float4(keep & 1 ? v.x * d.scale : 0.0f, keep & 2 ? v.y * d.scale : 0.0f, keep & 4 ? v.z * d.scale : 0.0f,
                    keep & 8 ? v.w * d.scale : 0.0f);
#if RESIDUAL
    float4 r = load4(residual + first);
    v = make_float4(v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w);
#endif
    store4(y + first, v);
#endif
}
