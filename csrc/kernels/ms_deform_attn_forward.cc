// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <utility>

#include "half.h"
#include "ms_deform_attn_run.h"
#include "ms_deform_attn_split.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define TFGEO_ISA_BODY "ms_deform_attn_forward_body.h"
#include "foreach_isa.h"

namespace tfgeo::deform {
namespace {

template <typename C>
void ForwardPacked(const Call<C>& call, const Split& split, const void* value, void* output,
                   const Parallel& parallel) {
  const auto pack = TFGEO_DISPATCH(Pack<C>);
  const auto forward = TFGEO_DISPATCH(Forward<C, C>);
  Pool<C> pool(call.shape.length * split.dim);
  parallel.run(split.Units(), 1, [&](int64_t begin, int64_t end) {
    const Block<C> block(call, split.dim, split.dim);
    for (int64_t i = begin; i < end; ++i) {
      const Unit unit(call.shape, split, i);
      auto memory = pool.Take();
      const Maps<C> maps = {memory.get(), split.dim, 0, split.dim};
      pack(call, value, unit.item, unit.head, maps);
      forward(call, {maps.pixels, maps.pixel, 0, maps.dim}, unit.rows, block, output);
      pool.Give(std::move(memory));
    }
  });
}

// S is the type of `value`.
template <typename C, typename S>
void ForwardInPlace(const Call<C>& call, const void* value, void* output, const Parallel& parallel) {
  const auto forward = TFGEO_DISPATCH(Forward<C, S>);
  const TfgeoMsDeformAttnShape& s = call.shape;
  const int64_t per_item = s.queries * s.heads, pixel = s.heads * s.dim;
  // A block is worth at least some ten microseconds.
  const int64_t grain = 1 + 65536 / (call.per_head * (8 + s.dim / 4));
  parallel.run(s.batch * per_item, BlockSize(parallel, s.batch * per_item, grain), [&](int64_t begin, int64_t end) {
    const Block<C> block(call, pixel, s.dim);
    while (begin < end) {
      const int64_t item = begin / per_item, stop = std::min(end, (item + 1) * per_item);
      const S* maps = static_cast<const S*>(value) + item * s.length * pixel;
      forward(call, {maps, pixel, s.dim, s.dim}, {begin, 1, stop - begin}, block, output);
      begin = stop;
    }
  });
}

}  // namespace

template <typename C>
void RunForward(const Call<C>& call, const void* value, void* output, const Parallel& parallel) {
  Split split = ChooseSplit(call.shape, 8);
  split.parts = Even(split.heads, parallel.threads, MostParts(call.shape));
  if (split.packed && split.Units() >= parallel.threads) {
    return ForwardPacked<C>(call, split, value, output, parallel);
  }
  if constexpr (sizeof(C) == sizeof(float)) {
    if (call.type == TFGEO_BFLOAT16) return ForwardInPlace<C, Bfloat>(call, value, output, parallel);
    if (call.type == TFGEO_FLOAT16) return ForwardInPlace<C, Half>(call, value, output, parallel);
  }
  ForwardInPlace<C, C>(call, value, output, parallel);
}

template void RunForward<float>(const Call<float>&, const void*, void*, const Parallel&);
template void RunForward<double>(const Call<double>&, const void*, void*, const Parallel&);

}  // namespace tfgeo::deform
