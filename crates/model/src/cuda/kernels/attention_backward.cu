// The backward pass of attention_forward: dqkv from dy, recomputing the probabilities (from lse) and the mask.
//
// A block takes one tile of one head and plays two parts: it gathers dk and dv of its keys over all query tiles, and
// dq of its queries over all key tiles. When one tile holds the whole sequence the two are one pass. Nothing is added up in
// memory, so the result does not depend on the order of blocks.
//
// Scores are computed transposed, a warp holding 16 keys by all queries of the tile: so the probabilities and their
// gradients are operands of the products for dv and dk straight from the registers. Only dq, which sums over keys
// and so over warps, takes the gradients through shared memory (in the place of v and dy, which are done with by then).
//
// Macros: D (a multiple of 8 up to 64), ACT_BF16. TILE is 64 rows, 32 for D = 64. Grid: (ceil(T / TILE), heads, B), block 2 * TILE.

#define TILE (D <= 32 ? 64 : 32)
#define THREADS (2 * TILE)
#define NTILES (TILE / 8)
#define STRIDE (D + 4)
#define KSTEPS (D / 8)
#define SCORE_STRIDE (TILE + 4)
#define TAIL_ROOM (2 * TILE * STRIDE > TILE * SCORE_STRIDE ? 2 * TILE * STRIDE : TILE * SCORE_STRIDE)

struct Info {
    i64 batch, steps, heads;
    i64 causal;
    i64 seed, first_group;
    double p;  // 0 = no dropout
};

DEVICE void load_tile(float* to, const ACT* from, i64 pitch, int row0, int rows, float scale) {
    for (int i = threadIdx.x; i < TILE * D / 4; i += THREADS) {
        int row = i / (D / 4), column = i % (D / 4) * 4;
        float4 v = row0 + row < rows ? load4(from + (i64)(row0 + row) * pitch + column) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        *reinterpret_cast<uint4*>(to + row * STRIDE + column) =
            make_uint4(to_tf32(v.x * scale), to_tf32(v.y * scale), to_tf32(v.z * scale), to_tf32(v.w * scale));
    }
}

// scores[n] += rows of a (this warp's 16) times rows 8 n .. of b, over D.
DEVICE void multiply(float (&scores)[NTILES][4], const float* a, const float* b, int g, int tg) {
#pragma unroll
    for (int k = 0; k < KSTEPS; k++) {
        u32 x[4];
#pragma unroll
        for (int r = 0; r < 4; r++) x[r] = __float_as_uint(a[(g + r % 2 * 8) * STRIDE + 8 * k + tg + r / 2 * 4]);
#pragma unroll
        for (int n = 0; n < NTILES; n++) {
            const float* p = b + (8 * n + g) * STRIDE + 8 * k + tg;
            mma_tf32(scores[n], x, __float_as_uint(p[0]), __float_as_uint(p[4]));
        }
    }
}
// sum += scores (this warp's 16 rows, over the tile) times the tile's rows of b. Depth is taken in the order 0, 2, 4, 6, 1, 3, 5, 7.
DEVICE void gather(float (&sum)[KSTEPS][4], const float (&scores)[NTILES][4], const float* b, int g, int tg) {
#pragma unroll
    for (int n = 0; n < NTILES; n++) {
        const u32 x[4] = {to_tf32(scores[n][0]), to_tf32(scores[n][2]), to_tf32(scores[n][1]), to_tf32(scores[n][3])};
#pragma unroll
        for (int d = 0; d < KSTEPS; d++) {
            const float* p = b + (8 * n + 2 * tg) * STRIDE + 8 * d + g;
            mma_tf32(sum[d], x, __float_as_uint(p[0]), __float_as_uint(p[STRIDE]));
        }
    }
}

