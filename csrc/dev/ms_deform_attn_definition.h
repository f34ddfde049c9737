// SPDX-License-Identifier: Apache-2.0
// The definition of multi-scale deformable attention in double precision, sample by sample and corner by corner, and the
// sizes it is tried at: what the programs that check the CPU and the CUDA kernels compare with.
#ifndef TFGEO_DEV_MS_DEFORM_ATTN_DEFINITION_H_
#define TFGEO_DEV_MS_DEFORM_ATTN_DEFINITION_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "../kernels/ms_deform_attn.h"
#include "dev.h"

namespace tfgeo::dev {

// ---- cases ----

struct DeformCase {
  const char* name;
  int64_t batch, queries, heads, points, dim;
  std::vector<int32_t> levels;    // H, W, H, W ...
  double low = -0.3, high = 1.3;  // range of the locations, or of the centres of the reference
  int64_t reference_size = 0;     // 0: located samples; 2 or 4: raw ones

  int64_t Levels() const { return static_cast<int64_t>(levels.size() / 2); }
  int64_t Length() const {
    int64_t sum = 0;
    for (size_t l = 0; l < levels.size(); l += 2) sum += int64_t{levels[l]} * levels[l + 1];
    return sum;
  }
  int64_t Samples() const { return batch * queries * heads * points * Levels(); }
  int64_t ValueSize() const { return batch * Length() * heads * dim; }
  int64_t OutputSize() const { return batch * queries * heads * dim; }
  int64_t ReferenceSize() const { return batch * queries * Levels() * reference_size; }
  TfgeoMsDeformAttnShape Shape() const {
    return {batch, Length(), heads, dim, Levels(), points, queries, reference_size, levels.data()};
  }
  // The same with raw samples around reference points (2) or boxes (4).
  DeformCase Raw(int64_t size) const {
    DeformCase raw = *this;
    raw.reference_size = size;
    return raw;
  }
};

inline const std::vector<DeformCase>& DeformCases() {
  static const std::vector<DeformCase> cases = {
      {"one of everything", 1, 1, 1, 1, 1, {1, 1}},
      {"dim 16, tiny model", 2, 40, 8, 2, 16, {20, 20, 10, 10, 5, 5}},
      {"dim 32", 1, 37, 8, 4, 32, {9, 12, 5, 6, 3, 3, 2, 1}},
      {"dim 30, one head", 3, 10, 1, 3, 30, {6, 7, 3, 4}},
      {"dim 64", 1, 19, 2, 4, 64, {7, 7, 4, 4}},
      {"dim 71", 1, 9, 5, 2, 71, {5, 5, 1, 13}},
      {"dim 1, many levels", 2, 11, 3, 1, 1, {4, 4, 3, 3, 2, 2, 1, 1, 7, 1}},
      {"dim 1025, one query", 1, 1, 1, 4, 1025, {3, 4, 2, 2}},
      {"dim 4, 8 points", 1, 50, 4, 8, 4, {17, 15, 9, 8}},
      {"dim 48, 8 points", 1, 24, 8, 8, 48, {11, 6}},
      {"dim 127, one row", 1, 7, 2, 2, 127, {1, 24}},
      {"one query", 1, 1, 8, 4, 32, {10, 10, 5, 5}},
      {"many queries", 2, 300, 4, 1, 4, {5, 6}},
      {"all outside", 1, 8, 2, 2, 16, {3, 3}, 2.0, 3.0},
      {"1x1 levels", 2, 20, 4, 4, 4, {1, 1, 1, 1, 1, 1}},
      {"17 levels", 1, 5, 2, 3, 8, {1, 2, 2, 1, 3, 1, 1, 3, 2, 2, 4, 1, 1, 4, 5, 1, 1, 5, 2, 3, 3, 2, 1, 1, 6, 1, 1, 6,
                                    3, 3, 2, 4, 4, 2}},
  };
  return cases;
}

// ---- data ----

// Inputs and results; those that a case does not have are empty.
struct DeformData {
  std::vector<double> value, reference, positions, scores, upstream;
  std::vector<double> output, grad_value, grad_reference, grad_positions, grad_scores;
};

// Row of [N, Q, L, R] that holds the reference of a sample; samples count [N, Q, M, L, P].
inline int64_t ReferenceRow(const DeformCase& c, int64_t sample) {
  const int64_t level = sample / c.points % c.Levels();
  return sample / (c.points * c.Levels() * c.heads) * c.Levels() + level;
}

// Where a sample lies in its map, in pixels.
inline void PixelOf(const DeformCase& c, const DeformData& d, int64_t sample, double* x, double* y) {
  const int64_t level = sample / c.points % c.Levels();
  const double height = c.levels[2 * level], width = c.levels[2 * level + 1];
  const double px = d.positions[2 * sample], py = d.positions[2 * sample + 1];
  const double* ref = d.reference.data() + ReferenceRow(c, sample) * c.reference_size;
  double u = px, v = py;
  if (c.reference_size == 2) {
    u = ref[0] + px / width;
    v = ref[1] + py / height;
  } else if (c.reference_size == 4) {
    u = ref[0] + px / c.points * ref[2] * 0.5;
    v = ref[1] + py / c.points * ref[3] * 0.5;
  }
  *x = u * width - 0.5;
  *y = v * height - 0.5;
}

// Random inputs, rounded by `to_value` and `to_sample` to what the kernels' types hold. No sample lies within a hundredth
// of a pixel of a whole one, where the location gradient jumps and rounding alone decides the side.
template <typename ToValue, typename ToSample>
DeformData RandomData(const DeformCase& c, uint32_t seed, ToValue to_value, ToSample to_sample) {
  Uniform uniform(seed);
  DeformData d;
  auto fill = [&](std::vector<double>& into, int64_t count, double low, double high, auto round) {
    into = uniform.Many<double>(static_cast<size_t>(count), low, high);
    for (double& x : into) x = round(x);
  };
  fill(d.value, c.ValueSize(), -1, 1, to_value);
  fill(d.upstream, c.OutputSize(), -1, 1, to_value);
  fill(d.reference, c.ReferenceSize(), c.low, c.high, to_sample);
  if (c.reference_size == 4) {
    for (size_t i = 0; i < d.reference.size(); ++i) {
      if (i % 4 >= 2) d.reference[i] = to_sample(uniform(0.1, 0.9));
    }
  }
  const double reach = c.reference_size == 0 ? 0 : 2;
  fill(d.positions, 2 * c.Samples(), reach ? -reach : c.low, reach ? reach : c.high, to_sample);
  fill(d.scores, c.Samples(), c.reference_size ? -3 : -0.2, c.reference_size ? 3 : 1, to_sample);
  for (int64_t i = 0; i < c.Samples(); ++i) {
    for (int axis = 0; axis < 2; ++axis) {
      for (int tries = 0; tries < 100; ++tries) {
        double at[2];
        PixelOf(c, d, i, &at[0], &at[1]);
        if (std::fabs(at[axis] - std::nearbyint(at[axis])) > 0.01) break;
        d.positions[2 * i + axis] = to_sample(d.positions[2 * i + axis] + uniform(0.001, 0.1));
      }
    }
  }
  return d;
}

// ---- definition ----

// The weights of the samples: given, or the softmax of the logits of a query and head.
inline std::vector<double> WeightsOf(const DeformCase& c, const DeformData& d) {
  std::vector<double> weights = d.scores;
  if (c.reference_size == 0) return weights;
  const int64_t run = c.Levels() * c.points;
  for (int64_t first = 0; first < c.Samples(); first += run) {
    double largest = d.scores[first], sum = 0;
    for (int64_t i = first; i < first + run; ++i) largest = std::fmax(largest, d.scores[i]);
    for (int64_t i = first; i < first + run; ++i) sum += weights[i] = std::exp(d.scores[i] - largest);
    for (int64_t i = first; i < first + run; ++i) weights[i] /= sum;
  }
  return weights;
}

// From the gradients of a sample's location (x, y) to those of what it was made of.
inline void PassToRaw(const DeformCase& c, DeformData& d, int64_t sample, double x, double y) {
  const int64_t level = sample / c.points % c.Levels();
  const int64_t row = ReferenceRow(c, sample) * c.reference_size;
  const double gradient[2] = {x, y};
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t at = 2 * sample + axis;
    d.grad_positions[at] = gradient[axis];
    if (c.reference_size == 0) continue;
    d.grad_reference[row + axis] += gradient[axis];
    if (c.reference_size == 2) {
      d.grad_positions[at] /= c.levels[2 * level + 1 - axis];
    } else {
      d.grad_positions[at] *= d.reference[row + 2 + axis] * 0.5 / c.points;
      d.grad_reference[row + 2 + axis] += gradient[axis] * d.positions[at] * 0.5 / c.points;
    }
  }
}

