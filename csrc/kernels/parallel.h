// SPDX-License-Identifier: Apache-2.0
// How a kernel asks for threads without knowing whose they are.
#ifndef TFGEO_KERNELS_PARALLEL_H_
#define TFGEO_KERNELS_PARALLEL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <new>

#include "abi.h"

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

// The threads of a C call, which know no exceptions: memory that is lacking on one of them is lacking for the caller.
inline Parallel FromC(const TfgeoThreads* threads) {
  Parallel parallel;
  if (threads == nullptr || threads->run == nullptr) return parallel;
  parallel.threads = threads->threads < 1 ? 1 : threads->threads;
  parallel.run = [threads](int64_t total, int64_t block, const RangeFn& fn) {
    struct Context {
      const RangeFn& fn;
      std::atomic<bool> lacking;
    } context = {fn, {false}};
    if (total <= 0) return;
    const auto call = [](void* pointer, int64_t begin, int64_t end) {
      Context& context = *static_cast<Context*>(pointer);
      try {
        context.fn(begin, end);
      } catch (const std::bad_alloc&) {
        context.lacking = true;
      }
    };
    threads->run(threads->pool, total, block, call, &context);
    if (context.lacking) throw std::bad_alloc();
  };
  return parallel;
}

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_PARALLEL_H_
