// SPDX-License-Identifier: Apache-2.0
// TensorFlow's worker threads for the kernels.
#ifndef TFGEO_TF_THREADS_H_
#define TFGEO_TF_THREADS_H_

#include <algorithm>
#include <functional>

#include "../kernels/abi.h"
#include "../kernels/parallel.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfgeo {

// How a pool is told to make blocks of this size: TensorFlow 2.16 has only the constructor, later ones advise against it.
template <typename Params>
auto FixedBlocks(int64_t block, int) -> decltype(Params::Fixed(block)) {
  return Params::Fixed(block);
}
template <typename Params>
Params FixedBlocks(int64_t block, long) {
  return Params(tensorflow::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize, {}, block);
}

inline void RunBlocks(tensorflow::thread::ThreadPool* pool, int64_t total, int64_t block,
                      const std::function<void(int64_t, int64_t)>& fn) {
  pool->ParallelFor(total, FixedBlocks<tensorflow::thread::ThreadPool::SchedulingParams>(block, 0), fn);
}

inline Parallel Threads(tensorflow::OpKernelContext* context) {
  auto* workers = context->device()->tensorflow_cpu_worker_threads()->workers;
  Parallel parallel;
  parallel.threads = std::max(1, workers->NumThreads());
  parallel.run = [workers](int64_t total, int64_t block, const RangeFn& fn) {
    if (total <= 0) return;
    if (total <= block) {
      fn(0, total);
    } else {
      RunBlocks(workers, total, block, fn);
    }
  };
  return parallel;
}

// The same for a C interface.
inline TfgeoThreads CThreads(tensorflow::OpKernelContext* context) {
  auto* workers = context->device()->tensorflow_cpu_worker_threads()->workers;
  return {std::max(1, workers->NumThreads()), workers,
          [](void* pool, int64_t total, int64_t block, void (*fn)(void*, int64_t, int64_t), void* state) {
            if (total <= 0) return;
            if (total <= block) return fn(state, 0, total);
            RunBlocks(static_cast<tensorflow::thread::ThreadPool*>(pool), total, block,
                      [fn, state](int64_t begin, int64_t end) { fn(state, begin, end); });
          }};
}

}  // namespace tfgeo

#endif  // TFGEO_TF_THREADS_H_