// One sample: adds to the output and to grad_value; returns the gradient of its weight, *gx and *gy those of the pixel.
inline double OneSample(const DeformCase& c, DeformData& d, int64_t sample, double weight, double* gx, double* gy) {
  const int64_t level = sample / c.points % c.Levels(), head = sample / (c.points * c.Levels()) % c.heads;
  const int64_t query = sample / (c.points * c.Levels() * c.heads);  // of N * Q
  const int64_t height = c.levels[2 * level], width = c.levels[2 * level + 1];
  int64_t start = query / c.queries * c.Length();
  for (int64_t l = 0; l < level; ++l) start += int64_t{c.levels[2 * l]} * c.levels[2 * l + 1];
  double x, y, gw = 0;
  PixelOf(c, d, sample, &x, &y);
  for (int corner = 0; corner < 4; ++corner) {
    const double px = std::floor(x) + corner % 2, py = std::floor(y) + corner / 2;
    if (!(px >= 0 && px < width && py >= 0 && py < height)) continue;
    const double wx = 1 - std::fabs(x - px), wy = 1 - std::fabs(y - py);
    const double sx = corner % 2 ? 1 : -1, sy = corner / 2 ? 1 : -1;
    const int64_t pixel = start + static_cast<int64_t>(py) * width + static_cast<int64_t>(px);
    for (int64_t k = 0; k < c.dim; ++k) {
      const int64_t at = (pixel * c.heads + head) * c.dim + k, to = (query * c.heads + head) * c.dim + k;
      d.output[to] += weight * wx * wy * d.value[at];
      d.grad_value[at] += weight * wx * wy * d.upstream[to];
      gw += wx * wy * d.value[at] * d.upstream[to];
      *gx += weight * sx * wy * d.value[at] * d.upstream[to];
      *gy += weight * sy * wx * d.value[at] * d.upstream[to];
    }
  }
  return gw;
}

