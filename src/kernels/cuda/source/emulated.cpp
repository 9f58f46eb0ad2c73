// All kernels for the processor: a shared library that tests load.
#include "emulated.hpp"

thread_local emulated::Block* emulated::block;
thread_local emulated::Index blockIdx, blockDim, gridDim, threadIdx;

#include "kernels.cu"
