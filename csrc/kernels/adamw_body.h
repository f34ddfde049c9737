// SPDX-License-Identifier: Apache-2.0
// The loops of adamw.cc, compiled once per instruction set: no include guard, no includes (foreach_isa.h). They are plain
// so that the compiler makes vectors of them, roots included.
#include "vector.h"

namespace tfgeo::TFGEO_ISA {
namespace {

void AdamWRange(const AdamWNumbers& n, int64_t size, const float* __restrict gradient, const float* __restrict param,
                const float* __restrict first, const float* __restrict second, float* __restrict next_param,
                float* __restrict next_first, float* __restrict next_second, float* __restrict value) {
  const float beta1 = n.beta1, rest1 = n.rest1, beta2 = n.beta2, rest2 = n.rest2;
  const float decay = n.decay, epsilon = n.epsilon, rate = n.rate, scale = n.scale;
  for (int64_t i = 0; i < size; ++i) {
    const float g = gradient[i] * scale;
    const float m = first[i] * beta1 + g * rest1;
    const float v = second[i] * beta2 + g * g * rest2;
    const float x = param[i] * decay - m / (__builtin_sqrtf(v) + epsilon) * rate;
    next_first[i] = m;
    next_second[i] = v;
    next_param[i] = x;
    value[i] = x;
  }
}

void MoveAverages(float share, int64_t size, const float* __restrict average, const float* __restrict param,
                  float* __restrict next) {
  for (int64_t i = 0; i < size; ++i) next[i] = average[i] + (param[i] - average[i]) * share;
}

float SumOfSquares(int64_t size, const float* values) {
  constexpr int kLanes = TFGEO_VECTOR_BYTES / sizeof(float);
  typedef Vec<float, kLanes>::type V;
  V a = V{}, b = V{};
  int64_t i = 0;
  for (; i + 2 * kLanes <= size; i += 2 * kLanes) {
    const V x = Load<float, kLanes>(values + i), y = Load<float, kLanes>(values + i + kLanes);
    a += x * x;
    b += y * y;
  }
  float rest = 0;
  for (; i < size; ++i) rest += values[i] * values[i];
  return SumOf<kLanes>(a + b) + rest;
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
