// SPDX-License-Identifier: Apache-2.0
// Backward kernel of ms_deform_attn.cu.
//
// Value gradients are atomic additions of whole packs of channels. The dot products of grad_output with the four corners
// of a sample, from which the gradients of its location and weight follow, are summed over the lanes by shuffles.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_BACKWARD_CUH_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_BACKWARD_CUH_

#include "ms_deform_attn_samples.cuh"

namespace tfgeo::cuda {

// On a multiprocessor at once: leaves 128 registers a thread.
constexpr int kBackwardBlocks = 2;

// Any of them may be null. Those of value and reference are added to.
template <typename A>
struct Grads {
  A* value;
  A* reference;
  A* positions;
  A* scores;
};

// One part of the channels: adds to the dot products in shared memory and scatters to grad_value. `value` and
// `grad_value` (or null) point at this lane's channels of pixel 0. All lanes of the warp take part, up to the largest
// `count` in it.
template <typename T, int V, int C, int G, typename A>
__device__ __forceinline__ void Scatter(const T* value, const Pack<T, V>& upstream, bool active, A* grad_value,
                                        const Slots<A, G>& slots, int count, int most, int lane, bool add) {
  A grad[V];
#pragma unroll
  for (int v = 0; v < V; ++v) grad[v] = Widen<A>(upstream.at[v]);
  TFGEO_UNROLL(2)
  for (int begin = 0; begin < most; begin += G / C) {
    const int i = begin + lane / C;
    const bool here = i < count;
    A dot[4] = {0, 0, 0, 0};
    if (here && active) {
      const Pack<int, 4> offset = Load(slots.offset + i);
      const Pack<A, 4> weight = Load(slots.weight + i);
      Pack<T, V> corner[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) corner[k] = LoadPack<V>(value + offset.at[k]);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        A scaled[V];
#pragma unroll
        for (int v = 0; v < V; ++v) {
          dot[k] += grad[v] * Widen<A>(corner[k].at[v]);
          scaled[v] = grad[v] * weight.at[k];
        }
        // Corners outside have weight 0.
        if (grad_value != nullptr && weight.at[k] != 0) AddPack<V>(grad_value + offset.at[k], scaled);
      }
    }
    const A sum = FourSumsOverLanes<C>(dot[0], dot[1], dot[2], dot[3], lane);
    if (here && lane % C < 4) {
      A* at = slots.dot[i].at + lane % C;
      Store(at, add ? Load(at) + sum : sum);
    }
  }
}

// Gradients of one sample: of its location (times the size of the map) and of its attention weight.
template <typename A>
struct SampleGrad {
  A x, y, weight;
};

template <typename A>
__device__ __forceinline__ SampleGrad<A> Differentiate(const Sample<A>& s, const Pack<A, 4>* dot) {
  if (s.state == kNan) return {A(NAN), A(NAN), A(NAN)};
  if (s.state == kOutside) return {0, 0, 0};
  Pack<A, 4> d = Load(dot);
  if (!(s.inside & kLeft)) d.at[0] = d.at[2] = 0;
  if (!(s.inside & kRight)) d.at[1] = d.at[3] = 0;
  if (!(s.inside & kTop)) d.at[0] = d.at[1] = 0;
  if (!(s.inside & kBottom)) d.at[2] = d.at[3] = 0;
  return {s.weight * (s.top * (d.at[1] - d.at[0]) + s.bottom * (d.at[3] - d.at[2])),
          s.weight * (s.left * (d.at[2] - d.at[0]) + s.right * (d.at[3] - d.at[1])),
          s.top * (s.left * d.at[0] + s.right * d.at[1]) + s.bottom * (s.left * d.at[2] + s.right * d.at[3])};
}

// Adds the part of sample j (where `here`) to the gradient of its reference point or box; `x` and `y` are the gradients of
// its location. Points of one level lie in neighbouring lanes: where their number allows, they are summed first. All
// lanes of the warp take part.
template <typename A, int G>
__device__ __forceinline__ void AddReference(const Problem& p, const Sample<A>& s, int j, bool here, A x, A y,
                                             A* grad) {
  const A part = A(0.5) / p.points;
  const bool counts = here && s.state != kOutside;
  A sums[4] = {counts ? x : 0, counts ? y : 0, counts ? x * part * s.offset_x : 0, counts ? y * part * s.offset_y : 0};
  const int run = (p.points & (p.points - 1)) == 0 && p.points <= G ? p.points : 1;
  for (int step = 1; step < run; step *= 2) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] += __shfl_xor_sync(kWholeWarp, sums[i], step);
  }
  if (!here || j % run != 0) return;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i < p.reference_size) Add(grad + s.level * p.reference_size + i, sums[i]);
  }
}

