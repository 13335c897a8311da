// The whole backward recurrence of one GRU layer in one launch.
//
// Built as lstm_backward, which says how the blocks of a cluster share the work and why half precision operands do in float
// mode. Per cell, from dh: dz = dh (h - n) z (1 - z), dn = dh (1 - z) (1 - n^2), dhn = dn r, dr = dn hidden_n r (1 - r);
// the last dh is dh z plus the product of (dr, dz, dhn) with the recurrent weights. dgates receives (dr, dz, dn), which
// belong to the input products, and dhidden_n receives dhn, which takes dn's place for the recurrent weights and bias_n.
//
// Depth (a block's gate columns) is ordered [octet][gate][unit in octet], with an empty fourth gate.
//
// Macros: H (a multiple of 32 up to 256), ACT_BF16.
//   H     CLUSTER  threads        H    CLUSTER  threads
//   32    1        128            160  5        160
//   64    1        256            192  3        384
//   96    3        192            224  7        224
//   128   4        128            256  4        256
// Grid: (CLUSTER * ceil(B / 8), 1, 1). dgates may be the same buffer as gates, dhidden_n as dy.

// Warps: M_WARPS over the units that receive (MTILES tiles of 16 each), K_WARPS over the depth.
#if CLUSTER == 1
#define MTILES 1
#define K_WARPS 2
#elif H == 96 || H == 192
#define MTILES 1
#define K_WARPS 1
#else
#define MTILES 2
#define K_WARPS 1
#endif
#define M_WARPS (H / 16 / MTILES)
#define UNITS (H / CLUSTER)
#define OCTETS (UNITS / 8)  // the first OCTETS warps own the cells
#define WARPS (M_WARPS * K_WARPS)
#define THREADS (32 * WARPS)
#define ROWS 8
#define DEPTH (4 * UNITS)
#define KSTEPS (DEPTH / 16 / K_WARPS)
#define STRIDE (DEPTH * 2 + 16)
#define SOURCES (CLUSTER * K_WARPS)
#define PITCH (UNITS * (int)sizeof(ACT) + 16)
#define GATE_PITCH (3 * UNITS * (int)sizeof(ACT) + 16)
#ifndef FAR
#define FAR 6  // steps that memory is asked ahead, since it answers later than a step takes
#endif
#define PIECES (UNITS * (int)sizeof(ACT) / 16)

#if ACT_BF16
typedef uint2 Partial;  // a lane's 4 results of a tile, packed
#else
typedef uint4 Partial;
#endif

#define REMOTE ((CLUSTER - 1) * (UNITS / 16) * 32 * (int)sizeof(Partial))  // bytes that other blocks send in a step

