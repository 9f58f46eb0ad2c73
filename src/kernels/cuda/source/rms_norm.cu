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

// Values that a lane reads before it uses the first of them: memory is far away.
#define AHEAD 8

// Hands `take(i, values)` what each of the arrays has at i, for every i of the warp's lane.
template <typename F, typename... From> __device__ inline void in_turn(int columns, F take, const From*... from) {
    for (int start = threadIdx.x % 32; start < columns; start += 32 * AHEAD) {
        float values[AHEAD][sizeof...(From)];
#pragma unroll
        for (int j = 0; j < AHEAD; j++) {
            const int i = start + 32 * j;
            int array = 0;
            ((values[j][array++] = i < columns ? get(from, i) : 0.0f), ...);
        }
#pragma unroll
        for (int j = 0; j < AHEAD; j++) {
            if (start + 32 * j < columns) take(start + 32 * j, values[j]);
        }
    }
}

template <typename In>
__device__ inline void normalise(real* y, const In* x, const Stretch& stretch, float epsilon) {
    const In* from = x + stretch.at;
    real* to = y + stretch.at;
    if (!stretch.weight) {
        // In place there is nothing to pass through.
        if ((const void*)x != (const void*)y) {
            in_turn(stretch.columns, [&](int i, const float* at) { put(to, i, at[0]); }, from);
        }
        return;
    }
    float sum = 0;
    in_turn(stretch.columns, [&](int, const float* at) { sum = fmaf(at[0], at[0], sum); }, from);
    const float scale = 1.0f / sqrtf(warp_sum(sum) / stretch.columns + epsilon);
    in_turn(stretch.columns, [&](int i, const float* at) { put(to, i, at[0] * scale * at[1]); }, from, stretch.weight);
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
    const real *from = x + stretch.at, *slopes = dy + stretch.at;
    real* to = dx + stretch.at;
    if (!stretch.weight) {
        in_turn(stretch.columns, [&](int i, const float* at) { put(to, i, at[0]); }, slopes);
        return;
    }
    float squares = 0, product = 0;
    const auto sums = [&](int, const float* at) {
        squares = fmaf(at[0], at[0], squares);
        product = fmaf(at[0], at[1] * at[2], product);
    };
    in_turn(d, sums, from, slopes, stretch.weight);
    const float scale = 1.0f / sqrtf(warp_sum(squares) / d + epsilon);
    const float pull = warp_sum(product) * scale * scale / d;
    const auto turn = [&](int i, const float* at) { put(to, i, scale * (at[1] * at[2] - at[0] * pull)); };
    in_turn(d, turn, from, slopes, stretch.weight);
    if (threadIdx.x % 32 == 0) scales[stretch.number] = scale;
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
#pragma unroll 4
    for (int i = blockIdx.y * stretches_per_block; i < last; i++) {
        int row = i / count, of_row = first + i % count;
        size_t at = (size_t)row * width + (size_t)of_row * d + column;
        sum = fmaf(get(x, at) * get(dy, at), scales[(size_t)row * normed + of_row], sum);
    }
    out[(size_t)blockIdx.y * d + column] = sum;
}
LAUNCHABLE(rms_norm_weight)
