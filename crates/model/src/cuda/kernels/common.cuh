// Helpers of every kernel file: number formats, tensor core and cluster instructions, random masks, block sums.
// Compiled by NVRTC without any header, so all of it is plain C++ and inline PTX.
//
// ACT_BF16 selects the storage of activations and the product type: 0 = float and tf32, 1 = bfloat16.

#ifndef ACT_BF16
#define ACT_BF16 0
#endif

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef unsigned short bf16;  // the bits of a bfloat16

#if ACT_BF16
typedef bf16 ACT;
typedef bf16 OP;  // operand of a tensor core product in shared memory
#else
typedef float ACT;
typedef float OP;
#endif

#define DEVICE __device__ __forceinline__
#define INFINITY_F __uint_as_float(0x7f800000u)

// ---------------------------------------------------------------------------------------------- number formats

DEVICE float to_f32(float x) { return x; }
DEVICE float to_f32(bf16 x) { return __uint_as_float((u32)x << 16); }

DEVICE bf16 to_bf16(float x) {
    bf16 r;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x));
    return r;
}

// Two bfloat16 in one word, the first in the low half.
DEVICE u32 pack_bf16(float low, float high) {
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

// Rounds to the nearest tf32, away from zero in a tie; the tensor cores drop the low bits themselves.
DEVICE u32 to_tf32(float x) {
    u32 bits = __float_as_uint(x);
    return fabsf(x) < INFINITY_F ? bits + 0x1000u : bits;
}

template <typename T> DEVICE T cast(float x);
template <> DEVICE float cast<float>(float x) { return x; }
template <> DEVICE bf16 cast<bf16>(float x) { return to_bf16(x); }

// As the tensor cores will read it.
DEVICE OP to_operand(float x) {
#if ACT_BF16
    return to_bf16(x);
#else
    return __uint_as_float(to_tf32(x));
#endif
}

// Four neighbours at once; the address must be aligned to all four.
DEVICE float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
DEVICE float4 load4(const bf16* p) {
    uint2 w = *reinterpret_cast<const uint2*>(p);
    return make_float4(__uint_as_float(w.x << 16), __uint_as_float(w.x & 0xffff0000u), __uint_as_float(w.y << 16),
                       __uint_as_float(w.y & 0xffff0000u));
}
DEVICE void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }
DEVICE void store4(bf16* p, float4 v) {
    *reinterpret_cast<uint2*>(p) = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
}

DEVICE void store2(float* p, float a, float b) { *reinterpret_cast<float2*>(p) = make_float2(a, b); }
DEVICE void store2(bf16* p, float a, float b) { *reinterpret_cast<u32*>(p) = pack_bf16(a, b); }

// ------------------------------------------------------------------------------------------------- activations

