// SPDX-License-Identifier: Apache-2.0
// Multi-scale deformable attention on CUDA: chooses a kernel and launches it. The interface is ms_deform_attn.h.
#include "ms_deform_attn.h"

#include "cuda_call.cuh"
#include "ms_deform_attn_backward.cuh"
#include "ms_deform_attn_check.h"
#include "ms_deform_attn_forward.cuh"

namespace tfgeo::cuda {
namespace {

// ---- what a call is made of ----

struct CommonCall {
  Problem problem;
  const void* value;
  const TfgeoMsDeformAttnSamples* samples;
  cudaStream_t stream;
  TfgeoError error;
};

struct ForwardCall : CommonCall {
  void* output;
};

struct BackwardCall : CommonCall {
  const void* grad_output;
  const TfgeoMsDeformAttnGrads* grads;
  void* scratch;
};

TfgeoCode ReadProblem(const TfgeoMsDeformAttnShape* shape, Problem* problem, TfgeoError error) {
  if (shape->levels > kMaxLevels) {
    return Fail(error, TFGEO_INVALID_ARGUMENT, "[msDeformAttn] expected at most %d levels on CUDA but received %lld",
                kMaxLevels, static_cast<long long>(shape->levels));
  }
  Problem& p = *problem;
  p.batch = static_cast<int>(shape->batch);
  p.length = static_cast<int>(shape->length);
  p.heads = static_cast<int>(shape->heads);
  p.dim = static_cast<int>(shape->dim);
  p.levels = static_cast<int>(shape->levels);
  p.points = static_cast<int>(shape->points);
  p.queries = static_cast<int>(shape->queries);
  p.reference_size = static_cast<int>(shape->reference_size);
  p.samples = p.levels * p.points;
  p.row = p.heads * p.dim;
  int start = 0;
  for (int l = 0; l < p.levels; ++l) {
    p.level[l] = {shape->spatial_shapes[2 * l], shape->spatial_shapes[2 * l + 1], start};
    start += p.level[l].height * p.level[l].width;
  }
  return TFGEO_OK;
}

template <typename A>
Inputs<A> InputsOf(const CommonCall& call) {
  return {static_cast<const A*>(call.samples->reference), static_cast<const A*>(call.samples->positions),
          static_cast<const A*>(call.samples->scores)};
}

int64_t Groups(const Problem& p) { return static_cast<int64_t>(p.batch) * p.queries * p.heads; }

// ---- how it is launched ----

// What a block may have without asking.
constexpr size_t kSharedMemory = 48 << 10;

// Few groups are spread over more, smaller blocks, so that every multiprocessor has work. `bytes`: shared memory that a
// group needs; *shared: what a block needs.
template <int G>
TfgeoCode ChooseGrid(const Problem& p, size_t bytes, dim3* grid, dim3* block, size_t* shared, TfgeoError error) {
  int processors = 0;
  TFGEO_CUDA_TRY(Processors(&processors), error);
  int threads = kThreads;
  while (threads > 64 && Groups(p) * G < 2 * static_cast<int64_t>(processors) * threads) threads /= 2;
  while (threads / G * bytes > kSharedMemory) threads /= 2;
  *shared = threads / G * bytes;
  const int64_t tiles = (p.queries + threads / G - 1) / (threads / G);
  const int64_t blocks = tiles * p.heads * p.batch;
  if (blocks > INT32_MAX) {
    return Fail(error, TFGEO_INVALID_ARGUMENT,
                "[msDeformAttn] expected fewer than 2^31 blocks of work but received %lld; use smaller batches",
                static_cast<long long>(blocks));
  }
  *grid = dim3(static_cast<unsigned>(blocks));
  *block = dim3(static_cast<unsigned>(threads));
  return TFGEO_OK;
}

template <typename T, int V, int C, int G, bool kRaw>
TfgeoCode Launch(const ForwardCall& call) {
  typedef typename Sum<T>::Type A;
  dim3 grid, block;
  size_t shared;
  const TfgeoCode code =
      ChooseGrid<G>(call.problem, Slots<A, G>::kForward, &grid, &block, &shared, call.error);
  if (code != TFGEO_OK) return code;
  const auto kernel = ForwardKernel<T, V, C, G, kRaw>;
  TFGEO_LAUNCH(kernel, grid, block, shared, call.stream, call.problem, static_cast<const T*>(call.value),
               InputsOf<A>(call), static_cast<T*>(call.output));
  return AfterLaunch("the forward kernel of msDeformAttn", call.error);
}

template <typename T, int V, int C, int G, bool kRaw>
TfgeoCode Launch(const BackwardCall& call) {
  typedef typename Sum<T>::Type A;
  const Problem& p = call.problem;
  dim3 grid, block;
  size_t shared;
  const TfgeoCode code = ChooseGrid<G>(p, Slots<A, G>::kBackward, &grid, &block, &shared, call.error);
  if (code != TFGEO_OK) return code;
  const TfgeoMsDeformAttnGrads& to = *call.grads;
  const int64_t size = static_cast<int64_t>(p.batch) * p.length * p.row;
  const bool rounded = sizeof(T) < sizeof(A) && to.value != nullptr;
  const Grads<A> grads = {static_cast<A*>(rounded ? call.scratch : to.value), static_cast<A*>(to.reference),
                          static_cast<A*>(to.positions), static_cast<A*>(to.scores)};
  if (grads.value) TFGEO_CUDA_TRY(cudaMemsetAsync(grads.value, 0, size * sizeof(A), call.stream), call.error);
  if (grads.reference) {
    const size_t bytes = sizeof(A) * p.batch * p.queries * p.levels * p.reference_size;
    TFGEO_CUDA_TRY(cudaMemsetAsync(grads.reference, 0, bytes, call.stream), call.error);
  }
  const auto kernel = BackwardKernel<T, V, C, G, kRaw>;
  TFGEO_LAUNCH(kernel, grid, block, shared, call.stream, p, static_cast<const T*>(call.grad_output),
               static_cast<const T*>(call.value), InputsOf<A>(call), grads);
  const TfgeoCode launched = AfterLaunch("the backward kernel of msDeformAttn", call.error);
  if constexpr (sizeof(T) < sizeof(A)) {
    if (launched != TFGEO_OK || !rounded) return launched;
    const auto round = RoundKernel<T>;
    const int64_t blocks = (size + kThreads - 1) / kThreads;
    const dim3 rounding(static_cast<unsigned>(blocks < 65536 ? blocks : 65536));
    TFGEO_LAUNCH(round, rounding, dim3(kThreads), 0, call.stream, size, grads.value, static_cast<T*>(to.value));
    return AfterLaunch("the rounding kernel of msDeformAttn", call.error);
  }
  return launched;
}

// ---- which kernel ----

bool Aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

bool AllAligned(const ForwardCall& call) { return Aligned(call.value) && Aligned(call.output); }
bool AllAligned(const BackwardCall& call) {
  return Aligned(call.value) && Aligned(call.grad_output) && Aligned(call.grads->value) && Aligned(call.scratch);
}

// With fewer warps a multiprocessor than this, waiting for memory is what takes the time.
constexpr int kFewWarps = 16;

// C lanes that hold all channels at once, or a whole warp of teams where that leaves too little to do.
template <typename T, int V, int C, bool kRaw, typename Call>
TfgeoCode ChooseTeams(const Call& call) {
  int processors = 0;
  TFGEO_CUDA_TRY(Processors(&processors), call.error);
  const bool few = Groups(call.problem) * C < int64_t{kFewWarps} * kWarp * processors;
  return few ? Launch<T, V, C, kWarp, kRaw>(call) : Launch<T, V, C, C, kRaw>(call);
}

// As many lanes as there are packs of channels in a head: 16 bytes each where the head can be cut so, else one channel.
template <typename T, bool kRaw, typename Call>
TfgeoCode ChooseLanes(const Call& call) {
  constexpr int kPack = 16 / sizeof(T);
  const int dim = call.problem.dim;
  if (dim % kPack != 0 || !AllAligned(call)) {
    return dim <= 8 ? ChooseTeams<T, 1, 8, kRaw>(call) : ChooseTeams<T, 1, 32, kRaw>(call);
  }
  const int packs = dim / kPack;
  if (packs <= 4) return ChooseTeams<T, kPack, 4, kRaw>(call);
  if (packs <= 8) return ChooseTeams<T, kPack, 8, kRaw>(call);
  if (packs <= 16) return ChooseTeams<T, kPack, 16, kRaw>(call);
  return ChooseTeams<T, kPack, 32, kRaw>(call);
}

template <typename T, typename Call>
TfgeoCode ChooseForm(const Call& call) {
  return call.problem.reference_size == 0 ? ChooseLanes<T, false>(call) : ChooseLanes<T, true>(call);
}

template <typename Call>
TfgeoCode ChooseType(TfgeoType type, const Call& call) {
  switch (type) {
    case TFGEO_FLOAT32:
      return ChooseForm<float>(call);
    case TFGEO_FLOAT64:
      return ChooseForm<double>(call);
    case TFGEO_FLOAT16:
      return ChooseForm<__half>(call);
    case TFGEO_BFLOAT16:
      return ChooseForm<__nv_bfloat16>(call);
  }
  return TFGEO_INVALID_ARGUMENT;  // the check has refused it before
}

}  // namespace
}  // namespace tfgeo::cuda

