// SPDX-License-Identifier: Apache-2.0
// From a block of rows to where its samples lie and what they weigh. Part of the forward and backward bodies.
//
// Corners outside the map are moved onto a corner of the same sample that is inside and get weight zero, so that the
// loops over channels need no branches and read nothing that the sample does not touch.

namespace tfgeo::TFGEO_ISA {
namespace {

using deform::Block;
using deform::Call;
using deform::Maps;
using deform::Rows;
using deform::kInside;
using deform::kNan;
using deform::kOutside;

// The elements of a vector register.
template <typename C>
constexpr int kWidth = TFGEO_VECTOR_BYTES / sizeof(C);

TFGEO_INLINE Vec<float, kWidth<float>>::type ExpOf(Vec<float, kWidth<float>>::type minus) {
  return ExpMinus<kWidth<float>>(minus);
}

TFGEO_INLINE Vec<double, kWidth<double>>::type ExpOf(Vec<double, kWidth<double>>::type minus) {
  for (int k = 0; k < kWidth<double>; ++k) minus[k] = __builtin_exp(-minus[k]);
  return minus;
}

// In place. Minus infinity gets weight 0; NaN or infinity, or nothing but minus infinity, make all of them NaN. Behind
// the row there is more of the block, which is read but kept.
template <typename C>
TFGEO_INLINE void Softmax(C* a, int64_t size) {
  constexpr int W = kWidth<C>;
  typedef typename Vec<C, W>::type V;
  typedef typename Vec<typename Lane<C>::Int, W>::type I;
  typedef typename Lane<C>::Int Int;
  const I count = Count<I>(FirstLanes<W>());
  const V none = V{} - static_cast<C>(__builtin_inf());
  V largest = none;
  for (int64_t i = 0; i < size; i += W) {
    const V x = count < static_cast<Int>(size - i) ? Load<C, W>(a + i) : none;
    largest = x > largest ? x : largest;
  }
  const V top = V{} + LargestOf<W>(largest);
  V sum = V{};
  for (int64_t i = 0; i < size; i += W) {
    const I mine = count < static_cast<Int>(size - i);
    const V x = Load<C, W>(a + i);
    const V e = ExpOf(mine ? top - x : V{});
    sum += mine ? e : V{};
    Store<C, W>(a + i, mine ? e : x);
  }
  const C scale = C(1) / SumOf<W>(sum);
  for (int64_t i = 0; i < size; i += W) {
    const V e = Load<C, W>(a + i);
    Store<C, W>(a + i, count < static_cast<Int>(size - i) ? e * scale : e);
  }
}

// Writes `points` times the same number, and up to three more behind it.
template <typename C>
TFGEO_INLINE void Splat(C* to, C number, int64_t points) {
  constexpr int W = kWidth<C> < 4 ? kWidth<C> : 4;
  const auto numbers = typename Vec<C, W>::type{} + number;
  for (int64_t p = 0; p < points; p += W) Store<C, W>(to + p, numbers);
}

// Copies what the block's rows bring with them.
template <typename C>
TFGEO_INLINE void Gather(const Call<C>& call, const Rows& rows, const Block<C>& block) {
  const int64_t per_head = call.per_head, levels = call.shape.levels, size = call.shape.reference_size;
  const int64_t points = call.shape.points;
  for (int64_t r = 0; r < rows.count; ++r) {
    const int64_t row = rows.first + r * rows.step, later = row + rows.ahead * rows.step;
    Prefetch<false>(call.positions + 2 * later * per_head, 2 * per_head);
    Prefetch<false>(call.scores + later * per_head, per_head);
    Widen(call.positions + 2 * row * per_head, 2 * per_head, block.positions + 2 * r * per_head);
    Widen(call.scores + row * per_head, per_head, block.attn + r * per_head);
    if (size == 0) continue;
    const C* reference = call.reference + row / call.shape.heads * levels * size;
    int64_t i = r * per_head;
    for (int64_t l = 0; l < levels; ++l, reference += size, i += points) {
      Splat(block.reference_x + i, reference[0], points);
      Splat(block.reference_y + i, reference[1], points);
      if (size == 2) continue;
      Splat(block.scale_x + i, reference[2] * C(0.5) / static_cast<C>(points), points);
      Splat(block.scale_y + i, reference[3] * C(0.5) / static_cast<C>(points), points);
    }
  }
  if (size == 0) return;
  for (int64_t r = 0; r < rows.count; ++r) Softmax(block.attn + r * per_head, per_head);
}

// `count` samples of the block; true when all of them are inside.
template <typename C, bool kGrad>
TFGEO_INLINE bool Locate(const Block<C>& block, int64_t count, int64_t pixel) {
  constexpr int W = kWidth<C>;
  typedef typename Vec<C, W>::type V;
  typedef typename Vec<typename Lane<C>::Int, W>::type I;
  typedef typename Vec<int32_t, W>::type I32;
  const I stride = I{} + static_cast<int32_t>(pixel);
  const V zero = V{}, one = V{} + C(1);
  I all_inside = I{} == 0;
  for (int64_t i = 0; i < count; i += W) {
    const V p0 = Load<C, W>(block.positions + 2 * i), p1 = Load<C, W>(block.positions + 2 * i + W);
    const V u = Evens<W>(p0, p1) * Load<C, W>(block.scale_x + i) + Load<C, W>(block.reference_x + i);
    const V v = Odds<W>(p0, p1) * Load<C, W>(block.scale_y + i) + Load<C, W>(block.reference_y + i);
    const V width_t = Load<C, W>(block.width_t + i), height_t = Load<C, W>(block.height_t + i);
    const V x = u * width_t - C(0.5), y = v * height_t - C(0.5), a = Load<C, W>(block.attn + i);
    const I width = LoadInts<C, W>(block.width + i), height = LoadInts<C, W>(block.height + i);
    const I in = (x > -one) & (x < width_t) & (y > -one) & (y < height_t);
    const I number = (x == x) & (y == y) & (a == a);
    StoreInts<C, W>(block.state + i, ~in & (number + kNan));  // `number` is -1 or 0
    all_inside &= in;
    // Samples outside are moved to pixel 0 so that the conversion below is defined; their state keeps them out.
    const V xc = in ? x : zero, yc = in ? y : zero;
    I left = __builtin_convertvector(xc, I), top = __builtin_convertvector(yc, I);  // towards zero
    left += xc < __builtin_convertvector(left, V);                                  // now floor
    top += yc < __builtin_convertvector(top, V);
    const V fx = xc - __builtin_convertvector(left, V), fy = yc - __builtin_convertvector(top, V);
    const I has_left = left >= 0, has_top = top >= 0;
    const I has_right = left + 1 < width, has_bottom = top + 1 < height;
    // A comparison is -1 where it holds: moves the missing corners onto their neighbours.
    const I x0 = left & has_left, y0 = top & has_top;
    const I x1 = left - has_right, y1 = top - has_bottom;
    const V wl = has_left ? one - fx : zero, wr = has_right ? fx : zero;
    const V wt = has_top ? one - fy : zero, wb = has_bottom ? fy : zero;
    const I start = LoadInts<C, W>(block.start + i);
    const I upper = start + y0 * width * stride, lower = start + y1 * width * stride;
    const I at_left = x0 * stride, at_right = x1 * stride;
    StoreFours<int32_t, W>(block.corner + 4 * i, __builtin_convertvector(upper + at_left, I32),
                           __builtin_convertvector(upper + at_right, I32),
                           __builtin_convertvector(lower + at_left, I32),
                           __builtin_convertvector(lower + at_right, I32));
    const V at = a * wt, ab = a * wb;
    StoreFours<C, W>(block.weight + 4 * i, at * wl, at * wr, ab * wl, ab * wr);
    if (kGrad) {
      Store<C, W>(block.side[0] + i, wl);
      Store<C, W>(block.side[1] + i, wr);
      Store<C, W>(block.side[2] + i, wt);
      Store<C, W>(block.side[3] + i, wb);
      Store<C, W>(block.inside[0] + i, has_left ? one : zero);
      Store<C, W>(block.inside[1] + i, has_right ? one : zero);
      Store<C, W>(block.inside[2] + i, has_top ? one : zero);
      Store<C, W>(block.inside[3] + i, has_bottom ? one : zero);
    }
  }
  typename Lane<C>::Int inside = -1;
  for (int k = 0; k < W; ++k) inside &= all_inside[k];
  return inside != 0;
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
