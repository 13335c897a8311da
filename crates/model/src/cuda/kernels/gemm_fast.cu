// The product of gemm.cu for aligned operands of the product's own type, with the same macros, arguments, Info and grid.
//
// Conditions: A and B are ACT in memory; the pitches and offsets of A and B, and the extents that are contiguous in memory
// (K for A, or M with TRANS_A; N for B, or K with TRANS_B) are multiples of 4 floats or 8 bfloat16. h0 (SHIFT_T) only in
// float mode. Anything else goes to gemm.cu.
//
// Tiles of 64 bytes of depth travel by cp.async through three stages of shared memory, as they lie in memory; the fragments
// are read from either layout: depth-contiguous by ldmatrix, row-contiguous by ldmatrix.trans (bfloat16) or word by word (float).
// 16-byte chunks are swizzled so that each of these reads touches every bank once.
//
// tf32: the tensor cores drop the low 13 bits. One multiplication by 1 + 0.36 * 2^-10 before that makes the dropping unbiased,
// keeps numbers that are exact in tf32, and passes infinities and NaN on.

#ifndef TRANS_A
#define TRANS_A 0
#endif
#ifndef TRANS_B
#define TRANS_B 0
#endif
#ifndef C_BF16
#define C_BF16 ACT_BF16
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
typedef Stored<(SPLIT ? 0 : C_BF16)>::type TC;

#define CHUNK (16 / (int)sizeof(ACT))
#define TILE_K (4 * CHUNK)
#define STAGES 3
#ifndef RESIDENT
#define RESIDENT (TILE_M * TILE_N > 64 * 128 ? 1 : 2)  // blocks of one multiprocessor: limits the registers
#endif
// 8 warps, 2 along M and 4 along N.
#define WARP_M (TILE_M / 2)
#define WARP_N (TILE_N / 4)
#define MTILES (WARP_M / 16)
#define NTILES (WARP_N / 8)

struct Info {
    i64 m, n, k;
    i64 lda, ldb, ldc;  // row pitches in memory, in elements
    i64 a_offset, b_offset, c_offset;
    i64 splits;
    i64 steps, has_h0, reverse;  // SHIFT_T; reverse reads row (b, t + 1)
};

// ------------------------------------------------------------------------------------------- one operand's tile

DEVICE void copy_or_zero(u32 to, const void* from, bool some) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(some ? 16 : 0) : "memory");
}
DEVICE void load_transposed(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
DEVICE u32 load_word(u32 address) {
    u32 r;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(r) : "r"(address) : "memory");
    return r;
}
DEVICE u32 unbias(u32 x) { return sizeof(ACT) == 4 ? __float_as_uint(__uint_as_float(x) * 1.00035f) : x; }

// Where chunk c of row r lies. Direct: 4 chunks of depth a row. Otherwise a row is one depth, ROWS / CHUNK chunks wide.
template <bool DIRECT, int ROWS> DEVICE u32 place(int r, int c) {
    if (DIRECT) return r * 64 + (c ^ r / 2 % 4) * 16;
    return r * (ROWS * (int)sizeof(ACT)) + (sizeof(ACT) == 4 ? c ^ r % 4 * 2 : c ^ r % 8) * 16;
}

// This thread's chunks of the tiles to come.
template <bool DIRECT, int ROWS> struct Source {
    static constexpr int pieces = ROWS * 4 / 256, wide = DIRECT ? 4 : ROWS / CHUNK;
    const ACT* p[pieces];
    i64 step;
    int k;  // depth of the first piece
    bool live[pieces];
    DEVICE Source(const ACT* base, i64 pitch, int row0, int rows, int k0) {
#pragma unroll
        for (int i = 0; i < pieces; i++) {
            int n = threadIdx.x + 256 * i, outer = n / wide, c = n % wide * CHUNK;
            live[i] = DIRECT ? row0 + outer < rows : row0 + c < rows;
            p[i] = DIRECT ? base + (row0 + outer) * pitch + k0 + c : base + (k0 + outer) * pitch + row0 + c;
        }
        k = k0 + (DIRECT ? threadIdx.x % 4 * CHUNK : threadIdx.x / wide);
        step = DIRECT ? TILE_K : TILE_K * pitch;
    }
    DEVICE void load(u32 to, int k_end) {
#pragma unroll
        for (int i = 0; i < pieces; i++) {
            int n = threadIdx.x + 256 * i;
            bool some = live[i] && k + (DIRECT ? 0 : 256 / wide * i) < k_end;
            copy_or_zero(to + place<DIRECT, ROWS>(n / wide, n % wide), some ? p[i] : nullptr, some);
            p[i] += step;
        }
        k += TILE_K;
    }
};

