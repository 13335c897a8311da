// The whole recurrence of one GRU layer in one launch, by PyTorch's equations (gates r, z, n):
//   r = sigmoid(pre_r + h W_r)   z = sigmoid(pre_z + h W_z)   n = tanh(pre_n + r * (h W_n + bias_n))   h' = n + z * (h - n)
// where pre holds the input products and every other bias.
//
// Built as lstm_forward, which says how the blocks of a cluster share the work; here a warp's second tile holds the candidate's
// rows and 8 empty ones. What is saved for the backward pass: r, z, n, and the candidate's hidden product with its bias.
//
// Macros: H (a multiple of 32 up to 256), ACT_BF16; CLUSTER may be set to another divisor with UNITS a multiple of 8.
//   H         CLUSTER  threads        H    CLUSTER  threads
//   32, 64    1        4 * H          192  3        256
//   96..160   H / 32   128            224  7        128
//                                     256  4        256
// In short: threads = 4 * H / CLUSTER. Grid: (CLUSTER * ceil(B / 8), 1, 1).

#define UNITS (H / CLUSTER)
#define WARPS (UNITS / 8)
#define THREADS (32 * WARPS)
#define ROWS 8
#define KSTEPS (H / 16)
#define CHAINS (KSTEPS >= 8 ? 4 : 2)              // independent sums, since one product's latency exceeds its cost
#define STRIDE (H * 2 + 16)                       // bytes; 16 more than whole banks keep ldmatrix free of conflicts
#define REMOTE (ROWS * (H - UNITS) * 2)           // bytes that other blocks send in a step
#define PITCH (UNITS * (int)sizeof(ACT) + 16)     // bytes of one row of cells or outputs in a stage
#define GATE_PITCH (3 * UNITS * (int)sizeof(ACT) + 16)
#ifndef FAR
#define FAR 6  // steps that memory is asked ahead
#endif
#define PIECES (UNITS * (int)sizeof(ACT) / 16)    // 16-byte pieces of one row and gate

struct Info {
    i64 batch, steps;
    i64 has_state;   // h0 is given; zeros otherwise
    i64 reverse;     // walk time backwards
    i64 save;        // write gates and hidden_n for the backward pass
    i64 last;        // write h_last
};

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    gru_forward(const ACT* pre, ACT* gates, const float* w_hh, const float* bias_n, const float* h0, ACT* y, ACT* hidden_n,
                float* h_last, const __grid_constant__ Info info) {
    __shared__ __align__(16) unsigned char hidden[2][ROWS * STRIDE];
    __shared__ __align__(16) unsigned char stage[3][ROWS * GATE_PITCH];
    __shared__ __align__(16) unsigned char result[3][2][ROWS * PITCH];  // y, hidden_n
#if CLUSTER > 1
    __shared__ __align__(16) unsigned char outgoing[WARPS][ROWS * 16];
#endif
    __shared__ __align__(8) u64 barriers[2];
    const int steps = (int)info.steps, batch = (int)info.batch;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int g = lane / 4, tg = lane % 4;
    const int rank = CLUSTER > 1 ? (int)cluster_rank() : 0;
    const int local = warp * 8 + g, unit = rank * UNITS + local;
    const int row0 = (int)(blockIdx.x / CLUSTER) * ROWS;
    const u32 hidden_at = shared_address(hidden), barrier_at = shared_address(barriers);

    // Traffic with memory: this thread's pieces of a step's gates, and its piece of y or the cells.
    constexpr int gate_total = ROWS * 3 * PIECES, gate_pieces = (gate_total + THREADS - 1) / THREADS, sides = 2 * ROWS * PIECES;
    static_assert(sides <= THREADS, "pieces do not fit the threads");
    u32 piece_at[gate_pieces];      // in the stage
    i64 piece_memory[gate_pieces];  // in memory, at step 0
    bool piece_live[gate_pieces];
#pragma unroll
    for (int i = 0; i < gate_pieces; i++) {
        int n = thread + i * THREADS, row = n / (3 * PIECES), column = n % (3 * PIECES);
        piece_live[i] = n < gate_total && row0 + row < batch;
        piece_at[i] = row * GATE_PITCH + column * 16;
        piece_memory[i] = (i64)(row0 + row) * steps * (3 * H) + column / PIECES * H + rank * UNITS + column % PIECES * (16 / (int)sizeof(ACT));
    }
    const int side_row = thread / PIECES % ROWS, side = thread / (ROWS * PIECES);
    const bool side_live = thread < sides && row0 + side_row < batch && (side == 0 || info.save);
    const u32 side_at = side_row * PITCH + thread % PIECES * 16;
    ACT* side_to = (side == 0 ? y : hidden_n) + (i64)(row0 + side_row) * steps * H + rank * UNITS + thread % PIECES * (16 / (int)sizeof(ACT));
    auto time_of = [&](int s) { return info.reverse ? steps - 1 - s : s; };
    auto copy_in = [&](int s) {
#pragma unroll
        for (int i = 0; i < gate_pieces; i++)
            if (piece_live[i]) copy_async(shared_address(stage[s % 3]) + piece_at[i], pre + piece_memory[i] + (i64)time_of(s) * (3 * H));
        copy_commit();
        // Memory answers later than a step takes, the second-level cache does not.
        if (s + FAR < steps)
#pragma unroll
            for (int i = 0; i < gate_pieces; i++)
                if (piece_live[i] && (thread + i * THREADS) % PIECES % 8 == 0) prefetch(pre + piece_memory[i] + (i64)time_of(s + FAR) * (3 * H));
    };
    auto copy_out = [&](int s) {
        const int t = time_of(s);
        if (info.save)
#pragma unroll
            for (int i = 0; i < gate_pieces; i++)
                if (piece_live[i])
                    *reinterpret_cast<uint4*>(gates + piece_memory[i] + (i64)t * (3 * H)) = *reinterpret_cast<const uint4*>(stage[s % 3] + piece_at[i]);
        if (side_live) *reinterpret_cast<uint4*>(side_to + (i64)t * H) = *reinterpret_cast<const uint4*>(result[s % 3][side] + side_at);
    };
    copy_in(0);
    if (steps > 1) copy_in(1);

    u32 w[2][KSTEPS][4];
#pragma unroll
    for (int k = 0; k < KSTEPS; k++)
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                if (2 * m + r % 2 == 3) {
                    w[m][k][r] = 0;  // the empty rows
                    continue;
                }
                const float* p = w_hh + (i64)(k * 16 + r / 2 * 8 + tg * 2) * (3 * H) + (2 * m + r % 2) * H + unit;
                w[m][k][r] = pack_half(within_half(p[0] * WEIGHT_SCALE), within_half(p[3 * H] * WEIGHT_SCALE));
            }

    // Cells of this thread: unit `unit`, rows 2 tg and 2 tg + 1.
    const float bias = bias_n[unit];
    float h[2];
