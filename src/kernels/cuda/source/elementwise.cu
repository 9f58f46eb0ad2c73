// Whole arrays, element by element, and sums over them.
#pragma once
#include "common.cuh"

// The residual stream and what a block adds to it.
KERNEL(add)(float* out, const float* a, const real* b, size_t count) {
    for (size_t i = grid_start(); i < count; i += grid_step()) out[i] = a[i] + get(b, i);
}
LAUNCHABLE(add)

// Adds a bias to every row of y [n, m].
KERNEL(add_bias)(real* y, const float* bias, size_t count, int m) {
    for (size_t i = grid_start(); i < count; i += grid_step()) put(y, i, get(y, i) + bias[i % m]);
}
LAUNCHABLE(add_bias)

// Sums of the columns of x [n, m], a line of `out` [blocks, m] for each block of rows.
KERNEL(column_sums)(float* out, const real* x, int n, int m, int rows_per_block) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= m) return;
    int last = smaller(n, (blockIdx.y + 1) * rows_per_block);
    float sum = 0;
    for (int row = blockIdx.y * rows_per_block; row < last; row++) sum += get(x, (size_t)row * m + column);
    out[(size_t)blockIdx.y * m + column] = sum;
}
LAUNCHABLE(column_sums)

// Sum of the squares of all elements, in double: one part from each block.
KERNEL(squares)(double* parts, const float* values, size_t count) {
    double sum = 0;
    for (size_t i = grid_start(); i < count; i += grid_step()) sum += (double)values[i] * values[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
LAUNCHABLE(squares)

// AdamW (Loshchilov and Hutter, 2019), in place.
KERNEL(adamw)(float* weights, const float* gradient, float* first, float* second, size_t count, float scale,
              float beta1, float rest1, float beta2, float rest2, float step_size, float second_scale, float keep,
              float epsilon) {
    for (size_t i = grid_start(); i < count; i += grid_step()) {
        float g = gradient[i] * scale;
        float m = first[i] = fmaf(beta1, first[i], rest1 * g);
        float v = second[i] = fmaf(beta2, second[i], rest2 * g * g);
        weights[i] = fmaf(weights[i], keep, -step_size * m / (sqrtf(v * second_scale) + epsilon));
    }
}
LAUNCHABLE(adamw)

// y = silu(gate) * up, where a row of gate_up [n, 2 f] holds one after the other.
KERNEL(swiglu)(real* y, const real* gate_up, size_t count, int f) {
    for (size_t i = grid_start(); i < count; i += grid_step()) {
        size_t at = i / f * 2 * f + i % f;
        float gate = get(gate_up, at);
        put(y, i, gate / (1.0f + expf(-gate)) * get(gate_up, at + f));
    }
}
LAUNCHABLE(swiglu)

KERNEL(swiglu_backward)(real* dx, const real* gate_up, const real* dy, size_t count, int f) {
    for (size_t i = grid_start(); i < count; i += grid_step()) {
        size_t at = i / f * 2 * f + i % f;
        float gate = get(gate_up, at), up = get(gate_up, at + f), g = get(dy, i);
        float sigmoid = 1.0f / (1.0f + expf(-gate)), silu = gate * sigmoid;
        put(dx, at, g * up * (sigmoid + silu - silu * sigmoid));
        put(dx, at + f, g * silu);
    }
}
LAUNCHABLE(swiglu_backward)
