// Mean loss over all outputs, and its gradient. One block: outputs are few, and the sum has a fixed order.
//
// Macro: KIND (0 squared error, 1 absolute error, 2 Huber). All numbers are f32.
// loss_forward: grid 1. loss_backward: grid ceil(count / 256). Block 256.

struct Info {
    i64 count;
    double delta;  // Huber: where the square turns into a line
};

DEVICE float value(float error, float delta) {
    const float size = fabsf(error);
    if (KIND == 0) return error * error;
    if (KIND == 1) return size;
    const float small = fminf(size, delta);
    return 0.5f * small * small + delta * (size - small);
}

DEVICE float slope(float error, float delta) {
    if (KIND == 0) return 2.0f * error;
    if (KIND == 1) return error > 0.0f ? 1.0f : error < 0.0f ? -1.0f : 0.0f;
    return fminf(fmaxf(error, -delta), delta);
}

extern "C" __global__ void __launch_bounds__(256) loss_forward(const float* outputs, const float* targets, float* loss,
                                                              const __grid_constant__ Info info) {
    __shared__ double room[8];
    double sum = 0.0;
    for (i64 i = threadIdx.x; i < info.count; i += 256) sum += value(outputs[i] - targets[i], (float)info.delta);
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) *loss = (float)(sum / (double)info.count);
}

extern "C" __global__ void __launch_bounds__(256) loss_backward(const float* outputs, const float* targets, const float* dloss,
                                                               float* doutputs, const __grid_constant__ Info info) {
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (i < info.count) doutputs[i] = slope(outputs[i] - targets[i], (float)info.delta) * *dloss / (float)info.count;
}