#pragma unroll
    for (int i = 0; i < 2; i++) h[i] = info.has_state && row0 + 2 * tg + i < batch ? h0[(i64)(row0 + 2 * tg + i) * H + unit] : 0.0f;
    if (info.has_state)
        for (int i = thread; i < ROWS * H / 2; i += THREADS) {
            int row = i / (H / 2), u = i % (H / 2) * 2;
            float2 v = row0 + row < batch ? *reinterpret_cast<const float2*>(h0 + (i64)(row0 + row) * H + u) : make_float2(0.0f, 0.0f);
            *reinterpret_cast<u32*>(hidden[0] + row * STRIDE + u * 2) = pack_half(within_half(v.x * STATE_SCALE), within_half(v.y * STATE_SCALE));
        }
    copy_wait();
#if CLUSTER > 1
    if (thread == 0) {
        // Besides this thread, the block's own warps arrive; their slices need not travel.
        barrier_init(barrier_at, 1 + WARPS);
        barrier_init(barrier_at + 8, 1 + WARPS);
        barrier_init_fence();
        barrier_expect(barrier_at, REMOTE);
        barrier_expect(barrier_at + 8, REMOTE);
    }
    cluster_sync();
    // This lane's share of the sends: a row of the warp's 8 units, 16 bytes, to one block.
    constexpr int sends = ROWS * CLUSTER, per_lane = (sends + 31) / 32;
    u32 send_to[per_lane], send_barrier[per_lane];
#pragma unroll
    for (int i = 0; i < per_lane; i++) {
        int n = lane + 32 * i;
        send_to[i] = n < sends ? map_shared(hidden_at + n % ROWS * STRIDE + (rank * UNITS + warp * 8) * 2, n / ROWS) : 0;
        send_barrier[i] = n < sends ? map_shared(barrier_at, n / ROWS) : 0;
    }
#else
    __syncthreads();
