// SPDX-License-Identifier: Apache-2.0
// How a kernel asks for threads without knowing whose they are.
#ifndef TFGEO_KERNELS_PARALLEL_H_
#define TFGEO_KERNELS_PARALLEL_H_

#include <cstdint>
#include <functional>

namespace tfgeo {

// Handles units [begin, end).
using RangeFn = std::function<void(int64_t begin, int64_t end)>;

struct Parallel {
  // Threads that may run at once, the caller's included; at least 1.
  int threads = 1;
  // Splits [0, total) into blocks of `block` units (the last may be smaller) and runs `fn` on each, in any order and
  // on any thread; returns when all are done.
  std::function<void(int64_t total, int64_t block, const RangeFn& fn)> run =
      [](int64_t total, int64_t, const RangeFn& fn) {
        if (total > 0) fn(0, total);
      };
};

// Block size that gives every thread a few blocks, each worth at least `grain` units.
inline int64_t BlockSize(const Parallel& parallel, int64_t total, int64_t grain) {
  const int64_t blocks = parallel.threads <= 1 ? 1 : 4 * static_cast<int64_t>(parallel.threads);
  const int64_t block = (total + blocks - 1) / blocks;
  return block < grain ? grain : block;
}

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_PARALLEL_H_
