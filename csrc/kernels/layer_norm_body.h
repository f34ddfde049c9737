// SPDX-License-Identifier: Apache-2.0
// The loops of layer_norm.cc, compiled once per instruction set: no include guard, no includes (foreach_isa.h).
#include "vector.h"

namespace tfgeo::TFGEO_ISA {
namespace {

constexpr int kLanes = TFGEO_VECTOR_BYTES / sizeof(float);
typedef Vec<float, kLanes>::type V;

TFGEO_INLINE float Sum(V v) {
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

struct Moments {
  float mean, rstd;
};

// Mean of a row and 1 / sqrt(variance + eps), in two passes.
TFGEO_INLINE Moments RowMoments(const float* x, int64_t columns, float eps) {
  const int64_t whole = columns / kLanes * kLanes;
  V sums = V{};
  float sum = 0;
  for (int64_t c = 0; c < whole; c += kLanes) sums += Load<float, kLanes>(x + c);
  for (int64_t c = whole; c < columns; ++c) sum += x[c];
  const float m = (Sum(sums) + sum) / static_cast<float>(columns);
  sums = V{};
  sum = 0;
  for (int64_t c = 0; c < whole; c += kLanes) {
    const V d = Load<float, kLanes>(x + c) - m;
    sums += d * d;
  }
  for (int64_t c = whole; c < columns; ++c) sum += (x[c] - m) * (x[c] - m);
  return {m, 1.0f / __builtin_sqrtf((Sum(sums) + sum) / static_cast<float>(columns) + eps)};
}

void NormRows(int64_t rows, int64_t columns, const float* x, const float* weight, const float* bias, float eps,
              float* y) {
  const int64_t whole = columns / kLanes * kLanes;
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    const auto [m, s] = RowMoments(x, columns, eps);
    for (int64_t c = 0; c < whole; c += kLanes) {
      const V scaled = (Load<float, kLanes>(x + c) - m) * s;
      Store<float, kLanes>(y + c, scaled * Load<float, kLanes>(weight + c) + Load<float, kLanes>(bias + c));
    }
    for (int64_t c = whole; c < columns; ++c) y[c] = (x[c] - m) * s * weight[c] + bias[c];
  }
}

// Adds to grad_weight and grad_bias.
void NormRowsGrad(int64_t rows, int64_t columns, const float* grad_y, const float* x, const float* weight, float eps,
                  float* grad_x, float* grad_weight, float* grad_bias) {
  const int64_t whole = columns / kLanes * kLanes;
  const float scale = 1.0f / static_cast<float>(columns);
  for (int64_t r = 0; r < rows; ++r, x += columns, grad_y += columns, grad_x += columns) {
    const auto [m, s] = RowMoments(x, columns, eps);
    V sums = V{}, products = V{};
    float sum = 0, product = 0;
    for (int64_t c = 0; c < whole; c += kLanes) {
      const V g = Load<float, kLanes>(grad_y + c);
      const V n = (Load<float, kLanes>(x + c) - m) * s;
      const V gw = g * Load<float, kLanes>(weight + c);
      sums += gw;
      products += gw * n;
      Store<float, kLanes>(grad_weight + c, Load<float, kLanes>(grad_weight + c) + g * n);
      Store<float, kLanes>(grad_bias + c, Load<float, kLanes>(grad_bias + c) + g);
    }
    for (int64_t c = whole; c < columns; ++c) {
      const float n = (x[c] - m) * s;
      sum += grad_y[c] * weight[c];
      product += grad_y[c] * weight[c] * n;
      grad_weight[c] += grad_y[c] * n;
      grad_bias[c] += grad_y[c];
    }
    const float a = (Sum(sums) + sum) * scale, b = (Sum(products) + product) * scale;
    for (int64_t c = 0; c < whole; c += kLanes) {
      const V n = (Load<float, kLanes>(x + c) - m) * s;
      const V gw = Load<float, kLanes>(grad_y + c) * Load<float, kLanes>(weight + c);
      Store<float, kLanes>(grad_x + c, s * (gw - a - n * b));
    }
    for (int64_t c = whole; c < columns; ++c) {
      grad_x[c] = s * (grad_y[c] * weight[c] - a - (x[c] - m) * s * b);
    }
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
