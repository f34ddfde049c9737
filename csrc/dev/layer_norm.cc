// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/layer_norm.cc; how to build it: dev.h.
#include "../kernels/layer_norm.h"

#include "dev.h"

namespace {

using namespace tfgeo;

struct Data {
  int64_t rows, columns;
  std::vector<float> x, weight, bias, upstream, y, grad_x, grad_weight, grad_bias;

  Data(int64_t rows, int64_t columns) : rows(rows), columns(columns) {
    dev::Uniform uniform(3);
    const size_t size = rows * columns;
    x = uniform.Many<float>(size, -2, 3);
    weight = uniform.Many<float>(columns, -1, 1);
    bias = uniform.Many<float>(columns, -1, 1);
    upstream = uniform.Many<float>(size, -1, 1);
    for (auto* out : {&y, &grad_x}) out->assign(size, NAN);
    for (auto* out : {&grad_weight, &grad_bias}) out->assign(columns, NAN);
  }
  void Forward(const Parallel& parallel) {
    LayerNorm(rows, columns, x.data(), weight.data(), bias.data(), 1e-5f, y.data(), parallel);
  }
  void Backward(const Parallel& parallel) {
    LayerNormGrad(rows, columns, upstream.data(), x.data(), weight.data(), 1e-5f, grad_x.data(), grad_weight.data(),
                  grad_bias.data(), parallel);
  }
};

void CheckSize(int64_t rows, int64_t columns) {
  Data d(rows, columns);
  const Parallel parallel = dev::Threads(3);
  d.Forward(parallel);
  d.Backward(parallel);
  std::vector<double> y(d.x.size()), grad_x(d.x.size()), grad_weight(columns), grad_bias(columns);
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = d.x.data() + r * columns;
    const float* g = d.upstream.data() + r * columns;
    double mean = 0, variance = 0, a = 0, b = 0;
    for (int64_t c = 0; c < columns; ++c) mean += x[c] / static_cast<double>(columns);
    for (int64_t c = 0; c < columns; ++c) variance += (x[c] - mean) * (x[c] - mean) / static_cast<double>(columns);
    const double rstd = 1 / std::sqrt(variance + 1e-5);
    for (int64_t c = 0; c < columns; ++c) {
      const double n = (x[c] - mean) * rstd;
      y[r * columns + c] = n * d.weight[c] + d.bias[c];
      grad_weight[c] += g[c] * n;
      grad_bias[c] += g[c];
      a += g[c] * d.weight[c] / columns;
      b += g[c] * d.weight[c] * n / columns;
    }
    for (int64_t c = 0; c < columns; ++c) {
      grad_x[r * columns + c] = rstd * (g[c] * d.weight[c] - a - (x[c] - mean) * rstd * b);
    }
  }
  const std::string name = std::to_string(rows) + " x " + std::to_string(columns);
  dev::Check(name, std::max({dev::Error(d.y, y), dev::Error(d.grad_x, grad_x), dev::Error(d.grad_weight, grad_weight),
                             dev::Error(d.grad_bias, grad_bias)}),
             columns < 4 ? 2e-5 : 3e-6);  // with so few, 1 / deviation is large
}

void TimeAll() {
  const int64_t sizes[][2] = {{8 * 6400, 32}, {8 * 2100, 128}, {13294, 256}};
  for (const auto& size : sizes) {
    Data d(size[0], size[1]);
    const Parallel parallel = dev::Threads(2);
    const double forward = dev::Milliseconds([&] { d.Forward(parallel); });
    const double backward = dev::Milliseconds([&] { d.Backward(parallel); });
    std::printf("time  %6ld x %3ld, 2 threads: forward %.2f ms, backward %.2f ms\n", static_cast<long>(size[0]),
                static_cast<long>(size[1]), forward, backward);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (!dev::StartIsa()) return dev::kLeftOut;
  for (int64_t columns : {1, 2, 7, 16, 30, 32, 71, 96, 256, 1025}) CheckSize(columns == 1 ? 5 : 301, columns);
  return dev::Finish(argc, argv, TimeAll);
}
