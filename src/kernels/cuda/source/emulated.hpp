// A card that is not there: lets a C++ compiler build the kernels for the processor, so that tests can run them where
// there is no GPU. The threads of a block are fibers of one thread. A fiber runs until it has to wait for its warp or
// its block, or ends; then the next one runs. What a kernel computes, and which threads wait where, is what a card
// would do; how fast, and what happens when threads race, is not.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#define __device__
#define __shared__ static thread_local
#define KERNEL(name) static void name
#define BOUNDED_KERNEL(name, threads, blocks) KERNEL(name)
#define LAUNCHABLE(name)                                                                        \
    extern "C" const char* emulate_##name(const emulated::Launch* launch, void** arguments) { \
        return emulated::launch(name, *launch, arguments);                                      \
    }
#define DYNAMIC_SHARED(name) unsigned char* name = emulated::block->dynamic

struct uint4 {
    uint32_t x, y, z, w;
};

struct __nv_bfloat16 {
    uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) {
    uint32_t bits = (uint32_t)x.bits << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline __nv_bfloat16 __float2bfloat16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (x != x) return {(uint16_t)0x7fff};
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

namespace emulated {

// As handed in by the tests.
struct Launch {
    uint32_t blocks[3], threads, shared_bytes;
};

enum State { Running, WaitsForWarp, WaitsForBlock, Ended };

struct Fiber {
    State state;
    jmp_buf place;
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    // Shuffles alternate between two slots: nobody can be two ahead of its warp.
    int parity;
    int64_t slots[2];
};

struct Block {
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::function<void()> kernel;
    jmp_buf scheduler;
    ucontext_t scheduler_context;
    unsigned char* dynamic = nullptr;
    int current = 0, threads = 0;
    // Votes of __syncthreads_or.
    bool votes[2] = {false, false};
    int rounds = 0;
    float tiles[32][2][256];
};

extern thread_local Block* block;

struct Index {
    uint32_t x, y, z;
};

constexpr size_t STACK = 128 << 10;

inline Fiber& self() { return *block->fibers[block->current]; }

inline void yield(State state) {
    Fiber& fiber = self();
    fiber.state = state;
    if (_setjmp(fiber.place) == 0) _longjmp(block->scheduler, 1);
}

}  // namespace emulated

extern thread_local emulated::Index blockIdx, blockDim, gridDim, threadIdx;

namespace emulated {

inline void live() {
    for (;;) {
        block->kernel();
        yield(Ended);
    }
}

inline void resume(int number) {
    block->current = number;
    threadIdx = {(uint32_t)number, 0, 0};
    if (_setjmp(block->scheduler) == 0) _longjmp(block->fibers[number]->place, 1);
}

inline void grow(int threads) {
    while ((int)block->fibers.size() < threads) {
        block->fibers.emplace_back(new Fiber);
        Fiber& fiber = *block->fibers.back();
        fiber.stack.reset(new char[STACK]);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, (void (*)())live, 0);
    }
}

// Runs all threads of a block to their ends. Says what is wrong when they wait for each other for ever.
inline const char* run_block(std::vector<bool>& begun) {
    const int threads = block->threads;
    for (int i = 0; i < threads; i++) {
        block->fibers[i]->state = Running;
        block->fibers[i]->parity = 0;
    }
    block->rounds = 0;
    block->votes[0] = block->votes[1] = false;
    for (;;) {
        bool ran = false, all_ended = true;
        for (int i = 0; i < threads; i++) {
            if (block->fibers[i]->state != Running) continue;
            ran = true;
            if (begun[i]) {
                resume(i);
            } else {
                begun[i] = true;
                block->current = i;
                threadIdx = {(uint32_t)i, 0, 0};
                if (_setjmp(block->scheduler) == 0) setcontext(&block->fibers[i]->context);
            }
        }
        auto all = [&](int from, int to, State state) {
            bool some = false;
            for (int i = from; i < to; i++) {
                State found = block->fibers[i]->state;
                if (found != Ended && found != state) return false;
                some |= found == state;
            }
            return some;
        };
        auto release = [&](int from, int to) {
            for (int i = from; i < to; i++) {
                if (block->fibers[i]->state != Ended) block->fibers[i]->state = Running;
            }
            ran = true;
        };
        for (int warp = 0; warp < threads; warp += 32) {
            if (all(warp, std::min(warp + 32, threads), WaitsForWarp)) release(warp, std::min(warp + 32, threads));
        }
        if (all(0, threads, WaitsForBlock)) {
            block->rounds++;
            block->votes[block->rounds % 2] = false;
            release(0, threads);
        }
        for (int i = 0; i < threads; i++) all_ended &= block->fibers[i]->state == Ended;
        if (all_ended) return nullptr;
        if (!ran) return "threads of a block wait for each other for ever";
    }
}

template <typename... A, size_t... I>
const char* launch(void (*kernel)(A...), const Launch& launch, void** arguments, std::index_sequence<I...>) {
    // Lives as long as its thread: making fibers takes longer than most kernels.
    static thread_local Block mine;
    static thread_local std::vector<bool> begun(1024, false);
    block = &mine;
    mine.threads = launch.threads;
    if (launch.threads == 0 || launch.threads > 1024) return "a block of no threads, or of more than 1024";
    grow(launch.threads);
    // A kernel that takes more than it asked for is found out.
    const unsigned char mark = 0xA5;
    std::vector<unsigned char> memory(launch.shared_bytes + 128 + 64);
    mine.dynamic = (unsigned char*)(((uintptr_t)memory.data() + 127) / 128 * 128);
    unsigned char* behind = mine.dynamic + launch.shared_bytes;
    blockDim = {launch.threads, 1, 1};
    gridDim = {launch.blocks[0], launch.blocks[1], launch.blocks[2]};
    mine.kernel = [&] { kernel(*(typename std::remove_reference<A>::type*)arguments[I]...); };
    for (uint32_t z = 0; z < gridDim.z; z++)
        for (uint32_t y = 0; y < gridDim.y; y++)
            for (uint32_t x = 0; x < gridDim.x; x++) {
                blockIdx = {x, y, z};
                // Shared memory begins with whatever is there.
                memset(memory.data(), 0xff, memory.size());
                const size_t room = memory.data() + memory.size() - behind;
                memset(behind, mark, room);
                if (const char* error = run_block(begun)) return error;
                for (size_t i = 0; i < room; i++) {
                    if (behind[i] != mark) return "a kernel wrote behind its shared memory";
                }
            }
    return nullptr;
}

template <typename... A> const char* launch(void (*kernel)(A...), const Launch& how, void** arguments) {
    return launch(kernel, how, arguments, std::index_sequence_for<A...>());
}

}  // namespace emulated

