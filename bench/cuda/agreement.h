// SPDX-License-Identifier: Apache-2.0
// Whether all sides compute the same: the CPU kernels in float32 are what the others are compared with.
#ifndef TFGEO_BENCH_CUDA_AGREEMENT_H_
#define TFGEO_BENCH_CUDA_AGREEMENT_H_

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "workload.h"

namespace tfgeo::bench {

// All of the machine's processors, for the C interface.
inline TfgeoThreads HostThreads() {
  TfgeoThreads threads = {static_cast<int>(std::max(1u, std::thread::hardware_concurrency())), nullptr, nullptr};
  threads.run = [](void*, int64_t total, int64_t block, void (*fn)(void*, int64_t, int64_t), void* context) {
    std::atomic<int64_t> next{0};
    auto work = [&] {
      for (int64_t begin; (begin = next.fetch_add(block)) < total;) fn(context, begin, std::min(begin + block, total));
    };
    std::vector<std::thread> others(std::max(1u, std::thread::hardware_concurrency()) - 1);
    for (std::thread& other : others) other = std::thread(work);
    work();
    for (std::thread& other : others) other.join();
  };
  return threads;
}

inline Results OnCpu(const DeformCase& sizes, const Data& d, bool raw) {
  const DeformCase c = raw ? sizes.Raw(2) : sizes;
  const TfgeoMsDeformAttnShape shape = c.Shape();
  const TfgeoThreads threads = HostThreads();
  TfgeoMsDeformAttnSamples samples = {nullptr, d.locations.data(), d.weights.data()};
  if (raw) samples = {d.reference.data(), d.offsets.data(), d.logits.data()};
  Results r;
  r.output.resize(static_cast<size_t>(c.OutputSize()));
  r.grad_value.resize(static_cast<size_t>(c.ValueSize()));
  r.grad_reference.resize(static_cast<size_t>(c.ReferenceSize()));
  r.grad_positions.resize(static_cast<size_t>(2 * c.Samples()));
  r.grad_scores.resize(static_cast<size_t>(c.Samples()));
  const TfgeoMsDeformAttnGrads grads = {r.grad_value.data(), raw ? r.grad_reference.data() : nullptr,
                                        r.grad_positions.data(), r.grad_scores.data()};
  char text[512];
  const TfgeoError error = {text, sizeof(text)};
  if (tfgeo_ms_deform_attn(TFGEO_FLOAT32, &shape, d.value.data(), &samples, r.output.data(), &threads, error) !=
          TFGEO_OK ||
      tfgeo_ms_deform_attn_grad(TFGEO_FLOAT32, &shape, d.upstream.data(), d.value.data(), &samples, &grads, &threads,
                                error) != TFGEO_OK) {
    throw std::runtime_error(text);
  }
  return r;
}

// Largest difference in units of the largest wanted value; NaN and missing values are infinitely far.
inline double Largest(const std::vector<float>& got, const std::vector<float>& want) {
  double scale = 0, worst = 0;
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  for (const float w : want) scale = std::max(scale, std::fabs(static_cast<double>(w)));
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(got[i]) - want[i]);
    if (!(difference <= worst)) worst = difference;
    if (worst != worst) return std::numeric_limits<double>::infinity();
  }
  return worst == 0 ? 0 : worst / scale;
}

// Length of the difference in units of the length of what is wanted.
inline double Typical(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, length = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference += (static_cast<double>(got[i]) - want[i]) * (static_cast<double>(got[i]) - want[i]);
    length += static_cast<double>(want[i]) * want[i];
  }
  if (difference != difference) return std::numeric_limits<double>::infinity();
  return difference == 0 ? 0 : std::sqrt(difference / length);
}

struct Difference {
  std::string tensor;
  double value, most;
};

// One row for each tensor that both have. `narrow`: the other side's locations are in 16 bits, where half a pixel's
// fraction is lost: its results are then compared as a whole, and the gradient of the locations not at all.
inline std::vector<Difference> Compare(const Results& got, const Results& want, TfgeoType type, bool narrow) {
  const double most = type == TFGEO_FLOAT32 ? 1e-4 : type == TFGEO_FLOAT16 ? 2e-3 : 1.6e-2;
  constexpr double kMostNarrow = 0.15;
  std::vector<Difference> rows;
  auto add = [&](const char* tensor, const std::vector<float>& a, const std::vector<float>& b) {
    if (b.empty()) return;
    rows.push_back({tensor, narrow ? Typical(a, b) : Largest(a, b), narrow ? kMostNarrow : most});
  };
  add("output", got.output, want.output);
  add("grad_value", got.grad_value, want.grad_value);
  add("grad_reference", got.grad_reference, want.grad_reference);
  if (!narrow) add("grad_positions", got.grad_positions, want.grad_positions);
  add("grad_scores", got.grad_scores, want.grad_scores);
  return rows;
}

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_AGREEMENT_H_
