// The whole backward recurrence of one LSTM layer in one launch.
//
// A cluster of CLUSTER blocks walks the steps from the last to the first for ROWS = 8 batch rows. Each block owns
// UNITS = H / CLUSTER hidden units: it turns dh and dc of its units into the gradients of its 4 * UNITS gate
// pre-activations, multiplies those by its columns of the recurrent weights (held in registers) and so gets a partial dh of
// ALL units, which it hands to their owners by st.async. An owner adds the partial sums in a fixed order, so results
// do not change from run to run. Exchanging partial sums moves a quarter of the bytes that exchanging gate gradients would.
//
// Macros: H (a multiple of 32 up to 256), ACT_BF16.
//   H         CLUSTER  threads
//   32        1        128
//   64        1        256
//   96, 128   H / 32   192, 256
//   160..256  H / 32   H
// Grid: (CLUSTER * ceil(B / 8), 1, 1). dgates may be the same buffer as gates: each element is read, by the thread that
// writes it, before it is written.

#ifndef CLUSTER
#if H <= 64
#define CLUSTER 1
#else
#define CLUSTER (H / 32)
#endif
#endif
// Warps: M_WARPS over the units that receive (MTILES tiles of 16 each), K_WARPS over the depth.
#if CLUSTER == 1
#define M_WARPS (H / 16)
#define MTILES 1
#define K_WARPS 2
#else
#define M_WARPS CLUSTER  // one warp for each receiving block
#define MTILES (H / 16 / CLUSTER)
#if CLUSTER <= 4
#define K_WARPS 2
#else
#define K_WARPS 1
#endif
#endif
#define UNITS (H / CLUSTER)
#define WARPS (M_WARPS * K_WARPS)
#define THREADS (32 * WARPS)
#define ROWS 8
#define DEPTH (4 * UNITS)                                    // gate columns of one block
#define KSTEPS (DEPTH * (int)sizeof(OP) / 32 / K_WARPS)      // 32-byte depth steps of one warp
#define STRIDE (DEPTH * (int)sizeof(OP) + 16)
#define SOURCES (CLUSTER * K_WARPS)                          // partial sums of one cell
#define CELLS (WARPS >= UNITS / 4 ? 1 : 2)                   // cells of one thread
#define CELL_WARPS (UNITS / 8 * 2 / CELLS)                   // warps that own cells

struct Info {
    i64 batch, steps;
    i64 has_state;   // c0 is given; zeros otherwise
    i64 reverse;     // the forward pass walked time backwards
    i64 has_last;    // dh_last and dc_last are given; zeros otherwise
    i64 want_state;  // write dh0 and dc0
};

