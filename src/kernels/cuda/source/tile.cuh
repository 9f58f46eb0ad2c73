// Tiles of matrices in shared memory, and their products. A warp works on a stripe of ROWS rows of its own; in bf16
// the products run on tensor cores.
#pragma once
#include "common.cuh"

#define WARPS 4
#define THREADS (WARPS * 32)
#ifdef BF16
#define ROWS 16
#else
#define ROWS 8
#endif
// Rows of a tile that a block owns.
#define OWN (WARPS * ROWS)
// Lanes that share a row of a stripe.
#define SHARING (32 / ROWS)

// Columns of a head in shared memory: whole tensor-core tiles, and between two rows a shift of 16 bytes, so that rows
// do not all begin in the same bank.
__device__ inline int padded(int dim) { return (dim + 15) / 16 * 16; }
__device__ inline int real_step(int dim) { return padded(dim) + 16 / (int)sizeof(real); }
__device__ inline int float_step(int columns) { return columns + 4; }

// Shared memory, handed out piece by piece.
struct Memory {
    unsigned char* next;
    template <typename T> __device__ T* take(int count) {
        T* piece = (T*)next;
        next += (count * sizeof(T) + 127) / 128 * 128;
        return piece;
    }
};

// Fills a tile of `capacity` rows with `rows` rows of `dim` values, a row of memory every `row_step` values, and
// zeros. All threads of the block take part.
__device__ inline void load_tile(real* to, const real* from, size_t row_step, int rows, int capacity, int dim) {
    const int lanes = 16 / sizeof(real), step = real_step(dim), columns = padded(dim);
    bool aligned = dim % lanes == 0 && row_step % lanes == 0 && (size_t)from % 16 == 0;
    for (int i = threadIdx.x; i < capacity * (columns / lanes); i += blockDim.x) {
        int row = i / (columns / lanes), column = i % (columns / lanes) * lanes;
        real* place = to + row * step + column;
        if (aligned && row < rows && column < dim) {
            *(uint4*)place = *(const uint4*)(from + row * row_step + column);
        } else {
            for (int j = 0; j < lanes; j++) {
                bool there = row < rows && column + j < dim;
                put(place, j, there ? get(from, row * row_step + column + j) : 0.0f);
            }
        }
    }
}

template <bool First, typename A, typename B> struct Either { typedef A Type; };
template <typename A, typename B> struct Either<false, A, B> { typedef B Type; };

// c [ROWS, columns] = a [ROWS, inner] b or c += a b, by one warp. Where `Transposed`, b is stored as [columns, inner].
// Columns and inner are multiples of 16.
template <bool Transposed, bool Add>
__device__ inline void multiply(float* c, int c_step, const real* a, int a_step, const real* b, int b_step, int columns,
                                int inner) {
#ifdef BF16
    using namespace nvcuda;
    typedef typename Either<Transposed, wmma::col_major, wmma::row_major>::Type Order;
    for (int column = 0; column < columns; column += 16) {
        wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
        if (Add) wmma::load_matrix_sync(sum, c + column, c_step, wmma::mem_row_major);
        else wmma::fill_fragment(sum, 0.0f);
        for (int k = 0; k < inner; k += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, bf16, wmma::row_major> left;
            wmma::fragment<wmma::matrix_b, 16, 16, 16, bf16, Order> right;
            wmma::load_matrix_sync(left, a + k, a_step);
            wmma::load_matrix_sync(right, Transposed ? b + column * b_step + k : b + k * b_step + column, b_step);
            wmma::mma_sync(sum, left, right, sum);
        }
        wmma::store_matrix_sync(c + column, sum, c_step, wmma::mem_row_major);
    }
#else
    for (int i = threadIdx.x % 32; i < ROWS * columns; i += 32) {
        int row = i / columns, column = i % columns;
        float sum = Add ? c[row * c_step + column] : 0.0f;
        for (int k = 0; k < inner; k++) {
            sum = fmaf(a[row * a_step + k], Transposed ? b[column * b_step + k] : b[k * b_step + column], sum);
        }
        c[row * c_step + column] = sum;
    }
#endif
    __syncwarp();
}

// Zeros in the stripe of one warp.
__device__ inline void clear_stripe(float* stripe, int step, int columns) {
    for (int i = threadIdx.x % 32; i < ROWS * columns; i += 32) stripe[i / columns * step + i % columns] = 0;
    __syncwarp();
}
