// SPDX-License-Identifier: Apache-2.0
// A stand-in for CUDA with which a host compiler builds kernels unchanged and a processor runs them: the threads of a
// block are fibres, device memory is host memory, and what a card does not tell is found out.
//
// - Lanes wait for each other exactly as __syncthreads, __syncwarp and the shuffles say; waiting for a lane that will
//   never come is an error that names both.
// - Read, Write and Atomic, which kernels call before they touch memory, check that the bytes lie in one live allocation
//   at the right alignment, and that no two threads meet at a byte, one of them writing, without a barrier between them.
//   Blocks never have one; warps have __syncthreads, lanes of a warp also __syncwarp, but not shuffles and votes, which
//   CUDA does not let order memory. Atomic accesses may meet each other, but no others.
// - Memory that nobody wrote holds NaN; writes that miss an allocation by a little are found when the kernel ends.
// - TFGEO_SHIM_SEED=n runs blocks, warps and lanes in another order.
//
// What is found stops the kernel, is said on stderr, and leaves a sticky error as a card would (cudaDeviceReset clears
// it). Warps are 32 lanes, registers are not counted, and time means nothing here.
#ifndef TFGEO_CUDA_SHIM_SHIM_H_
#define TFGEO_CUDA_SHIM_SHIM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "vector_types.h"

#define TFGEO_SHIM_API __attribute__((visibility("default")))

namespace tfgeo::shim {

// ---- launches ----

// Runs `body` once per thread and returns when all are done; cudaGetLastError has the outcome. `function`: the kernel,
// so that its own limit of shared memory is known; null = the largest limit set for any.
TFGEO_SHIM_API void Launch(const char* name, dim3 grid, dim3 block, size_t shared, const std::function<void()>& body,
                           const void* function = nullptr);

// The dynamic shared memory of the running block; it holds NaN when the block starts.
TFGEO_SHIM_API unsigned char* SharedMemory();

// What was found wrong with the last kernel that was stopped.
TFGEO_SHIM_API const std::string& LastReport();

// ---- memory, in kernels ----

TFGEO_SHIM_API void Read(const void* p, size_t bytes);
TFGEO_SHIM_API void Write(const void* p, size_t bytes);
TFGEO_SHIM_API void Atomic(const void* p, size_t bytes);

// ---- waiting, in kernels ----

// Where a kernel waits.
struct Place {
  const char* what;
  const char* file;
  int line;
};

// All threads of the block; gives the number of those with `value`.
TFGEO_SHIM_API int BlockSync(Place place, bool value);
// The lanes of `mask`, this one among them.
TFGEO_SHIM_API void WarpSync(Place place, unsigned mask);
// The `value` that lane `source` brought to the same call.
TFGEO_SHIM_API uint64_t WarpShuffle(Place place, unsigned mask, uint64_t value, int source);
// One bit per lane of `mask` that brought true.
TFGEO_SHIM_API unsigned WarpBallot(Place place, unsigned mask, bool value);
// The lanes of this warp that have not returned.
TFGEO_SHIM_API unsigned ActiveLanes();
TFGEO_SHIM_API int LaneIndex();
[[noreturn]] TFGEO_SHIM_API void Trap(Place place);

TFGEO_SHIM_API extern uint3 thread_index, block_index;
TFGEO_SHIM_API extern dim3 block_size, grid_size;

}  // namespace tfgeo::shim

#endif  // TFGEO_CUDA_SHIM_SHIM_H_