// Fragments of the operand with 16-row tiles, at row `base` of the tile and 32 bytes of depth `ks`.
template <bool DIRECT, int ROWS> DEVICE void fragment_a(u32 (&x)[4], u32 tile, int base, int ks, int lane) {
    if constexpr (DIRECT) {
        load_matrices(x, tile + place<true, ROWS>(base + lane % 16, 2 * ks + lane / 16));
    } else if constexpr (sizeof(ACT) == 2) {
        load_transposed(x, tile + place<false, ROWS>(16 * ks + lane % 8 + lane / 16 * 8, base / 8 + lane / 8 % 2));
    } else {
#pragma unroll
        for (int r = 0; r < 4; r++)
            x[r] = load_word(tile + place<false, ROWS>(8 * ks + lane % 4 + r / 2 * 4, base / 4 + r % 2 * 2 + lane / 16) + lane / 4 % 4 * 4);
    }
#pragma unroll
    for (int r = 0; r < 4; r++) x[r] = unbias(x[r]);
}
// The same for two 8-column tiles of the other operand.
template <bool DIRECT, int ROWS> DEVICE void fragment_b(u32 (&y)[4], u32 tile, int base, int ks, int lane) {
    if constexpr (DIRECT) {
        load_matrices(y, tile + place<true, ROWS>(base + lane % 8 + lane / 16 * 8, 2 * ks + lane / 8 % 2));
    } else if constexpr (sizeof(ACT) == 2) {
        load_transposed(y, tile + place<false, ROWS>(16 * ks + lane % 16, base / 8 + lane / 16));
    } else {
#pragma unroll
        for (int r = 0; r < 4; r++)
            y[r] = load_word(tile + place<false, ROWS>(8 * ks + lane % 4 + r % 2 * 4, base / 4 + r / 2 * 2 + lane / 16) + lane / 4 % 4 * 4);
    }
#pragma unroll
    for (int r = 0; r < 4; r++) y[r] = unbias(y[r]);
}

extern "C" __global__ void __launch_bounds__(256, RESIDENT) gemm_fast(const ACT* a, const ACT* b, TC* c
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
    constexpr u32 a_bytes = TILE_M * 64, stage_bytes = a_bytes + TILE_N * 64;
    __shared__ __align__(128) unsigned char tiles[STAGES * stage_bytes];
    const int m = (int)info.m, n = (int)info.n;
    const int thread = threadIdx.x, lane = thread % 32, warp_m = thread / 32 % 2, warp_n = thread / 64;
    const int row0 = blockIdx.y * TILE_M, column0 = blockIdx.x * TILE_N;
    // Each split takes whole tiles of depth.
    const int depth = ((int)info.k + TILE_K - 1) / TILE_K, per_split = (depth + (int)info.splits - 1) / (int)info.splits;
    const int k_begin = min(depth, (int)blockIdx.z * per_split) * TILE_K;
    const int k_end = min((int)info.k, k_begin + per_split * TILE_K);
    const int count = max(0, (k_end - k_begin + TILE_K - 1) / TILE_K);
    const u32 tiles_at = shared_address(tiles);

#if SHIFT_T
    // Depth k = (b, t) is read at (b, t - 1), or (b, t + 1) when walking backwards; past the sequence's end from h0[b].
    typedef Source<false, TILE_M> SourceA;
    const int steps = (int)info.steps, edge = info.reverse ? steps - 1 : 0;
    SourceA source_a(a + info.a_offset + (info.reverse ? info.lda : -info.lda), info.lda, row0, m, k_begin);
    int sequence[SourceA::pieces], time[SourceA::pieces];
#pragma unroll
    for (int i = 0; i < SourceA::pieces; i++) {
        int k = k_begin + thread / SourceA::wide + 256 / SourceA::wide * i;
        sequence[i] = k / steps;
        time[i] = k % steps;
    }
    auto load_a = [&](u32 to) {
#pragma unroll
        for (int i = 0; i < SourceA::pieces; i++) {
            int piece = thread + 256 * i, at = piece % SourceA::wide;
            bool some = source_a.live[i] && source_a.k + 256 / SourceA::wide * i < k_end;
            const void* from = source_a.p[i];
            if (time[i] == edge) {
                some = some && info.has_h0 && sizeof(ACT) == 4;
                from = h0 + (i64)sequence[i] * m + row0 + at * CHUNK;
            }
            copy_or_zero(to + place<false, TILE_M>(piece / SourceA::wide, at), some ? from : nullptr, some);
            source_a.p[i] += source_a.step;
            time[i] += TILE_K;
            while (time[i] >= steps) time[i] -= steps, sequence[i]++;
        }
        source_a.k += TILE_K;
    };
#else
    Source<!TRANS_A, TILE_M> source_a(a + info.a_offset, info.lda, row0, m, k_begin);
    auto load_a = [&](u32 to) { source_a.load(to, k_end); };
#endif
    Source<TRANS_B, TILE_N> source_b(b + info.b_offset, info.ldb, column0, n, k_begin);
    auto load = [&](int i) {
        if (i < count) {
            const u32 to = tiles_at + i % STAGES * stage_bytes;
            load_a(to);
            source_b.load(to + a_bytes, k_end);
        }
        copy_commit();  // an empty group too, so that the count of groups tells which tile is there
    };
#if COLSUM
    // 256 threads: a word's columns each, and every PARTS-th depth.
    constexpr int words = TILE_N * (int)sizeof(ACT) / 4, parts = 256 / words;
    float sums[4 / sizeof(ACT)] = {};
#endif

    float d[MTILES][NTILES][4] = {};
    // Fragments are read half a tile before they are used, across the border of tiles too.
    u32 x[2][MTILES][4], y[2][NTILES / 2][4];
    auto fetch = [&](int i, int ks) {
        const u32 tile_a = tiles_at + i % STAGES * stage_bytes, tile_b = tile_a + a_bytes;
#pragma unroll
        for (int q = 0; q < NTILES / 2; q++) fragment_b<TRANS_B, TILE_N>(y[ks][q], tile_b, warp_n * WARP_N + 16 * q, ks, lane);
#pragma unroll
        for (int p = 0; p < MTILES; p++) fragment_a<!TRANS_A, TILE_M>(x[ks][p], tile_a, warp_m * WARP_M + 16 * p, ks, lane);
    };
    auto multiply = [&](int ks) {
#pragma unroll
        for (int p = 0; p < MTILES; p++)
#pragma unroll
            for (int q = 0; q < NTILES; q++) mma_act(d[p][q], x[ks][p], y[ks][q / 2][q % 2 * 2], y[ks][q / 2][q % 2 * 2 + 1]);
    };
#pragma unroll
    for (int i = 0; i < STAGES; i++) load(i);
    if (count > 0) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
        __syncthreads();
        fetch(0, 0);
    }
    for (int i = 0; i < count; i++) {
        fetch(i, 1);
        multiply(0);
#if COLSUM
        if (blockIdx.y == 0)
#pragma unroll
            for (int k = thread / words; k < TILE_K; k += parts) {
                u32 v = load_word(tiles_at + i % STAGES * stage_bytes + a_bytes + place<false, TILE_N>(k, thread % words / 4) + thread % 4 * 4);
                if constexpr (sizeof(ACT) == 4) {
                    sums[0] += __uint_as_float(v);
                } else {
                    sums[0] += __uint_as_float(v << 16);
                    sums[1 % (4 / sizeof(ACT))] += __uint_as_float(v & 0xffff0000u);
                }
            }
#endif
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();  // tile i + 1 is there for all, and all have read tile i, whose place the next load takes
        load(i + STAGES);
        if (i + 1 < count) fetch(i + 1, 0);
        multiply(1);
    }

    // Results: register 2 half + e of tile (p, q) is row lane / 4 + 8 half, column 2 (lane % 4) + e. Neighbouring lanes swap
    // halves of two q, so that each writes 4 columns in a row and the four lanes of a row fill whole sectors.
    const int tg = lane % 4;
    const int row_base = row0 + warp_m * WARP_M + lane / 4;
    const int column_base = column0 + warp_n * WARP_N + tg % 2 * 8 + tg / 2 * 4;
    TC* out = c + (SPLIT ? (i64)blockIdx.z * m * n : info.c_offset);
    const i64 pitch = SPLIT ? n : info.ldc;
    const bool c_wide = SPLIT ? n % 4 == 0 : ((info.ldc | info.c_offset) & 3) == 0;
