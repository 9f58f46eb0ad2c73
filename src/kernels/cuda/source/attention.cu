// Causal grouped-query attention over packed sequences whose rows hold rotated queries and keys, and values, side by
// side. The forward pass keeps the logarithm of each softmax's denominator, from which the backward pass recomputes
// the probabilities (Dao et al., 2022).
//
// Which rows see which follows from two numbers of each row: `first`, the first row of its family (a trunk and its
// branches), and `end`, the row behind the last that may see it: the end of the family for a row of a trunk, else the
// end of its own sequence. Row q sees row k if k <= q < end[k].
#pragma once
#include "tile.cuh"

// Rows of a tile that a block goes through while its own stay.
#ifdef BF16
#define PASSING 64
#else
#define PASSING 32
#endif
// The same in the backward pass, which holds more.
#define PASSING_BACK 32

struct Shape {
    int query_heads, key_heads, dim;
    __device__ int width() const { return (query_heads + 2 * key_heads) * dim; }
    __device__ int key_head(int head) const { return head / (query_heads / key_heads); }
    // Columns where a head's queries, keys and values begin.
    __device__ int queries(int head) const { return head * dim; }
    __device__ int keys(int key_head) const { return (query_heads + key_head) * dim; }
    __device__ int values(int key_head) const { return (query_heads + key_heads + key_head) * dim; }
};

// What a lane works on in the stripe of its warp: one row, and every SHARING-th column.
struct Lane {
    int warp, row, part;
    __device__ Lane() : warp(threadIdx.x / 32), row(threadIdx.x % 32 / SHARING), part(threadIdx.x % SHARING) {}
};

template <typename F> __device__ inline float over_sharing(float value, F combine) {
    for (int offset = SHARING / 2; offset > 0; offset /= 2) {
        value = combine(value, __shfl_xor_sync(ALL_LANES, value, offset));
    }
    return value;
}

struct Max { __device__ float operator()(float a, float b) const { return fmaxf(a, b); } };
struct Sum { __device__ float operator()(float a, float b) const { return a + b; } };

// Scores may exceed what the sums of a row are relative to by so much; e^8 is far from what float cannot hold. So the
// sums are rarely scaled.
#define SLACK 8.0f

// A block for each tile of queries of each head.
template <int Columns>
__device__ inline void forward(real* out, float* log_sums, const real* qkv, const uint* first, const uint* end, int n,
                               Shape shape, float scale) {
    DYNAMIC_SHARED(shared);
    const int head = blockIdx.y, key_head = shape.key_head(head), width = shape.width(), dim = shape.dim;
    const int step = real_step(dim), columns = padded(dim);
    const int score_step = float_step(PASSING), weight_step = score_step * sizeof(float) / sizeof(real);
    Memory memory = {shared};
    real* queries = memory.take<real>(OWN * step);
    real* keys = memory.take<real>(PASSING * step);
    real* values = memory.take<real>(PASSING * step);
    float* all_scores = memory.take<float>(OWN * score_step);
    int* ends = memory.take<int>(PASSING);
    float* totals = memory.take<float>(OWN);

    const int q0 = blockIdx.x * OWN, own = smaller(OWN, n - q0);
    const Lane lane;
    const int stripe = lane.warp * ROWS, q = q0 + stripe + lane.row;
    float* scores = all_scores + stripe * score_step;
    // Probabilities take the place of scores.
    real* weights = (real*)scores;
    load_tile(queries, qkv + (size_t)q0 * width + shape.queries(head), width, own, OWN, dim);
    Sums<Columns> mixed;
    mixed.clear();
    float top = -INFINITY, sum = 0;
    for (int k0 = first[q0]; k0 < q0 + own; k0 += PASSING) {
        const int passing = smaller(PASSING, q0 + own - k0);
        const int last = (int)threadIdx.x < passing ? end[k0 + threadIdx.x] : 0;
        // Also waits until the tile before is no longer read.
        if (!__syncthreads_or(last > q0)) continue;
        if (threadIdx.x < PASSING) ends[threadIdx.x] = last;
        const real* rows = qkv + (size_t)k0 * width;
        load_tile(keys, rows + shape.keys(key_head), width, passing, PASSING, dim);
        load_tile(values, rows + shape.values(key_head), width, passing, PASSING, dim);
        __syncthreads();
        product<PASSING>(scores, score_step, queries + stripe * step, step, keys, step, columns);

        float of_row[PASSING / SHARING], most = -INFINITY;
        for (int i = 0; i < PASSING / SHARING; i++) {
            const int column = lane.part + SHARING * i;
            const bool seen = k0 + column <= q && q < ends[column];
            of_row[i] = seen ? scores[lane.row * score_step + column] * scale : -INFINITY;
            most = fmaxf(most, of_row[i]);
        }
        most = over_sharing(most, Max());
        const bool rises = most > top + SLACK;
        const float shrink = rises ? expf(top - most) : 1.0f;
        if (warp_max(rises && top != -INFINITY ? 1.0f : 0.0f) > 0) mixed.scale(shrink, scores, columns);
        if (rises) top = most;
        float added = 0;
        for (int i = 0; i < PASSING / SHARING; i++) {
            const float weight = of_row[i] == -INFINITY ? 0.0f : expf(of_row[i] - top);
            added += weight;
            put(weights, lane.row * weight_step + lane.part + SHARING * i, weight);
        }
        sum = sum * shrink + over_sharing(added, Sum());
        __syncwarp();
        mixed.template add<false>(weights, weight_step, values, step, columns, PASSING);
    }
    if (lane.part == 0) {
        totals[stripe + lane.row] = sum;
        if (q < n) log_sums[(size_t)q * shape.query_heads + head] = top + logf(sum);
    }
    __syncwarp();
    mixed.each(scores, columns, [&](int row, int column, float value) {
        if (stripe + row >= own || column >= dim) return;
        put(out, ((size_t)(q0 + stripe + row) * shape.query_heads + head) * dim + column, value / totals[stripe + row]);
    });
}

