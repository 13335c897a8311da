// C = op(A) op(B) [+ bias] on Hopper's warpgroup products (wgmma), for every shape and storage type.
//
// Tiles go through registers into shared memory: on the way they are converted (tf32 rounding, float to bfloat16),
// transposed where the depth is not contiguous in memory (tf32 products take depth-contiguous operands only), zero-filled at the
// edges and, for the bias gradient, summed. In shared memory an operand is a set of 8-row x 16-byte blocks (no swizzle): block
// (row / 8, chunk of depth) lies at row / 8 * 144 + chunk * LEAD bytes. 144 instead of 128 and LEAD = 32 modulo 128 keep
// both the direct and the transposing stores free of bank conflicts.
//
// Macros: ACT_BF16 (type of the product); A_BF16, B_BF16, C_BF16 (types in memory); TRANS_A (A is [K, M]), TRANS_B (B is
//   [N, K]); TILE_M, TILE_N (64 or 128); BIAS (f32 [N]);
//   SPLIT (C is an f32 workspace [splits, M, N] for gemm_reduce; no bias);
//   SHIFT_T (with TRANS_A: row (b, t) of A is read as row (b, t - 1), at t = 0 as h0[b] or zeros: the input of a recurrence
//   from its output; A must have all its K rows of `steps` each); COLSUM (with SPLIT: also the column sums of B [K, N], f32
//   workspace [splits, N]; needs TRANS_B = 0).
// Arguments: a, b, c, then as the macros ask: bias, h0, colsum; then Info.
// Grid: (ceil(N / TILE_N), ceil(M / TILE_M), splits), block 256. Deterministic.

#ifndef A_BF16
#define A_BF16 ACT_BF16
#endif
#ifndef B_BF16
#define B_BF16 0
#endif
#ifndef C_BF16
#define C_BF16 ACT_BF16
#endif
#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#ifndef TILE_M
#define TILE_M 128
#endif
#ifndef TILE_N
#define TILE_N 128
#endif
#ifndef BIAS
#define BIAS 0
#endif
#ifndef SPLIT
#define SPLIT 0
#endif
#ifndef SHIFT_T
#define SHIFT_T 0
#endif
#ifndef COLSUM
#define COLSUM 0
#endif

template <bool B> struct Stored { typedef float type; };
template <> struct Stored<true> { typedef bf16 type; };
typedef Stored<A_BF16>::type TA;
typedef Stored<B_BF16>::type TB;
typedef Stored<(SPLIT ? 0 : C_BF16)>::type TC;

#define CHUNK (16 / (int)sizeof(OP))  // elements of one 16-byte chunk of depth
#define TILE_K (4 * CHUNK)
#define LEAD(rows) ((rows) / 8 * 144 + 32)
#define BYTES(rows) (4 * LEAD(rows))
#define WARP_N (TILE_M == 128 ? TILE_N : TILE_N / 2)  // columns of one warpgroup, which always has 64 rows

struct Info {
    i64 m, n, k;
    i64 lda, ldb, ldc;  // row pitches in memory, in elements
    i64 a_offset, b_offset, c_offset;
    i64 splits;
    i64 steps, has_h0, reverse;  // SHIFT_T; reverse reads row (b, t + 1)
};

// ----------------------------------------------------------------------------------------------- tile loaders

// N elements as they lie in memory.
template <typename T, int N> struct Raw { u32 w[N * (int)sizeof(T) / 4]; };

template <typename T> DEVICE u32 bits(T v);
template <> DEVICE u32 bits<float>(float v) { return __float_as_uint(v); }
template <> DEVICE u32 bits<bf16>(bf16 v) { return v; }

template <typename T, int N> DEVICE void read(Raw<T, N>& r, const T* p, int valid, bool wide) {
    constexpr int words = N * (int)sizeof(T) / 4;
    if (wide && valid >= N) {
        if constexpr (words % 4 == 0) {
#pragma unroll
            for (int i = 0; i < words / 4; i++) {
                uint4 v = reinterpret_cast<const uint4*>(p)[i];
                r.w[4 * i] = v.x, r.w[4 * i + 1] = v.y, r.w[4 * i + 2] = v.z, r.w[4 * i + 3] = v.w;
            }
        } else {
            uint2 v = *reinterpret_cast<const uint2*>(p);
            r.w[0] = v.x, r.w[1] = v.y;
        }
    } else {
#pragma unroll
        for (int i = 0; i < words; i++) {
            if constexpr (sizeof(T) == 4)
                r.w[i] = i < valid ? bits(p[i]) : 0;
            else
                r.w[i] = (2 * i < valid ? bits(p[2 * i]) : 0) | (2 * i + 1 < valid ? bits(p[2 * i + 1]) << 16 : 0);
        }
    }
}
// The same without any check.
template <typename T, int N> DEVICE void read_whole(Raw<T, N>& r, const T* p) { read(r, p, N, true); }
template <typename T, int N> DEVICE float element(const Raw<T, N>& r, int i) {
    if constexpr (sizeof(T) == 4)
        return __uint_as_float(r.w[i]);
    else
        return __uint_as_float(i % 2 ? r.w[i / 2] & 0xffff0000u : r.w[i / 2] << 16);
}
// Word i of a chunk, from its one (tf32) or two (bfloat16) elements.
DEVICE u32 operand(float a, float b) {
#if ACT_BF16
    return pack_bf16(a, b);
#else
    return to_tf32(a);
#endif
}
DEVICE void store_chunk(unsigned char* p, const u32 (&w)[4]) { *reinterpret_cast<uint4*>(p) = make_uint4(w[0], w[1], w[2], w[3]); }

