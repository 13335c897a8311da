// AdamW (Loshchilov and Hutter 2019) with clipping by the global norm, on up to 32 tensors a launch.
//
// A step is norm_partial (for each group of tensors), norm_final, adamw (for each group). Every sum has a fixed order. The
// norm, the clip factor and the finite flag stay on the device, in `state`; a step whose gradients are not finite leaves all as it was.
//
// Macro: COUNT, the number of tensors of a launch, 1 to 32. A block takes CHUNK neighbours of one tensor, so the grid is
// (sum over the tensors of ceil(size / CHUNK), 1, 1), block 256. norm_final: grid 1, block 256.
// Arguments: norm_partial: g0 .., partial f64, Info. norm_final: partial, state f32 [4], FinalInfo. adamw: for each tensor in
// turn p, g, m, v (all f32; all but g are moved in place); then state, dials if DIALS (their first three words are doubles), Info.

// Doubles and integers alike take 8 bytes.
struct Info {
    double lr, beta1, beta2, eps, weight_decay, correction1, correction2;  // correction: 1 - beta^step (adamw)
    i64 first_slot;                                                       // norm_partial: its place in `partial`
    i64 sizes[COUNT];
};
struct FinalInfo {
    i64 slots;
    double max_norm;  // 0: no clipping
};

#define GRADIENT(n) const float* g##n,
extern "C" __global__ void __launch_bounds__(256) norm_partial(EACH_OF(COUNT, GRADIENT) double* partial, const __grid_constant__ Info info) {
    __shared__ double room[8];
    i64 first;
    const int n = find(info.sizes, first);
    const float* g = nullptr;
    i64 size = 0;
#define PICK(k) if (n == k) g = g##k, size = info.sizes[k];
    EACH_OF(COUNT, PICK)
    double sum = 0.0;
    const i64 end = min(size, first + CHUNK);
#pragma unroll 4
    for (i64 i = first + threadIdx.x; i < end; i += 256) sum += (double)g[i] * (double)g[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) partial[info.first_slot + blockIdx.x] = sum;
}

// state: norm, clip factor, 1 where everything is finite.
extern "C" __global__ void __launch_bounds__(256) norm_final(const double* partial, float* state, const __grid_constant__ FinalInfo info) {
    __shared__ double room[8];
    double sum = 0.0;
    for (i64 i = threadIdx.x; i < info.slots; i += 256) sum += partial[i];
    sum = block_sum(sum, room);
    if (threadIdx.x) return;
    double norm = sqrt(sum);
    state[0] = (float)norm;
    state[1] = info.max_norm > 0.0 && norm > info.max_norm ? (float)(info.max_norm / (norm + 1e-6)) : 1.0f;
    state[2] = norm <= 1.7976931348623157e308 ? 1.0f : 0.0f;
    state[3] = 0.0f;
}

#define TENSOR(n) float *p##n, const float *g##n, float *m##n, float *v##n,
extern "C" __global__ void __launch_bounds__(256) adamw(EACH_OF(COUNT, TENSOR) const float* state DIALS_ARGUMENT, const __grid_constant__ Info info) {
    const bool finite = state[2] != 0.0f;
    i64 first;
    const int n = find(info.sizes, first);
    float *p = nullptr, *m = nullptr, *v = nullptr;
    const float* g = nullptr;
    i64 size = 0;
#define PICK_ALL(k) if (n == k) p = p##k, g = g##k, m = m##k, v = v##k, size = info.sizes[k];
    EACH_OF(COUNT, PICK_ALL)
#if DIALS
    const double lr = __longlong_as_double((i64)dials[0]), correction1 = __longlong_as_double((i64)dials[1]), correction2 = __longlong_as_double((i64)dials[2]);
#else
    const double lr = info.lr, correction1 = info.correction1, correction2 = info.correction2;
#endif
    const float clip = state[1], beta1 = (float)info.beta1, beta2 = (float)info.beta2, eps = (float)info.eps;
    const float keep = (float)(1.0 - lr * info.weight_decay), rate = (float)(lr / correction1);
    const float new1 = (float)(1.0 - info.beta1), new2 = (float)(1.0 - info.beta2), root = (float)(1.0 / sqrt(correction2));
    auto update = [&](float& p, float g, float& m, float& v) {
        if (!finite) return;
        g *= clip;
        m = fmaf(beta1, m, new1 * g);
        v = fmaf(beta2, v, new2 * g * g);
        p = fmaf(-rate, m / fmaf(sqrtf(v), root, eps), p * keep);
    };
    const i64 end = min(size, first + CHUNK);
    // Whole vectors first; tensors start aligned and so does every chunk.
#pragma unroll 2
    for (i64 i = first + threadIdx.x * 4; i + 4 <= end; i += 1024) {
        float4 a = load4(p + i), b = load4(g + i), c = load4(m + i), d = load4(v + i);
        update(a.x, b.x, c.x, d.x);
        update(a.y, b.y, c.y, d.y);
        update(a.z, b.z, c.z, d.z);
        update(a.w, b.w, c.w, d.w);
        store4(p + i, a);
        store4(m + i, c);
        store4(v + i, d);
    }
    const i64 rest = first + (end - first) / 4 * 4 + threadIdx.x;
    if (rest < end) {
        float a = p[rest], c = m[rest], d = v[rest];
        update(a, g[rest], c, d);
        p[rest] = a;
        m[rest] = c;
        v[rest] = d;
    }
}
