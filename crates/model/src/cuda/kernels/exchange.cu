// Rows of a step's tensors into one flat row and back, and the gate at which the queue of another library takes over.
//
// pack: flat[start + ..] = rows, one after the other. unpack: the way back; all NaN once the exchange has failed, so that a
// norm over them is not finite and nothing moves. offer, await_guest: the owner's side of the gate, words [owner, guest, failed].
//
// Macros: COUNT (see common.cuh), FLAT_BF16 for a flat row in bf16. Grid of pack and unpack as there, block 256; offer and
// await_guest: one thread. Arguments: pack: rows f32 .., flat, Info. unpack: rows f32 .., flat, gate, Info. offer: gate, Turns.
// await_guest: gate, Limit.

#if FLAT_BF16
typedef bf16 FLAT;
#else
typedef float FLAT;
#endif

struct Info {
    i64 starts[COUNT];
    i64 sizes[COUNT];
};
struct Turns {
    i64 offered;
};
struct Limit {
    i64 nanoseconds;
};

#define FROM(n) const float* row##n,
extern "C" __global__ void __launch_bounds__(256) pack(EACH_OF(COUNT, FROM) FLAT* flat, const __grid_constant__ Info info) {
    i64 first;
    const int n = find(info.sizes, first);
    const float* row = nullptr;
    i64 size = 0, start = 0;
#define PICK(k) if (n == k) row = row##k, size = info.sizes[k], start = info.starts[k];
    EACH_OF(COUNT, PICK)
    const i64 end = min(size, first + CHUNK);
#pragma unroll 4
    for (i64 i = first + threadIdx.x; i < end; i += 256) flat[start + i] = cast<FLAT>(row[i]);
}

#define INTO(n) float* row##n,
extern "C" __global__ void __launch_bounds__(256) unpack(EACH_OF(COUNT, INTO) const FLAT* flat, const u64* gate, const __grid_constant__ Info info) {
    i64 first;
    const int n = find(info.sizes, first);
    float* row = nullptr;
    i64 size = 0, start = 0;
    EACH_OF(COUNT, PICK)
    const i64 end = min(size, first + CHUNK);
    const bool failed = gate[2] != 0;
#pragma unroll 4
    for (i64 i = first + threadIdx.x; i < end; i += 256) row[i] = failed ? __int_as_float(0x7fc00000) : to_f32(flat[start + i]);
}

DEVICE u64 acquire(const u64* word) {
    u64 value;
    asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(word) : "memory");
    return value;
}
DEVICE void release(u64* word, u64 value) { asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(word), "l"(value) : "memory"); }
DEVICE u64 now() {
    u64 value;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(value));
    return value;
}

extern "C" __global__ void offer(u64* gate, const __grid_constant__ Turns turns) {
    __threadfence_system();
    release(gate, gate[0] + (u64)turns.offered);
}

extern "C" __global__ void await_guest(u64* gate, const __grid_constant__ Limit limit) {
    const u64 turn = gate[0], start = now();
    while (acquire(gate + 1) < turn && acquire(gate + 2) == 0) {
        if (now() - start > (u64)limit.nanoseconds) release(gate + 2, 1);
        __nanosleep(100);
    }
}