// The mask of this thread's elements: bit 4 n of word 2 half + c belongs to key g + 8 half, query 8 n + 2 tg + c.
DEVICE void mask(const Dropout& dropout, u64 element, int steps, int lane, u32 (&keep)[4]) {
    const int g = lane / 4, tg = lane % 4;
    if (steps % 4 == 0) {
        // Four neighbouring keys share a counter and lie in four lanes: each draws for all four, for one of the words.
        const int word = g % 4;
        u32 own = 0;
#pragma unroll
        for (int n = 0; n < NTILES; n++) {
            u64 e = element + (u64)(8 * n + 2 * tg + word % 2) * steps + word / 2 * 8 + g / 4 * 4;
            own |= dropout.keep4(e / 4) << (4 * n);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) keep[i] = __shfl_sync(0xffffffffu, own, (g / 4 * 4 + i) * 4 + tg) >> word;
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        keep[i] = 0;
#pragma unroll 1
        for (int n = 0; n < NTILES; n++)
            keep[i] |= (u32)dropout.keep(element + (u64)(8 * n + 2 * tg + i % 2) * steps + g + i / 2 * 8) << (4 * n);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    attention_backward(const ACT* qkv, const ACT* out, const ACT* dy, const float* lse, ACT* dqkv DIALS_ARGUMENT, const __grid_constant__ Info info) {
    __shared__ __align__(16) float room[2 * TILE * STRIDE + TAIL_ROOM];
    __shared__ float row_lse[TILE], row_delta[TILE];
    float *const queries = room, *const keys = room + TILE * STRIDE, *const values = room + 2 * TILE * STRIDE;
    float *const slopes_out = room + 3 * TILE * STRIDE, *const slopes = values;

    const int steps = (int)info.steps, heads = (int)info.heads, head = blockIdx.y, own = blockIdx.x;
    const i64 b = blockIdx.z, hidden = (i64)heads * D, pitch = 3 * hidden;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, tg = lane % 4;
    const ACT* base = qkv + b * steps * pitch + head * D;
    const float log2e = 1.4426950408889634f, scale = rsqrtf((float)D);
    const int tiles = (steps + TILE - 1) / TILE;
    // First the query tiles that meet this block's keys, then the key tiles that meet its queries.
    const int first_query = info.causal ? own : 0, key_rounds = tiles - first_query;
    const int query_rounds = tiles == 1 ? 0 : info.causal ? own + 1 : tiles;

    float dq[KSTEPS][4] = {}, dk[KSTEPS][4] = {}, dv[KSTEPS][4] = {};
    for (int round = 0; round < key_rounds + query_rounds; round++) {
        const bool for_keys = round < key_rounds, for_queries = !for_keys || tiles == 1;
        const int query0 = (for_keys ? first_query + round : own) * TILE, key0 = (for_keys ? own : round - key_rounds) * TILE;
        __syncthreads();
        load_tile(queries, base, pitch, query0, steps, scale * log2e);
        load_tile(keys, base + hidden, pitch, key0, steps, 1.0f);
        load_tile(values, base + 2 * hidden, pitch, key0, steps, 1.0f);
        load_tile(slopes_out, dy + b * steps * hidden + head * D, hidden, query0, steps, 1.0f);
        {
            // delta = sum over the row of dy * out; two threads a row.
            const int row = threadIdx.x / 2, t = query0 + row;
            float sum = 0.0f;
            if (t < steps) {
                const i64 at = (b * steps + t) * hidden + head * D + threadIdx.x % 2 * (D / 2);
#pragma unroll
                for (int i = 0; i < D / 2; i += 4) {
                    float4 x = load4(out + at + i), y = load4(dy + at + i);
                    sum += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
                }
            }
            sum += __shfl_xor_sync(0xffffffffu, sum, 1);
            if (threadIdx.x % 2 == 0) {
                row_delta[row] = sum;
                row_lse[row] = t < steps ? lse[(b * heads + head) * steps + t] * log2e : 0.0f;
            }
        }
        __syncthreads();

        float p[NTILES][4] = {}, ds[NTILES][4] = {};
        multiply(p, keys + warp * 16 * STRIDE, queries, g, tg);
        multiply(ds, values + warp * 16 * STRIDE, slopes_out, g, tg);
        u32 keep[4] = {~0u, ~0u, ~0u, ~0u};
        float kept = 1.0f;
        if (info.p > 0.0) {
            const Dropout dropout(DIAL(info.seed), info.first_group, info.p);
            kept = dropout.scale;
            mask(dropout, ((u64)(b * heads + head) * steps + query0) * steps + key0 + warp * 16, steps, lane, keep);
        }
#pragma unroll
        for (int n = 0; n < NTILES; n++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                const int column = 8 * n + 2 * tg + r % 2, query = query0 + column, key = key0 + warp * 16 + g + r / 2 * 8;
                const bool seen = key < steps && query < steps && !(info.causal && key > query);
                const float probability = seen ? exp2_fast(p[n][r] - row_lse[column]) : 0.0f;
                const float mask = keep[r] >> (4 * n) & 1 ? kept : 0.0f;
                p[n][r] = probability * mask;
                ds[n][r] = probability * (ds[n][r] * mask - row_delta[column]);
            }
        if (for_keys) {
            gather(dv, p, slopes_out, g, tg);
            gather(dk, ds, queries, g, tg);
        }
        if (!for_queries) continue;
        __syncthreads();  // v and dy make room
#pragma unroll
        for (int n = 0; n < NTILES; n++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                slopes[(8 * n + 2 * tg + r % 2) * SCORE_STRIDE + warp * 16 + g + r / 2 * 8] = __uint_as_float(to_tf32(ds[n][r]));
        __syncthreads();
#pragma unroll
        for (int n = 0; n < NTILES; n++) {
            u32 x[4];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float2 v = *reinterpret_cast<const float2*>(slopes + (warp * 16 + g + half * 8) * SCORE_STRIDE + 8 * n + 2 * tg);
                x[half] = __float_as_uint(v.x);
                x[half + 2] = __float_as_uint(v.y);
            }
#pragma unroll
            for (int d = 0; d < KSTEPS; d++) {
                const float* q = keys + (8 * n + 2 * tg) * STRIDE + 8 * d + g;
                mma_tf32(dq[d], x, __float_as_uint(q[0]), __float_as_uint(q[STRIDE]));
            }
        }
    }
    // The queries in shared memory carried scale * log2 e; dk wants scale alone.
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = own * TILE + warp * 16 + g + 8 * half;
        if (row >= steps) continue;
        ACT* to = dqkv + (b * steps + row) * pitch + head * D + 2 * tg;
#pragma unroll
        for (int d = 0; d < KSTEPS; d++) {
            store2(to + 8 * d, dq[d][2 * half] * scale, dq[d][2 * half + 1] * scale);
            store2(to + hidden + 8 * d, dk[d][2 * half] * 0.6931471805599453f, dk[d][2 * half + 1] * 0.6931471805599453f);
            store2(to + 2 * hidden + 8 * d, dv[d][2 * half], dv[d][2 * half + 1]);
        }
    }
}