// Fills in the results. Inputs must be finite.
inline void Define(const DeformCase& c, DeformData& d) {
  d.output.assign(c.OutputSize(), 0);
  d.grad_value.assign(c.ValueSize(), 0);
  d.grad_reference.assign(c.ReferenceSize(), 0);
  d.grad_positions.assign(2 * c.Samples(), 0);
  d.grad_scores.assign(c.Samples(), 0);
  const std::vector<double> weights = WeightsOf(c, d);
  for (int64_t i = 0; i < c.Samples(); ++i) {
    const int64_t level = i / c.points % c.Levels();
    double x = 0, y = 0;
    d.grad_scores[i] = OneSample(c, d, i, weights[i], &x, &y);
    PassToRaw(c, d, i, x * c.levels[2 * level + 1], y * c.levels[2 * level]);
  }
  if (c.reference_size == 0) return;
  const int64_t run = c.Levels() * c.points;
  for (int64_t first = 0; first < c.Samples(); first += run) {
    double mean = 0;
    for (int64_t i = first; i < first + run; ++i) mean += weights[i] * d.grad_scores[i];
    for (int64_t i = first; i < first + run; ++i) d.grad_scores[i] = weights[i] * (d.grad_scores[i] - mean);
  }
}

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_MS_DEFORM_ATTN_DEFINITION_H_
