// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/gelu.cc; how to build it: dev.h.
#include "../kernels/gelu.h"

#include <limits>

#include "dev.h"

namespace {

using namespace tfgeo;

void TimeAll() {
  dev::Uniform uniform(1);
  const int64_t size = 8 * 6400 * 128;
  const std::vector<float> big = uniform.Many<float>(size, -3, 3);
  std::vector<float> result(size);
  const Parallel parallel = dev::Threads(2);
  std::printf("time  %ld values, 2 threads: forward %.2f ms, backward %.2f ms\n", static_cast<long>(size),
              dev::Milliseconds([&] { Gelu(size, big.data(), result.data(), parallel); }),
              dev::Milliseconds([&] { GeluGrad(size, big.data(), big.data(), result.data(), parallel); }));
}

}  // namespace

int main(int argc, char** argv) {
  if (!dev::StartIsa()) return dev::kLeftOut;
  const Parallel parallel = dev::Threads(3);
  std::vector<float> x;
  for (double v = -14; v < 14; v += 0.00123) x.push_back(static_cast<float>(v));
  const std::vector<float> ones(x.size(), 1.0f);
  std::vector<float> y(x.size()), g(x.size());
  Gelu(x.size(), x.data(), y.data(), parallel);
  GeluGrad(x.size(), ones.data(), x.data(), g.data(), parallel);
  double error = 0, tail = 0, slope = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i], phi = std::erfc(-v / std::sqrt(2.0)) / 2;
    error = std::max(error, std::fabs(y[i] - v * phi));
    if (v < 0 && v > -10) tail = std::max(tail, std::fabs(y[i] / (v * phi) - 1));
    slope = std::max(slope, std::fabs(g[i] - (phi + v * std::exp(-v * v / 2) / std::sqrt(2 * M_PI))));
  }
  dev::Check("value", error, 1e-6);
  dev::Check("value, relative, below zero", tail, 1e-5);
  dev::Check("gradient", slope, 1e-6);
  const float odd[] = {NAN, std::numeric_limits<float>::infinity(), 0.0f};
  float out[3];
  Gelu(3, odd, out, Parallel());
  dev::Check("NaN, infinity, zero", !std::isnan(out[0]) + !std::isinf(out[1]) + (out[2] != 0), 0);
  return dev::Finish(argc, argv, TimeAll);
}
