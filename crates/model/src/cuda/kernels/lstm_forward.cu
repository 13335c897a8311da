// The whole recurrence of one LSTM layer in one launch.
//
// A cluster of CLUSTER blocks walks all steps for ROWS = 8 batch rows. Each block owns UNITS = H / CLUSTER hidden units with
// all four gates; its slice of the recurrent weights stays in registers as the 16-row side of the tensor core product, the
// batch rows are its 8 columns. Weight rows are dealt out so that one thread ends up with all four gates of a (unit, row):
// tile 0 of a warp holds the input and forget gates of its 8 units, tile 1 the cell and output gates. The cell state never
// leaves its thread. The new hidden state goes to every block of the cluster by st.async, whose bytes complete the
// barrier that the next step waits for: data and signal are one message and no cluster-wide barrier is needed in the loop.
//
// Two buffers are enough: a block sends step s only after it has every slice of step s - 1, and each of those was sent after
// its sender had read step s - 2, whose buffer step s overwrites.
//
// Macros: H (a multiple of 32 up to 256), ACT_BF16.
//   H        CLUSTER   threads (bf16)   threads (tf32)
//   32       1         128              128
//   64       1         256              256
//   96, 128  H / 32    128              128
//   160..256 H / 32    128              256
// Grid: (CLUSTER * ceil(B / 8), 1, 1).

#ifndef CLUSTER
#if H <= 64
#define CLUSTER 1
#else
#define CLUSTER (H / 32)
#endif
#endif
// Depth is split over two warps where one warp's weights would not fit its registers.
#ifndef KSPLIT
#if !ACT_BF16 && H > 128
#define KSPLIT 2
#else
#define KSPLIT 1
#endif
#endif
#define UNITS (H / CLUSTER)
#define GROUPS (UNITS / 8)
#define THREADS (32 * GROUPS * KSPLIT)
#define ROWS 8
#define KSTEPS (H * (int)sizeof(OP) / 32 / KSPLIT)  // 32-byte depth steps of one warp
#define CHAINS (KSTEPS >= 8 ? 4 / KSPLIT : 2)         // independent sums, since one product's latency exceeds its cost
#define CELLS (2 / KSPLIT)                            // cells of one thread
#define STRIDE (H * (int)sizeof(OP) + 16)             // bytes; 16 more than whole banks keep ldmatrix free of conflicts
#define SLICE (8 * (int)sizeof(OP))                   // bytes of one warp's units in one row

struct Info {
    i64 batch, steps;
    i64 has_state;   // h0 and c0 are given; zeros otherwise
    i64 reverse;     // walk time backwards
    i64 save;        // write gates and cells for the backward pass
    i64 last;        // write h_last and c_last
};

