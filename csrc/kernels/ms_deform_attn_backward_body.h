// SPDX-License-Identifier: Apache-2.0
// The loops of ms_deform_attn_backward.cc, compiled once per instruction set: no include guard, no includes but other
// bodies (foreach_isa.h).
#include "vector.h"
#include "vector_convert.h"
#include "vector_exp.h"
#include "ms_deform_attn_locate_body.h"
#include "ms_deform_attn_pack_body.h"

namespace tfgeo::TFGEO_ISA {
namespace {

// Adds the products of the output's gradient `g` with the four corners to block.dots, and scatters into `grad`.
template <typename C, int W, int kVecs, bool kChecked>
TFGEO_INLINE void ScatterPiece(const C* value, const C* g, const Block<C>& block, int64_t begin, int64_t end, int64_t c,
                               C* grad) {
  typedef typename Vec<C, W>::type V;
  // Locals, because every store of a vector could change what they are read from.
  const int32_t *const state = block.state, *const corners = block.corner;
  const C* const weights = block.weight;
  C* const dots = block.dots;
  V up[kVecs];
  for (int v = 0; v < kVecs; ++v) up[v] = Load<C, W>(g + c + v * W);
  for (int64_t i = begin; i < end; ++i) {
    if (kChecked && state[i] != kInside) continue;
    const int32_t* const corner = corners + 4 * i;
    V dot[4];
    for (int k = 0; k < 4; ++k) {
      const C* p = value + corner[k] + c;
      dot[k] = up[0] * Load<C, W>(p);
      for (int v = 1; v < kVecs; ++v) dot[k] += up[v] * Load<C, W>(p + v * W);
    }
    // One corner after the other: at a border two of them are the same pixel.
    if (grad != nullptr) {
      for (int k = 0; k < 4; ++k) {
        C* p = grad + corner[k] + c;
        const C w = weights[4 * i + k];
        for (int v = 0; v < kVecs; ++v) Store<C, W>(p + v * W, Load<C, W>(p + v * W) + w * up[v]);
      }
    }
    AddSums<C, W>(dots + 4 * i, dot[0], dot[1], dot[2], dot[3]);
  }
}

template <typename C, int W, bool kChecked>
TFGEO_INLINE void ScatterRest(const C* value, const C* g, const Block<C>& block, int64_t begin, int64_t end,
                              int64_t c, int64_t dim, C* grad) {
  for (; c + 4 * W <= dim; c += 4 * W) ScatterPiece<C, W, 4, kChecked>(value, g, block, begin, end, c, grad);
  if (c + 2 * W <= dim) {
    ScatterPiece<C, W, 2, kChecked>(value, g, block, begin, end, c, grad);
    c += 2 * W;
  }
  if (c + W <= dim) {
    ScatterPiece<C, W, 1, kChecked>(value, g, block, begin, end, c, grad);
    c += W;
  }
  if constexpr (W > 1) {
    if (c < dim) ScatterRest<C, W / 2, kChecked>(value, g, block, begin, end, c, dim, grad);
  }
}

template <typename C, bool kChecked>
TFGEO_INLINE void ScatterRow(const C* value, const C* g, const Block<C>& block, int64_t begin, int64_t end,
                             int64_t dim, C* grad) {
  constexpr int W = kWidth<C>;
  if (dim == 32) return ScatterPiece<C, W, 32 / W, kChecked>(value, g, block, begin, end, 0, grad);
  ScatterRest<C, W, kChecked>(value, g, block, begin, end, 0, dim, grad);
}

// From the products to the gradients of positions and weights, and of the locations.
template <typename C>
TFGEO_INLINE void Differentiate(const Block<C>& block, int64_t count) {
  constexpr int W = kWidth<C>;
  typedef typename Vec<C, W>::type V;
  typedef typename Vec<typename Lane<C>::Int, W>::type I;
  for (int64_t i = 0; i < count; i += W) {
    const C* dots = block.dots + 4 * i;
    const V q0 = Load<C, W>(dots), q1 = Load<C, W>(dots + W);
    const V q2 = Load<C, W>(dots + 2 * W), q3 = Load<C, W>(dots + 3 * W);
    const V even0 = Evens<W>(q0, q1), even1 = Evens<W>(q2, q3), odd0 = Odds<W>(q0, q1), odd1 = Odds<W>(q2, q3);
    const V d0 = Evens<W>(even0, even1), d1 = Evens<W>(odd0, odd1);
    const V d2 = Odds<W>(even0, even1), d3 = Odds<W>(odd0, odd1);
    const V wl = Load<C, W>(block.side[0] + i), wr = Load<C, W>(block.side[1] + i);
    const V wt = Load<C, W>(block.side[2] + i), wb = Load<C, W>(block.side[3] + i);
    const V il = Load<C, W>(block.inside[0] + i), ir = Load<C, W>(block.inside[1] + i);
    const V it = Load<C, W>(block.inside[2] + i), ib = Load<C, W>(block.inside[3] + i);
    const V a = Load<C, W>(block.attn + i);
    const V dx = wt * (ir * d1 - il * d0) + wb * (ir * d3 - il * d2);
    const V dy = wl * (ib * d2 - it * d0) + wr * (ib * d3 - it * d1);
    // Samples that are not inside: their products are 0, but 0 times an infinite weight is not.
    const I state = LoadInts<C, W>(block.state + i);
    const I inside = state == kInside;
    const V fill = state == kNan ? V{} + static_cast<C>(__builtin_nan("")) : V{};
    const V ga = wt * (wl * d0 + wr * d1) + wb * (wl * d2 + wr * d3);
    const V gx = inside ? Load<C, W>(block.width_t + i) * a * dx : fill;
    const V gy = inside ? Load<C, W>(block.height_t + i) * a * dy : fill;
    Store<C, W>(block.grad_attn + i, inside ? ga : fill);
    Store<C, W>(block.grad_x + i, gx);
    Store<C, W>(block.grad_y + i, gy);
    const V px = gx * Load<C, W>(block.scale_x + i), py = gy * Load<C, W>(block.scale_y + i);
    Store<C, W>(block.grad_positions + 2 * i, Interleave<W, 0>(px, py, FirstLanes<W>()));
    Store<C, W>(block.grad_positions + 2 * i + W, Interleave<W, 1>(px, py, FirstLanes<W>()));
  }
}

// Gradients of weights to those of logits, in place; what lies behind the row is read but kept.
template <typename C>
TFGEO_INLINE void SoftmaxGrad(const C* a, C* grad, int64_t size) {
  constexpr int W = kWidth<C>;
  typedef typename Vec<C, W>::type V;
  typedef typename Vec<typename Lane<C>::Int, W>::type I;
  typedef typename Lane<C>::Int Int;
  const I count = Count<I>(FirstLanes<W>());
  V sum = V{};
  for (int64_t i = 0; i < size; i += W) {
    const V product = Load<C, W>(a + i) * Load<C, W>(grad + i);
    sum += count < static_cast<Int>(size - i) ? product : V{};
  }
  const C mean = SumOf<W>(sum);
  for (int64_t i = 0; i < size; i += W) {
    const V g = Load<C, W>(grad + i);
    Store<C, W>(grad + i, count < static_cast<Int>(size - i) ? Load<C, W>(a + i) * (g - mean) : g);
  }
}

// The share of one row in its query's reference, [L, R].
template <typename C>
TFGEO_INLINE void ReferenceGrad(const Call<C>& call, const Block<C>& block, int64_t begin, C* grad) {
  const int64_t size = call.shape.reference_size;
  const int64_t points = call.shape.points;
  const C scale = C(0.5) / static_cast<C>(points);
  for (int64_t l = 0; l < call.shape.levels; ++l, grad += size, begin += points) {
    C x = 0, y = 0, w = 0, h = 0;
    for (int64_t i = begin; i < begin + points; ++i) {
      x += block.grad_x[i];
      y += block.grad_y[i];
      if (size == 2) continue;
      w += block.grad_x[i] * block.positions[2 * i];
      h += block.grad_y[i] * block.positions[2 * i + 1];
    }
    grad[0] = x;
    grad[1] = y;
    if (size == 2) continue;
    grad[2] = w * scale;
    grad[3] = h * scale;
  }
}

// The gradients of some rows of one batch item; of the value's, those are added that go through them. Where `grads` has
// a null pointer there is nothing to do; grads.reference has room for every row, [N, Q, M, L, R].
template <typename C>
void Backward(const Call<C>& call, const void* grad_output, const Maps<const C>& maps, C* grad_value, const Rows& all,
              const Block<C>& block, const TfgeoMsDeformAttnGrads& grads) {
  const int64_t per_head = call.per_head;
  C* const grad_positions = static_cast<C*>(grads.positions);
  C* const grad_scores = static_cast<C*>(grads.scores);
  C* const grad_reference = static_cast<C*>(grads.reference);
  for (int64_t done = 0; done < all.count; done += block.rows) {
    const Rows rows = all.Next(done, block.rows);
    const int64_t count = rows.count * per_head;
    // All of them now, so that the processor waits for memory once.
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t row = rows.first + r * rows.step;
      PrefetchRow(call.type, grad_output, (row + rows.ahead * rows.step) * call.shape.dim, call.shape.dim);
      LoadRow(call.type, grad_output, row * call.shape.dim, call.shape.dim, block.channels + r * block.padded_dim);
    }
    Gather(call, rows, block);
    const bool all_inside = Locate<C, true>(block, count, maps.pixel);
    for (int64_t i = 0; i < 4 * count; ++i) block.dots[i] = C(0);
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t row = rows.first + r * rows.step, head = row % call.shape.heads * maps.head;
      const int64_t begin = r * per_head, end = begin + per_head;
      if (grad_positions != nullptr) Prefetch<true>(grad_positions + 2 * row * per_head, 2 * per_head);
      if (grad_scores != nullptr) Prefetch<true>(grad_scores + row * per_head, per_head);
      const C* const g = block.channels + r * block.padded_dim;
      C* const grad = grad_value == nullptr ? nullptr : grad_value + head;
      if (all_inside) {
        ScatterRow<C, false>(maps.pixels + head, g, block, begin, end, maps.dim, grad);
      } else {
        ScatterRow<C, true>(maps.pixels + head, g, block, begin, end, maps.dim, grad);
      }
    }
    Differentiate(block, count);
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t row = rows.first + r * rows.step;
      const int64_t begin = r * per_head;
      if (call.reference != nullptr) SoftmaxGrad(block.attn + begin, block.grad_attn + begin, per_head);
      if (grad_positions != nullptr) {
        Widen(block.grad_positions + 2 * begin, 2 * per_head, grad_positions + 2 * row * per_head);
      }
      if (grad_scores != nullptr) Widen(block.grad_attn + begin, per_head, grad_scores + row * per_head);
      if (grad_reference != nullptr) {
        ReferenceGrad(call, block, begin, grad_reference + row * call.shape.levels * call.shape.reference_size);
      }
    }
  }
}

// Pixels [begin, end) of the other way round: the sum of one or more copies, which ends up in the first.
template <typename C>
void Unpack(const Call<C>& call, C* const* copies, int64_t count, int64_t pixel, int64_t item, int64_t head,
            int64_t begin, int64_t end, void* value) {
  const TfgeoMsDeformAttnShape& shape = call.shape;
  const int64_t first = item * shape.length * shape.heads + head;
  for (int64_t s = begin; s < end; ++s) {
    C* sum = copies[0] + s * pixel;
    for (int64_t k = 1; k < count; ++k) {
      const C* other = copies[k] + s * pixel;
      for (int64_t d = 0; d < shape.dim; ++d) sum[d] += other[d];
    }
    StoreRow(call.type, sum, shape.dim, value, (first + s * shape.heads) * shape.dim);
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
