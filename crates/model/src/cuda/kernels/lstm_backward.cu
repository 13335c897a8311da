// The whole backward recurrence of one LSTM layer in one launch.
//
// A cluster of CLUSTER blocks walks the steps from the last to the first for ROWS = 8 batch rows. Each block owns
// UNITS = H / CLUSTER hidden units: it turns dh and dc of its units into the gradients of its 4 * UNITS gate
// pre-activations, multiplies those by its columns of the recurrent weights (held in registers) and so gets a partial dh of
// ALL units, which it hands to their owners by st.async. An owner adds the partial sums in a fixed order, so results
// do not change from run to run. Exchanging partial sums moves a fraction of the bytes that exchanging gate gradients would.
//
// In float mode the operands are half precision. Gradients have no natural range, so the 32 values of a batch row and
// an octet of units share a power of two that brings the largest to 2^14; each octet's product is scaled back as it is added.
//
// Depth (a block's gate columns) is ordered [octet][gate][unit in octet].
//
// Macros: H (a multiple of 32 up to 256), ACT_BF16.
//   H     CLUSTER  threads        H    CLUSTER  threads
//   32    1        128            160  5        160
//   64    1        256            192  3        384
//   96    3        192            224  7        224
//   128   4        128            256  4        256
// Grid: (CLUSTER * ceil(B / 8), 1, 1). dgates may be the same buffer as gates.

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
#define GATE_PITCH (4 * UNITS * (int)sizeof(ACT) + 16)
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
    i64 has_state;   // c0 is given; zeros otherwise
    i64 reverse;     // the forward pass walked time backwards
    i64 has_last;    // dc_last is given, zeros otherwise; the last state's own gradient is part of dy
    i64 want_state;  // write dh0 and dc0
};

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    lstm_backward(const ACT* gates, const ACT* cells, const float* w_hh, const float* c0, const ACT* dy,
                  const float* dc_last, ACT* dgates, float* dh0, float* dc0,
                  const __grid_constant__ Info info) {
    __shared__ __align__(16) unsigned char slopes[2][ROWS * STRIDE];
    __shared__ __align__(16) Partial incoming[2][SOURCES][UNITS / 16][32];
    __shared__ __align__(16) unsigned char stage[2][ROWS * GATE_PITCH];  // gates, replaced by their gradients
    __shared__ __align__(16) unsigned char given[2][ROWS * PITCH];       // dy
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
    constexpr int gate_pieces = (ROWS * 4 * PIECES + THREADS - 1) / THREADS, given_pieces = (ROWS * PIECES + THREADS - 1) / THREADS;
    auto copy_in = [&](int s) {
        const i64 t = time_of(s);
#pragma unroll
        for (int i = 0; i < gate_pieces; i++) {
            int n = thread + i * THREADS, row = n / (4 * PIECES), column = n % (4 * PIECES);
            const ACT* from = gates + ((i64)(row0 + row) * steps + t) * (4 * H) + column / PIECES * H + rank * UNITS + column % PIECES * (16 / (int)sizeof(ACT));
            if (row < ROWS && row0 + row < batch) {
                copy_async(shared_address(stage[s % 2]) + row * GATE_PITCH + column * 16, from);
                if (s + FAR < steps && column % PIECES % 8 == 0) prefetch(from + (time_of(s + FAR) - t) * (4 * H));
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
                    prefetch(cells + from + (time_of(s + FAR) - t) * H);
                }
            }
        }
        copy_commit();
    };
    auto copy_out = [&](int s) {
        const i64 t = time_of(s);
#pragma unroll
        for (int i = 0; i < gate_pieces; i++) {
            int n = thread + i * THREADS, row = n / (4 * PIECES), column = n % (4 * PIECES);
            if (row < ROWS && row0 + row < batch)
                *reinterpret_cast<uint4*>(dgates + ((i64)(row0 + row) * steps + t) * (4 * H) + column / PIECES * H + rank * UNITS +
                                          column % PIECES * (16 / (int)sizeof(ACT))) =
                    *reinterpret_cast<const uint4*>(stage[s % 2] + row * GATE_PITCH + column * 16);
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
                const float2 v = *reinterpret_cast<const float2*>(w_hh + (i64)((m_warp * MTILES + m) * 16 + r % 2 * 8 + g) * (4 * H) +
                                                                  depth / 8 % 4 * H + rank * UNITS + depth / 32 * 8 + depth % 8);
                w[m][k][r] = pack_half(within_half(v.x * WEIGHT_SCALE), within_half(v.y * WEIGHT_SCALE));
            }

    // Cells of this thread: one unit, rows 2 tg and 2 tg + 1.
    const bool owner = warp < OCTETS;
    const int local = (owner ? warp : 0) * 8 + g, unit = rank * UNITS + local;
    float dc[2], cell[2];
    ACT before_ahead[2];  // the cell before the coming step's
    bool live[2];
    i64 at[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        int row = row0 + 2 * tg + i;
        live[i] = owner && row < batch;
        at[i] = (i64)row * steps * H + unit;
        dc[i] = live[i] && info.has_last ? dc_last[(i64)row * H + unit] : 0.0f;
        cell[i] = live[i] ? to_f32(cells[at[i] + (i64)time_of(0) * H]) : 0.0f;
        before_ahead[i] = live[i] && steps > 1 ? cells[at[i] + (i64)time_of(1) * H] : cast<ACT>(0.0f);
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
        float q[2][4], before[2], dh[2], tanh_c[2];
        ACT* own_gates[2];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            own_gates[i] = reinterpret_cast<ACT*>(stage[s % 2] + (2 * tg + i) * GATE_PITCH) + local;
#pragma unroll
            for (int j = 0; j < 4; j++) q[i][j] = to_f32(own_gates[i][j * UNITS]);
            dh[i] = to_f32(reinterpret_cast<const ACT*>(given[s % 2] + (2 * tg + i) * PITCH)[local]);
            before[i] = to_f32(before_ahead[i]);
            if (s + 1 == steps) before[i] = info.has_state && live[i] ? c0[(i64)(row0 + 2 * tg + i) * H + unit] : 0.0f;
            if (s + 2 < steps && live[i]) before_ahead[i] = cells[at[i] + (i64)time_of(s + 2) * H];
        }
        float to_do[2], to_dc[2], to_slope[2][3];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            tanh_c[i] = tanh_act(cell[i]);
            to_do[i] = tanh_c[i] * q[i][3] * (1.0f - q[i][3]);
            to_dc[i] = q[i][3] * (1.0f - tanh_c[i] * tanh_c[i]);
            to_slope[i][0] = q[i][2] * q[i][0] * (1.0f - q[i][0]);
            to_slope[i][1] = before[i] * q[i][1] * (1.0f - q[i][1]);
            to_slope[i][2] = q[i][0] * (1.0f - q[i][2] * q[i][2]);
        }
        if (s > 0) received(s, dh);
        if (owner) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float slope[4];
                dc[i] = fmaf(dh[i], to_dc[i], dc[i]);
#pragma unroll
                for (int j = 0; j < 3; j++) slope[j] = dc[i] * to_slope[i][j];
                slope[3] = dh[i] * to_do[i];
                dc[i] *= q[i][1];
                cell[i] = before[i];
                float scale = 1.0f;
#if !ACT_BF16
                float most = fmaxf(fmaxf(fabsf(slope[0]), fabsf(slope[1])), fmaxf(fabsf(slope[2]), fabsf(slope[3])));
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
                    own_gates[i][j * UNITS] = cast<ACT>(slope[j]);
                }
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
        float dh[2] = {};
        received(steps, dh);
#pragma unroll
        for (int i = 0; i < 2; i++)
            if (live[i]) {
                dh0[(i64)(row0 + 2 * tg + i) * H + unit] = dh[i];
                dc0[(i64)(row0 + 2 * tg + i) * H + unit] = dc[i];
            }
    }
#if CLUSTER > 1
    cluster_sync();
#endif
}