using namespace tfgeo::cuda;

TfgeoCode tfgeo_cuda_ms_deform_attn(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                                    const TfgeoMsDeformAttnSamples* samples, void* output, void* stream,
                                    TfgeoError error) {
  TfgeoCode code = tfgeo::deform::CheckForward(type, shape, value, samples, output, error);
  ForwardCall call = {{{}, value, samples, static_cast<cudaStream_t>(stream), error}, output};
  if (code == TFGEO_OK) code = ReadProblem(shape, &call.problem, error);
  if (code == TFGEO_OK) code = tfgeo_cuda_check_device(error);
  return code == TFGEO_OK ? ChooseType(type, call) : code;
}

size_t tfgeo_cuda_ms_deform_attn_grad_scratch(TfgeoType type, const TfgeoMsDeformAttnShape* shape) {
  if (type != TFGEO_FLOAT16 && type != TFGEO_BFLOAT16) return 0;
  return sizeof(float) * static_cast<size_t>(shape->batch) * shape->length * shape->heads * shape->dim;
}

TfgeoCode tfgeo_cuda_ms_deform_attn_grad(TfgeoType type, const TfgeoMsDeformAttnShape* shape,
                                         const void* grad_output, const void* value,
                                         const TfgeoMsDeformAttnSamples* samples,
                                         const TfgeoMsDeformAttnGrads* grads, void* scratch, void* stream,
                                         TfgeoError error) {
  TfgeoCode code = tfgeo::deform::CheckBackward(type, shape, grad_output, value, samples, grads, error);
  if (code == TFGEO_OK && grads->value && !scratch && tfgeo_cuda_ms_deform_attn_grad_scratch(type, shape) > 0) {
    return tfgeo::Fail(error, TFGEO_INVALID_ARGUMENT,
                "[msDeformAttn] expected scratch memory for value gradients of a 16-bit type but received a null pointer");
  }
  BackwardCall call = {{{}, value, samples, static_cast<cudaStream_t>(stream), error}, grad_output, grads, scratch};
  if (code == TFGEO_OK) code = ReadProblem(shape, &call.problem, error);
  if (code == TFGEO_OK) code = tfgeo_cuda_check_device(error);
  return code == TFGEO_OK ? ChooseType(type, call) : code;
}