// One register of the 16-row operand: row `unit`, depth from `k` of this block's gate columns.
DEVICE u32 weight(const float* w, int unit, int k, int first_unit) {
#if ACT_BF16
    k *= 2;
    const float* p = w + (i64)unit * (4 * H) + k / UNITS * H + first_unit + k % UNITS;
    return pack_bf16(p[0], p[1]);
#else
    return to_tf32(w[(i64)unit * (4 * H) + k / UNITS * H + first_unit + k % UNITS]);
#endif
}

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    lstm_backward(const ACT* gates, const ACT* cells, const float* w_hh, const float* c0, const ACT* dy,
                  const float* dh_last, const float* dc_last, ACT* dgates, float* dh0, float* dc0,
                  const __grid_constant__ Info info) {
    __shared__ __align__(16) unsigned char slopes[2][ROWS * STRIDE];
    __shared__ __align__(16) float incoming[2][SOURCES][UNITS * ROWS];
    __shared__ __align__(8) u64 barriers[2];

    const int steps = (int)info.steps, batch = (int)info.batch;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int m_warp = warp % M_WARPS, k_warp = warp / M_WARPS;
    const int g = lane / 4, tg = lane % 4;
    const int rank = CLUSTER > 1 ? (int)cluster_rank() : 0;
    const int row0 = (int)(blockIdx.x / CLUSTER) * ROWS;
    const u32 barrier_at = shared_address(barriers);

    u32 w[MTILES][KSTEPS][4];
#pragma unroll
    for (int m = 0; m < MTILES; m++)
#pragma unroll
        for (int k = 0; k < KSTEPS; k++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                w[m][k][r] = weight(w_hh, (m_warp * MTILES + m) * 16 + r % 2 * 8 + g, (k_warp * KSTEPS + k) * 8 + r / 2 * 4 + tg,
                                    rank * UNITS);

    // Cells of this thread: one unit and rows 2 tg and 2 tg + 1, or one of them.
    const int octet = CELLS == 2 ? warp : warp / 2, first = CELLS == 2 ? 0 : warp % 2;
    const bool owner = warp < CELL_WARPS;
    const int local = octet * 8 + g, unit = rank * UNITS + local;
    float dc[CELLS], dh_start[CELLS];
    i64 at[CELLS];
    bool live[CELLS];
#pragma unroll
    for (int i = 0; i < CELLS; i++) {
        int row = row0 + 2 * tg + first + i;
        live[i] = owner && row < batch;
        at[i] = (i64)row * steps;
        dc[i] = live[i] && info.has_last ? dc_last[(i64)row * H + unit] : 0.0f;
        dh_start[i] = live[i] && info.has_last ? dh_last[(i64)row * H + unit] : 0.0f;
    }
#if CLUSTER > 1
    if (thread == 0) {
        barrier_init(barrier_at, 1);
        barrier_init(barrier_at + 8, 1);
        barrier_init_fence();
        barrier_expect(barrier_at, sizeof(incoming[0]));
        barrier_expect(barrier_at + 8, sizeof(incoming[0]));
    }
    cluster_sync();
    const u32 send_to = map_shared(shared_address(&incoming[0][rank * K_WARPS + k_warp][lane * 2]), m_warp);
    const u32 send_barrier = map_shared(barrier_at, m_warp);
#endif

    // What the next step needs, read one step ahead.
    ACT ahead[CELLS][6];  // i, f, g, o, dy, the cell before
    float cell[CELLS];    // the cell of the coming step
    auto fetch = [&](int s) {
        int t = info.reverse ? s : steps - 1 - s;
#pragma unroll
        for (int i = 0; i < CELLS; i++) {
            if (!live[i]) {
#pragma unroll
                for (int q = 0; q < 6; q++) ahead[i][q] = cast<ACT>(0.0f);
                continue;
            }
#pragma unroll
            for (int q = 0; q < 4; q++) ahead[i][q] = gates[(at[i] + t) * (4 * H) + q * H + unit];
            ahead[i][4] = dy[(at[i] + t) * H + unit];
            if (s + 1 < steps) ahead[i][5] = cells[(at[i] + (info.reverse ? t + 1 : t - 1)) * H + unit];
        }
    };
#pragma unroll
    for (int i = 0; i < CELLS; i++)
        cell[i] = live[i] ? to_f32(cells[(at[i] + (info.reverse ? 0 : steps - 1)) * H + unit]) : 0.0f;
    fetch(0);

    // The partial sums that arrived from step s - 1, added in the order of their sources.
    auto received = [&](int s, float (&dh)[CELLS]) {
#if CLUSTER > 1
        barrier_wait(barrier_at + (s - 1) % 2 * 8, (s - 1) / 2 % 2);
        if (thread == 0) barrier_expect(barrier_at + (s - 1) % 2 * 8, sizeof(incoming[0]));
#else
        __syncthreads();
#endif
        if (!owner) return;
#pragma unroll
        for (int n = 0; n < SOURCES; n++) {
            const float* p = &incoming[(s - 1) % 2][n][octet * 64 + lane * 2 + first];
#pragma unroll
            for (int i = 0; i < CELLS; i++) dh[i] += p[i];
        }
    };

    const u32 read_at = shared_address(slopes) + (lane % 8) * STRIDE + (lane / 8) * 16 + k_warp * KSTEPS * 32;
    for (int s = 0; s < steps; s++) {
        const int t = info.reverse ? s : steps - 1 - s;
        float gate[CELLS][4], before[CELLS], dh[CELLS];
#pragma unroll
        for (int i = 0; i < CELLS; i++) {
#pragma unroll
            for (int q = 0; q < 4; q++) gate[i][q] = to_f32(ahead[i][q]);
            dh[i] = to_f32(ahead[i][4]);
            before[i] = to_f32(ahead[i][5]);
            if (s + 1 == steps) before[i] = info.has_state && live[i] ? c0[(at[i] / steps) * H + unit] : 0.0f;
        }
        if (s + 1 < steps) fetch(s + 1);
        // What does not depend on dh is done before the wait.
        float tanh_c[CELLS];
#pragma unroll
        for (int i = 0; i < CELLS; i++) tanh_c[i] = tanh_act(cell[i]);
        if (s > 0) {
            received(s, dh);
        } else {
#pragma unroll
            for (int i = 0; i < CELLS; i++) dh[i] += dh_start[i];
        }

        if (owner) {
            OP* out = reinterpret_cast<OP*>(slopes[s % 2]);
#pragma unroll
            for (int i = 0; i < CELLS; i++) {
                const float(&q)[4] = gate[i];
                float slope[4];
                dc[i] = fmaf(dh[i] * q[3], 1.0f - tanh_c[i] * tanh_c[i], dc[i]);
                slope[0] = dc[i] * q[2] * q[0] * (1.0f - q[0]);
                slope[1] = dc[i] * before[i] * q[1] * (1.0f - q[1]);
                slope[2] = dc[i] * q[0] * (1.0f - q[2] * q[2]);
                slope[3] = dh[i] * tanh_c[i] * q[3] * (1.0f - q[3]);
                dc[i] *= q[1];
                cell[i] = before[i];
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    out[(2 * tg + first + i) * (STRIDE / (int)sizeof(OP)) + j * UNITS + local] = to_operand(slope[j]);
                    gate[i][j] = slope[j];
                }
            }
        }
        __syncthreads();
        if (s + 1 < steps || info.want_state) {
            float acc[2][MTILES][4] = {};
            const u32 from = read_at + s % 2 * (ROWS * STRIDE);
#pragma unroll
            for (int k = 0; k < KSTEPS; k += 2) {
                u32 b[4];
                load_matrices(b, from + k * 32);
#pragma unroll
                for (int m = 0; m < MTILES; m++) mma_act(acc[0][m], w[m][k], b[0], b[1]);
#pragma unroll
                for (int m = 0; m < MTILES; m++) mma_act(acc[1][m], w[m][k + 1], b[2], b[3]);
            }
#pragma unroll
            for (int m = 0; m < MTILES; m++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    float a = acc[0][m][half * 2] + acc[1][m][half * 2], b = acc[0][m][half * 2 + 1] + acc[1][m][half * 2 + 1];
#if CLUSTER > 1
                    store_async(send_to + s % 2 * (u32)sizeof(incoming[0]) + (m * 2 + half) * 256, send_barrier + s % 2 * 8, a, b);
#else
                    *reinterpret_cast<float2*>(&incoming[s % 2][k_warp][(m_warp * 2 + half) * 64 + lane * 2]) = make_float2(a, b);
#endif
                }
        }
#pragma unroll
        for (int i = 0; i < CELLS; i++)
            if (live[i])
#pragma unroll
                for (int j = 0; j < 4; j++) dgates[(at[i] + t) * (4 * H) + j * H + unit] = cast<ACT>(gate[i][j]);
    }
    if (info.want_state) {
        float dh[CELLS] = {};
        received(steps, dh);
#pragma unroll
        for (int i = 0; i < CELLS; i++)
            if (live[i]) {
                dh0[(at[i] / steps) * H + unit] = dh[i];
                dc0[(at[i] / steps) * H + unit] = dc[i];
            }
    }
#if CLUSTER > 1
    cluster_sync();
#endif
}