DEVICE float exp2_fast(float x) {
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
DEVICE float reciprocal(float x) {
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
DEVICE float exp_fast(float x) { return exp2_fast(x * 1.4426950408889634f); }

// tanh(x), given 1 / (exp(2 x) + 1): far from zero through that; near zero that form cancels, so an odd polynomial takes over.
DEVICE float tanh_from(float x, float r) {
    float s = x * x;
    float p = fmaf(fmaf(fmaf(fmaf(-0.00564830750f, s, 0.02058981732f), s, -0.05372512341f), s, 0.13331274688f), s, -0.33333274722f);
    float near = fmaf(p * s, x, x), far = fmaf(-2.0f, r, 1.0f);
    return fabsf(x) < 0.6f ? near : far;
}
DEVICE float tanh_exact(float x) { return tanh_from(x, reciprocal(exp2_fast(x * 2.8853900817779268f) + 1.0f)); }
DEVICE float sigmoid_exact(float x) { return reciprocal(1.0f + exp2_fast(x * -1.4426950408889634f)); }

// Reciprocals of two numbers from 1 up to 2^61 for the price of one, since that unit is the scarce one.
DEVICE void reciprocals(float a, float b, float& ra, float& rb) {
    float r = reciprocal(a * b);
    ra = r * b;
    rb = r * a;
}
// 1 + exp(scale * x / log2 e), bounded so that a product of two stays finite.
DEVICE float one_plus_exp(float x, float scale) { return 1.0f + exp2_fast(fminf(x * scale, 60.0f)); }

#if ACT_BF16
// The hardware's tanh is right to about 2^-11, four times finer than the bfloat16 it is stored in.
DEVICE float tanh_act(float x) {
    float r;
    asm("tanh.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}
DEVICE float sigmoid_act(float x) { return fmaf(0.5f, tanh_act(0.5f * x), 0.5f); }
#else
DEVICE float tanh_act(float x) { return tanh_exact(x); }
DEVICE float sigmoid_act(float x) { return sigmoid_exact(x); }
#endif
DEVICE void sigmoid_pair(float& a, float& b) {
#if ACT_BF16
    a = sigmoid_act(a);
    b = sigmoid_act(b);
#else
    reciprocals(one_plus_exp(a, -1.4426950408889634f), one_plus_exp(b, -1.4426950408889634f), a, b);
#endif
}
DEVICE void sigmoid_tanh_pair(float& a, float& b) {
#if ACT_BF16
    a = sigmoid_act(a);
    b = tanh_act(b);
#else
    float r;
    reciprocals(one_plus_exp(a, -1.4426950408889634f), one_plus_exp(b, 2.8853900817779268f), a, r);
    b = tanh_from(b, r);
#endif
}

// ------------------------------------------------------------------------------------------------ tensor cores

DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// d += a * b, 16 x 8 x 16 in bfloat16 or 16 x 8 x 8 in tf32. Both read 32 bytes of depth, so callers count depth in
// steps of 32 bytes and need not know the type.
DEVICE void mma_bf16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEVICE void mma_tf32(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEVICE void mma_act(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if ACT_BF16
    mma_bf16(d, a, b0, b1);
#else
    mma_tf32(d, a, b0, b1);
#endif
}

DEVICE void mma_f16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Recurrences multiply 16-bit operands in both modes. In float mode these are half precision numbers, which have
// exactly tf32's 10 fraction bits; what they lack is range, so values are scaled by powers of two (see each use), and the
// product is as good as a tf32 one at half the registers, traffic and time.
DEVICE u32 pack_f16(float low, float high) {
    u32 r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}
#if ACT_BF16
#define WEIGHT_SCALE 1.0f
#define STATE_SCALE 1.0f
#else
#define WEIGHT_SCALE 256.0f    // weights up to 255, full precision down to 2.4e-7
#define STATE_SCALE 1024.0f    // hidden states up to 63 (a step's own are below 1), full precision down to 6e-8
#endif
DEVICE u32 pack_half(float low, float high) {
#if ACT_BF16
    return pack_bf16(low, high);
#else
    return pack_f16(low, high);
#endif
}
DEVICE float within_half(float x) {
#if ACT_BF16
    return x;
#else
    return fminf(fmaxf(x, -65504.0f), 65504.0f);
#endif
}
DEVICE void mma_half(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if ACT_BF16
    mma_bf16(d, a, b0, b1);
#else
    mma_f16(d, a, b0, b1);
#endif
}

// Four 8 x 16-byte matrices; lane l gives the address of row l % 8 of matrix l / 8.
DEVICE void load_matrices(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// ---------------------------------------------------------------------------------------- clusters and barriers

DEVICE u32 cluster_rank() {
    u32 r;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
}
DEVICE void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// The same place in another block's shared memory.
DEVICE u32 map_shared(u32 address, u32 rank) {
    u32 r;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(r) : "r"(address), "r"(rank));
    return r;
}

DEVICE void barrier_init(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
DEVICE void barrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
// Arrives, and lets the phase end only once `bytes` have come in from st.async.
DEVICE void barrier_expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
DEVICE void barrier_arrive(u32 barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory"); }
DEVICE void barrier_wait(u32 barrier, u32 parity) {
    u32 done;
    do {
        asm volatile(
            "{\n.reg .pred p;\n"
            "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
            "selp.u32 %0, 1, 0, p;\n}"
            : "=r"(done)
            : "r"(barrier), "r"(parity)
            : "memory");
    } while (!done);
}
// Stores into a block of the cluster and counts the bytes at that block's barrier.
DEVICE void store_async(u32 address, u32 barrier, u32 a, u32 b, u32 c, u32 d) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%2,%3,%4,%5}, [%1];" ::"r"(address),
                 "r"(barrier), "r"(a), "r"(b), "r"(c), "r"(d)
                 : "memory");
}
DEVICE void store_async(u32 address, u32 barrier, u32 a, u32 b) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%2,%3}, [%1];" ::"r"(address),
                 "r"(barrier), "r"(a), "r"(b)
                 : "memory");
}

// 16 bytes from memory into shared memory, without passing through registers.
DEVICE void copy_async(u32 address, const void* p) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(p) : "memory"); }
// Brings the line of p into the second-level cache.
DEVICE void prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
DEVICE void copy_wait() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

// ------------------------------------------------------------------------------------------------- random masks

// The kernels of a recorded step (DIALS = 1) read what changes from step to step from a table, their last pointer; Info
// holds the place there instead of the number.
#ifndef DIALS
#define DIALS 0
#endif
#if DIALS
#define DIALS_ARGUMENT , const u64* dials
#define DIAL(place) dials[place]
#else
#define DIALS_ARGUMENT
#define DIAL(number) ((u64)(number))
#endif

