// Tiles of matrices in shared memory, and their products, which are summed in registers. A warp works on a stripe of
// ROWS rows of its own; in bf16 the products run on tensor cores.
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

// Numbers between two rows of the patch of shared memory through which sums in registers pass.
#define PATCH_STEP 20

#if defined(BF16) && defined(__CUDACC__)
// Operands of tensor cores from shared memory. What mma.h has for bf16 takes a generic address, and so many more loads.
#define LOAD_OPERAND(use, order, order_name)                                                                       \
    __device__ inline void load_operand(                                                                           \
        nvcuda::wmma::fragment<nvcuda::wmma::matrix_##use, 16, 16, 16, bf16, nvcuda::wmma::order>& tile,           \
        const bf16* from, int step) {                                                                              \
        unsigned* x = (unsigned*)&tile;                                                                            \
        static_assert(sizeof(tile) == 4 * sizeof(unsigned), "what the instruction loads");                         \
        asm volatile("wmma.load." #use ".sync.aligned." order_name ".m16n16k16.shared.bf16 {%0, %1, %2, %3}, [%4], %5;" \
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])                                              \
                     : "r"((unsigned)__cvta_generic_to_shared(from)), "r"(step)                                    \
                     : "memory");                                                                                  \
    }
LOAD_OPERAND(a, row_major, "row")
LOAD_OPERAND(b, row_major, "row")
LOAD_OPERAND(b, col_major, "col")
#endif

template <bool First, typename A, typename B> struct Either { typedef A Type; };
template <typename A, typename B> struct Either<false, A, B> { typedef B Type; };

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

// Sums of products of one warp, [ROWS, columns], in its registers; there is room for Columns. Columns and the inner
// dimension are multiples of 16.
template <int Columns> struct Sums {
#ifdef BF16
    typedef nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> Tile;
    Tile tiles[Columns / 16];
#else
    // A lane holds every 32nd, row after row.
    float values[ROWS * Columns / 32];
#endif

    __device__ void clear() {
#ifdef BF16
#pragma unroll
        for (int t = 0; t < Columns / 16; t++) nvcuda::wmma::fill_fragment(tiles[t], 0.0f);
#else
#pragma unroll
        for (int t = 0; t < ROWS * Columns / 32; t++) values[t] = 0;
#endif
    }

    // Adds a [ROWS, inner] b. Where `Transposed`, b is stored as [columns, inner].
    template <bool Transposed>
    __device__ void add(const real* a, int a_step, const real* b, int b_step, int columns, int inner) {
#ifdef BF16
        using namespace nvcuda;
        typedef typename Either<Transposed, wmma::col_major, wmma::row_major>::Type Order;
        for (int k = 0; k < inner; k += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, bf16, wmma::row_major> left;
            load_operand(left, a + k, a_step);
#pragma unroll
            for (int t = 0; t < Columns / 16; t++) {
                if (16 * t >= columns) break;
                wmma::fragment<wmma::matrix_b, 16, 16, 16, bf16, Order> right;
                load_operand(right, Transposed ? b + 16 * t * b_step + k : b + k * b_step + 16 * t, b_step);
                wmma::mma_sync(tiles[t], left, right, tiles[t]);
            }
        }
#else
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int t = 0; t < ROWS * Columns / 32; t++) {
            const int row = (32 * t + lane) / Columns, column = (32 * t + lane) % Columns;
            if (column >= columns) continue;
            for (int k = 0; k < inner; k++) {
                const float right = Transposed ? b[column * b_step + k] : b[k * b_step + column];
                values[t] = fmaf(a[row * a_step + k], right, values[t]);
            }
        }
#endif
        __syncwarp();
    }

    // Multiplies every row by a number that the lanes which share it know.
    __device__ void scale(float by, float* patch, int columns) {
        const int lane = threadIdx.x % 32;
#ifdef BF16
#pragma unroll
        for (int t = 0; t < Columns / 16; t++) {
            if (16 * t >= columns) break;
            nvcuda::wmma::store_matrix_sync(patch, tiles[t], PATCH_STEP, nvcuda::wmma::mem_row_major);
            __syncwarp();
            for (int i = lane % SHARING; i < 16; i += SHARING) patch[lane / SHARING * PATCH_STEP + i] *= by;
            __syncwarp();
            nvcuda::wmma::load_matrix_sync(tiles[t], patch, PATCH_STEP, nvcuda::wmma::mem_row_major);
            __syncwarp();
        }
#else
#pragma unroll
        for (int t = 0; t < ROWS * Columns / 32; t++) {
            values[t] *= __shfl_sync(ALL_LANES, by, (32 * t + lane) / Columns * SHARING);
        }
#endif
    }

    // Hands all sums to `take(row, column, sum)`. `patch` has room for ROWS * PATCH_STEP numbers, and no other warp
    // uses it.
    template <typename F> __device__ void each(float* patch, int columns, F take) {
        const int lane = threadIdx.x % 32;
#ifdef BF16
#pragma unroll
        for (int t = 0; t < Columns / 16; t++) {
            if (16 * t >= columns) break;
            nvcuda::wmma::store_matrix_sync(patch, tiles[t], PATCH_STEP, nvcuda::wmma::mem_row_major);
            __syncwarp();
            for (int i = lane; i < ROWS * 16; i += 32) take(i / 16, 16 * t + i % 16, patch[i / 16 * PATCH_STEP + i % 16]);
            __syncwarp();
        }
#else
#pragma unroll
        for (int t = 0; t < ROWS * Columns / 32; t++) {
            const int row = (32 * t + lane) / Columns, column = (32 * t + lane) % Columns;
            if (column < columns) take(row, column, values[t]);
        }
#endif
    }

    // Puts them into shared memory, a row every `step` numbers.
    __device__ void store(float* to, int step, int columns) {
#ifdef BF16
#pragma unroll
        for (int t = 0; t < Columns / 16; t++) {
            if (16 * t >= columns) break;
            nvcuda::wmma::store_matrix_sync(to + 16 * t, tiles[t], step, nvcuda::wmma::mem_row_major);
        }
        __syncwarp();
#else
        each(nullptr, columns, [&](int row, int column, float sum) { to[row * step + column] = sum; });
        __syncwarp();
#endif
    }
};

// c [ROWS, Columns] = a [ROWS, inner] b^T, where b is stored as [Columns, inner]; by one warp, into shared memory.
template <int Columns>
__device__ inline void product(float* c, int c_step, const real* a, int a_step, const real* b, int b_step, int inner) {
    Sums<Columns> sums;
    sums.clear();
    sums.template add<true>(a, a_step, b, b_step, Columns, inner);
    sums.store(c, c_step, Columns);
}