inline void __syncthreads() { emulated::yield(emulated::WaitsForBlock); }
inline void __syncwarp() { emulated::yield(emulated::WaitsForWarp); }
inline int __syncthreads_or(int vote) {
    const int round = emulated::block->rounds % 2;
    if (vote) emulated::block->votes[round] = true;
    __syncthreads();
    return emulated::block->votes[round];
}

template <typename T> T exchange(T value, int from) {
    static_assert(sizeof(T) <= 8, "a register");
    emulated::Fiber& fiber = emulated::self();
    const int parity = fiber.parity;
    fiber.parity = 1 - parity;
    memcpy(&fiber.slots[parity], &value, sizeof(T));
    const int warp = emulated::block->current / 32 * 32;
    emulated::yield(emulated::WaitsForWarp);
    T found;
    memcpy(&found, &emulated::block->fibers[warp + from]->slots[parity], sizeof(T));
    return found;
}
template <typename T> T __shfl_xor_sync(unsigned, T value, int offset) {
    return exchange(value, emulated::block->current % 32 ^ offset);
}
template <typename T> T __shfl_sync(unsigned, T value, int lane) { return exchange(value, lane); }

// Tensor cores: a lane holds eight elements of a tile, and sees the others through memory that the warp shares.
namespace nvcuda {
namespace wmma {
struct row_major {};
struct col_major {};
struct matrix_a {};
struct matrix_b {};
struct accumulator {};
enum layout_t { mem_row_major };
template <typename Use, int M, int N, int K, typename T, typename Order = row_major> struct fragment {
    float x[8];
};
inline int first() { return emulated::block->current % 32 * 8; }
inline size_t at(int i, int step, row_major) { return (size_t)(i / 16) * step + i % 16; }
inline size_t at(int i, int step, col_major) { return (size_t)(i % 16) * step + i / 16; }
template <typename U, int M, int N, int K, typename T, typename O>
void load_matrix_sync(fragment<U, M, N, K, T, O>& tile, const float* from, int step, layout_t) {
    for (int i = 0; i < 8; i++) tile.x[i] = from[at(first() + i, step, row_major())];
}
template <typename F> void fill_fragment(F& tile, float value) { std::fill(tile.x, tile.x + 8, value); }
template <typename F> void store_matrix_sync(float* to, const F& tile, int step, layout_t) {
    for (int i = 0; i < 8; i++) to[at(first() + i, step, row_major())] = tile.x[i];
}
template <typename D, typename A, typename B, typename C> void mma_sync(D& d, const A& a, const B& b, const C& c) {
    float(&tiles)[2][256] = emulated::block->tiles[emulated::block->current / 32];
    memcpy(&tiles[0][first()], a.x, sizeof a.x);
    memcpy(&tiles[1][first()], b.x, sizeof b.x);
    __syncwarp();
    for (int i = 0; i < 8; i++) {
        const int row = (first() + i) / 16, column = (first() + i) % 16;
        float sum = c.x[i];
        for (int k = 0; k < 16; k++) sum += tiles[0][row * 16 + k] * tiles[1][k * 16 + column];
        d.x[i] = sum;
    }
    __syncwarp();
}
}  // namespace wmma
}  // namespace nvcuda
template <typename U, int M, int N, int K, typename T, typename O>
void load_operand(nvcuda::wmma::fragment<U, M, N, K, T, O>& tile, const T* from, int step) {
    using namespace nvcuda::wmma;
    for (int i = 0; i < 8; i++) tile.x[i] = __bfloat162float(from[at(first() + i, step, O())]);
}
