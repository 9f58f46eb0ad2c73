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

// y = silu(gate) * up, where a row of gate_up [n, 2 f] holds one after the other. A thread for each eight columns.
KERNEL(swiglu)(real* y, const real* gate_up, int f) {
    const int column = 8 * (blockIdx.y * blockDim.x + threadIdx.x), there = f - column;
    if (there <= 0) return;
    const bool aligned = f % 8 == 0;
    const size_t row = blockIdx.x, at = row * 2 * f + column;
    Eight gates, ups;
    gates.read(gate_up + at, there, aligned);
    ups.read(gate_up + at + f, there, aligned);
    for (int i = 0; i < 8; i++) {
        const float gate = gates.at(i);
        ups.set(i, gate / (1.0f + expf(-gate)) * ups.at(i));
    }
    ups.write(y + row * f + column, there, aligned);
}
LAUNCHABLE(swiglu)

KERNEL(swiglu_backward)(real* dx, const real* gate_up, const real* dy, int f) {
    const int column = 8 * (blockIdx.y * blockDim.x + threadIdx.x), there = f - column;
    if (there <= 0) return;
    const bool aligned = f % 8 == 0;
    const size_t row = blockIdx.x, at = row * 2 * f + column;
    Eight gates, ups, slopes;
    gates.read(gate_up + at, there, aligned);
    ups.read(gate_up + at + f, there, aligned);
    slopes.read(dy + row * f + column, there, aligned);
    for (int i = 0; i < 8; i++) {
        const float gate = gates.at(i), up = ups.at(i), g = slopes.at(i);
        const float sigmoid = 1.0f / (1.0f + expf(-gate)), silu = gate * sigmoid;
        gates.set(i, g * up * (sigmoid + silu - silu * sigmoid));
        ups.set(i, g * silu);
    }
    gates.write(dx + at, there, aligned);
    ups.write(dx + at + f, there, aligned);
}
LAUNCHABLE(swiglu_backward)
