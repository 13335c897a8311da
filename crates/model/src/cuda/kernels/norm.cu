// Layer normalisation over the last axis [rows, H], forward and backward.
//
// One warp takes one row; a lane keeps its part of it in registers.
//
// Macros: H (any), ACT_BF16.
// Grid of norm_forward: (ceil(rows / 8), 1, 1). Grid of norm_backward: (blocks, 1, 1) with any number of blocks; each leaves
// one row of partial sums for gemm_reduce (count = second_count = H, splits = blocks). Block 256.

#define WIDTH (H % 4 == 0 ? 4 : 1)             // neighbours of one access
#define PARTS ((H + 32 * WIDTH - 1) / (32 * WIDTH))

struct Info {
    i64 rows;
    double eps;
};

struct Row {
    float v[PARTS][WIDTH];
};
DEVICE int column_of(int part, int lane) { return (part * 32 + lane) * WIDTH; }
DEVICE void load_row(Row& r, const ACT* p, int lane) {
#pragma unroll
    for (int j = 0; j < PARTS; j++) {
        int c = column_of(j, lane);
        if constexpr (WIDTH == 4) {
            float4 v = c < H ? load4(p + c) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            r.v[j][0] = v.x, r.v[j][1 % WIDTH] = v.y, r.v[j][2 % WIDTH] = v.z, r.v[j][3 % WIDTH] = v.w;
        } else {
            r.v[j][0] = c < H ? to_f32(p[c]) : 0.0f;
        }
    }
}
template <typename T> DEVICE void store_row(T* p, const Row& r, int lane) {
#pragma unroll
    for (int j = 0; j < PARTS; j++) {
        int c = column_of(j, lane);
        if (c >= H) continue;
        if constexpr (WIDTH == 4)
            store4(p + c, make_float4(r.v[j][0], r.v[j][1 % WIDTH], r.v[j][2 % WIDTH], r.v[j][3 % WIDTH]));
        else
            p[c] = cast<T>(r.v[j][0]);
    }
}
extern "C" __global__ void __launch_bounds__(256) norm_forward(const ACT* x, const float* gamma, const float* beta, ACT* y,
                                                              float* mean, float* rstd, const __grid_constant__ Info info) {
    const int lane = threadIdx.x % 32;
    const i64 row = (i64)blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= info.rows) return;
    Row r;
    load_row(r, x + row * H, lane);
    float total = 0.0f;
#pragma unroll
    for (int j = 0; j < PARTS; j++)
#pragma unroll
        for (int i = 0; i < WIDTH; i++) total += r.v[j][i];
    const float m = warp_sum(total) * (1.0f / H);
    float square = 0.0f;
#pragma unroll
    for (int j = 0; j < PARTS; j++)
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            float d = column_of(j, lane) < H ? r.v[j][i] - m : 0.0f;
            square = fmaf(d, d, square);
        }
    const float s = rsqrtf(warp_sum(square) * (1.0f / H) + (float)info.eps);
#pragma unroll
    for (int j = 0; j < PARTS; j++)
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            int c = column_of(j, lane) + i;
            if (c < H) r.v[j][i] = fmaf((r.v[j][i] - m) * s, gamma[c], beta[c]);
        }
    store_row(y + row * H, r, lane);
    if (lane == 0) {
        mean[row] = m;
        rstd[row] = s;
    }
}

extern "C" __global__ void __launch_bounds__(256) norm_backward(const ACT* dy, const ACT* x, const float* gamma, const float* mean,
                                                               const float* rstd, ACT* dx, float* gamma_partial, float* beta_partial,
                                                               const __grid_constant__ Info info) {
    __shared__ float room[8][32 * WIDTH];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    Row dgamma = {}, dbeta = {}, scale;
#pragma unroll
    for (int j = 0; j < PARTS; j++)
#pragma unroll
        for (int i = 0; i < WIDTH; i++) scale.v[j][i] = column_of(j, lane) + i < H ? gamma[column_of(j, lane) + i] : 0.0f;
    for (i64 row = (i64)blockIdx.x * 8 + warp; row < info.rows; row += (i64)gridDim.x * 8) {
        Row g, r;
        load_row(g, dy + row * H, lane);
        load_row(r, x + row * H, lane);
        const float m = mean[row], s = rstd[row];
        float sum = 0.0f, dot = 0.0f;
#pragma unroll
        for (int j = 0; j < PARTS; j++)
#pragma unroll
            for (int i = 0; i < WIDTH; i++) {
                float n = (r.v[j][i] - m) * s;
                dgamma.v[j][i] = fmaf(g.v[j][i], n, dgamma.v[j][i]);
                dbeta.v[j][i] += g.v[j][i];
                g.v[j][i] *= scale.v[j][i];
                r.v[j][i] = n;
                sum += g.v[j][i];
                dot = fmaf(g.v[j][i], n, dot);
            }
        sum = warp_sum(sum) * (1.0f / H);
        dot = warp_sum(dot) * (1.0f / H);
#pragma unroll
        for (int j = 0; j < PARTS; j++)
#pragma unroll
            for (int i = 0; i < WIDTH; i++) g.v[j][i] = s * (g.v[j][i] - sum - r.v[j][i] * dot);
        store_row(dx + row * H, g, lane);
    }
    // The warps' sums, in their order.
#pragma unroll
    for (int which = 0; which < 2; which++)
#pragma unroll
        for (int j = 0; j < PARTS; j++) {
            __syncthreads();
#pragma unroll
            for (int i = 0; i < WIDTH; i++) room[warp][lane * WIDTH + i] = which ? dbeta.v[j][i] : dgamma.v[j][i];
            __syncthreads();
            int c = j * 32 * WIDTH + threadIdx.x;
            if (threadIdx.x < 32 * WIDTH && c < H) {
                float total = 0.0f;
                for (int w = 0; w < 8; w++) total += room[w][threadIdx.x];
                (which ? beta_partial : gamma_partial)[(i64)blockIdx.x * H + c] = total;
            }
        }
}
