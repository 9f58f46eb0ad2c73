// Rows picked out of a matrix, and put back.
#pragma once
#include "common.cuh"

// Row i of `to` [count, d] is row rows[i] of `from`.
KERNEL(gather_rows)(float* to, const real* from, const uint* rows, size_t count, int d) {
    for (size_t i = grid_start(); i < count * d; i += grid_step()) to[i] = get(from, (size_t)rows[i / d] * d + i % d);
}
LAUNCHABLE(gather_rows)

// The way back, where rows occur many times: for row rows[i] it sums the lines order[starts[i]] up to
// order[starts[i + 1] - 1] of the gradient, always in this order. A block for each row that occurs.
KERNEL(put_back_rows)(float* whole, const float* gradient, const uint* rows, const uint* starts,
                           const uint* order, int d) {
    for (int column = threadIdx.x; column < d; column += blockDim.x) {
        float sum = 0;
        for (uint i = starts[blockIdx.x]; i < starts[blockIdx.x + 1]; i++) sum += gradient[(size_t)order[i] * d + column];
        whole[(size_t)rows[blockIdx.x] * d + column] = sum;
    }
}
LAUNCHABLE(put_back_rows)