#pragma unroll
    for (int i = 0; i < MTILES * 2; i++)
#pragma unroll
        for (int j = 0; j < NTILES; j += 2) {
            const int p = i / 2, half = i % 2;
            float lo0 = d[p][j][2 * half], lo1 = d[p][j][2 * half + 1], hi0 = d[p][j + 1][2 * half], hi1 = d[p][j + 1][2 * half + 1];
            bool odd = tg % 2;
            float r0 = __shfl_xor_sync(0xffffffffu, odd ? lo0 : hi0, 1), r1 = __shfl_xor_sync(0xffffffffu, odd ? lo1 : hi1, 1);
            float v[4] = {odd ? r0 : lo0, odd ? r1 : lo1, odd ? hi0 : r0, odd ? hi1 : r1};
            int row = row_base + 16 * p + 8 * half, column = column_base + 8 * j;
            if (row >= m || column >= n) continue;
#pragma unroll
            for (int e = 0; e < 4; e++) {
#if BIAS
                if (column + e < n) v[e] += bias[column + e];
#endif
            }
            TC* to = out + row * pitch + column;
            if (c_wide && column + 4 <= n) {
                store4(to, make_float4(v[0], v[1], v[2], v[3]));
            } else {
                for (int e = 0; e < 4; e++)
                    if (column + e < n) to[e] = cast<TC>(v[e]);
            }
        }
#if COLSUM
    if (blockIdx.y == 0) {
        float* room = reinterpret_cast<float*>(tiles);
        copy_wait();
        __syncthreads();
#pragma unroll
        for (int e = 0; e < (int)(4 / sizeof(ACT)); e++) room[thread / words * TILE_N + thread % words * (4 / sizeof(ACT)) + e] = sums[e];
        __syncthreads();
        if (thread < TILE_N && column0 + thread < n) {
            float total = 0.0f;
            for (int i = 0; i < parts; i++) total += room[i * TILE_N + thread];
            colsum[(i64)blockIdx.z * n + column0 + thread] = total;
        }
    }
#endif
}
