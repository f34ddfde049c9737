// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/adamw.cc; how to build it: dev.h.
#include "../kernels/adamw.h"

#include "dev.h"

namespace {

using namespace tfgeo;

constexpr AdamWNumbers kNumbers = {0.9f, 0.1f, 0.999f, 0.001f, 0.9999f, 1e-8f, 1e-3f, 0.01f, 0.5f};

struct Data {
  std::vector<int64_t> sizes;
  std::vector<std::vector<float>> gradients, values;
  std::vector<float> param, first, second, average, next_param, next_first, next_second, next_average;

  explicit Data(std::vector<int64_t> part_sizes) : sizes(std::move(part_sizes)) {
    dev::Uniform uniform(5);
    int64_t total = 0;
    for (const int64_t size : sizes) {
      gradients.push_back(uniform.Many<float>(size, -1, 1));
      values.emplace_back(size, NAN);
      total += size;
    }
    param = uniform.Many<float>(total, -1, 1);
    first = uniform.Many<float>(total, -0.1, 0.1);
    second = uniform.Many<float>(total, 0, 0.01);
    average = uniform.Many<float>(total, -1, 1);
    for (auto* out : {&next_param, &next_first, &next_second, &next_average}) out->assign(total, NAN);
  }

  void Step(const Parallel& parallel, bool averages = true) {
    std::vector<AdamWPart> parts;
    for (size_t i = 0; i < sizes.size(); ++i) parts.push_back({gradients[i].data(), values[i].data(), sizes[i]});
    AdamW(kNumbers,
          {param.data(), first.data(), second.data(), averages ? average.data() : nullptr, next_param.data(),
           next_first.data(), next_second.data(), averages ? next_average.data() : nullptr},
          parts, parallel);
  }

  double Norm(const Parallel& parallel) const {
    std::vector<NormPart> parts;
    for (const auto& gradient : gradients) parts.push_back({gradient.data(), static_cast<int64_t>(gradient.size())});
    return SquaredNorm(parts, parallel);
  }
};

void CheckSizes(const std::string& name, const std::vector<int64_t>& sizes) {
  Data d(sizes);
  const Parallel parallel = dev::Threads(3);
  d.Step(parallel);
  std::vector<double> params, firsts, seconds, averages;
  double squares = 0, apart = 0;
  size_t at = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    for (int64_t j = 0; j < sizes[i]; ++j, ++at) {
      const double raw = d.gradients[i][j], g = raw * 0.5;
      squares += raw * raw;
      firsts.push_back(0.9 * d.first[at] + 0.1 * g);
      seconds.push_back(0.999 * d.second[at] + 0.001 * g * g);
      params.push_back(0.9999 * d.param[at] - 1e-3 * firsts.back() / (std::sqrt(seconds.back()) + 1e-8));
      averages.push_back(d.average[at] + 0.01 * (params.back() - d.average[at]));
      apart = std::max(apart, std::fabs(static_cast<double>(d.values[i][j]) - d.next_param[at]));
    }
  }
  const double error = std::max({dev::Error(d.next_param, params), dev::Error(d.next_first, firsts),
                                 dev::Error(d.next_second, seconds), dev::Error(d.next_average, averages)});
  dev::Check(name + ": step", error, 3e-7);
  dev::Check(name + ": values are the parameters", apart, 0);
  dev::Check(name + ": norm", std::fabs(d.Norm(parallel) - squares) / std::max(1.0, squares), 1e-6);
  dev::Check(name + ": norm whatever the threads", d.Norm(parallel) == d.Norm(Parallel()) ? 0 : 1, 0);
  const std::vector<float> before = d.next_average;
  d.Step(parallel, false);
  dev::Check(name + ": no averages", d.next_average == before ? 0 : 1, 0);
}

void TimeAll() {
  const Parallel parallel = dev::Threads(2);
  for (const int64_t parameters : {480, 30}) {
    Data d(std::vector<int64_t>(static_cast<size_t>(parameters), 2000000 / parameters));
    const double step = dev::Milliseconds([&] { d.Step(parallel); });
    const double norm = dev::Milliseconds([&] { d.Norm(parallel); });
    std::printf("time  2 million values in %3ld parameters, 2 threads: step %.2f ms, norm %.2f ms\n",
                static_cast<long>(parameters), step, norm);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (!dev::StartIsa()) return dev::kLeftOut;
  CheckSizes("one value", {1});
  CheckSizes("odd sizes", {3, 0, 71, 256, 16, 1});
  CheckSizes("several pieces", {16384, 40001, 7, 16385});
  return dev::Finish(argc, argv, TimeAll);
}