// Depth contiguous in memory: row r, depth k at r * pitch + k. Four lanes read one row's 4 chunks.
template <typename T, int ROWS> struct DirectTile {
    Raw<T, CHUNK> raw[4];
    DEVICE void load(const T* p, i64 pitch, int row0, int rows, int k0, int k_end, bool wide, int thread) {
        int k = k0 + thread % 4 * CHUNK;
        if (wide && row0 + ROWS <= rows && k0 + TILE_K <= k_end) {
            const T* q = p + (row0 + thread / 4) * pitch + k;
#pragma unroll
            for (int i = 0; i < 4; i++) read_whole(raw[i], q + i * (ROWS / 4) * pitch);
            return;
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = row0 + i * (ROWS / 4) + thread / 4;
            read(raw[i], p + row * pitch + k, row < rows ? k_end - k : 0, wide);
        }
    }
    DEVICE void store(unsigned char* tile, int thread) const {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = i * (ROWS / 4) + thread / 4;
            u32 w[4];
            if constexpr (sizeof(T) == 2 && sizeof(OP) == 2) {
#pragma unroll
                for (int j = 0; j < 4; j++) w[j] = raw[i].w[j];
            } else {
#pragma unroll
                for (int j = 0; j < 4; j++) w[j] = operand(element(raw[i], j * CHUNK / 4), element(raw[i], (j + 1) * CHUNK / 4 - 1));
            }
            store_chunk(tile + row / 8 * 144 + row % 8 * 16 + thread % 4 * LEAD(ROWS), w);
        }
    }
};

// Rows contiguous in memory: row r, depth k at k * pitch + r. A thread takes a block of 4 rows x one chunk of depth.
template <typename T, int ROWS> struct TransposedTile {
    Raw<T, 4> raw[CHUNK];
    DEVICE void load(const T* p, i64 pitch, int row0, int rows, int k0, int k_end, bool wide, int thread) {
        int row = row0 + thread % (ROWS / 4) * 4, k = k0 + thread / (ROWS / 4) * CHUNK;
        if (wide && row0 + ROWS <= rows && k0 + TILE_K <= k_end) {
            const T* q = p + k * pitch + row;
#pragma unroll
            for (int e = 0; e < CHUNK; e++) read_whole(raw[e], q + e * pitch);
            return;
        }
#pragma unroll
        for (int e = 0; e < CHUNK; e++) read(raw[e], p + (k + e) * pitch + row, k + e < k_end ? rows - row : 0, wide);
    }
    // Depth k = (b, t) is read at (b, t - 1), or (b, t + 1) when walking backwards; past the sequence's end from h0[b].
    DEVICE void load_shifted(const T* p, i64 pitch, int row0, int rows, int k0, int k_end, bool wide, int thread, const float* h0,
                             int steps, bool reverse, int sequence, int step) {
        int row = row0 + thread % (ROWS / 4) * 4, k = k0 + thread / (ROWS / 4) * CHUNK;
#pragma unroll
        for (int e = 0; e < CHUNK; e++) {
            int valid = k + e < k_end ? rows - row : 0;
            if (step != (reverse ? steps - 1 : 0)) {
                read(raw[e], p + (k + e + (reverse ? 1 : -1)) * pitch + row, valid, wide);
            } else {
                float v[4];
#pragma unroll
                for (int i = 0; i < 4; i++) v[i] = h0 && i < valid ? h0[(i64)sequence * rows + row + i] : 0.0f;
#pragma unroll
                for (int i = 0; i < (int)sizeof(T); i++)
                    raw[e].w[i] = sizeof(T) == 4 ? __float_as_uint(v[i]) : pack_bf16(v[2 * i % 4], v[(2 * i + 1) % 4]);
            }
            if (++step == steps) step = 0, sequence++;
        }
    }
    DEVICE void store(unsigned char* tile, int thread) const {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int row = thread % (ROWS / 4) * 4 + j;
            u32 w[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                constexpr int per = CHUNK / 4;
                if constexpr (sizeof(T) == 2 && sizeof(OP) == 2)
                    w[i] = __byte_perm(raw[per * i].w[j / 2], raw[per * i + per - 1].w[j / 2], j % 2 ? 0x7632 : 0x5410);
                else
                    w[i] = operand(element(raw[per * i], j), element(raw[per * i + per - 1], j));
            }
            store_chunk(tile + row / 8 * 144 + row % 8 * 16 + thread / (ROWS / 4) * LEAD(ROWS), w);
        }
    }
    DEVICE void add_to(float (&sum)[4]) const {
#pragma unroll
        for (int e = 0; e < CHUNK; e++)
#pragma unroll
            for (int i = 0; i < 4; i++) sum[i] += element(raw[e], i);
    }
};

