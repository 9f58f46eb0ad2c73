// Generation: rows of new tokens against a cache of keys and values, [slot, key head, position, dim] of each layer. A
// row whose position is negative is empty, and nothing is done for it.
#pragma once
#include "rope.cu"

// Turns queries (in place) and keys by their positions, and keeps keys and values in the cache. A thread for each row,
// query or key head, and pair of dimensions.
KERNEL(keep)(real* qkv, real* keys, real* values, const int* slots, const int* positions, const float* frequencies,
             int rows, int query_heads, int key_heads, int dim, int capacity, float factor) {
    const uint half = dim / 2, turning = query_heads + key_heads;
    for (uint index = grid_start(); index < rows * turning * half; index += grid_step()) {
        const uint row = index / (turning * half), head = index / half % turning, i = index % half;
        const int position = positions[row];
        if (position < 0) continue;
        const Turn by = turn(position, frequencies[i], factor);
        real* from = qkv + ((size_t)row * (turning + key_heads) + head) * dim + i;
        const float a = get(from, 0), b = get(from, half);
        const float first = a * by.cosine - b * by.sine, second = b * by.cosine + a * by.sine;
        if (head < (uint)query_heads) {
            put(from, 0, first);
            put(from, half, second);
            continue;
        }
        const size_t place = (((size_t)slots[row] * key_heads + head - query_heads) * capacity + position) * dim + i;
        put(keys, place, first);
        put(keys, place + half, second);
        const real* value = from + key_heads * dim;
        values[place] = value[0];
        values[place + half] = value[half];
    }
}
LAUNCHABLE(keep)

#define DECODE_WARPS 4
// Query heads of one key head that a block computes from what it reads.
#define BESIDE 2
// Positions that a lane reads at once.
#define AT_ONCE 4
// Dimensions of a lane, as Eight has them; heads have up to 256, for which a warp is just enough.
#define PER_LANE 8

// What e^(top - most) is, also where nothing has been seen.
__device__ inline float relative(float top, float most) { return top == -INFINITY ? 0.0f : expf(top - most); }

