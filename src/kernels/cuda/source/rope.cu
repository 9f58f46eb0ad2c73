// Rotary positions in the "rotate halves" form: dimension i of a head turns together with dimension i + dim / 2.
#pragma once
#include "common.cuh"

struct Turn {
    float cosine, sine;
};

// Angles are rounded to float before the cosine, as on the processor. Both numbers are multiplied by `factor`.
__device__ inline Turn turn(int position, float frequency, float factor) {
    Turn turn;
    sincosf((float)position * frequency, &turn.sine, &turn.cosine);
    turn.sine *= factor;
    turn.cosine *= factor;
    return turn;
}

// Rows of query, key and value heads side by side: turns queries and keys, copies values. `direction` is 1, or -1 for
// the way back of gradients. A thread for each row and pair of dimensions.
KERNEL(rotate)(real* to, const real* from, const uint* positions, const float* frequencies, int n, int query_heads,
               int key_heads, int dim, float direction, float factor) {
    int half = dim / 2, turning = query_heads + key_heads, width = (turning + key_heads) * dim;
    for (size_t index = grid_start(); index < (size_t)n * half; index += grid_step()) {
        size_t row = index / half, start = row * width + index % half;
        Turn by = turn(positions[row], frequencies[index % half], factor);
        by.sine *= direction;
        for (int head = 0; head < turning + key_heads; head++) {
            size_t at = start + (size_t)head * dim;
            float a = get(from, at), b = get(from, at + half);
            bool turns = head < turning;
            put(to, at, turns ? a * by.cosine - b * by.sine : a);
            put(to, at + half, turns ? b * by.cosine + a * by.sine : b);
        }
    }
}
LAUNCHABLE(rotate)