template <bool TRANSPOSED, typename T, int ROWS> struct Tile : DirectTile<T, ROWS> {};
template <typename T, int ROWS> struct Tile<true, T, ROWS> : TransposedTile<T, ROWS> {};

// --------------------------------------------------------------------------------------------------- products

// Where the tensor cores find an operand: address, the stride between chunks of depth, the stride between groups of 8 rows.
DEVICE u64 describe(u32 address, int lead) {
    return (u64)(address >> 4) | (u64)(lead >> 4) << 16 | (u64)(144 >> 4) << 32;
}
#if ACT_BF16
#define SHAPE_K "k16.f32.bf16.bf16"
#define TAIL "1, 1, 0, 0;"
#else
#define SHAPE_K "k8.f32.tf32.tf32"
#define TAIL "1, 1;"
#endif
#define D8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define R16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define R32 R16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define R64 R32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
DEVICE void product(float (&d)[16], u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n32" SHAPE_K " {" R16 "}, %16, %17, 1, " TAIL : D8(0), D8(8) : "l"(a), "l"(b));
}
DEVICE void product(float (&d)[32], u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n64" SHAPE_K " {" R32 "}, %32, %33, 1, " TAIL
                 : D8(0), D8(8), D8(16), D8(24) : "l"(a), "l"(b));
}
DEVICE void product(float (&d)[64], u64 a, u64 b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128" SHAPE_K " {" R64 "}, %64, %65, 1, " TAIL
                 : D8(0), D8(8), D8(16), D8(24), D8(32), D8(40), D8(48), D8(56) : "l"(a), "l"(b));
}