// A block for each row and BESIDE query heads of one key head. A power of two of lanes shares a position; they take
// positions in turn, AT_ONCE of them at a time.
KERNEL(decode_attention)(real* out, const real* qkv, const real* keys, const real* values, const int* slots,
                         const int* positions, int query_heads, int key_heads, int dim, int capacity, float scale) {
    __shared__ float tops[BESIDE][DECODE_WARPS], sums[BESIDE][DECODE_WARPS];
    __shared__ float mixtures[BESIDE][DECODE_WARPS][PER_LANE * 32];
    const int row = blockIdx.x, position = positions[row];
    if (position < 0) return;
    const int group = query_heads / key_heads, shares = (group + BESIDE - 1) / BESIDE;
    const int key_head = blockIdx.y / shares, head = key_head * group + blockIdx.y % shares * BESIDE;
    const int heads = smaller(BESIDE, (key_head + 1) * group - head);
    int lanes = 1;
    while (lanes * PER_LANE < dim) lanes *= 2;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = lane % lanes * PER_LANE, there = dim - first;
    const int side = threadIdx.x / lanes, sides = DECODE_WARPS * 32 / lanes;
    const bool aligned = dim % PER_LANE == 0;
    const real* from = qkv + ((size_t)row * (query_heads + 2 * key_heads) + head) * dim + first;
    const size_t start = ((size_t)slots[row] * key_heads + key_head) * capacity * dim + first;
    float query[BESIDE][PER_LANE], mixed[BESIDE][PER_LANE], top[BESIDE], sum[BESIDE];
    for (int b = 0; b < BESIDE; b++) {
        for (int i = 0; i < PER_LANE; i++) {
            query[b][i] = b < heads && i < there ? get(from, b * dim + i) * scale : 0.0f;
            mixed[b][i] = 0;
        }
        top[b] = -INFINITY;
        sum[b] = 0;
    }
    for (int all = 0; all <= position; all += sides * AT_ONCE) {
        Eight key[AT_ONCE], value[AT_ONCE];
        for (int j = 0; j < AT_ONCE; j++) {
            const size_t place = start + (size_t)smaller(all + j * sides + side, position) * dim;
            key[j].read(keys + place, there, aligned);
            value[j].read(values + place, there, aligned);
        }
        for (int b = 0; b < BESIDE; b++) {
            float scores[AT_ONCE], most = top[b];
            for (int j = 0; j < AT_ONCE; j++) {
                float score = 0;
                for (int i = 0; i < PER_LANE; i++) score = fmaf(query[b][i], key[j].at(i), score);
                for (int offset = lanes / 2; offset > 0; offset /= 2) score += __shfl_xor_sync(ALL_LANES, score, offset);
                scores[j] = all + j * sides + side <= position ? score : -INFINITY;
                most = fmaxf(most, scores[j]);
            }
            const float shrink = relative(top[b], most);
            sum[b] *= shrink;
            for (int i = 0; i < PER_LANE; i++) mixed[b][i] *= shrink;
            for (int j = 0; j < AT_ONCE; j++) {
                const float weight = relative(scores[j], most);
                sum[b] += weight;
                for (int i = 0; i < PER_LANE; i++) mixed[b][i] = fmaf(weight, value[j].at(i), mixed[b][i]);
            }
            top[b] = most;
        }
    }
    for (int b = 0; b < BESIDE; b++) {
        // The lanes of a warp that share dimensions, then its share of the block.
        for (int offset = lanes; offset < 32; offset *= 2) {
            const float other = __shfl_xor_sync(ALL_LANES, top[b], offset), most = fmaxf(top[b], other);
            const float mine = relative(top[b], most), theirs = relative(other, most);
            sum[b] = sum[b] * mine + __shfl_xor_sync(ALL_LANES, sum[b], offset) * theirs;
            for (int i = 0; i < PER_LANE; i++) {
                mixed[b][i] = mixed[b][i] * mine + __shfl_xor_sync(ALL_LANES, mixed[b][i], offset) * theirs;
            }
            top[b] = most;
        }
        if (lane == 0) {
            tops[b][warp] = top[b];
            sums[b][warp] = sum[b];
        }
        if (lane < lanes) {
            for (int i = 0; i < PER_LANE; i++) mixtures[b][warp][first + i] = mixed[b][i];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < heads * dim; i += blockDim.x) {
        const int b = i / dim;
        float most = tops[b][0], total = 0, value = 0;
        for (int w = 1; w < DECODE_WARPS; w++) most = fmaxf(most, tops[b][w]);
        for (int w = 0; w < DECODE_WARPS; w++) {
            const float weight = relative(tops[b][w], most);
            total += sums[b][w] * weight;
            value += mixtures[b][w][i % dim] * weight;
        }
        put(out, ((size_t)row * query_heads + head) * dim + i, value / total);
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

#define SAMPLER_THREADS 1024
// Tokens in a row that a lane weighs at once.
#define WEIGHED 4
#define NO_TOKEN 0xffffffffu

// Draws a token of each row from softmax(logits / temperature) by the inverse of the cumulative distribution at
// `uniforms` in [0, 1). Temperature 0 takes the likeliest token (the first of equals) and gives the log-probability at
// temperature 1. A row with a logit that is not finite gives no token. A block for each row; its warps divide the
// vocabulary into stretches, so that what stands before a token is summed in the order of the tokens.
BOUNDED_KERNEL(sample, SAMPLER_THREADS, 1)(uint* tokens, float* log_probs, const float* logits,
                                           const float* temperatures, const double* uniforms, const int* positions,
                                           int vocabulary) {
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
        for (int i = first; i < last && token == NO_TOKEN; i += 32 * WEIGHED) {
            const int mine = i + lane * WEIGHED;
            double weights[WEIGHED], weight = 0;
            for (int j = 0; j < WEIGHED; j++) {
                weights[j] = mine + j < last ? (double)expf((row[mine + j] - most) * scale) : 0.0;
                weight += weights[j];
            }
            const double here = warp_sum(weight);
            if (below + here > drawn || i + 32 * WEIGHED >= last) {
                // It is one of these; the last of them where the draw fell into the rounding.
                double up_to = below;
                for (int before = 0; before < 31; before++) {
                    const double other = __shfl_sync(ALL_LANES, weight, before);
                    if (before < lane) up_to += other;
                }
                int passed = smaller(i + 32 * WEIGHED, last) - 1;
                for (int j = 0; j < WEIGHED; j++) {
                    up_to += weights[j];
                    if (up_to > drawn) passed = smaller(passed, mine + j);
                }
                for (int offset = 16; offset > 0; offset /= 2) {
                    passed = smaller(passed, __shfl_xor_sync(ALL_LANES, passed, offset));
                }
                token = passed;
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