struct Info {
    i64 batch, steps;
    i64 has_state;   // h0 is given; zeros otherwise
    i64 reverse;     // the forward pass walked time backwards
    i64 has_last;    // dh_last is given; zeros otherwise
    i64 want_state;  // write dh0
};

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    gru_backward(const ACT* gates, const ACT* hidden_n, const ACT* y, const float* w_hh, const float* h0, const ACT* dy,
                 const float* dh_last, ACT* dgates, ACT* dhidden_n, float* dh0, const __grid_constant__ Info info) {
    __shared__ __align__(16) unsigned char slopes[2][ROWS * STRIDE];
    __shared__ __align__(16) Partial incoming[2][SOURCES][UNITS / 16][32];
    __shared__ __align__(16) unsigned char stage[2][ROWS * GATE_PITCH];  // gates, replaced by their gradients
    __shared__ __align__(16) unsigned char given[2][ROWS * PITCH];       // dy, replaced by dhidden_n
#if !ACT_BF16
    __shared__ __align__(8) float undo[2][OCTETS][ROWS];
#endif
    __shared__ __align__(8) u64 barriers[2];

    const int steps = (int)info.steps, batch = (int)info.batch;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int m_warp = warp % M_WARPS, k_warp = warp / M_WARPS;
    const int g = lane / 4, tg = lane % 4;
    const int rank = CLUSTER > 1 ? (int)cluster_rank() : 0;
    const int row0 = (int)(blockIdx.x / CLUSTER) * ROWS;
    const u32 barrier_at = shared_address(barriers);
    auto time_of = [&](int s) { return info.reverse ? s : steps - 1 - s; };

    // Traffic with memory, in 16-byte pieces. The thread that copies a piece out also fills its place again.
    constexpr int gate_pieces = (ROWS * 3 * PIECES + THREADS - 1) / THREADS, given_pieces = (ROWS * PIECES + THREADS - 1) / THREADS;
    auto copy_in = [&](int s) {
        const i64 t = time_of(s);
#pragma unroll
        for (int i = 0; i < gate_pieces; i++) {
            int n = thread + i * THREADS, row = n / (3 * PIECES), column = n % (3 * PIECES);
            const ACT* from = gates + ((i64)(row0 + row) * steps + t) * (3 * H) + column / PIECES * H + rank * UNITS + column % PIECES * (16 / (int)sizeof(ACT));
            if (row < ROWS && row0 + row < batch) {
                copy_async(shared_address(stage[s % 2]) + row * GATE_PITCH + column * 16, from);
                if (s + FAR < steps && column % PIECES % 8 == 0) prefetch(from + (time_of(s + FAR) - t) * (3 * H));
            }
        }
#pragma unroll
        for (int i = 0; i < given_pieces; i++) {
            int n = thread + i * THREADS, row = n / PIECES, column = n % PIECES;
            const i64 from = ((i64)(row0 + row) * steps + t) * H + rank * UNITS + column * (16 / (int)sizeof(ACT));
            if (row < ROWS && row0 + row < batch) {
                copy_async(shared_address(given[s % 2]) + row * PITCH + column * 16, dy + from);
                if (s + FAR < steps && column % 8 == 0) {
                    prefetch(dy + from + (time_of(s + FAR) - t) * H);
                    prefetch(hidden_n + from + (time_of(s + FAR) - t) * H);
                    prefetch(y + from + (time_of(s + FAR) - t) * H);
                }
            }
        }
        copy_commit();
    };
    auto copy_out = [&](int s) {
        const i64 t = time_of(s);
#pragma unroll
        for (int i = 0; i < gate_pieces; i++) {
            int n = thread + i * THREADS, row = n / (3 * PIECES), column = n % (3 * PIECES);
            if (row < ROWS && row0 + row < batch)
                *reinterpret_cast<uint4*>(dgates + ((i64)(row0 + row) * steps + t) * (3 * H) + column / PIECES * H + rank * UNITS +
                                          column % PIECES * (16 / (int)sizeof(ACT))) =
                    *reinterpret_cast<const uint4*>(stage[s % 2] + row * GATE_PITCH + column * 16);
        }
#pragma unroll
        for (int i = 0; i < given_pieces; i++) {
            int n = thread + i * THREADS, row = n / PIECES, column = n % PIECES;
            if (row < ROWS && row0 + row < batch)
                *reinterpret_cast<uint4*>(dhidden_n + ((i64)(row0 + row) * steps + t) * H + rank * UNITS + column * (16 / (int)sizeof(ACT))) =
                    *reinterpret_cast<const uint4*>(given[s % 2] + row * PITCH + column * 16);
        }
    };
    copy_in(0);
    if (steps > 1) copy_in(1);

    u32 w[MTILES][KSTEPS][4];
#pragma unroll
    for (int m = 0; m < MTILES; m++)
#pragma unroll
        for (int k = 0; k < KSTEPS; k++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                int depth = (k_warp * KSTEPS + k) * 16 + r / 2 * 8 + tg * 2;
                if ((2 * k + r / 2) % 4 == 3) {
                    w[m][k][r] = 0;  // the empty gate
                    continue;
                }
                const float2 v = *reinterpret_cast<const float2*>(w_hh + (i64)((m_warp * MTILES + m) * 16 + r % 2 * 8 + g) * (3 * H) +
                                                                  depth / 8 % 4 * H + rank * UNITS + depth / 32 * 8 + depth % 8);
                w[m][k][r] = pack_half(within_half(v.x * WEIGHT_SCALE), within_half(v.y * WEIGHT_SCALE));
            }

    // Cells of this thread: one unit, rows 2 tg and 2 tg + 1.
    const bool owner = warp < OCTETS;
    const int local = (owner ? warp : 0) * 8 + g, unit = rank * UNITS + local;
    float carry[2];                      // dh, as far as it comes from this thread's own cells
    ACT before_ahead[2], product_ahead[2];  // h before the coming step, and its candidate's hidden product
    bool live[2];
    i64 at[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        int row = row0 + 2 * tg + i;
        live[i] = owner && row < batch;
        at[i] = (i64)row * steps * H + unit;
        carry[i] = live[i] && info.has_last ? dh_last[(i64)row * H + unit] : 0.0f;
        product_ahead[i] = live[i] ? hidden_n[at[i] + (i64)time_of(0) * H] : cast<ACT>(0.0f);
        before_ahead[i] = live[i] && steps > 1 ? y[at[i] + (i64)time_of(1) * H] : cast<ACT>(0.0f);
    }
    copy_wait();
#if CLUSTER > 1
    if (thread == 0) {
        // Besides this thread, the block's own warps that work for it arrive; their sums need not travel.
        barrier_init(barrier_at, 1 + UNITS / 16 / MTILES);
        barrier_init(barrier_at + 8, 1 + UNITS / 16 / MTILES);
        barrier_init_fence();
        barrier_expect(barrier_at, REMOTE);
        barrier_expect(barrier_at + 8, REMOTE);
    }
    cluster_sync();
    const int target = m_warp * MTILES / (UNITS / 16);  // the block that this warp works for
    u32 send_to[MTILES];
    const u32 send_barrier = map_shared(barrier_at, target);
#pragma unroll
    for (int m = 0; m < MTILES; m++)
        send_to[m] = map_shared(shared_address(&incoming[0][rank * K_WARPS + k_warp][(m_warp * MTILES + m) % (UNITS / 16)][lane]), target);
#else
    __syncthreads();
#endif

    // The partial sums that arrived from step s - 1, added in the order of their sources.
    auto received = [&](int s, float (&dh)[2]) {
#if CLUSTER > 1
        barrier_wait(barrier_at + (s - 1) % 2 * 8, (s - 1) / 2 % 2);
        if (thread == 0) barrier_expect(barrier_at + (s - 1) % 2 * 8, REMOTE);
#else
        __syncthreads();
#endif
        if (!owner) return;
#pragma unroll
        for (int n = 0; n < SOURCES; n++) {
            const unsigned char* p = reinterpret_cast<const unsigned char*>(&incoming[(s - 1) % 2][n][warp / 2][lane]) + warp % 2 * (sizeof(Partial) / 2);
#if ACT_BF16
            u32 v = *reinterpret_cast<const u32*>(p);
            dh[0] += __uint_as_float(v << 16);
            dh[1] += __uint_as_float(v & 0xffff0000u);
#else
            float2 v = *reinterpret_cast<const float2*>(p);
            dh[0] += v.x;
            dh[1] += v.y;
#endif
        }
    };

    const u32 read_at = shared_address(slopes) + lane % 8 * STRIDE + lane / 8 * 16 + k_warp * KSTEPS * 32;
    for (int s = 0; s < steps; s++) {
        // What does not depend on dh is done before the wait.
        float q[2][3], before[2], product[2], dh[2];
        ACT *own_gates[2], *own_given[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            own_gates[i] = reinterpret_cast<ACT*>(stage[s % 2] + (2 * tg + i) * GATE_PITCH) + local;
            own_given[i] = reinterpret_cast<ACT*>(given[s % 2] + (2 * tg + i) * PITCH) + local;
#pragma unroll
            for (int j = 0; j < 3; j++) q[i][j] = to_f32(own_gates[i][j * UNITS]);
            dh[i] = to_f32(*own_given[i]) + carry[i];
            before[i] = to_f32(before_ahead[i]);
            product[i] = to_f32(product_ahead[i]);
            if (s + 1 == steps) before[i] = info.has_state && live[i] ? h0[(i64)(row0 + 2 * tg + i) * H + unit] : 0.0f;
            if (s + 2 < steps && live[i]) before_ahead[i] = y[at[i] + (i64)time_of(s + 2) * H];
            if (s + 1 < steps && live[i]) product_ahead[i] = hidden_n[at[i] + (i64)time_of(s + 1) * H];
        }
        float to_dz[2], to_dn[2], to_dr[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            to_dz[i] = (before[i] - q[i][2]) * q[i][1] * (1.0f - q[i][1]);
            to_dn[i] = (1.0f - q[i][1]) * (1.0f - q[i][2] * q[i][2]);
            to_dr[i] = to_dn[i] * product[i] * q[i][0] * (1.0f - q[i][0]);
        }
        if (s > 0) received(s, dh);
        if (owner) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const float dn = dh[i] * to_dn[i];
                const float slope[4] = {dh[i] * to_dr[i], dh[i] * to_dz[i], dn * q[i][0], 0.0f};
                carry[i] = dh[i] * q[i][1];
                float scale = 1.0f;
#if !ACT_BF16
                float most = fmaxf(fmaxf(fabsf(slope[0]), fabsf(slope[1])), fabsf(slope[2]));
#pragma unroll
                for (int d = 4; d < 32; d *= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, d));
                // 2^14 over the largest value's power of two; both factors stay within float's normal range.
                u32 exponent = min(268u - (__float_as_uint(most) >> 23), 246u);
                scale = __uint_as_float(exponent << 23);
                if (g == 0) undo[s % 2][warp][2 * tg + i] = __uint_as_float((254u - exponent) << 23) / WEIGHT_SCALE;
#endif
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    *reinterpret_cast<unsigned short*>(slopes[s % 2] + (2 * tg + i) * STRIDE + (warp * 32 + j * 8 + g) * 2) =
                        (unsigned short)pack_half(slope[j] * scale, 0.0f);
                }
                own_gates[i][0] = cast<ACT>(slope[0]);
                own_gates[i][UNITS] = cast<ACT>(slope[1]);
                own_gates[i][2 * UNITS] = cast<ACT>(dn);
                *own_given[i] = cast<ACT>(slope[2]);
            }
        }
        copy_wait();
        __syncthreads();
        if (s + 1 < steps || info.want_state) {
            const u32 from = read_at + s % 2 * (ROWS * STRIDE);
            float sum[MTILES][4] = {};
#if ACT_BF16
            float more[MTILES][4] = {};
#endif
#pragma unroll
            for (int k = 0; k < KSTEPS; k += 2) {  // one octet
                u32 b[4];
                load_matrices(b, from + k * 32);
#if ACT_BF16
#pragma unroll
                for (int m = 0; m < MTILES; m++) mma_half(sum[m], w[m][k], b[0], b[1]);
#pragma unroll
                for (int m = 0; m < MTILES; m++) mma_half(more[m], w[m][k + 1], b[2], b[3]);
#else
                const float2 back = *reinterpret_cast<const float2*>(&undo[s % 2][(k_warp * KSTEPS + k) / 2][2 * tg]);
#pragma unroll
                for (int m = 0; m < MTILES; m++) {
                    float part[4] = {};
                    mma_half(part, w[m][k], b[0], b[1]);
                    mma_half(part, w[m][k + 1], b[2], b[3]);
#pragma unroll
                    for (int r = 0; r < 4; r++) sum[m][r] = fmaf(part[r], r % 2 ? back.y : back.x, sum[m][r]);
                }
#endif
            }
#pragma unroll
            for (int m = 0; m < MTILES; m++) {
#if ACT_BF16
                u32 first = pack_bf16(sum[m][0] + more[m][0], sum[m][1] + more[m][1]);
                u32 second = pack_bf16(sum[m][2] + more[m][2], sum[m][3] + more[m][3]);
#define PARTIAL first, second
#define MAKE make_uint2
#else
#define PARTIAL __float_as_uint(sum[m][0]), __float_as_uint(sum[m][1]), __float_as_uint(sum[m][2]), __float_as_uint(sum[m][3])
#define MAKE make_uint4
#endif
#if CLUSTER > 1
                if (target != rank) {
                    store_async(send_to[m] + s % 2 * (u32)sizeof(incoming[0]), send_barrier + s % 2 * 8, PARTIAL);
                    continue;
                }
#endif
                incoming[s % 2][rank * K_WARPS + k_warp][(m_warp * MTILES + m) % (UNITS / 16)][lane] = MAKE(PARTIAL);
            }
#if CLUSTER > 1
            if (target == rank) {
                __syncwarp();
                if (lane == 0) barrier_arrive(barrier_at + s % 2 * 8);
            }
#endif
        }
        copy_out(s);
        if (s + 2 < steps) copy_in(s + 2);
    }
    if (info.want_state) {
        float dh[2] = {carry[0], carry[1]};
        received(steps, dh);
#pragma unroll
        for (int i = 0; i < 2; i++)
            if (live[i]) dh0[(i64)(row0 + 2 * tg + i) * H + unit] = dh[i];
    }
#if CLUSTER > 1
    cluster_sync();
#endif
}
