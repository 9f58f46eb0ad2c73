// Generation: rows of new tokens against a cache of keys and values, [slot, key head, position, dim] of each layer. A
// row whose position is negative is empty, and nothing is done for it.
#pragma once
#include "rope.cu"

// Turns queries (in place) and keys by their positions, and keeps keys and values in the cache. A thread for each row
// and pair of dimensions.
KERNEL(keep)(real* qkv, real* keys, real* values, const int* slots, const int* positions, const float* frequencies,
             int rows, int query_heads, int key_heads, int dim, int capacity) {
    const int half = dim / 2, width = (query_heads + 2 * key_heads) * dim;
    for (size_t index = grid_start(); index < (size_t)rows * half; index += grid_step()) {
        const int row = index / half, i = index % half, position = positions[row];
        if (position < 0) continue;
        const Turn by = turn(position, frequencies[i]);
        real* heads = qkv + (size_t)row * width + i;
        for (int head = 0; head < query_heads + key_heads; head++) {
            real* from = heads + head * dim;
            const float a = get(from, 0), b = get(from, half);
            const float first = a * by.cosine - b * by.sine, second = b * by.cosine + a * by.sine;
            if (head < query_heads) {
                put(from, 0, first);
                put(from, half, second);
                continue;
            }
            const int key_head = head - query_heads;
            const size_t place = (((size_t)slots[row] * key_heads + key_head) * capacity + position) * dim + i;
            put(keys, place, first);
            put(keys, place + half, second);
            const real* value = from + key_heads * dim;
            values[place] = value[0];
            values[place + half] = value[half];
        }
    }
}
LAUNCHABLE(keep)

#define DECODE_WARPS 4
// Positions that a warp looks at together.
#define TOGETHER 4
// Dimensions of a lane: heads of up to 256.
#define PER_LANE 8

// A block for each row and query head; its warps take positions in turn, and a lane the same dimensions of all.
KERNEL(decode_attention)(real* out, const real* qkv, const real* keys, const real* values, const int* slots,
                         const int* positions, int query_heads, int key_heads, int dim, int capacity, float scale) {
    __shared__ float tops[DECODE_WARPS], sums[DECODE_WARPS], mixtures[DECODE_WARPS][PER_LANE * 32];
    const int row = blockIdx.x, head = blockIdx.y, position = positions[row];
    if (position < 0) return;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, mine = (dim + 31) / 32, first = lane * mine;
    const real* from = qkv + (size_t)row * (query_heads + 2 * key_heads) * dim + head * dim;
    const size_t start = ((size_t)slots[row] * key_heads + head / (query_heads / key_heads)) * capacity * dim;
    float query[PER_LANE], mixed[PER_LANE], top = -INFINITY, sum = 0;
    for (int i = 0; i < PER_LANE; i++) {
        query[i] = i < mine && first + i < dim ? get(from, first + i) * scale : 0.0f;
        mixed[i] = 0;
    }
    for (int at = warp * TOGETHER; at <= position; at += DECODE_WARPS * TOGETHER) {
        float scores[TOGETHER];
        for (int j = 0; j < TOGETHER; j++) {
            const size_t key = start + (size_t)smaller(at + j, position) * dim + first;
            float score = 0;
            for (int i = 0; i < PER_LANE; i++) {
                if (i < mine && first + i < dim) score = fmaf(query[i], get(keys, key + i), score);
            }
            scores[j] = score;
        }
        float most = top;
        for (int j = 0; j < TOGETHER; j++) {
            scores[j] = warp_sum(scores[j]);
            if (at + j > position) scores[j] = -INFINITY;
            most = fmaxf(most, scores[j]);
        }
        const float shrink = expf(top - most);
        sum *= shrink;
        for (int i = 0; i < PER_LANE; i++) mixed[i] *= shrink;
        for (int j = 0; j < TOGETHER; j++) {
            const float weight = expf(scores[j] - most);
            const size_t value = start + (size_t)smaller(at + j, position) * dim + first;
            sum += weight;
            for (int i = 0; i < PER_LANE; i++) {
                if (i < mine && first + i < dim) mixed[i] = fmaf(weight, get(values, value + i), mixed[i]);
            }
        }
        top = most;
    }
    if (lane == 0) {
        tops[warp] = top;
        sums[warp] = sum;
    }
    for (int i = 0; i < PER_LANE; i++) mixtures[warp][lane * PER_LANE + i] = mixed[i];
    __syncthreads();
    if (warp > 0) return;
    float most = tops[0], total = 0;
    for (int w = 1; w < DECODE_WARPS; w++) most = fmaxf(most, tops[w]);
    // A warp that has seen nothing has no weight.
    for (int w = 0; w < DECODE_WARPS; w++) total += sums[w] * expf(tops[w] - most);
    for (int i = 0; i < PER_LANE; i++) {
        if (i >= mine || first + i >= dim) break;
        float value = 0;
        for (int w = 0; w < DECODE_WARPS; w++) value += mixtures[w][lane * PER_LANE + i] * expf(tops[w] - most);
        put(out, ((size_t)row * query_heads + head) * dim + first + i, value / total);
    }
}
LAUNCHABLE(decode_attention)

