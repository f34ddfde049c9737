// SPDX-License-Identifier: Apache-2.0
// Forward kernel of ms_deform_attn.cu.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_FORWARD_CUH_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_FORWARD_CUH_

#include "ms_deform_attn_samples.cuh"

namespace tfgeo::cuda {

// On a multiprocessor at once: leaves 80 registers a thread, enough for the loads of two samples under way.
constexpr int kForwardBlocks = 3;

// Adds every kTeams-th sample in shared memory, from `team` on, to V channels; `value` points at the first of them.
template <typename T, int V, int kTeams, int G, typename A>
__device__ __forceinline__ void AddSamples(const T* value, const Slots<A, G>& slots, int team, int count,
                                           A (&sum)[V]) {
  TFGEO_UNROLL(2)
  for (int i = team; i < count; i += kTeams) {
    const Pack<int, 4> offset = Load(slots.offset + i);
    const Pack<A, 4> weight = Load(slots.weight + i);
    Pack<T, V> corner[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) corner[k] = LoadPack<V>(value + offset.at[k]);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
#pragma unroll
      for (int v = 0; v < V; ++v) sum[v] += weight.at[k] * Widen<A>(corner[k].at[v]);
    }
  }
}

template <typename T, int V, int C, int G, bool kRaw>
__global__ void __launch_bounds__(kThreads, kForwardBlocks)
    ForwardKernel(const __grid_constant__ Problem p, const T* __restrict__ value,
                  const Inputs<typename Sum<T>::Type> in, T* __restrict__ output) {
  typedef typename Sum<T>::Type A;
  TFGEO_SHARED(memory);
  const Place<G> place(p);
  const Slots<A, G> slots(memory, place.group);
  const Reader<A, G, kRaw> reader(p, in, place);
  const T* item = value + (static_cast<int64_t>(place.batch) * p.length * p.heads + place.head) * p.dim;
  T* out = output + place.Index(p) * p.dim;
  const int team = place.lane / C;
  // More channels than the lanes hold at once are rare: the samples are then worked out again for each part.
  for (int first = 0; first < p.dim; first += C * V) {
    const int channel = first + place.lane % C * V;
    const bool mine = channel < p.dim;
    A sum[V];
#pragma unroll
    for (int v = 0; v < V; ++v) sum[v] = 0;
    for (int begin = 0; begin < p.samples; begin += kChunk<G>) {
      int slot[kChunk<G> / G];
      const int count = FillSlots<A, G, kRaw, false>(p, reader, place, slots, begin, slot);
      __syncwarp();
      if (mine) AddSamples<T, V, G / C>(item + channel, slots, team, count, sum);
      __syncwarp();
    }
#pragma unroll
    for (int step = C; step < G; step *= 2) {
#pragma unroll
      for (int v = 0; v < V; ++v) sum[v] += __shfl_xor_sync(kWholeWarp, sum[v], step);
    }
    if (mine && place.valid && team == 0) {
      Pack<T, V> result;
#pragma unroll
      for (int v = 0; v < V; ++v) result.at[v] = Narrow<T>(sum[v]);
      StorePack(out + channel, result);
    }
  }
}

}  // namespace tfgeo::cuda

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_FORWARD_CUH_
