// SPDX-License-Identifier: Apache-2.0
#include "ms_deform_attn_cpu.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "fail.h"
#include "isa.h"
#include "ms_deform_attn_check.h"
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

// ---- C interface ----

namespace tfgeo {
namespace {

Parallel FromC(const TfgeoThreads* threads) {
  Parallel parallel;
  if (threads == nullptr) return parallel;
  parallel.threads = threads->threads;
  parallel.run = [threads](int64_t total, int64_t block, const RangeFn& fn) {
    if (total <= 0) return;
    threads->run(threads->pool, total, block,
                 [](void* context, int64_t begin, int64_t end) { (*static_cast<const RangeFn*>(context))(begin, end); },
                 const_cast<RangeFn*>(&fn));
  };
  return parallel;
}

MsDeformAttnShape Sizes(const TfgeoMsDeformAttnShape& s) {
  return {s.batch, s.length, s.heads, s.dim, s.levels, s.points, s.queries, s.spatial_shapes};
}

template <typename T>
void Run(const TfgeoMsDeformAttnShape& shape, const void* value, const TfgeoMsDeformAttnSamples& samples, void* output,
         const TfgeoThreads* threads) {
  MsDeformAttn<T>(Sizes(shape), static_cast<const T*>(value), static_cast<const T*>(samples.positions),
                  static_cast<const T*>(samples.scores), static_cast<T*>(output), FromC(threads));
}

template <typename T>
void RunGrad(const TfgeoMsDeformAttnShape& shape, const void* grad_output, const void* value,
             const TfgeoMsDeformAttnSamples& samples, const TfgeoMsDeformAttnGrads& grads,
             const TfgeoThreads* threads) {
  MsDeformAttnGrad<T>(Sizes(shape), static_cast<const T*>(grad_output), static_cast<const T*>(value),
                      static_cast<const T*>(samples.positions), static_cast<const T*>(samples.scores),
                      static_cast<T*>(grads.value), static_cast<T*>(grads.positions), static_cast<T*>(grads.scores),
                      FromC(threads));
}

bool Served(TfgeoType type, const TfgeoMsDeformAttnShape& shape) {
  return shape.reference_size == 0 && (type == TFGEO_FLOAT32 || type == TFGEO_FLOAT64);
}

}  // namespace
}  // namespace tfgeo

TfgeoCode tfgeo_ms_deform_attn(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                               const TfgeoMsDeformAttnSamples* samples, void* output, const TfgeoThreads* threads,
                               TfgeoError error) {
  TfgeoCode code = tfgeo::deform::CheckForward(type, shape, value, samples, output, error);
  if (code == TFGEO_OK) code = tfgeo_cpu_check_isa(error);
  if (code != TFGEO_OK) return code;
  if (!tfgeo::Served(type, *shape)) {
    return tfgeo::Fail(error, TFGEO_INVALID_ARGUMENT,
                       "[msDeformAttn] expected float32 or float64 and located samples for a call on the CPU");
  }
  (type == TFGEO_FLOAT64 ? tfgeo::Run<double> : tfgeo::Run<float>)(*shape, value, *samples, output, threads);
  return TFGEO_OK;
}

TfgeoCode tfgeo_ms_deform_attn_grad(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* grad_output,
                                    const void* value, const TfgeoMsDeformAttnSamples* samples,
                                    const TfgeoMsDeformAttnGrads* grads, const TfgeoThreads* threads,
                                    TfgeoError error) {
  TfgeoCode code = tfgeo::deform::CheckBackward(type, shape, grad_output, value, samples, grads, error);
  if (code == TFGEO_OK) code = tfgeo_cpu_check_isa(error);
  if (code != TFGEO_OK) return code;
  if (!tfgeo::Served(type, *shape)) {
    return tfgeo::Fail(error, TFGEO_INVALID_ARGUMENT,
                       "[msDeformAttn] expected float32 or float64 and located samples for a call on the CPU");
  }
  (type == TFGEO_FLOAT64 ? tfgeo::RunGrad<double> : tfgeo::RunGrad<float>)(*shape, grad_output, value, *samples, *grads,
                                                                         threads);
  return TFGEO_OK;
}
