// SPDX-License-Identifier: Apache-2.0
// The loops of ms_deform_attn_forward.cc, compiled once per instruction set: no include guard, no includes but other
// bodies (foreach_isa.h).
//
// Per block of rows: first all its samples are located (vectorised over samples), then each row sums pixels of D
// channels (vectorised over channels).
#include "vector.h"
#include "vector_convert.h"
#include "vector_exp.h"
#include "ms_deform_attn_locate_body.h"
#include "ms_deform_attn_pack_body.h"

namespace tfgeo::TFGEO_ISA {
namespace {

// Channels [c, c + kVecs * W) of samples [begin, end).
template <typename C, typename S, int W, int kVecs, bool kChecked>
TFGEO_INLINE void SumPiece(const S* value, const Block<C>& block, int64_t begin, int64_t end, int64_t c, C* out) {
  typedef typename Vec<C, W>::type V;
  const S* const from = value + c;
  V sum[kVecs];
  for (int v = 0; v < kVecs; ++v) sum[v] = V{};
  for (int64_t i = begin; i < end; ++i) {
    if (kChecked && block.state[i] != kInside) {
      if (block.state[i] == kNan) {
        for (int v = 0; v < kVecs; ++v) sum[v] += static_cast<C>(__builtin_nan(""));
      }
      continue;
    }
    const int32_t* const corner = block.corner + 4 * i;
    const C* const weight = block.weight + 4 * i;
    const S *const p0 = from + corner[0], *const p1 = from + corner[1];
    const S *const p2 = from + corner[2], *const p3 = from + corner[3];
    // With few sums to take turns a sample is summed by itself first, lest each of its corners wait for the one before.
    for (int v = 0; v < kVecs; ++v) {
      V sample = kVecs < 4 ? V{} : sum[v];
      sample += weight[0] * LoadAs<C, W>(p0 + v * W);
      sample += weight[1] * LoadAs<C, W>(p1 + v * W);
      sample += weight[2] * LoadAs<C, W>(p2 + v * W);
      sample += weight[3] * LoadAs<C, W>(p3 + v * W);
      sum[v] = kVecs < 4 ? sum[v] + sample : sample;
    }
  }
  for (int v = 0; v < kVecs; ++v) Store<C, W>(out + c + v * W, sum[v]);
}

// Channels from c on, in pieces as wide as they fit.
template <typename C, typename S, int W, bool kChecked>
TFGEO_INLINE void SumRest(const S* value, const Block<C>& block, int64_t begin, int64_t end, int64_t c, int64_t dim,
                          C* out) {
  for (; c + 4 * W <= dim; c += 4 * W) SumPiece<C, S, W, 4, kChecked>(value, block, begin, end, c, out);
  if (c + 2 * W <= dim) {
    SumPiece<C, S, W, 2, kChecked>(value, block, begin, end, c, out);
    c += 2 * W;
  }
  if (c + W <= dim) {
    SumPiece<C, S, W, 1, kChecked>(value, block, begin, end, c, out);
    c += W;
  }
  if constexpr (W > 1) {
    if (c < dim) SumRest<C, S, W / 2, kChecked>(value, block, begin, end, c, dim, out);
  }
}

template <typename C, typename S, bool kChecked>
TFGEO_INLINE void SumRow(const S* value, const Block<C>& block, int64_t begin, int64_t end, int64_t dim, C* out) {
  constexpr int W = kWidth<C>;
  if (dim == 32) return SumPiece<C, S, W, 32 / W, kChecked>(value, block, begin, end, 0, out);
  SumRest<C, S, W, kChecked>(value, block, begin, end, 0, dim, out);
}

// The outputs of some rows of one batch item. S is the type of the maps, `output` has that of the call.
template <typename C, typename S>
void Forward(const Call<C>& call, const Maps<const S>& maps, const Rows& all, const Block<C>& block, void* output) {
  const int64_t per_head = call.per_head;
  // What has the right type and no padding needs no detour.
  const bool direct = (call.type == TFGEO_FLOAT32 || call.type == TFGEO_FLOAT64) && maps.dim == call.shape.dim;
  for (int64_t done = 0; done < all.count; done += block.rows) {
    const Rows rows = all.Next(done, block.rows);
    Gather(call, rows, block);
    const bool all_inside = Locate<C, false>(block, rows.count * per_head, maps.pixel);
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t row = rows.first + r * rows.step;
      const S* value = maps.pixels + row % call.shape.heads * maps.head;
      const int64_t begin = r * per_head, end = begin + per_head;
      C* const out = direct ? static_cast<C*>(output) + row * maps.dim : block.channels;
      if (all_inside) {
        SumRow<C, S, false>(value, block, begin, end, maps.dim, out);
      } else {
        SumRow<C, S, true>(value, block, begin, end, maps.dim, out);
      }
      if (!direct) StoreRow(call.type, block.channels, call.shape.dim, output, row * call.shape.dim);
    }
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
