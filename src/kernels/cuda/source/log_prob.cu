// From logits to log-probabilities and back: a block for each row of logits [rows, vocabulary].
#pragma once
#include "common.cuh"

// The log-probability of each row's target, the log-sum-exp, and the entropy of the distribution.
KERNEL(summarise)(float* log_probs, float* log_sums, float* entropies, const float* logits, const uint* targets,
                  int vocabulary) {
    const float* row = logits + (size_t)blockIdx.x * vocabulary;
    float top = -INFINITY;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) top = fmaxf(top, row[i]);
    top = block_max(top);
    // Sums of e^z and of z e^z with z = logit - top.
    float sum = 0, moment = 0;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
        float z = row[i] - top, weight = expf(z);
        sum += weight;
        moment = fmaf(weight, z, moment);
    }
    sum = block_sum(sum);
    moment = block_sum(moment);
    if (threadIdx.x == 0) {
        float log_sum = top + logf(sum);
        log_sums[blockIdx.x] = log_sum;
        entropies[blockIdx.x] = logf(sum) - moment / sum;
        log_probs[blockIdx.x] = row[targets[blockIdx.x]] - log_sum;
    }
}
LAUNCHABLE(summarise)

// Logits of tokens that could not be drawn, to far below the target's. A row whose list is empty keeps all of its own.
KERNEL(mask_logits)(float* logits, const uint* targets, const uint* starts, const uint* kept, int vocabulary, float below) {
    uint start = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    float* row = logits + (size_t)blockIdx.x * vocabulary;
    float least = row[targets[blockIdx.x]] - below;
    for (int i = threadIdx.x; i < vocabulary && start < end; i += blockDim.x) {
        // The first of the list that is not before this token.
        uint low = start, high = end;
        while (low < high) {
            uint middle = (low + high) / 2;
            if (kept[middle] < (uint)i) low = middle + 1;
            else high = middle;
        }
        if (low == end || kept[low] != (uint)i) row[i] = least;
    }
}
LAUNCHABLE(mask_logits)

// Gradients of the logits from those of log-probabilities (g) and entropies (h). `out` may be `logits`.
KERNEL(logit_gradients)(real* out, const float* logits, const float* log_sums, const float* entropies,
                        const uint* targets, const float* g, const float* h, int vocabulary) {
    size_t start = (size_t)blockIdx.x * vocabulary;
    float log_sum = log_sums[blockIdx.x], entropy = entropies[blockIdx.x];
    float of_log_prob = g[blockIdx.x], of_entropy = h[blockIdx.x];
    int target = targets[blockIdx.x];
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
        float log_prob = logits[start + i] - log_sum;
        float slope = -(of_log_prob + of_entropy * (log_prob + entropy)) * expf(log_prob);
        put(out, start + i, i == target ? slope + of_log_prob : slope);
    }
}
LAUNCHABLE(logit_gradients)