extern "C" __global__ void __launch_bounds__(256, 2) gemm(const TA* a, const TB* b, TC* c
#if BIAS
                                                          , const float* bias
#endif
#if SHIFT_T
                                                          , const float* h0
#endif
#if COLSUM
                                                          , float* colsum
#endif
                                                          , const __grid_constant__ Info info) {
    __shared__ __align__(128) unsigned char tiles[2][BYTES(TILE_M) + BYTES(TILE_N)];
    const int m = (int)info.m, n = (int)info.n;
    const int thread = threadIdx.x, group = thread / 128;
    const int row0 = blockIdx.y * TILE_M, column0 = blockIdx.x * TILE_N;
    // Each split takes whole tiles of depth.
    const int depth = ((int)info.k + TILE_K - 1) / TILE_K, per_split = (depth + (int)info.splits - 1) / (int)info.splits;
    const int k_begin = min(depth, (int)blockIdx.z * per_split) * TILE_K;
    const int k_end = min((int)info.k, k_begin + per_split * TILE_K);
    const int count = max(0, (k_end - k_begin + TILE_K - 1) / TILE_K);
    // Threads 0 .. TILE_M - 1 carry A, the next TILE_N carry B; whole warps either way.
    const bool carries_a = thread < TILE_M, carries_b = !carries_a && thread < TILE_M + TILE_N;
    const int b_thread = thread - TILE_M;
    a += info.a_offset;
    b += info.b_offset;
    const bool a_wide = ((info.lda | info.a_offset) & (16 / sizeof(TA) - 1)) == 0;
    const bool b_wide = ((info.ldb | info.b_offset) & (16 / sizeof(TB) - 1)) == 0;

    union Carried {
        Tile<TRANS_A, TA, TILE_M> a;
        Tile<!TRANS_B, TB, TILE_N> b;
        DEVICE Carried() {}
    } carried;
#if SHIFT_T
    const int steps = (int)info.steps;
    int first = k_begin + thread / (TILE_M / 4) * CHUNK;
    int sequence = first / steps, step = first % steps;
#endif
    auto load = [&](int i) {
        int k0 = k_begin + i * TILE_K;
        if (carries_a) {
#if SHIFT_T
            carried.a.load_shifted(a, info.lda, row0, m, k0, k_end, a_wide, thread, info.has_h0 ? h0 : nullptr, steps,
                                   info.reverse, sequence, step);
            step += TILE_K;
            while (step >= steps) step -= steps, sequence++;
#else
            carried.a.load(a, info.lda, row0, m, k0, k_end, a_wide, thread);
#endif
        } else if (carries_b) {
            carried.b.load(b, info.ldb, column0, n, k0, k_end, b_wide, b_thread);
        }
    };
#if COLSUM
    float sums[4] = {};
#endif
    auto store = [&](int i) {
        unsigned char* tile = tiles[i % 2];
        if (carries_a) {
            carried.a.store(tile, thread);
        } else if (carries_b) {
            carried.b.store(tile + BYTES(TILE_M), b_thread);
#if COLSUM
            if (blockIdx.y == 0) carried.b.add_to(sums);
#endif
        }
    };

    float d[WARP_N / 2];
#pragma unroll
    for (int i = 0; i < WARP_N / 2; i++) d[i] = 0.0f;
    const u32 a_at = shared_address(tiles) + (TILE_M == 128 ? group * (64 / 8 * 144) : 0);
    const u32 b_at = shared_address(tiles) + BYTES(TILE_M) + (TILE_M == 128 ? 0 : group * (WARP_N / 8 * 144));
    if (count > 0) {
        load(0);
        store(0);
        if (count > 1) load(1);
    }
    for (int i = 0; i < count; i++) {
        // The products read shared memory through another path than the stores above: order the two, then meet.
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncthreads();
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
        const u32 offset = i % 2 * (u32)sizeof(tiles[0]);
#pragma unroll
        for (int k = 0; k < 2; k++)
            product(d, describe(a_at + offset + k * 2 * LEAD(TILE_M), LEAD(TILE_M)), describe(b_at + offset + k * 2 * LEAD(TILE_N), LEAD(TILE_N)));
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        // While the tensor cores work: the next tile from registers to the other buffer, the one after into registers.
        if (i + 1 < count) store(i + 1);
        if (i + 2 < count) load(i + 2);
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    }

    // Results: register 4 j + 2 half + e of a thread is row lane / 4 + 8 half, column 8 j + 2 (lane % 4) + e. Neighbouring
    // lanes swap halves of two j, so that each writes 4 columns in a row and the four lanes of a row fill whole sectors.
    const int lane = thread % 32, warp = thread / 32 % 4, tg = lane % 4;
    const int row_base = row0 + (TILE_M == 128 ? group * 64 : 0) + warp * 16 + lane / 4;
    const int column_base = column0 + (TILE_M == 128 ? 0 : group * WARP_N) + tg % 2 * 8 + tg / 2 * 4;
    TC* out = c + (SPLIT ? (i64)blockIdx.z * m * n : info.c_offset);
    const i64 pitch = SPLIT ? n : info.ldc;
    const bool c_wide = SPLIT ? n % 4 == 0 : ((info.ldc | info.c_offset) & 3) == 0;
#pragma unroll
    for (int j = 0; j < WARP_N / 8; j += 2)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float lo0 = d[4 * j + 2 * half], lo1 = d[4 * j + 2 * half + 1], hi0 = d[4 * j + 4 + 2 * half], hi1 = d[4 * j + 4 + 2 * half + 1];
            bool odd = tg % 2;
            float r0 = __shfl_xor_sync(0xffffffffu, odd ? lo0 : hi0, 1), r1 = __shfl_xor_sync(0xffffffffu, odd ? lo1 : hi1, 1);
            float v[4] = {odd ? r0 : lo0, odd ? r1 : lo1, odd ? hi0 : r0, odd ? hi1 : r1};
            int row = row_base + 8 * half, column = column_base + 8 * j;
            if (row >= m || column >= n) continue;
#pragma unroll
            for (int e = 0; e < 4; e++) {
#if BIAS
                if (column + e < n) v[e] += bias[column + e];
#endif
            }
            TC* p = out + row * pitch + column;
            if (c_wide && column + 4 <= n) {
                store4(p, make_float4(v[0], v[1], v[2], v[3]));
            } else {
                for (int e = 0; e < 4; e++)
                    if (column + e < n) p[e] = cast<TC>(v[e]);
            }
        }
#if COLSUM
    if (blockIdx.y == 0) {
        // One partial sum for each chunk of depth and column; four of them make a column.
        float* room = reinterpret_cast<float*>(tiles);
        __syncthreads();
        if (carries_b) {
#pragma unroll
            for (int i = 0; i < 4; i++) room[b_thread / (TILE_N / 4) * TILE_N + b_thread % (TILE_N / 4) * 4 + i] = sums[i];
        }
        __syncthreads();
        if (thread < TILE_N && column0 + thread < n)
            colsum[(i64)blockIdx.z * n + column0 + thread] =
                (room[thread] + room[TILE_N + thread]) + (room[2 * TILE_N + thread] + room[3 * TILE_N + thread]);
    }
#endif
}
