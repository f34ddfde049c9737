// SPDX-License-Identifier: Apache-2.0
// The sums over the samples of a row. Part of ms_deform_attn_body.h.

namespace tfgeo::TFGEO_ISA {
namespace {

// Channels [c, c + kVecs * W) of samples [begin, end).
template <typename C, typename S, int W, int kVecs, bool kChecked>
TFGEO_INLINE void SumPiece(const S* value, const Block<C>& block, int64_t begin, int64_t end, int64_t c, C* out) {
  typedef typename Vec<C, W>::type V;
  // Locals, because every store of a vector could change what they are read from.
  const int32_t *const c0 = block.corner[0], *const c1 = block.corner[1];
  const int32_t *const c2 = block.corner[2], *const c3 = block.corner[3];
  const C *const w0 = block.weight[0], *const w1 = block.weight[1];
  const C *const w2 = block.weight[2], *const w3 = block.weight[3];
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
    const S *const p0 = from + c0[i], *const p1 = from + c1[i], *const p2 = from + c2[i], *const p3 = from + c3[i];
    for (int v = 0; v < kVecs; ++v) {
      sum[v] += w0[i] * LoadAs<C, W>(p0 + v * W);
      sum[v] += w1[i] * LoadAs<C, W>(p1 + v * W);
      sum[v] += w2[i] * LoadAs<C, W>(p2 + v * W);
      sum[v] += w3[i] * LoadAs<C, W>(p3 + v * W);
    }
  }
  for (int v = 0; v < kVecs; ++v) Store<C, W>(out + c + v * W, sum[v]);
}

// Channels from c on, in pieces as wide as they fit.
template <typename C, typename S, int W, bool kChecked>
TFGEO_INLINE void SumRest(const S* value, const Block<C>& block, int64_t begin, int64_t end, int64_t c, int64_t dim, C* out) {
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
  for (int64_t done = 0; done < all.count; done += block.rows) {
    const int64_t left = all.count - done;
    const Rows rows = {all.first + done * all.step, all.step, left < block.rows ? left : block.rows};
    Gather(call, rows, block);
    const bool all_inside = Locate<C, false>(block, rows.count * per_head, maps.pixel);
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t row = rows.first + r * rows.step;
      const S* value = maps.pixels + row % call.shape.heads * maps.head;
      const int64_t begin = r * per_head, end = begin + per_head;
      if (all_inside) {
        SumRow<C, S, false>(value, block, begin, end, maps.dim, block.channels);
      } else {
        SumRow<C, S, true>(value, block, begin, end, maps.dim, block.channels);
      }
      StoreRow(call.type, block.channels, call.shape.dim, output, row * call.shape.dim);
    }
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