// Gives slots the first positions of others: a block for each copy and each head of each layer of a cache
// [layer, slot, key head, position, dim].
KERNEL(copy_slots)(real* cache, const uint* from, const uint* to, const uint* counts, int slots, int key_heads,
                   int capacity, int dim) {
    const int copy = blockIdx.x, layer = blockIdx.y / key_heads, head = blockIdx.y % key_heads;
    const size_t stretch = (size_t)capacity * dim, begin = (size_t)layer * slots;
    const real* source = cache + ((begin + from[copy]) * key_heads + head) * stretch;
    real* target = cache + ((begin + to[copy]) * key_heads + head) * stretch;
    for (int i = threadIdx.x; i < (int)counts[copy] * dim; i += blockDim.x) target[i] = source[i];
}
LAUNCHABLE(copy_slots)

#define SAMPLER_THREADS 256
#define NO_TOKEN 0xffffffffu

// Draws a token of each row from softmax(logits / temperature) by the inverse of the cumulative distribution at
// `uniforms` in [0, 1). Temperature 0 takes the likeliest token (the first of equals) and gives the log-probability at
// temperature 1. A row with a logit that is not finite gives no token. A block for each row; its warps divide the
// vocabulary into stretches, so that what stands before a token is summed in the order of the tokens.
KERNEL(sample)(uint* tokens, float* log_probs, const float* logits, const float* temperatures, const double* uniforms,
               const int* positions, int vocabulary) {
    __shared__ double sums[SAMPLER_THREADS / 32];
    __shared__ int likeliest[SAMPLER_THREADS / 32], finite;
    if (positions[blockIdx.x] < 0) return;
    const float* row = logits + (size_t)blockIdx.x * vocabulary;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = SAMPLER_THREADS / 32;
    const int stretch = (vocabulary + warps - 1) / warps;
    const int first = smaller(warp * stretch, vocabulary), last = smaller(first + stretch, vocabulary);
    const float temperature = temperatures[blockIdx.x], scale = temperature == 0 ? 1.0f : 1.0f / temperature;

    float most = -INFINITY, wrong = 0;
    for (int i = first + lane; i < last; i += 32) {
        most = fmaxf(most, row[i]);
        // Zero times a finite number is zero, times anything else it is none.
        wrong += row[i] * 0.0f == 0.0f ? 0.0f : 1.0f;
    }
    most = block_max(most);
    wrong = block_sum(wrong);
    if (threadIdx.x == 0) finite = wrong == 0;
    double sum = 0;
    int best = vocabulary;
    for (int i = first + lane; i < last; i += 32) {
        sum += expf((row[i] - most) * scale);
        if (row[i] == most && i < best) best = i;
    }
    sum = warp_sum(sum);
    for (int offset = 16; offset > 0; offset /= 2) best = smaller(best, __shfl_xor_sync(ALL_LANES, best, offset));
    if (lane == 0) {
        sums[warp] = sum;
        likeliest[warp] = best;
    }
    __syncthreads();
    double total = 0;
    for (int w = 0; w < warps; w++) total += sums[w];
    // The stretch into which the draw falls; rounding may leave it behind the last that has any weight.
    const double drawn = uniforms[blockIdx.x] * total;
    double below = 0;
    int chosen = 0;
    while (chosen + 1 < warps && below + sums[chosen] <= drawn && (chosen + 1) * stretch < vocabulary) {
        below += sums[chosen++];
    }
    if (warp != chosen) return;
    uint token = NO_TOKEN;
    if (temperature == 0) {
        for (int w = warps - 1; w >= 0; w--) {
            if (likeliest[w] < vocabulary) token = likeliest[w];
        }
    } else {
        for (int i = first; i < last && token == NO_TOKEN; i += 32) {
            const double weight = i + lane < last ? (double)expf((row[i + lane] - most) * scale) : 0.0;
            const double here = warp_sum(weight);
            if (below + here > drawn || i + 32 >= last) {
                // It is one of these; the last of them where the draw fell into the rounding.
                const int count = smaller(32, last - i);
                double up_to = below;
                token = i + count - 1;
                bool passed = false;
                for (int j = 0; j < count; j++) {
                    up_to += __shfl_sync(ALL_LANES, weight, j);
                    if (up_to > drawn && !passed) {
                        token = i + j;
                        passed = true;
                    }
                }
            }
            below += here;
        }
    }
    if (lane == 0) {
        tokens[blockIdx.x] = finite ? token : NO_TOKEN;
        log_probs[blockIdx.x] = finite ? (float)((double)((row[token] - most) * scale) - log(total)) : 0.0f;
    }
}
LAUNCHABLE(sample)
