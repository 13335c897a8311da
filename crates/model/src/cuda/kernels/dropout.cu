// y = x * mask / (1 - p) [+ residual]; the backward pass is the same on dy, without the residual.
//
// Macros: ACT_BF16, RESIDUAL (0/1), DIALS. y may be x. Grid: (ceil(count / 1024), 1, 1), block 256: one random counter, four elements, a thread.

#ifndef RESIDUAL
#define RESIDUAL 0
#endif

struct Info {
    i64 count, seed, first_group;
    double p;
};

extern "C" __global__ void __launch_bounds__(256) dropout(const ACT* x, ACT* y
#if RESIDUAL
                                                          , const ACT* residual
#endif
                                                          DIALS_ARGUMENT, const __grid_constant__ Info info) {
    const i64 group = (i64)blockIdx.x * 256 + threadIdx.x, first = group * 4;
    if (first >= info.count) return;
    const Dropout d(DIAL(info.seed), info.first_group, info.p);
    const u32 keep = d.keep4((u64)group);
    if (first + 4 <= info.count) {
        float4 v = load4(x + first);
        v = make_float4(keep & 1 ? v.x * d.scale : 0.0f, keep & 2 ? v.y * d.scale : 0.0f, keep & 4 ? v.z * d.scale : 0.0f,
                        keep & 8 ? v.w * d.scale : 0.0f);
#if RESIDUAL
        float4 r = load4(residual + first);
        v = make_float4(v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w);
#endif
        store4(y + first, v);
        return;
    }
    for (int i = 0; first + i < info.count; i++) {
        float v = keep >> i & 1 ? to_f32(x[first + i]) * d.scale : 0.0f;
#if RESIDUAL
        v += to_f32(residual[first + i]);
#endif
        y[first + i] = cast<ACT>(v);
    }
}
