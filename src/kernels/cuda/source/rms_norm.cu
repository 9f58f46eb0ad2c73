// Root-mean-square normalisation of stretches of d columns: a warp for each stretch. A row of `width` columns begins
// with `count0` stretches scaled by w0 and `count1` scaled by w1; the columns after them pass through.
#pragma once
#include "common.cuh"

struct Stretch {
    // Where it begins; its number among those that are normalised.
    size_t at, number;
    int columns;
    // None where the columns pass through.
    const float* weight;
};

__device__ inline bool find(Stretch& stretch, int n, int width, const float* w0, int count0, const float* w1,
                            int count1, int d) {
    int normed = count0 + count1, passing = width > normed * d;
    size_t index = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    size_t row = index / (normed + passing);
    int of_row = index % (normed + passing);
    if (row >= (size_t)n) return false;
    stretch.at = row * width + (size_t)of_row * d;
    stretch.number = row * normed + of_row;
    stretch.weight = of_row < count0 ? w0 : of_row < normed ? w1 : nullptr;
    stretch.columns = stretch.weight ? d : width - normed * d;
    return true;
}

template <typename In>
__device__ inline void normalise(real* y, const In* x, const Stretch& stretch, float epsilon) {
    int lane = threadIdx.x % 32;
    float scale = 1;
    if (stretch.weight) {
        float sum = 0;
        for (int i = lane; i < stretch.columns; i += 32) sum = fmaf(get(x, stretch.at + i), get(x, stretch.at + i), sum);
        scale = 1.0f / sqrtf(warp_sum(sum) / stretch.columns + epsilon);
    }
    for (int i = lane; i < stretch.columns; i += 32) {
        float weight = stretch.weight ? stretch.weight[i] : 1.0f;
        put(y, stretch.at + i, get(x, stretch.at + i) * scale * weight);
    }
}

KERNEL(rms_norm)(real* y, const real* x, int n, int width, const float* w0, int count0, const float* w1, int count1,
                 int d, float epsilon) {
    Stretch stretch;
    if (find(stretch, n, width, w0, count0, w1, count1, d)) normalise(y, x, stretch, epsilon);
}
LAUNCHABLE(rms_norm)

// From the residual stream to activations: one stretch in a row.
KERNEL(rms_norm_residual)(real* y, const float* x, int n, int d, const float* weight, float epsilon) {
    Stretch stretch;
    if (find(stretch, n, d, weight, 1, nullptr, 0, d)) normalise(y, x, stretch, epsilon);
}
LAUNCHABLE(rms_norm_residual)

// Gradients of x; and of each stretch [n, count0 + count1] the inverse root of its mean square.
KERNEL(rms_norm_backward)(real* dx, float* scales, const real* x, const real* dy, int n, int width, const float* w0,
                          int count0, const float* w1, int count1, int d, float epsilon) {
    Stretch stretch;
    if (!find(stretch, n, width, w0, count0, w1, count1, d)) return;
    int lane = threadIdx.x % 32;
    if (!stretch.weight) {
        for (int i = lane; i < stretch.columns; i += 32) dx[stretch.at + i] = dy[stretch.at + i];
        return;
    }
    float squares = 0, product = 0;
    for (int i = lane; i < d; i += 32) {
        float value = get(x, stretch.at + i);
        squares = fmaf(value, value, squares);
        product = fmaf(value, get(dy, stretch.at + i) * stretch.weight[i], product);
    }
    float scale = 1.0f / sqrtf(warp_sum(squares) / d + epsilon);
    float pull = warp_sum(product) * scale * scale / d;
    for (int i = lane; i < d; i += 32) {
        float g = get(dy, stretch.at + i) * stretch.weight[i];
        put(dx, stretch.at + i, scale * (g - get(x, stretch.at + i) * pull));
    }
    if (lane == 0) scales[stretch.number] = scale;
}
LAUNCHABLE(rms_norm_backward)

// Gradients of one of the weights, a line of `out` [blocks, d] for each block of its stretches: `count` in a row from
// number `first` on, of `normed` that are normalised.
KERNEL(rms_norm_weight)(float* out, const real* x, const real* dy, const float* scales, int n, int width, int first,
                        int count, int normed, int d, int stretches_per_block) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= d) return;
    int last = smaller(n * count, (blockIdx.y + 1) * stretches_per_block);
    float sum = 0;
    for (int i = blockIdx.y * stretches_per_block; i < last; i++) {
        int row = i / count, of_row = first + i % count;
        size_t at = (size_t)row * width + (size_t)of_row * d + column;
        sum = fmaf(get(x, at) * get(dy, at), scales[(size_t)row * normed + of_row], sum);
    }
    out[(size_t)blockIdx.y * d + column] = sum;
}
LAUNCHABLE(rms_norm_weight)