// What the softmax's backward pass subtracts: output . gradient, for each row and head. A warp for each.
KERNEL(attention_means)(float* means, const real* output, const real* gradient, size_t count, int dim) {
    size_t index = grid_start() / 32;
    if (index >= count) return;
    float sum = 0;
    for (int i = threadIdx.x % 32; i < dim; i += 32) {
        sum = fmaf(get(output, index * dim + i), get(gradient, index * dim + i), sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) means[index] = sum;
}
LAUNCHABLE(attention_means)

// Scores of a stripe, and gradients of its probabilities, to probabilities and to gradients of the scores: both in
// place, as `real`. `pair(column)` gives the query, the key, and whether one sees the other.
struct Pair {
    bool seen;
    float log_sum, mean;
};
template <typename F>
__device__ inline void softmax_backward(float* scores, float* slopes, int step, const Lane& lane, float scale, F pair) {
    float p[PASSING_BACK / SHARING], d[PASSING_BACK / SHARING];
    for (int i = 0; i < PASSING_BACK / SHARING; i++) {
        const int column = lane.part + SHARING * i, at = lane.row * step + column;
        const Pair known = pair(column);
        p[i] = known.seen ? expf(scores[at] * scale - known.log_sum) : 0.0f;
        d[i] = p[i] * (slopes[at] - known.mean) * scale;
    }
    __syncwarp();
    const int real_step = step * sizeof(float) / sizeof(real);
    for (int i = 0; i < PASSING_BACK / SHARING; i++) {
        const int at = lane.row * real_step + lane.part + SHARING * i;
        put((real*)scores, at, p[i]);
        put((real*)slopes, at, d[i]);
    }
    __syncwarp();
}

// Gradients of keys and values: a block for each tile of keys of each key head, through all queries that see them.
template <int Columns>
__device__ inline void keys_backward(real* d_qkv, const real* qkv, const real* gradient, const float* log_sums,
                                     const float* means, const uint* end, int n, Shape shape, float scale) {
    DYNAMIC_SHARED(shared);
    const int key_head = blockIdx.y, width = shape.width(), dim = shape.dim, query_heads = shape.query_heads;
    const int group = query_heads / shape.key_heads, step = real_step(dim), columns = padded(dim);
    const int score_step = float_step(PASSING_BACK), weight_step = score_step * sizeof(float) / sizeof(real);
    Memory memory = {shared};
    real* keys = memory.take<real>(OWN * step);
    real* values = memory.take<real>(OWN * step);
    real* queries = memory.take<real>(PASSING_BACK * step);
    real* slopes = memory.take<real>(PASSING_BACK * step);
    float* all_scores = memory.take<float>(OWN * score_step);
    float* all_d_scores = memory.take<float>(OWN * score_step);
    float* row_log_sums = memory.take<float>(PASSING_BACK);
    float* row_means = memory.take<float>(PASSING_BACK);
    int* ends = memory.take<int>(OWN);

    const int k0 = blockIdx.x * OWN, own = smaller(OWN, n - k0);
    const Lane lane;
    const int stripe = lane.warp * ROWS, k = k0 + stripe + lane.row;
    float *scores = all_scores + stripe * score_step, *d_scores = all_d_scores + stripe * score_step;
    Sums<Columns> d_keys, d_values;
    d_keys.clear();
    d_values.clear();
    const real* rows = qkv + (size_t)k0 * width;
    load_tile(keys, rows + shape.keys(key_head), width, own, OWN, dim);
    load_tile(values, rows + shape.values(key_head), width, own, OWN, dim);
    if (threadIdx.x < OWN) ends[threadIdx.x] = (int)threadIdx.x < own ? end[k0 + threadIdx.x] : 0;
    __syncthreads();
    int last = 0;
    for (int i = 0; i < own; i++) last = last < ends[i] ? ends[i] : last;

    for (int head = key_head * group; head < (key_head + 1) * group; head++) {
        for (int q0 = k0; q0 < last; q0 += PASSING_BACK) {
            if (!__syncthreads_or((int)threadIdx.x < own && ends[threadIdx.x] > q0)) continue;
            const int passing = smaller(PASSING_BACK, last - q0);
            load_tile(queries, qkv + (size_t)q0 * width + shape.queries(head), width, passing, PASSING_BACK, dim);
            const size_t out_width = (size_t)query_heads * dim;
            load_tile(slopes, gradient + q0 * out_width + head * dim, out_width, passing, PASSING_BACK, dim);
            if ((int)threadIdx.x < passing) {
                const size_t at = (size_t)(q0 + threadIdx.x) * query_heads + head;
                row_log_sums[threadIdx.x] = log_sums[at];
                row_means[threadIdx.x] = means[at];
            }
            __syncthreads();
            // Transposed: rows are keys, columns queries.
            product<PASSING_BACK>(scores, score_step, keys + stripe * step, step, queries, step, columns);
            product<PASSING_BACK>(d_scores, score_step, values + stripe * step, step, slopes, step, columns);
            const int seen_until = ends[stripe + lane.row];
            softmax_backward(scores, d_scores, score_step, lane, scale, [&](int column) {
                const bool seen = column < passing && k <= q0 + column && q0 + column < seen_until;
                Pair pair = {seen, seen ? row_log_sums[column] : 0.0f, seen ? row_means[column] : 0.0f};
                return pair;
            });
            d_values.template add<false>((real*)scores, weight_step, slopes, step, columns, PASSING_BACK);
            d_keys.template add<false>((real*)d_scores, weight_step, queries, step, columns, PASSING_BACK);
        }
    }
    const auto keep = [&](Sums<Columns>& sums, int from) {
        sums.each(scores, columns, [&](int row, int column, float value) {
            if (stripe + row < own && column < dim) {
                put(d_qkv, (size_t)(k0 + stripe + row) * width + from + column, value);
            }
        });
    };
    keep(d_keys, shape.keys(key_head));
    keep(d_values, shape.values(key_head));
}

// Gradients of queries: a block for each tile of queries of each head, through all keys that they see.
template <int Columns>
__device__ inline void queries_backward(real* d_qkv, const real* qkv, const real* gradient, const float* log_sums,
                                        const float* means, const uint* first, const uint* end, int n, Shape shape,
                                        float scale) {
    DYNAMIC_SHARED(shared);
    const int head = blockIdx.y, key_head = shape.key_head(head), width = shape.width(), dim = shape.dim;
    const int query_heads = shape.query_heads, step = real_step(dim), columns = padded(dim);
    const int score_step = float_step(PASSING_BACK), weight_step = score_step * sizeof(float) / sizeof(real);
    Memory memory = {shared};
    real* queries = memory.take<real>(OWN * step);
    real* slopes = memory.take<real>(OWN * step);
    real* keys = memory.take<real>(PASSING_BACK * step);
    real* values = memory.take<real>(PASSING_BACK * step);
    float* all_scores = memory.take<float>(OWN * score_step);
    float* all_d_scores = memory.take<float>(OWN * score_step);
    int* ends = memory.take<int>(PASSING_BACK);

    const int q0 = blockIdx.x * OWN, own = smaller(OWN, n - q0);
    const Lane lane;
    const int stripe = lane.warp * ROWS, q = q0 + stripe + lane.row;
    float *scores = all_scores + stripe * score_step, *d_scores = all_d_scores + stripe * score_step;
    Sums<Columns> d_queries;
    d_queries.clear();
    const size_t out_width = (size_t)query_heads * dim;
    load_tile(queries, qkv + (size_t)q0 * width + shape.queries(head), width, own, OWN, dim);
    load_tile(slopes, gradient + q0 * out_width + head * dim, out_width, own, OWN, dim);
    const float log_sum = q < n ? log_sums[(size_t)q * query_heads + head] : 0.0f;
    const float mean = q < n ? means[(size_t)q * query_heads + head] : 0.0f;
    for (int k0 = first[q0]; k0 < q0 + own; k0 += PASSING_BACK) {
        const int passing = smaller(PASSING_BACK, q0 + own - k0);
        const int last = (int)threadIdx.x < passing ? end[k0 + threadIdx.x] : 0;
        if (!__syncthreads_or(last > q0)) continue;
        if (threadIdx.x < PASSING_BACK) ends[threadIdx.x] = last;
        const real* rows = qkv + (size_t)k0 * width;
        load_tile(keys, rows + shape.keys(key_head), width, passing, PASSING_BACK, dim);
        load_tile(values, rows + shape.values(key_head), width, passing, PASSING_BACK, dim);
        __syncthreads();
        product<PASSING_BACK>(scores, score_step, queries + stripe * step, step, keys, step, columns);
        product<PASSING_BACK>(d_scores, score_step, slopes + stripe * step, step, values, step, columns);
        softmax_backward(scores, d_scores, score_step, lane, scale, [&](int column) {
            Pair pair = {k0 + column <= q && q < ends[column], log_sum, mean};
            return pair;
        });
        d_queries.template add<false>((real*)d_scores, weight_step, keys, step, columns, PASSING_BACK);
    }
    d_queries.each(scores, columns, [&](int row, int column, float value) {
        if (stripe + row < own && column < dim) {
            put(d_qkv, (size_t)(q0 + stripe + row) * width + shape.queries(head) + column, value);
        }
    });
}

// Each for heads of up to 64, 128 and 256 dimensions: what the sums take decides how many blocks run side by side.
#define ATTENTION(columns)                                                                                         \
    KERNEL(attention_##columns)(real* out, float* log_sums, const real* qkv, const uint* first, const uint* end,   \
                                int n, int query_heads, int key_heads, int dim, float scale) {                     \
        const Shape shape = {query_heads, key_heads, dim};                                                         \
        forward<columns>(out, log_sums, qkv, first, end, n, shape, scale);                                         \
    }                                                                                                              \
    LAUNCHABLE(attention_##columns)                                                                                \
    KERNEL(attention_keys_backward_##columns)(real* d_qkv, const real* qkv, const real* gradient,                  \
                                              const float* log_sums, const float* means, const uint* end, int n,   \
                                              int query_heads, int key_heads, int dim, float scale) {              \
        const Shape shape = {query_heads, key_heads, dim};                                                         \
        keys_backward<columns>(d_qkv, qkv, gradient, log_sums, means, end, n, shape, scale);                       \
    }                                                                                                              \
    LAUNCHABLE(attention_keys_backward_##columns)                                                                  \
    BOUNDED_KERNEL(attention_queries_backward_##columns, THREADS, columns > 128 ? 1 : columns > 64 ? 3 : 4)(       \
        real* d_qkv, const real* qkv, const real* gradient, const float* log_sums, const float* means,             \
        const uint* first, const uint* end, int n, int query_heads, int key_heads, int dim, float scale) {         \
        const Shape shape = {query_heads, key_heads, dim};                                                         \
        queries_backward<columns>(d_qkv, qkv, gradient, log_sums, means, first, end, n, shape, scale);             \
    }                                                                                                              \
    LAUNCHABLE(attention_queries_backward_##columns)

ATTENTION(64)
ATTENTION(128)
ATTENTION(256)
