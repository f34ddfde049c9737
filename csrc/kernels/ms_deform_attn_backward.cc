// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "half.h"
#include "ms_deform_attn_run.h"
#include "ms_deform_attn_split.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define TFGEO_ISA_BODY "ms_deform_attn_backward_body.h"
#include "foreach_isa.h"

namespace tfgeo::deform {
namespace {

// Every unit sums the value's gradient into a copy of its own; the parts of a head are added in order.
template <typename C>
void BackwardPacked(const Call<C>& call, const Split& split, const void* grad_output, const void* value,
                    const TfgeoMsDeformAttnGrads& grads, const Parallel& parallel) {
  const auto pack = TFGEO_DISPATCH(Pack<C>);
  const auto unpack = TFGEO_DISPATCH(Unpack<C>);
  const auto backward = TFGEO_DISPATCH(Backward<C>);
  const int64_t size = call.shape.length * split.dim;
  Pool<C> values(size), sums(size);
  std::vector<typename Pool<C>::Piece> kept(split.Units());
  parallel.run(split.Units(), 1, [&](int64_t begin, int64_t end) {
    const Block<C> block(call, split.dim, split.dim);
    for (int64_t i = begin; i < end; ++i) {
      const Unit unit(call.shape, split, i);
      auto memory = values.Take();
      const Maps<C> maps = {memory.get(), split.dim, 0, split.dim};
      pack(call, value, unit.item, unit.head, maps);
      typename Pool<C>::Piece sum;
      if (grads.value != nullptr) {
        sum = sums.Take();
        std::memset(sum.get(), 0, size * sizeof(C));
      }
      backward(call, grad_output, {maps.pixels, maps.pixel, 0, maps.dim}, sum.get(), unit.rows, block, grads);
      values.Give(std::move(memory));
      if (split.parts > 1 || grads.value == nullptr) {
        kept[i] = std::move(sum);
      } else {
        C* const one = sum.get();
        unpack(call, &one, 1, split.dim, unit.item, unit.head, 0, call.shape.length, grads.value);
        sums.Give(std::move(sum));
      }
    }
  });
  if (split.parts == 1 || grads.value == nullptr) return;
  const int64_t pixels = split.heads * call.shape.length;
  parallel.run(pixels, BlockSize(parallel, pixels, 1 + 16384 / split.dim), [&](int64_t begin, int64_t end) {
    std::vector<C*> parts(split.parts);
    while (begin < end) {
      const int64_t head = begin / call.shape.length, first = head * call.shape.length;
      const int64_t stop = std::min(end, first + call.shape.length);
      for (int64_t k = 0; k < split.parts; ++k) parts[k] = kept[head * split.parts + k].get();
      unpack(call, parts.data(), split.parts, split.dim, head / call.shape.heads, head % call.shape.heads,
             begin - first, stop - first, grads.value);
      begin = stop;
    }
  });
}

// Heads own their part of grad_value, so no two units write to the same place.
template <typename C>
void BackwardInPlace(const Call<C>& call, const Split& split, const void* grad_output, const void* value,
                     const TfgeoMsDeformAttnGrads& grads, const Parallel& parallel) {
  const auto backward = TFGEO_DISPATCH(Backward<C>);
  const TfgeoMsDeformAttnShape& s = call.shape;
  const int64_t pixel = s.heads * s.dim, item = s.length * pixel;
  C* const grad_value = static_cast<C*>(grads.value);
  if (grad_value != nullptr) {
    parallel.run(s.batch * item, BlockSize(parallel, s.batch * item, 65536), [&](int64_t begin, int64_t end) {
      std::memset(grad_value + begin, 0, (end - begin) * sizeof(C));
    });
  }
  parallel.run(split.Units(), 1, [&](int64_t begin, int64_t end) {
    const Block<C> block(call, pixel, s.dim);
    for (int64_t i = begin; i < end; ++i) {
      const Unit unit(s, split, i);
      const int64_t first = unit.item * item;
      backward(call, grad_output, {static_cast<const C*>(value) + first, pixel, s.dim, s.dim},
               grad_value == nullptr ? nullptr : grad_value + first, unit.rows, block, grads);
    }
  });
}

// The reference of a query serves all its heads: each has written its share, [N, Q, M, L, R].
template <typename C>
void AddShares(const Call<C>& call, const std::vector<C>& shares, C* reference, const Parallel& parallel) {
  const TfgeoMsDeformAttnShape& s = call.shape;
  const int64_t queries = s.batch * s.queries, size = s.levels * s.reference_size;
  parallel.run(queries, BlockSize(parallel, queries, 1 + 16384 / (s.heads * size)), [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; ++q) {
      const C* share = shares.data() + q * s.heads * size;
      C* const sum = reference + q * size;
      std::copy(share, share + size, sum);
      for (int64_t m = 1; m < s.heads; ++m) {
        for (int64_t i = 0; i < size; ++i) sum[i] += share[m * size + i];
      }
    }
  });
}

}  // namespace

template <typename C>
void RunBackward(const Call<C>& call, const void* grad_output, const void* value, TfgeoMsDeformAttnGrads grads,
                 const Parallel& parallel) {
  constexpr int64_t kKept = int64_t{1} << 26;  // elements in the parts' sums
  const TfgeoMsDeformAttnShape& s = call.shape;
  Split split = ChooseSplit(s, 4);
  // Sums of 16-bit numbers need copies in any case.
  if (call.type == TFGEO_BFLOAT16 || call.type == TFGEO_FLOAT16) split.packed = true;
  std::vector<C> shares;
  C* const reference = call.reference == nullptr ? nullptr : static_cast<C*>(grads.reference);
  if (reference != nullptr) shares.resize(s.batch * s.queries * s.heads * s.levels * s.reference_size);
  grads.reference = reference == nullptr ? nullptr : shares.data();
  if (split.packed) {
    // With no more threads than heads the sums must not depend on their number.
    if (parallel.threads > split.heads) {
      const int64_t room = std::max<int64_t>(1, kKept / (split.heads * s.length * split.dim));
      split.parts = Even(split.heads, parallel.threads, std::min(room, MostParts(s)));
    }
    BackwardPacked<C>(call, split, grad_output, value, grads, parallel);
  } else {
    BackwardInPlace<C>(call, split, grad_output, value, grads, parallel);
  }
  if (reference != nullptr) AddShares(call, shares, reference, parallel);
}

template void RunBackward<float>(const Call<float>&, const void*, const void*, TfgeoMsDeformAttnGrads,
                                 const Parallel&);
template void RunBackward<double>(const Call<double>&, const void*, const void*, TfgeoMsDeformAttnGrads,
                                  const Parallel&);

}  // namespace tfgeo::deform