// One register of the 16-row operand: gate column `column`, depth from `k`.
DEVICE u32 weight(const float* w, int k, int column) {
#if ACT_BF16
    const float* p = w + (i64)(2 * k) * (4 * H) + column;
    return pack_bf16(p[0], p[4 * H]);
#else
    return to_tf32(w[(i64)k * (4 * H) + column]);
#endif
}

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    lstm_forward(const ACT* pre, ACT* gates, const float* w_hh, const float* h0, const float* c0, ACT* y, ACT* cells,
                 float* h_last, float* c_last, const __grid_constant__ Info info) {
    __shared__ __align__(16) unsigned char hidden[2][ROWS * STRIDE];
    __shared__ __align__(8) u64 barriers[2];
#if KSPLIT == 2
    __shared__ float4 partial[GROUPS * 2 * 32];
#endif
#if CLUSTER > 1
    __shared__ __align__(16) unsigned char outgoing[GROUPS * KSPLIT][ROWS / KSPLIT * SLICE];
#endif
    const int steps = (int)info.steps, batch = (int)info.batch;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int group = warp / KSPLIT, part = warp % KSPLIT;
    const int g = lane / 4, tg = lane % 4;
    const int rank = CLUSTER > 1 ? (int)cluster_rank() : 0;
    const int unit = rank * UNITS + group * 8 + g;
    const int row0 = (int)(blockIdx.x / CLUSTER) * ROWS;
    const u32 hidden_at = shared_address(hidden), barrier_at = shared_address(barriers);

    u32 w[2][KSTEPS][4];
#pragma unroll
    for (int k = 0; k < KSTEPS; k++)
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                w[m][k][r] = weight(w_hh, (part * KSTEPS + k) * 8 + (r / 2) * 4 + tg, (2 * m + r % 2) * H + unit);

    // Cells of this thread: unit `unit`, rows 2 tg and 2 tg + 1, or the one whose parity is `part`.
    float c[CELLS];
    i64 at[CELLS];  // first element of the row's sequence, in units of H
    bool live[CELLS];
#pragma unroll
    for (int i = 0; i < CELLS; i++) {
        int row = row0 + 2 * tg + (KSPLIT == 2 ? part : i);
        live[i] = row < batch;
        at[i] = (i64)row * steps;
        c[i] = info.has_state && live[i] ? c0[(i64)row * H + unit] : 0.0f;
    }
    if (info.has_state) {
        OP* h = reinterpret_cast<OP*>(hidden[0]);
        for (int i = thread; i < ROWS * H; i += THREADS) {
            int row = i / H, u = i % H;
            float v = row0 + row < batch ? h0[(i64)(row0 + row) * H + u] : 0.0f;
            h[row * (STRIDE / (int)sizeof(OP)) + u] = to_operand(v);
        }
    }
#if CLUSTER > 1
    if (thread == 0) {
        barrier_init(barrier_at, 1);
        barrier_init(barrier_at + 8, 1);
        barrier_init_fence();
        barrier_expect(barrier_at, ROWS * H * sizeof(OP));
        barrier_expect(barrier_at + 8, ROWS * H * sizeof(OP));
    }
    cluster_sync();
    // This lane's share of the sends: 16-byte chunks of the warp's slice, each to every block.
    constexpr int chunks = ROWS / KSPLIT * SLICE / 16, sends = chunks * CLUSTER, per_lane = (sends + 31) / 32;
    u32 send_to[per_lane], send_barrier[per_lane], send_from[per_lane];
#pragma unroll
    for (int i = 0; i < per_lane; i++) {
        int n = lane + 32 * i, chunk = n % chunks, to = n / chunks;
        int row = chunk / (SLICE / 16), offset = chunk % (SLICE / 16) * 16;
        int target = KSPLIT == 2 ? 2 * row + part : row;
        send_from[i] = row * SLICE + offset;
        send_to[i] = n < sends ? map_shared(hidden_at + target * STRIDE + (rank * UNITS + group * 8) * (int)sizeof(OP) + offset, to) : 0;
        send_barrier[i] = n < sends ? map_shared(barrier_at, to) : 0;
    }
#else
    __syncthreads();
#endif

    ACT ahead[CELLS][4];
    auto fetch = [&](int t) {
#pragma unroll
        for (int i = 0; i < CELLS; i++)
#pragma unroll
            for (int q = 0; q < 4; q++) ahead[i][q] = live[i] ? pre[(at[i] + t) * (4 * H) + q * H + unit] : cast<ACT>(0.0f);
    };
    fetch(info.reverse ? steps - 1 : 0);

    // ldmatrix: lanes 0-7 point at the rows of the first 16 bytes of depth, 8-15 of the next, and so on.
    const u32 read_at = hidden_at + (lane % 8) * STRIDE + (lane / 8) * 16 + part * KSTEPS * 32;
    for (int s = 0; s < steps; s++) {
        const int t = info.reverse ? steps - 1 - s : s;
        float z[CELLS][4];
#pragma unroll
        for (int i = 0; i < CELLS; i++)
#pragma unroll
            for (int q = 0; q < 4; q++) z[i][q] = to_f32(ahead[i][q]);
        if (s + 1 < steps) fetch(info.reverse ? t - 1 : t + 1);

        if (s > 0 || info.has_state) {
#if CLUSTER > 1
            if (s > 0) {
                barrier_wait(barrier_at + s % 2 * 8, (s - 1) / 2 % 2);
                if (thread == 0) barrier_expect(barrier_at + s % 2 * 8, ROWS * H * sizeof(OP));
            }
#endif
            float acc[CHAINS][2][4] = {};
            const u32 from = read_at + s % 2 * (ROWS * STRIDE);
#pragma unroll
            for (int k = 0; k < KSTEPS; k += 2) {
                u32 b[4];
                load_matrices(b, from + k * 32);
#pragma unroll
                for (int m = 0; m < 2; m++) mma_act(acc[k % CHAINS][m], w[m][k], b[0], b[1]);
#pragma unroll
                for (int m = 0; m < 2; m++) mma_act(acc[(k + 1) % CHAINS][m], w[m][k + 1], b[2], b[3]);
            }
#pragma unroll
            for (int j = 1; j < CHAINS; j++)
#pragma unroll
                for (int m = 0; m < 2; m++)
#pragma unroll
                    for (int r = 0; r < 4; r++) acc[0][m][r] += acc[j][m][r];
#if KSPLIT == 2
            // The two depth halves meet: each warp hands over the row it does not keep.
            const float(&a)[2][4] = acc[0];
            float4 give = part ? make_float4(a[0][0], a[0][2], a[1][0], a[1][2]) : make_float4(a[0][1], a[0][3], a[1][1], a[1][3]);
            partial[(group * 2 + part) * 32 + lane] = give;
            named_barrier(1 + group, 64);
            float4 other = partial[(group * 2 + 1 - part) * 32 + lane];
            z[0][0] += (part ? a[0][1] : a[0][0]) + other.x;
            z[0][1] += (part ? a[0][3] : a[0][2]) + other.y;
            z[0][2] += (part ? a[1][1] : a[1][0]) + other.z;
            z[0][3] += (part ? a[1][3] : a[1][2]) + other.w;
#else
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int q = 0; q < 4; q++) z[i][q] += acc[0][q / 2][q % 2 * 2 + i];
#endif
        }

        float h[CELLS];
#pragma unroll
        for (int i = 0; i < CELLS; i++) {
            z[i][0] = sigmoid_act(z[i][0]);
            z[i][1] = sigmoid_act(z[i][1]);
            z[i][2] = tanh_act(z[i][2]);
            z[i][3] = sigmoid_act(z[i][3]);
            c[i] = fmaf(z[i][1], c[i], z[i][0] * z[i][2]);
            h[i] = z[i][3] * tanh_act(c[i]);
        }
        // Send first, store to memory afterwards: the other blocks are waiting.
        if (s + 1 < steps) {
#if CLUSTER > 1
            OP* out = reinterpret_cast<OP*>(outgoing[warp]);
#pragma unroll
            for (int i = 0; i < CELLS; i++) out[(KSPLIT == 2 ? tg : 2 * tg + i) * 8 + g] = to_operand(h[i]);
            __syncwarp();
#pragma unroll
            for (int i = 0; i < per_lane; i++)
                if (lane + 32 * i < sends) {
                    uint4 v = *reinterpret_cast<const uint4*>(outgoing[warp] + send_from[i]);
                    store_async(send_to[i] + (s + 1) % 2 * (ROWS * STRIDE), send_barrier[i] + (s + 1) % 2 * 8, v.x, v.y, v.z, v.w);
                }
            __syncwarp();
#else
            OP* out = reinterpret_cast<OP*>(hidden[(s + 1) % 2]);
#pragma unroll
            for (int i = 0; i < CELLS; i++)
                out[(2 * tg + i) * (STRIDE / (int)sizeof(OP)) + unit] = to_operand(h[i]);
            __syncthreads();
#endif
        }
#pragma unroll
        for (int i = 0; i < CELLS; i++) {
            if (!live[i]) continue;
            y[(at[i] + t) * H + unit] = cast<ACT>(h[i]);
            if (info.save) {
                cells[(at[i] + t) * H + unit] = cast<ACT>(c[i]);
#pragma unroll
                for (int q = 0; q < 4; q++) gates[(at[i] + t) * (4 * H) + q * H + unit] = cast<ACT>(z[i][q]);
            }
            if (s + 1 == steps && info.last) {
                i64 row = row0 + 2 * tg + (KSPLIT == 2 ? part : i);
                h_last[row * H + unit] = h[i];
                c_last[row * H + unit] = c[i];
            }
        }
    }
#if CLUSTER > 1
    cluster_sync();  // no block may leave while another can still write into it
#endif
}