// From the gradient of a location to that of the raw offset.
template <typename A, int G>
__device__ __forceinline__ Pack<A, 2> OffsetGrad(const Problem& p, const Reader<A, G, true>& reader,
                                                 const Sample<A>& s, const SampleGrad<A>& g) {
  if (p.reference_size == 2 || s.state == kOutside) return {{g.x, g.y}};
  const A part = A(0.5) / p.points;
  return {{g.x * p.level[s.level].width * part * reader.Reference(p, s.level, 2),
           g.y * p.level[s.level].height * part * reader.Reference(p, s.level, 3)}};
}

// Writes the gradients of the samples of this lane, located anew: keeping them meanwhile would cost registers that the
// loads need. Those of raw scores are not yet those of the softmax.
template <typename A, int G, bool kRaw>
__device__ __forceinline__ void FinishChunk(const Problem& p, const Reader<A, G, kRaw>& reader,
                                            const Place<G>& place, const Slots<A, G>& slots, const Grads<A>& grads,
                                            int begin, const int (&slot)[kChunk<G> / G], A& weighted) {
#pragma unroll
  for (int r = 0; r < kChunk<G> / G; ++r) {
    const int j = begin + r * G + place.lane;
    const bool here = j < p.samples;
    Sample<A> s;
    SampleGrad<A> g = {0, 0, 0};
    A x = 0, y = 0;
    if (here) {
      Pack<int, 4> offset;
      Pack<A, 4> weight;
      s = Locate(p, reader, j, offset, weight);
      g = Differentiate(s, slots.dot + slot[r]);
      x = g.x * p.level[s.level].width;
      y = g.y * p.level[s.level].height;
      Pack<A, 2> position = {{x, y}};
      if constexpr (kRaw) {
        weighted += s.weight * g.weight;
        position = OffsetGrad<A, G>(p, reader, s, g);
      }
      const int64_t at = reader.First() + j;
      if (place.valid && grads.positions != nullptr) StorePack(grads.positions + 2 * at, position);
      if (place.valid && grads.scores != nullptr) Store(grads.scores + at, g.weight);
    }
    if constexpr (kRaw) {
      if (grads.reference != nullptr) {
        A* reference = grads.reference + (static_cast<int64_t>(place.batch) * p.queries + place.query) * p.levels *
                                             p.reference_size;
        AddReference<A, G>(p, s, j, here && place.valid, x, y, reference);
      }
    }
  }
}

// From gradients of the weights to those of the logits; each lane goes over what it wrote itself.
template <typename A, int G>
__device__ __forceinline__ void FinishSoftmax(const Problem& p, const Reader<A, G, true>& reader,
                                              const Place<G>& place, A* grad_scores, A weighted) {
  const A mean = SumOverLanes<G>(weighted);
  if (!place.valid || grad_scores == nullptr) return;
  for (int j = place.lane; j < p.samples; j += G) {
    A* at = grad_scores + reader.First() + j;
    Store(at, reader.Weight(j) * (Load(at) - mean));
  }
}

template <typename T, int V, int C, int G, bool kRaw>
__global__ void __launch_bounds__(kThreads, kBackwardBlocks)
    BackwardKernel(const __grid_constant__ Problem p, const T* __restrict__ grad_output,
                   const T* __restrict__ value, const Inputs<typename Sum<T>::Type> in,
                   const Grads<typename Sum<T>::Type> grads) {
  typedef typename Sum<T>::Type A;
  TFGEO_SHARED(memory);
  const Place<G> place(p);
  const Slots<A, G> slots(memory, place.group);
  const Reader<A, G, kRaw> reader(p, in, place);
  const int64_t item = (static_cast<int64_t>(place.batch) * p.length * p.heads + place.head) * p.dim;
  const T* upstream = grad_output + place.Index(p) * p.dim;
  A weighted = 0;
  for (int begin = 0; begin < p.samples; begin += kChunk<G>) {
    int slot[kChunk<G> / G];
    const int count = FillSlots<A, G, kRaw, true>(p, reader, place, slots, begin, slot);
    const int most = MaxOverLanes<kWarp>(count);
    __syncwarp();
    for (int first = 0; first < p.dim; first += C * V) {
      const int channel = first + place.lane % C * V;
      const bool active = channel < p.dim;
      Pack<T, V> grad = {};
      if (active) grad = LoadPack<V>(upstream + channel);
      A* grad_value = grads.value == nullptr || !place.valid ? nullptr : grads.value + item + channel;
      Scatter<T, V, C>(value + item + channel, grad, active, grad_value, slots, count, most, place.lane, first > 0);
    }
    __syncwarp();
    // The next chunk's dot products are written after the barrier above has been passed again.
    FinishChunk<A, G, kRaw>(p, reader, place, slots, grads, begin, slot, weighted);
  }
  if constexpr (kRaw) FinishSoftmax<A, G>(p, reader, place, grads.scores, weighted);
}

// Rounds sums to the 16-bit type of the result.
template <typename T>
__global__ void __launch_bounds__(kThreads) RoundKernel(int64_t size, const float* __restrict__ sums,
                                                        T* __restrict__ result) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += stride) {
    Store(result + i, Narrow<T>(Load(sums + i)));
  }
}

}  // namespace tfgeo::cuda

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_BACKWARD_CUH_
