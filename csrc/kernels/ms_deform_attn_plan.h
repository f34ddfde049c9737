// SPDX-License-Identifier: Apache-2.0
// What ms_deform_attn.cc hands to its loops.
//
// A row is what belongs to one query and head: `per_head` samples and `dim` channels of the output. Rows count
// [N, Q, M]. The loops take rows by the block, so that short rows too fill whole vectors while samples are located.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_PLAN_H_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_PLAN_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "ms_deform_attn.h"

namespace tfgeo::deform {

// Inputs of a call; C is what it computes with.
template <typename C>
struct Call {
  TfgeoType type;
  TfgeoMsDeformAttnShape shape;
  int64_t per_head;  // L * P
  const C* positions;
  const C* scores;
  const C* reference;  // null where located

  Call(TfgeoType type, const TfgeoMsDeformAttnShape& shape, const TfgeoMsDeformAttnSamples& samples)
      : type(type),
        shape(shape),
        per_head(shape.levels * shape.points),
        positions(static_cast<const C*>(samples.positions)),
        scores(static_cast<const C*>(samples.scores)),
        reference(shape.reference_size == 0 ? nullptr : static_cast<const C*>(samples.reference)) {}
};

// Rows first, first + step, ... Those `ahead` steps further are next; 0 where none are.
struct Rows {
  int64_t first, step, count, ahead = 0;

  // Of these rows those from `done` on, at most `most`.
  Rows Next(int64_t done, int64_t most) const {
    const int64_t left = count - done;
    return {first + done * step, step, left < most ? left : most, left < 2 * most ? 0 : most};
  }
};

// The maps of one batch item: those of all heads as they lie in `value`, or a copy of one head's.
template <typename V>
struct Maps {
  V* pixels;
  int64_t pixel;  // elements from one pixel to the next
  int64_t head;   // and from one head to the next, 0 where there is only one
  int64_t dim;    // channels, those of padding included
};

// States of a sample; kNan where a coordinate or the weight of a sample that is not inside is NaN.
constexpr int32_t kInside = 0, kOutside = 1, kNan = 2;

// Tables and scratch for the samples of a block of rows, in arrays padded to whole vectors.
template <typename C>
struct Block {
  // About as many samples as make the overhead of a block small and keep it in the first-level cache.
  static constexpr int64_t kSamples = 128, kChannels = 1024;

  Block(const Call<C>& call, int64_t pixel, int64_t dim) {
    const TfgeoMsDeformAttnShape& shape = call.shape;
    padded_dim = (dim + 15) / 16 * 16;
    rows = std::max<int64_t>(1, std::min(kSamples / call.per_head, kChannels / padded_dim));
    const int64_t count = rows * call.per_head;
    // Every array starts on its own cache line and has room for a whole vector beyond the last sample.
    padded = (count + 15) / 16 * 16 + 16;
    ints_.reset(new int32_t[8 * padded]());
    reals_.reset(new C[30 * padded + rows * padded_dim]());
    int32_t* ints = ints_.get();
    C* reals = reals_.get();
    auto take_ints = [&] { return std::exchange(ints, ints + padded); };
    auto take = [&](int64_t arrays) { return std::exchange(reals, reals + arrays * padded); };
    start = take_ints();
    width = take_ints();
    height = take_ints();
    state = take_ints();
    corner = std::exchange(ints, ints + 4 * padded);
    width_t = take(1);
    height_t = take(1);
    positions = take(2);
    for (C** array : {&scale_x, &scale_y, &reference_x, &reference_y, &attn}) *array = take(1);
    for (int k = 0; k < 4; ++k) {
      side[k] = take(1);
      inside[k] = take(1);
    }
    weight = take(4);
    dots = take(4);
    grad_positions = take(2);
    for (C** array : {&grad_x, &grad_y, &grad_attn}) *array = take(1);
    channels = reals;
    FillTables(shape, pixel);
  }

  int64_t rows;        // at most, in one block
  int64_t padded;      // samples
  int64_t padded_dim;  // channels
  // The same for every block. Padding is a 1x1 map, sampled at its only pixel.
  int32_t *start, *width, *height;  // first element of the sample's level, its size
  C *width_t, *height_t;
  // What came: the location is position * scale + reference.
  C *positions, *scale_x, *scale_y, *reference_x, *reference_y, *attn;
  // Where the samples lie.
  int32_t* state;
  int32_t* corner;  // [samples, 4], elements of the maps: top left, top right, bottom left, bottom right
  C* weight;        // [samples, 4], attention weight times bilinear weight, 0 outside
  // For the gradient: bilinear weight by side (left, right, top, bottom), 0 outside; 1 where the side is inside.
  C* side[4];
  C* inside[4];
  C* dots;                     // [samples, 4]: grad_output times each corner
  C *grad_x, *grad_y;          // of the locations
  C *grad_positions, *grad_attn;
  C* channels;  // [rows, padded_dim]: of the output, or of its gradient

 private:
  void FillTables(const TfgeoMsDeformAttnShape& shape, int64_t pixel) {
    std::fill(width, width + padded, 1);
    std::fill(height, height + padded, 1);
    std::fill(scale_x, scale_x + padded, C(1));
    std::fill(scale_y, scale_y + padded, C(1));
    int64_t i = 0;
    for (int64_t r = 0; r < rows; ++r) {
      int64_t first = 0;
      for (int64_t l = 0; l < shape.levels; ++l) {
        const int32_t h = shape.spatial_shapes[2 * l], w = shape.spatial_shapes[2 * l + 1];
        for (int64_t p = 0; p < shape.points; ++p, ++i) {
          start[i] = static_cast<int32_t>(first * pixel);
          width[i] = w;
          height[i] = h;
          if (shape.reference_size == 2) {
            scale_x[i] = C(1) / static_cast<C>(w);
            scale_y[i] = C(1) / static_cast<C>(h);
          }
        }
        first += int64_t{h} * w;
      }
    }
    std::copy(width, width + padded, width_t);
    std::copy(height, height + padded, height_t);
  }

  std::unique_ptr<int32_t[]> ints_;
  std::unique_ptr<C[]> reals_;
};

}  // namespace tfgeo::deform

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_PLAN_H_