#endif

    // ldmatrix: lanes 0-7 point at the rows of the first 16 bytes of depth, 8-15 of the next, and so on.
    const u32 read_at = hidden_at + lane % 8 * STRIDE + lane / 8 * 16;
    for (int s = 0; s < steps; s++) {
#if CLUSTER > 1
        if (s > 0) {
            barrier_wait(barrier_at + s % 2 * 8, (s - 1) / 2 % 2);
            if (thread == 0) barrier_expect(barrier_at + s % 2 * 8, REMOTE);
        }
#endif
        ACT* own_gates[2];
        float z[2][3], product[2] = {bias, bias};
#pragma unroll
        for (int i = 0; i < 2; i++) {
            own_gates[i] = reinterpret_cast<ACT*>(stage[s % 3] + (2 * tg + i) * GATE_PITCH) + local;
#pragma unroll
            for (int q = 0; q < 3; q++) z[i][q] = to_f32(own_gates[i][q * UNITS]);
        }
        if (s > 0 || info.has_state) {
            float acc[CHAINS][2][4] = {};
            const u32 from = read_at + s % 2 * (ROWS * STRIDE);
#pragma unroll
            for (int k = 0; k < KSTEPS; k += 2) {
                u32 b[4];
                load_matrices(b, from + k * 32);
#pragma unroll
                for (int m = 0; m < 2; m++) mma_half(acc[k % CHAINS][m], w[m][k], b[0], b[1]);
#pragma unroll
                for (int m = 0; m < 2; m++) mma_half(acc[(k + 1) % CHAINS][m], w[m][k + 1], b[2], b[3]);
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int q = 0; q < 3; q++) {
                    float sum = acc[0][q / 2][q % 2 * 2 + i] + acc[1][q / 2][q % 2 * 2 + i];
                    if (CHAINS == 4) sum += acc[CHAINS - 2][q / 2][q % 2 * 2 + i] + acc[CHAINS - 1][q / 2][q % 2 * 2 + i];
                    float& to = q < 2 ? z[i][q] : product[i];
                    to = fmaf(sum, 1.0f / (WEIGHT_SCALE * STATE_SCALE), to);
                }
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            sigmoid_pair(z[i][0], z[i][1]);
            z[i][2] = tanh_act(fmaf(z[i][0], product[i], z[i][2]));
            h[i] = fmaf(z[i][1], h[i] - z[i][2], z[i][2]);
        }
        const bool more = s + 1 < steps;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            unsigned short half = (unsigned short)pack_half(h[i] * STATE_SCALE, 0.0f);
#if CLUSTER > 1
            *reinterpret_cast<unsigned short*>(outgoing[warp] + (2 * tg + i) * 16 + g * 2) = half;
#else
            *reinterpret_cast<unsigned short*>(hidden[(s + 1) % 2] + (2 * tg + i) * STRIDE + unit * 2) = half;
#endif
            // What memory is to get, before the send: other warps will read it here after the next wait.
            reinterpret_cast<ACT*>(result[s % 3][0] + (2 * tg + i) * PITCH)[local] = cast<ACT>(h[i]);
            if (info.save) {
                reinterpret_cast<ACT*>(result[s % 3][1] + (2 * tg + i) * PITCH)[local] = cast<ACT>(product[i]);
#pragma unroll
                for (int q = 0; q < 3; q++) own_gates[i][q * UNITS] = cast<ACT>(z[i][q]);
            }
        }
        copy_wait();
#if CLUSTER > 1
        __syncwarp();
        if (more)
#pragma unroll
            for (int i = 0; i < per_lane; i++)
                if (lane + 32 * i < sends) {
                    uint4 v = *reinterpret_cast<const uint4*>(outgoing[warp] + (lane + 32 * i) % ROWS * 16);
                    if ((lane + 32 * i) / ROWS != rank)
                        store_async(send_to[i] + (s + 1) % 2 * (ROWS * STRIDE), send_barrier[i] + (s + 1) % 2 * 8, v.x, v.y, v.z, v.w);
                    else
                        *reinterpret_cast<uint4*>(hidden[(s + 1) % 2] + (lane + 32 * i) % ROWS * STRIDE + (rank * UNITS + warp * 8) * 2) = v;
                }
        __syncwarp();
        if (more && lane == 0) barrier_arrive(barrier_at + (s + 1) % 2 * 8);
#else
        __syncthreads();
#endif
        if (s > 0) copy_out(s - 1);
        if (s + 2 < steps) copy_in(s + 2);
        if (!more && info.last)
#pragma unroll
            for (int i = 0; i < 2; i++)
                if (row0 + 2 * tg + i < batch) h_last[(i64)(row0 + 2 * tg + i) * H + unit] = h[i];
    }
    __syncthreads();
    copy_out(steps - 1);
#if CLUSTER > 1
    cluster_sync();  // no block may leave while another can still write into it
#endif
}
