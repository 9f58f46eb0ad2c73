// What every kernel builds on. All of them are compiled twice, for two types of activations: `real` is float, or
// bfloat16 where BF16 is defined. Sums, softmax, norms, gradients of weights and the residual stream are float in both.
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <mma.h>
#define KERNEL(name) extern "C" __global__ void name
// For blocks of at most so many threads, of which a processor of the card is to hold at least so many.
#define BOUNDED_KERNEL(name, threads, blocks) extern "C" __global__ __launch_bounds__(threads, blocks) void name
#define LAUNCHABLE(name)
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#else
#include "emulated.hpp"
#endif

typedef __nv_bfloat16 bf16;
#ifdef BF16
typedef bf16 real;
#else
typedef float real;
#endif

typedef unsigned int uint;

#define ALL_LANES 0xffffffffu

__device__ inline float get(const float* from, size_t at) { return from[at]; }
__device__ inline float get(const bf16* from, size_t at) { return __bfloat162float(from[at]); }
__device__ inline void put(float* to, size_t at, float value) { to[at] = value; }
__device__ inline void put(bf16* to, size_t at, float value) { to[at] = __float2bfloat16(value); }

__device__ inline int smaller(int a, int b) { return a < b ? a : b; }

// Eight values in a row, in pieces of 16 bytes where they are `aligned`. Only `there` of them are: in a register the
// others are zero, in memory they are left alone.
struct Eight {
    uint4 pieces[8 * sizeof(real) / 16];
    __device__ void read(const real* from, int there, bool aligned) {
        if (aligned && there >= 8) {
            for (int i = 0; i < (int)(8 * sizeof(real) / 16); i++) pieces[i] = ((const uint4*)from)[i];
        } else {
            for (int i = 0; i < 8; i++) set(i, i < there ? get(from, i) : 0.0f);
        }
    }
    __device__ void write(real* to, int there, bool aligned) const {
        if (aligned && there >= 8) {
            for (int i = 0; i < (int)(8 * sizeof(real) / 16); i++) ((uint4*)to)[i] = pieces[i];
        } else {
            for (int i = 0; i < 8; i++) {
                if (i < there) put(to, i, at(i));
            }
        }
    }
    __device__ float at(int i) const { return get((const real*)pieces, i); }
    __device__ void set(int i, float value) { put((real*)pieces, i, value); }
};

// The first element of a thread that goes through an array together with the whole grid, and how far it steps.
__device__ inline size_t grid_start() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline size_t grid_step() { return (size_t)gridDim.x * blockDim.x; }

template <typename T> __device__ inline T warp_sum(T value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(ALL_LANES, value, offset);
    return value;
}

__device__ inline float warp_max(float value) {
    for (int offset = 16; offset > 0; offset /= 2) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, offset));
    return value;
}

// Sums and maxima over a block of whole warps; every thread gets them, and they are folded in one fixed order.
template <typename T> __device__ inline T block_sum(T value) {
    __shared__ T parts[32];
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    T sum = 0;
    for (int warp = 0; warp < (int)blockDim.x / 32; warp++) sum += parts[warp];
    __syncthreads();
    return sum;
}

__device__ inline float block_max(float value) {
    __shared__ float parts[32];
    value = warp_max(value);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    float most = parts[0];
    for (int warp = 1; warp < (int)blockDim.x / 32; warp++) most = fmaxf(most, parts[warp]);
    __syncthreads();
    return most;
}
