// SPDX-License-Identifier: Apache-2.0
// The loops of ms_deform_attn.cc, compiled once per instruction set: no include guard, no includes (foreach_isa.h).
//
// Per query: first all its samples are located (vectorised over samples), then each head sums rows of D channels
// (vectorised over channels). Corners outside the map are moved onto a corner of the same sample that is inside and
// get weight zero, so that the second loop needs no branches and reads nothing that the sample does not touch.
#include "vector.h"

namespace tfgeo::TFGEO_ISA {
namespace {

using deform::Samples;
using deform::Slice;
using deform::kInside;
using deform::kNan;
using deform::kOutside;

// Returns how many samples are not inside. Arrays are padded to whole vectors; samples of the padding are inside.
template <typename T, bool kGrad>
TFGEO_INLINE int Locate(const Slice<T>& slice, const T* __restrict loc, const T* __restrict attn,
                        const Samples<T>& out) {
  constexpr int W = TFGEO_VECTOR_BYTES / sizeof(T);
  typedef typename Vec<T, W>::type V;
  typedef typename Vec<typename Lane<T>::Int, W>::type I;
  T* __restrict xs = out.x;
  T* __restrict ys = out.y;
  T* __restrict as = out.attn;
  for (int i = 0; i < slice.count; ++i) {
    xs[i] = loc[2 * i] * slice.width_t[i] - T(0.5);
    ys[i] = loc[2 * i + 1] * slice.height_t[i] - T(0.5);
    as[i] = attn[i];
  }
  const I row = I{} + static_cast<int32_t>(slice.row);
  const V zero = V{}, one = V{} + T(1);
  I not_inside = I{};
  for (int i = 0; i < slice.count; i += W) {
    const V x = Load<T, W>(xs + i), y = Load<T, W>(ys + i), a = Load<T, W>(as + i);
    const V width_t = Load<T, W>(slice.width_t + i), height_t = Load<T, W>(slice.height_t + i);
    const I width = LoadInts<T, W>(slice.width + i), height = LoadInts<T, W>(slice.height + i);
    const I in = (x > -one) & (x < width_t) & (y > -one) & (y < height_t);
    const I number = (x == x) & (y == y) & (a == a);
    StoreInts<T, W>(out.state + i, ~in & (number + static_cast<int32_t>(kNan)));  // `number` is -1 or 0
    not_inside -= ~in;
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
    const I base = LoadInts<T, W>(slice.base + i);
    const I upper = base + y0 * width * row, lower = base + y1 * width * row;
    const I at_left = x0 * row, at_right = x1 * row;
    StoreInts<T, W>(out.corner[0] + i, upper + at_left);
    StoreInts<T, W>(out.corner[1] + i, upper + at_right);
    StoreInts<T, W>(out.corner[2] + i, lower + at_left);
    StoreInts<T, W>(out.corner[3] + i, lower + at_right);
    const V at = a * wt, ab = a * wb;
    Store<T, W>(out.weight[0] + i, at * wl);
    Store<T, W>(out.weight[1] + i, at * wr);
    Store<T, W>(out.weight[2] + i, ab * wl);
    Store<T, W>(out.weight[3] + i, ab * wr);
    if (kGrad) {
      Store<T, W>(out.side[0] + i, wl);
      Store<T, W>(out.side[1] + i, wr);
      Store<T, W>(out.side[2] + i, wt);
      Store<T, W>(out.side[3] + i, wb);
      Store<T, W>(out.inside[0] + i, has_left ? one : zero);
      Store<T, W>(out.inside[1] + i, has_right ? one : zero);
      Store<T, W>(out.inside[2] + i, has_top ? one : zero);
      Store<T, W>(out.inside[3] + i, has_bottom ? one : zero);
    }
  }
  int sum = 0;
  for (int k = 0; k < W; ++k) sum += static_cast<int>(not_inside[k]);
  return sum;
}

// ---- forward ----

// Channels [c, c + kVecs * W) of one head.
template <typename T, int W, int kVecs, bool kChecked>
TFGEO_INLINE void SumHead(const T* value, const Samples<T>& s, int begin, int end, int c, T* out) {
  typedef typename Vec<T, W>::type V;
  V sum[kVecs];
  for (int v = 0; v < kVecs; ++v) sum[v] = V{};
  for (int i = begin; i < end; ++i) {
    if (kChecked && s.state[i] != kInside) {
      if (s.state[i] == kNan) {
        for (int v = 0; v < kVecs; ++v) sum[v] += static_cast<T>(__builtin_nan(""));
      }
      continue;
    }
    const T* p0 = value + s.corner[0][i] + c;
    const T* p1 = value + s.corner[1][i] + c;
    const T* p2 = value + s.corner[2][i] + c;
    const T* p3 = value + s.corner[3][i] + c;
    const T w0 = s.weight[0][i], w1 = s.weight[1][i], w2 = s.weight[2][i], w3 = s.weight[3][i];
    for (int v = 0; v < kVecs; ++v) {
      sum[v] += w0 * Load<T, W>(p0 + v * W);
      sum[v] += w1 * Load<T, W>(p1 + v * W);
      sum[v] += w2 * Load<T, W>(p2 + v * W);
      sum[v] += w3 * Load<T, W>(p3 + v * W);
    }
  }
  for (int v = 0; v < kVecs; ++v) Store<T, W>(out + c + v * W, sum[v]);
}

// All channels of one head, in pieces as wide as they fit.
template <typename T, int W, bool kChecked>
struct SumRest {
  static TFGEO_INLINE void Run(const T* value, const Samples<T>& s, int begin, int end, int c, int dim, T* out) {
    for (; c + 4 * W <= dim; c += 4 * W) SumHead<T, W, 4, kChecked>(value, s, begin, end, c, out);
    if (c + 2 * W <= dim) {
      SumHead<T, W, 2, kChecked>(value, s, begin, end, c, out);
      c += 2 * W;
    }
    if (c + W <= dim) {
      SumHead<T, W, 1, kChecked>(value, s, begin, end, c, out);
      c += W;
    }
    if (c < dim) SumRest<T, W / 2, kChecked>::Run(value, s, begin, end, c, dim, out);
  }
};

template <typename T, bool kChecked>
struct SumRest<T, 0, kChecked> {
  static TFGEO_INLINE void Run(const T*, const Samples<T>&, int, int, int, int, T*) {}
};

template <typename T, bool kChecked>
TFGEO_INLINE void SumQuery(const Slice<T>& slice, const T* value, const Samples<T>& s, T* out) {
  constexpr int kWidth = TFGEO_VECTOR_BYTES / sizeof(T);
  const int dim = slice.dim, per_head = slice.per_head;
  for (int m = 0; m < slice.heads; ++m) {
    const int begin = m * per_head;
    T* head = out + m * dim;
    if (dim == 16) {
      SumHead<T, (kWidth < 16 ? kWidth : 16), 16 / (kWidth < 16 ? kWidth : 16), kChecked>(value, s, begin,
                                                                                         begin + per_head, 0, head);
    } else if (dim == 32) {
      SumHead<T, kWidth, 32 / kWidth, kChecked>(value, s, begin, begin + per_head, 0, head);
    } else {
      SumRest<T, kWidth, kChecked>::Run(value, s, begin, begin + per_head, 0, dim, head);
    }
  }
}

// Queries [begin, end) of one batch item, all heads. `loc`, `attn` and `out` point at query 0.
template <typename T>
void Forward(const Slice<T>& slice, const T* value, const T* loc, const T* attn, T* out, int64_t begin, int64_t end,
             const Samples<T>& s) {
  const int64_t out_row = static_cast<int64_t>(slice.heads) * slice.dim;
  for (int64_t q = begin; q < end; ++q) {
    const int not_inside = Locate<T, false>(slice, loc + 2 * q * slice.count, attn + q * slice.count, s);
    if (not_inside == 0) {
      SumQuery<T, false>(slice, value, s, out + q * out_row);
    } else {
      SumQuery<T, true>(slice, value, s, out + q * out_row);
    }
  }
}

// ---- backward ----

// Adds the dot products of `grad_out` with the four corners to `dots` [count, 4] and scatters into `grad_value`.
template <typename T, int W, int kVecs, bool kChecked>
TFGEO_INLINE void ScatterHead(const T* value, const T* grad_out, const Samples<T>& s, int begin, int end, int c,
                              T* grad_value, T* dots) {
  typedef typename Vec<T, W>::type V;
  V g[kVecs];
  for (int v = 0; v < kVecs; ++v) g[v] = Load<T, W>(grad_out + c + v * W);
  for (int i = begin; i < end; ++i) {
    if (kChecked && s.state[i] != kInside) continue;
    V dot[4];
    for (int k = 0; k < 4; ++k) {
      const T* p = value + s.corner[k][i] + c;
      dot[k] = g[0] * Load<T, W>(p);
      for (int v = 1; v < kVecs; ++v) dot[k] += g[v] * Load<T, W>(p + v * W);
    }
    // One corner after the other: at a border two of them are the same pixel.
    for (int k = 0; k < 4; ++k) {
      T* p = grad_value + s.corner[k][i] + c;
      const T w = s.weight[k][i];
      for (int v = 0; v < kVecs; ++v) Store<T, W>(p + v * W, Load<T, W>(p + v * W) + w * g[v]);
    }
    AddSums<T, W>::Run(dots + 4 * i, dot[0], dot[1], dot[2], dot[3]);
  }
}

template <typename T, int W, bool kChecked>
struct ScatterRest {
  static TFGEO_INLINE void Run(const T* value, const T* grad_out, const Samples<T>& s, int begin, int end, int c,
                               int dim, T* grad_value, T* dots) {
    for (; c + 4 * W <= dim; c += 4 * W) {
      ScatterHead<T, W, 4, kChecked>(value, grad_out, s, begin, end, c, grad_value, dots);
    }
    if (c + 2 * W <= dim) {
      ScatterHead<T, W, 2, kChecked>(value, grad_out, s, begin, end, c, grad_value, dots);
      c += 2 * W;
    }
    if (c + W <= dim) {
      ScatterHead<T, W, 1, kChecked>(value, grad_out, s, begin, end, c, grad_value, dots);
      c += W;
    }
    if (c < dim) ScatterRest<T, W / 2, kChecked>::Run(value, grad_out, s, begin, end, c, dim, grad_value, dots);
  }
};

template <typename T, bool kChecked>
struct ScatterRest<T, 0, kChecked> {
  static TFGEO_INLINE void Run(const T*, const T*, const Samples<T>&, int, int, int, int, T*, T*) {}
};

template <typename T, bool kChecked>
TFGEO_INLINE void ScatterQuery(const Slice<T>& slice, const T* value, const T* grad_out, const Samples<T>& s,
                               T* grad_value, T* dots) {
  constexpr int kWidth = TFGEO_VECTOR_BYTES / sizeof(T);
  const int dim = slice.dim, per_head = slice.per_head;
  for (int m = 0; m < slice.heads; ++m) {
    const int begin = m * per_head;
    const T* head = grad_out + m * dim;
    if (dim == 16) {
      constexpr int kW = kWidth < 16 ? kWidth : 16;
      ScatterHead<T, kW, 16 / kW, kChecked>(value, head, s, begin, begin + per_head, 0, grad_value, dots);
    } else if (dim == 32) {
      ScatterHead<T, kWidth, 32 / kWidth, kChecked>(value, head, s, begin, begin + per_head, 0, grad_value, dots);
    } else {
      ScatterRest<T, kWidth, kChecked>::Run(value, head, s, begin, begin + per_head, 0, dim, grad_value, dots);
    }
  }
}

// From the dot products of one query to its location and weight gradients.
template <typename T>
TFGEO_INLINE void Finish(const Slice<T>& slice, const T* __restrict attn, const Samples<T>& s,
                         const T* __restrict dots, T* __restrict grad_loc, T* __restrict grad_attn) {
  const T* __restrict wl = s.side[0];
  const T* __restrict wr = s.side[1];
  const T* __restrict wt = s.side[2];
  const T* __restrict wb = s.side[3];
  const T* __restrict il = s.inside[0];
  const T* __restrict ir = s.inside[1];
  const T* __restrict it = s.inside[2];
  const T* __restrict ib = s.inside[3];
  const T* __restrict width = slice.width_t;
  const T* __restrict height = slice.height_t;
  for (int i = 0; i < slice.count; ++i) {
    const T d0 = dots[4 * i], d1 = dots[4 * i + 1], d2 = dots[4 * i + 2], d3 = dots[4 * i + 3];
    grad_attn[i] = wt[i] * (wl[i] * d0 + wr[i] * d1) + wb[i] * (wl[i] * d2 + wr[i] * d3);
    const T dx = wt[i] * (ir[i] * d1 - il[i] * d0) + wb[i] * (ir[i] * d3 - il[i] * d2);
    const T dy = wl[i] * (ib[i] * d2 - it[i] * d0) + wr[i] * (ib[i] * d3 - it[i] * d1);
    grad_loc[2 * i] = width[i] * attn[i] * dx;
    grad_loc[2 * i + 1] = height[i] * attn[i] * dy;
  }
}

// Samples outside: their dots are 0, but 0 times an infinite weight is not.
template <typename T>
TFGEO_INLINE void FinishOutside(const Slice<T>& slice, const Samples<T>& s, T* grad_loc, T* grad_attn) {
  for (int i = 0; i < slice.count; ++i) {
    if (s.state[i] == kInside) continue;
    const T fill = s.state[i] == kNan ? static_cast<T>(__builtin_nan("")) : T(0);
    grad_loc[2 * i] = fill;
    grad_loc[2 * i + 1] = fill;
    grad_attn[i] = fill;
  }
}

// Queries [begin, end) of one batch item and of the slice's heads; `per_query` samples lie between two queries in
// `loc` and `attn`, which point at the slice's first sample of query 0 (`grad_out` likewise).
template <typename T>
void Backward(const Slice<T>& slice, const T* grad_out, const T* value, const T* loc, const T* attn, T* grad_value,
              T* grad_loc, T* grad_attn, int64_t per_query, int64_t begin, int64_t end, const Samples<T>& s,
              T* dots) {
  for (int64_t q = begin; q < end; ++q) {
    const T* a = attn + q * per_query;
    T* gl = grad_loc + 2 * q * per_query;
    T* ga = grad_attn + q * per_query;
    const int not_inside = Locate<T, true>(slice, loc + 2 * q * per_query, a, s);
    for (int i = 0; i < 4 * slice.count; ++i) dots[i] = T(0);
    if (not_inside == 0) {
      ScatterQuery<T, false>(slice, value, grad_out + q * slice.row, s, grad_value, dots);
      Finish<T>(slice, a, s, dots, gl, ga);
    } else {
      ScatterQuery<T, true>(slice, value, grad_out + q * slice.row, s, grad_value, dots);
      Finish<T>(slice, a, s, dots, gl, ga);
      FinishOutside<T>(slice, s, gl, ga);
    }
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