// Philox4x32-10 (Salmon et al. 2011).
DEVICE uint4 philox(u64 seed, u64 counter) {
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
    u32 c0 = (u32)counter, c1 = (u32)(counter >> 32), c2 = 0, c3 = 0;
#pragma unroll
    for (int i = 0; i < 10; i++) {
        u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
        u32 n0 = (u32)(p1 >> 32) ^ c1 ^ k0, n2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (u32)p1;
        c2 = n2;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

// One rule for every mask: element e takes word e % 4 of counter e / 4 and is kept where that word is at least p * 2^32.
struct Dropout {
    u64 seed, first_group;  // where the batch begins in the stream of its key
    u32 threshold;
    float scale;
    DEVICE Dropout(u64 seed_, i64 first, double p) : seed(seed_), first_group((u64)first) {
        threshold = (u32)(p * 4294967296.0);
        scale = (float)(1.0 / (1.0 - p));
    }
    // Bit w set where element 4 * group + w stays.
    DEVICE u32 keep4(u64 group) const {
        uint4 r = philox(seed, first_group + group);
        return (r.x >= threshold) | (u32)(r.y >= threshold) << 1 | (u32)(r.z >= threshold) << 2 | (u32)(r.w >= threshold) << 3;
    }
    DEVICE bool keep(u64 element) const { return keep4(element >> 2) >> (element & 3) & 1; }
};

// -------------------------------------------------------------------------------------------------------- sums

DEVICE float warp_sum(float x) {
#pragma unroll
    for (int d = 16; d; d >>= 1) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}
DEVICE double warp_sum(double x) {
#pragma unroll
    for (int d = 16; d; d >>= 1) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}
// The sum over the block, in a fixed order, valid in thread 0. `room` holds one value for each warp.
template <typename T> DEVICE T block_sum(T x, T* room) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = x;
    __syncthreads();
    T sum = 0;
    if (threadIdx.x == 0)
        for (int i = 0; i < (int)(blockDim.x + 31) / 32; i++) sum += room[i];
    return sum;
}

// ------------------------------------------------------------------------------------------------------ clusters

// Blocks that share the recurrent weights of a layer with H states; the tables in the recurrent kernels list them.
#ifdef H
#ifndef CLUSTER
#if H <= 64
#define CLUSTER 1
#elif H == 256 || H == 192
#define CLUSTER (H / 64)
#else
#define CLUSTER (H / 32)
#endif
#endif
#endif

// ----------------------------------------------------------------------------------------------- several tensors

// A kernel over COUNT tensors, 1 to 32, each its own arguments: EACH_OF(COUNT, X) is X(0) X(1) .. A block takes CHUNK neighbours
// of one tensor, so the grid is (sum over the tensors of ceil(size / CHUNK), 1, 1).
#ifndef COUNT
#define COUNT 1
#endif
#define CHUNK 4096
#define EACH1(X) X(0)
#define EACH2(X) EACH1(X) X(1)
#define EACH3(X) EACH2(X) X(2)
#define EACH4(X) EACH3(X) X(3)
#define EACH5(X) EACH4(X) X(4)
#define EACH6(X) EACH5(X) X(5)
#define EACH7(X) EACH6(X) X(6)
#define EACH8(X) EACH7(X) X(7)
#define EACH9(X) EACH8(X) X(8)
#define EACH10(X) EACH9(X) X(9)
#define EACH11(X) EACH10(X) X(10)
#define EACH12(X) EACH11(X) X(11)
#define EACH13(X) EACH12(X) X(12)
#define EACH14(X) EACH13(X) X(13)
#define EACH15(X) EACH14(X) X(14)
#define EACH16(X) EACH15(X) X(15)
#define EACH17(X) EACH16(X) X(16)
#define EACH18(X) EACH17(X) X(17)
#define EACH19(X) EACH18(X) X(18)
#define EACH20(X) EACH19(X) X(19)
#define EACH21(X) EACH20(X) X(20)
#define EACH22(X) EACH21(X) X(21)
#define EACH23(X) EACH22(X) X(22)
#define EACH24(X) EACH23(X) X(23)
#define EACH25(X) EACH24(X) X(24)
#define EACH26(X) EACH25(X) X(25)
#define EACH27(X) EACH26(X) X(26)
#define EACH28(X) EACH27(X) X(27)
#define EACH29(X) EACH28(X) X(28)
#define EACH30(X) EACH29(X) X(29)
#define EACH31(X) EACH30(X) X(30)
#define EACH32(X) EACH31(X) X(31)
#define JOIN(a, b) a##b
#define EACH_OF(n, X) JOIN(EACH, n)(X)

// Which tensor this block works on, and from where.
DEVICE int find(const i64 (&sizes)[COUNT], i64& first) {
    i64 block = blockIdx.x;
    int n = 0;
    for (; n < COUNT; n++) {
        i64 blocks = (sizes[n] + CHUNK - 1) / CHUNK;
        if (block < blocks) break;
        block -= blocks;
    }
    first = block * CHUNK;
    return n;
}
