// Self-attention: out = dropout(softmax(q k^T / sqrt(D))) v for every (batch row, head), from packed qkv [B, T, 3 heads D].
//
// A block takes 64 queries of one head, a warp 16 of them, and walks the keys in tiles of 64 with a running maximum and sum.
// Products are tf32 in both modes: bfloat16 inputs are exact in tf32, and the products are a small part of the time.
// The probabilities of a warp stay in its registers between the two products: a product's result gives a thread the
// columns 2 t and 2 t + 1 where the next one's operand wants t and t + 4, so the values' rows are taken in that order instead.
//
// Macros: D (a multiple of 8 up to 64), ACT_BF16. Grid: (ceil(T / 64), heads, B), block 128.
// Element index of the mask: ((b * heads + h) * T + i) * T + j.

#define TILE 64
#define STRIDE (D + 4)  // floats: rows 4 banks apart keep both products' reads free of conflicts
#define KSTEPS (D / 8)

struct Info {
    i64 batch, steps, heads;
    i64 causal;
    i64 seed, first_group;
    double p;  // 0 = no dropout
};

DEVICE void load_tile(float* to, const ACT* from, i64 pitch, int row0, int rows, float scale) {
    for (int i = threadIdx.x; i < TILE * D / 4; i += 128) {
        int row = i / (D / 4), column = i % (D / 4) * 4;
        float4 v = row0 + row < rows ? load4(from + (i64)(row0 + row) * pitch + column) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        *reinterpret_cast<uint4*>(to + row * STRIDE + column) =
            make_uint4(to_tf32(v.x * scale), to_tf32(v.y * scale), to_tf32(v.z * scale), to_tf32(v.w * scale));
    }
}

// The mask of this thread's elements: bit 4 (4 half + n / 2) + c of word n % 2 belongs to row g + 8 half, key 8 n + 2 tg + c.
DEVICE void mask(const Dropout& dropout, u64 element, int steps, int g, int tg, u32 (&keep)[2]) {
    if (steps % 4 == 0) {
        // Four neighbouring keys share a counter and lie in two lanes: each draws for both, one the even n, the other the odd ones.
        u32 own = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            u64 e = element + (u64)(g + i / 4 * 8) * steps + 8 * (2 * (i % 4) + tg % 2) + tg / 2 * 4;
            own |= dropout.keep4(e / 4) << (4 * i);
        }
        u32 other = __shfl_xor_sync(0xffffffffu, own, 1);
        keep[0] = (tg % 2 ? other : own) >> (tg % 2 * 2);
        keep[1] = (tg % 2 ? own : other) >> (tg % 2 * 2);
        return;
    }
    keep[0] = keep[1] = 0;
#pragma unroll 1
    for (int i = 0; i < 32; i++) {
        int n = i / 4, half = i / 2 % 2, c = i % 2;
        u32 bit = dropout.keep(element + (u64)(g + half * 8) * steps + 8 * n + 2 * tg + c);
        keep[n % 2] |= bit << (4 * (4 * half + n / 2) + c);
    }
}

