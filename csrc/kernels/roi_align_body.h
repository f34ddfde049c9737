// SPDX-License-Identifier: Apache-2.0
// The loops of roi_align.cc, compiled once per instruction set: no include guard, no includes (foreach_isa.h).
#include "vector.h"

namespace tfgeo::TFGEO_ISA {
namespace {

constexpr int kLanes = TFGEO_VECTOR_BYTES / sizeof(float);
typedef Vec<float, kLanes>::type V;

// out[c] += sum over i of factor * weights[i] * cells[i * stride + c].
void GatherCells(int64_t count, int64_t channels, int64_t stride, float factor, const float* weights,
                 const float* cells, float* out) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    V sum = Load<float, kLanes>(out + c);
    for (int64_t i = 0; i < count; ++i) sum += factor * weights[i] * Load<float, kLanes>(cells + i * stride + c);
    Store<float, kLanes>(out + c, sum);
  }
  for (; c < channels; ++c) {
    for (int64_t i = 0; i < count; ++i) out[c] += factor * weights[i] * cells[i * stride + c];
  }
}

// cells[i * stride + c] += factor * weights[i] * grad[c].
void ScatterCells(int64_t count, int64_t channels, int64_t stride, float factor, const float* weights,
                  const float* grad, float* cells) {
  for (int64_t i = 0; i < count; ++i) {
    const float weight = factor * weights[i];
    float* cell = cells + i * stride;
    int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      Store<float, kLanes>(cell + c, Load<float, kLanes>(cell + c) + weight * Load<float, kLanes>(grad + c));
    }
    for (; c < channels; ++c) cell[c] += weight * grad[c];
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
