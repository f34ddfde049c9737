// SPDX-License-Identifier: Apache-2.0
// What ms_deform_attn.cc hands to its loops: tables per slice of heads, scratch arrays per query.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_PLAN_H_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_PLAN_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "ms_deform_attn_cpu.h"

namespace tfgeo::deform {

// A range of heads of one batch item, as seen from one query: `count` samples, heads outermost.
template <typename T>
struct Slice {
  int heads, dim, per_head, count;
  int64_t row;           // elements from one pixel (or query) to the next
  const int32_t* base;   // [count] first element of the sample's level and head
  const int32_t* width;  // [count]
  const int32_t* height;
  const T* width_t;  // the same as T
  const T* height_t;
};

enum State : int32_t { kInside = 0, kOutside = 1, kNan = 2 };

// Where the samples of one query lie; arrays of `count`, padded to whole vectors.
template <typename T>
struct Samples {
  T* x;  // pixel coordinates
  T* y;
  T* attn;
  int32_t* corner[4];  // element of value: top left, top right, bottom left, bottom right
  T* weight[4];        // attention weight times bilinear weight, 0 outside
  int32_t* state;      // a State
  // For the gradient: bilinear weight by side (left, right, top, bottom), 0 outside; and 1 where the side is inside.
  T* side[4];
  T* inside[4];
};

// Tables and scratch of heads [first, last), owned by one block of work.
template <typename T>
class Workspace {
 public:
  Workspace(const MsDeformAttnShape& shape, int64_t first, int64_t last) {
    const int64_t per_head = shape.levels * shape.points;
    const int64_t count = (last - first) * per_head;
    const int64_t padded = (count + 15) / 16 * 16;  // every array starts on its own cache line
    ints_.reset(new int32_t[8 * padded]());
    reals_.reset(new T[21 * padded]());
    int32_t* ints = ints_.get();
    T* reals = reals_.get();
    auto take_ints = [&] { return std::exchange(ints, ints + padded); };
    auto take_reals = [&] { return std::exchange(reals, reals + padded); };
    int32_t* base = take_ints();
    int32_t* width = take_ints();
    int32_t* height = take_ints();
    FillTables(shape, first, last, base, width, height);
    T* width_t = std::copy(width, width + count, take_reals()) - count;
    T* height_t = std::copy(height, height + count, take_reals()) - count;
    slice = {static_cast<int>(last - first), static_cast<int>(shape.dim), static_cast<int>(per_head),
             static_cast<int>(count),        shape.heads * shape.dim,     base,
             width,                          height,                      width_t,
             height_t};
    // Padding is a 1x1 map, sampled at its only pixel.
    for (int64_t i = count; i < padded; ++i) {
      width[i] = height[i] = 1;
      width_t[i] = height_t[i] = 1;
    }
    samples.x = take_reals();
    samples.y = take_reals();
    samples.attn = take_reals();
    samples.state = take_ints();
    for (int k = 0; k < 4; ++k) {
      samples.corner[k] = take_ints();
      samples.weight[k] = take_reals();
      samples.side[k] = take_reals();
      samples.inside[k] = take_reals();
    }
    dots = reals;
  }

  Slice<T> slice;
  Samples<T> samples;
  T* dots;  // [count, 4]: grad_output times each corner

 private:
  static void FillTables(const MsDeformAttnShape& shape, int64_t first, int64_t last, int32_t* base, int32_t* width,
                         int32_t* height) {
    for (int64_t m = first; m < last; ++m) {
      int64_t start = 0;
      for (int64_t l = 0; l < shape.levels; ++l) {
        const int32_t h = shape.spatial_shapes[2 * l], w = shape.spatial_shapes[2 * l + 1];
        for (int64_t p = 0; p < shape.points; ++p) {
          *base++ = static_cast<int32_t>((start * shape.heads + m) * shape.dim);
          *width++ = w;
          *height++ = h;
        }
        start += static_cast<int64_t>(h) * w;
      }
    }
  }

  std::unique_ptr<int32_t[]> ints_;
  std::unique_ptr<T[]> reals_;
};

}  // namespace tfgeo::deform

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_PLAN_H_
