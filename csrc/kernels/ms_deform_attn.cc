// SPDX-License-Identifier: Apache-2.0
#include "ms_deform_attn_cpu.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "ms_deform_attn_plan.h"

#define TFGEO_ISA_BODY "ms_deform_attn_body.h"
#include "foreach_isa.h"

namespace tfgeo {

using deform::Workspace;

// ---- forward ----

template <typename T>
void MsDeformAttn(const MsDeformAttnShape& shape, const T* value, const T* locations, const T* weights, T* output,
                  const Parallel& parallel) {
  const auto forward = TFGEO_DISPATCH(Forward<T>);
  const int64_t total = shape.batch * shape.queries;
  const int64_t per_query = shape.heads * shape.levels * shape.points;
  // A block is worth at least some ten microseconds.
  const int64_t grain = 1 + 65536 / (per_query * (8 + shape.dim / 4));
  parallel.run(total, BlockSize(parallel, total, grain), [&](int64_t begin, int64_t end) {
    Workspace<T> work(shape, 0, shape.heads);
    const int64_t row = work.slice.row;
    while (begin < end) {
      const int64_t n = begin / shape.queries;
      const int64_t first = n * shape.queries;
      const int64_t stop = std::min(end, first + shape.queries);
      forward(work.slice, value + n * shape.length * row, locations + 2 * first * per_query,
              weights + first * per_query, output + first * row, begin - first, stop - first, work.samples);
      begin = stop;
    }
  });
}

// ---- backward ----

namespace {

// The unit of work is (batch item, group of heads, part of the queries). Groups own their part of grad_value, so no two
// units write to the same place. Only when there are too few of them are queries split too; every part but the first
// then sums into a buffer of its own, and the buffers are added in order.
struct Split {
  int64_t groups;  // per batch item
  int64_t parts;   // per group
};

Split ChooseSplit(const MsDeformAttnShape& shape, int threads) {
  const int64_t n = shape.batch;
  // Whole batch items keep all heads of a query together in the cache; go finer only to keep the threads even.
  int64_t groups = 1;
  while (groups < shape.heads && (n * groups) % threads != 0 && n * groups < 4 * static_cast<int64_t>(threads)) {
    ++groups;
  }
  if (n * groups >= threads) return {groups, 1};
  constexpr int64_t kBufferElements = int64_t{64} << 20;
  const int64_t wanted = (threads + n * groups - 1) / (n * groups);
  const int64_t room = 1 + kBufferElements / (n * shape.length * shape.heads * shape.dim);
  return {groups, std::min({wanted, room, shape.queries})};
}

template <typename T>
void ClearHeads(T* value, const MsDeformAttnShape& shape, int64_t first, int64_t last) {
  const int64_t row = shape.heads * shape.dim;
  for (int64_t s = 0; s < shape.length; ++s) {
    std::memset(value + s * row + first * shape.dim, 0, (last - first) * shape.dim * sizeof(T));
  }
}

template <typename T>
void AddBuffers(const std::vector<T>& buffers, int64_t size, T* sum, const Parallel& parallel) {
  const int64_t count = static_cast<int64_t>(buffers.size()) / size;
  if (count == 0) return;
  parallel.run(size, BlockSize(parallel, size, 16384), [&](int64_t begin, int64_t end) {
    for (int64_t k = 0; k < count; ++k) {
      const T* buffer = buffers.data() + k * size;
      for (int64_t i = begin; i < end; ++i) sum[i] += buffer[i];
    }
  });
}

}  // namespace

template <typename T>
void MsDeformAttnGrad(const MsDeformAttnShape& shape, const T* grad_output, const T* value, const T* locations,
                      const T* weights, T* grad_value, T* grad_locations, T* grad_weights, const Parallel& parallel) {
  const auto backward = TFGEO_DISPATCH(Backward<T>);
  const Split split = ChooseSplit(shape, parallel.threads);
  const int64_t row = shape.heads * shape.dim;
  const int64_t item = shape.length * row;
  const int64_t per_head = shape.levels * shape.points;
  const int64_t per_query = shape.heads * per_head;
  std::vector<T> buffers((split.parts - 1) * shape.batch * item);
  parallel.run(shape.batch * split.groups * split.parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t part = unit % split.parts;
      const int64_t group = unit / split.parts % split.groups;
      const int64_t n = unit / (split.parts * split.groups);
      const int64_t first = group * shape.heads / split.groups;
      const int64_t last = (group + 1) * shape.heads / split.groups;
      T* sum = (part == 0 ? grad_value : buffers.data() + (part - 1) * shape.batch * item) + n * item;
      if (part == 0) ClearHeads(sum, shape, first, last);
      Workspace<T> work(shape, first, last);
      const int64_t query = n * shape.queries;
      const int64_t sample = query * per_query + first * per_head;
      backward(work.slice, grad_output + query * row + first * shape.dim, value + n * item, locations + 2 * sample,
               weights + sample, sum, grad_locations + 2 * sample, grad_weights + sample, per_query,
               part * shape.queries / split.parts, (part + 1) * shape.queries / split.parts, work.samples, work.dots);
    }
  });
  AddBuffers(buffers, shape.batch * item, grad_value, parallel);
}

#define TFGEO_INSTANTIATE(T)                                                                                   \
  template void MsDeformAttn<T>(const MsDeformAttnShape&, const T*, const T*, const T*, T*, const Parallel&);  \
  template void MsDeformAttnGrad<T>(const MsDeformAttnShape&, const T*, const T*, const T*, const T*, T*, T*, \
                                    T*, const Parallel&)
TFGEO_INSTANTIATE(float);
TFGEO_INSTANTIATE(double);
#undef TFGEO_INSTANTIATE

}  // namespace tfgeo