extern "C" __global__ void __launch_bounds__(128) attention_forward(const ACT* qkv, ACT* out, float* lse DIALS_ARGUMENT, const __grid_constant__ Info info) {
#if D <= 32
    __shared__ __align__(16) float room[3][TILE * STRIDE];
    float* const queries = room[2];
#else
    __shared__ __align__(16) float room[2][TILE * STRIDE];
    float* const queries = room[0];
#endif
    float *const keys = room[0], *const values = room[1];
    const int steps = (int)info.steps, heads = (int)info.heads, head = blockIdx.y;
    const i64 b = blockIdx.z, hidden = (i64)heads * D, pitch = 3 * hidden;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, tg = lane % 4;
    const int query0 = blockIdx.x * TILE, first = query0 + warp * 16;
    const ACT* base = qkv + b * steps * pitch + head * D;
    const float log2e = 1.4426950408889634f;

    // Scores come out in units of log 2.
    load_tile(queries, base, pitch, query0, steps, rsqrtf((float)D) * log2e);
    __syncthreads();
    u32 q[KSTEPS][4];
#pragma unroll
    for (int k = 0; k < KSTEPS; k++)
#pragma unroll
        for (int r = 0; r < 4; r++) q[k][r] = __float_as_uint(queries[(warp * 16 + g + r % 2 * 8) * STRIDE + 8 * k + tg + r / 2 * 4]);

    float o[KSTEPS][4] = {}, most[2] = {-INFINITY_F, -INFINITY_F}, sum[2] = {};
    const int last_tile = info.causal ? blockIdx.x : (steps - 1) / TILE;
    for (int tile = 0; tile <= last_tile; tile++) {
        __syncthreads();
        load_tile(keys, base + hidden, pitch, tile * TILE, steps, 1.0f);
        load_tile(values, base + 2 * hidden, pitch, tile * TILE, steps, 1.0f);
        __syncthreads();
        float s[8][4] = {};
#pragma unroll
        for (int k = 0; k < KSTEPS; k++)
#pragma unroll
            for (int n = 0; n < 8; n++) {
                const float* p = keys + (8 * n + g) * STRIDE + 8 * k + tg;
                mma_tf32(s[n], q[k], __float_as_uint(p[0]), __float_as_uint(p[4]));
            }
        float top[2] = {most[0], most[1]};
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                int key = tile * TILE + 8 * n + 2 * tg + r % 2;
                if (key >= steps || (info.causal && key > first + g + r / 2 * 8)) s[n][r] = -INFINITY_F;
                top[r / 2] = fmaxf(top[r / 2], s[n][r]);
            }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            top[half] = fmaxf(top[half], __shfl_xor_sync(0xffffffffu, top[half], 1));
            top[half] = fmaxf(top[half], __shfl_xor_sync(0xffffffffu, top[half], 2));
            float shrink = exp2_fast(most[half] - top[half]);
            most[half] = top[half];
            sum[half] *= shrink;
#pragma unroll
            for (int d = 0; d < KSTEPS; d++) o[d][2 * half] *= shrink, o[d][2 * half + 1] *= shrink;
        }
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                s[n][r] = exp2_fast(s[n][r] - most[r / 2]);
                sum[r / 2] += s[n][r];
            }
        if (info.p > 0.0) {
            const Dropout dropout(DIAL(info.seed), info.first_group, info.p);
            u32 keep[2];
            mask(dropout, ((u64)(b * heads + head) * steps + first) * steps + tile * TILE, steps, g, tg, keep);
#pragma unroll
            for (int n = 0; n < 8; n++)
#pragma unroll
                for (int r = 0; r < 4; r++)
                    s[n][r] = keep[n % 2] >> (4 * (4 * (r / 2) + n / 2) + r % 2) & 1 ? s[n][r] * dropout.scale : 0.0f;
        }
#pragma unroll
        for (int n = 0; n < 8; n++) {
            const u32 a[4] = {to_tf32(s[n][0]), to_tf32(s[n][2]), to_tf32(s[n][1]), to_tf32(s[n][3])};
#pragma unroll
            for (int d = 0; d < KSTEPS; d++) {
                const float* p = values + (8 * n + 2 * tg) * STRIDE + 8 * d + g;
                mma_tf32(o[d], a, __float_as_uint(p[0]), __float_as_uint(p[STRIDE]));
            }
        }
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        sum[half] += __shfl_xor_sync(0xffffffffu, sum[half], 1);
        sum[half] += __shfl_xor_sync(0xffffffffu, sum[half], 2);
        const int row = first + g + 8 * half;
        if (row >= steps) continue;
        const float scale = 1.0f / sum[half];
        ACT* to = out + (b * steps + row) * hidden + head * D + 2 * tg;
#pragma unroll
        for (int d = 0; d < KSTEPS; d++) store2(to + 8 * d, o[d][2 * half] * scale, o[d][2 * half + 1] * scale);
        if (tg == 0) lse[(b * heads + head) * steps + row] = (most[half] + log2f(sum[half])) * 0.6931471805599453f;
    }
}
