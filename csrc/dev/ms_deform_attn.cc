// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/ms_deform_attn*.cc; how to build it: dev.h.
#include <algorithm>
#include <string>

#include "dev.h"
#include "ms_deform_attn_call.h"
#include "ms_deform_attn_odd.h"

namespace {

using namespace tfgeo;
using dev::Check;
using dev::DeformCall;
using dev::DeformCase;
using dev::DeformData;
using dev::Error;
using dev::Guarded;

constexpr TfgeoType kTypes[] = {TFGEO_FLOAT32, TFGEO_FLOAT64, TFGEO_FLOAT16, TFGEO_BFLOAT16};

// ---- against the definition ----

// Relative to the largest number: rounding of the result, or of the sums.
double ToleranceOf(TfgeoType type) {
  switch (type) {
    case TFGEO_FLOAT32:
      return 1e-5;
    case TFGEO_FLOAT64:
      return 1e-12;
    case TFGEO_FLOAT16:
      return 5e-4;
    default:
      return 4e-3;
  }
}

DeformData DataFor(const DeformCase& c, TfgeoType type, uint32_t seed) {
  return dev::RandomData(
      c, seed, [&](double x) { return dev::RoundTo(type, x); },
      [&](double x) { return dev::RoundTo(dev::SampleType(type), x); });
}

struct Errors {
  double tensors, samples;  // in the type of value, and in that of the samples
};

Errors Compare(const DeformData& got, const DeformData& want) {
  return {std::max(Error(got.output, want.output), Error(got.grad_value, want.grad_value)),
          std::max({Error(got.grad_positions, want.grad_positions), Error(got.grad_scores, want.grad_scores),
                    Error(got.grad_reference, want.grad_reference)})};
}

// Results on these threads, everything in guarded memory.
DeformData Run(const DeformCase& c, const DeformData& inputs, TfgeoType type, int threads, Guarded::Side side) {
  DeformCall call(c, inputs, type, side);
  const Parallel parallel = dev::Threads(threads);
  DeformData got;
  if (call.Forward(parallel) != TFGEO_OK || call.Backward(parallel) != TFGEO_OK) Check(call.text, 1, 0);
  if (!call.Intact()) Check(std::string(c.name) + ": wrote beside a tensor", 1, 0);
  call.Read(got);
  return got;
}

bool Equal(const DeformData& a, const DeformData& b) {
  return a.output == b.output && a.grad_value == b.grad_value && a.grad_positions == b.grad_positions &&
         a.grad_scores == b.grad_scores && a.grad_reference == b.grad_reference;
}

std::string NameOf(const DeformCase& c, TfgeoType type) {
  const char* const forms[] = {"", "", ", raw 2", "", ", raw 4"};
  return std::string(c.name) + forms[c.reference_size] + ", " + dev::TypeName(type);
}

// 1, 2 and 19 threads: right, the same twice, and the same bits as long as there are heads for all of them.
void CheckCase(const DeformCase& c, TfgeoType type) {
  DeformData want = DataFor(c, type, 7);
  const DeformData inputs = want;
  dev::Define(c, want);
  const DeformData one = Run(c, inputs, type, 1, Guarded::kBack);
  Errors worst = Compare(one, want);
  int different = 0;
  for (int threads : {2, 19}) {
    const DeformData got = Run(c, inputs, type, threads, Guarded::kFront);
    const Errors errors = Compare(got, want);
    worst = {std::max(worst.tensors, errors.tensors), std::max(worst.samples, errors.samples)};
    if (threads <= c.batch * c.heads) different += !Equal(got, one);
    different += !Equal(Run(c, inputs, type, threads, Guarded::kBack), got);
  }
  Check(NameOf(c, type), worst.tensors, ToleranceOf(type));
  Check(NameOf(c, type) + ", samples", worst.samples, ToleranceOf(dev::SampleType(type)));
  Check(NameOf(c, type) + ", same bits again", different, 0);
}

// What is not asked for is not written, and does not change the rest.
void CheckLeftOut(const DeformCase& c, TfgeoType type) {
  const DeformData inputs = DataFor(c, type, 5);
  const DeformData all = Run(c, inputs, type, 1, Guarded::kBack);
  int wrong = 0;
  for (int without = 0; without < 4; ++without) {
    DeformCall call(c, inputs, type);
    call.want_value = without != 0;
    call.want_reference = without != 1;
    call.want_positions = without != 2;
    call.want_scores = without != 3;
    wrong += call.Backward(Parallel()) != TFGEO_OK;
    DeformData got;
    call.Read(got);
    const std::vector<double>*parts[] = {&got.grad_value, &got.grad_reference, &got.grad_positions, &got.grad_scores};
    const std::vector<double>* whole[] = {&all.grad_value, &all.grad_reference, &all.grad_positions,
                                          &all.grad_scores};
    for (int k = 0; k < 4; ++k) {
      for (size_t i = 0; i < parts[k]->size(); ++i) {
        wrong += k == without ? !std::isnan((*parts[k])[i]) : (*parts[k])[i] != (*whole[k])[i];
      }
    }
  }
  Check(NameOf(c, type) + ", one gradient left out", wrong, 0);
}

// ---- random shapes ----

DeformCase RandomCase(dev::Uniform& uniform) {
  const auto below = [&](int64_t most) { return 1 + static_cast<int64_t>(uniform(0, 1) * static_cast<double>(most)); };
  const int64_t dims[] = {1, 2, 3, 4, 7, 8, 9, 16, 24, 30, 32, 33, 64, 71, 96};
  DeformCase c = {"random", below(2), below(25), below(5), below(5), dims[below(15) - 1], {}};
  const int64_t levels = below(4), side = below(2) == 1 ? 4 : 12;
  for (int64_t l = 0; l < 2 * levels; ++l) c.levels.push_back(static_cast<int32_t>(below(side)));
  return c.Raw(2 * (below(3) - 1));
}

// Central differences in double precision: a few random elements of every input.
double Differences(const DeformCase& c, DeformData d, dev::Uniform& uniform) {
  const DeformData got = Run(c, d, TFGEO_FLOAT64, 1, Guarded::kBack);
  const auto loss = [&] {
    DeformCall call(c, d, TFGEO_FLOAT64);
    DeformData out;
    call.Forward(Parallel());
    call.Read(out);
    double sum = 0;
    for (size_t i = 0; i < out.output.size(); ++i) sum += out.output[i] * d.upstream[i];
    return sum;
  };
  const double step = 1e-6;
  double worst = 0;
  const std::pair<std::vector<double>*, const std::vector<double>*> pairs[] = {{&d.value, &got.grad_value},
                                                                              {&d.positions, &got.grad_positions},
                                                                              {&d.scores, &got.grad_scores},
                                                                              {&d.reference, &got.grad_reference}};
  for (const auto& [input, grad] : pairs) {
    for (int tries = 0; tries < 4 && !input->empty(); ++tries) {
      const size_t at = static_cast<size_t>(uniform(0, 1) * static_cast<double>(input->size()));
      const double kept = (*input)[at];
      (*input)[at] = kept + step;
      const double up = loss();
      (*input)[at] = kept - step;
      const double down = loss();
      (*input)[at] = kept;
      const double error = std::fabs((up - down) / (2 * step) - (*grad)[at]) / std::max(1.0, std::fabs((*grad)[at]));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

void CheckRandom(uint32_t seed, int count) {
  dev::Uniform uniform(seed);
  double worst[4] = {0, 0, 0, 0}, samples[4] = {0, 0, 0, 0}, slope = 0;
  for (int i = 0; i < count; ++i) {
    const DeformCase c = RandomCase(uniform);
    const int threads = static_cast<int>(uniform(1, 5));
    for (const TfgeoType type : kTypes) {
      DeformData want = DataFor(c, type, seed + static_cast<uint32_t>(i));
      const DeformData got = Run(c, want, type, threads, i % 2 ? Guarded::kFront : Guarded::kBack);
      dev::Define(c, want);
      const Errors errors = Compare(got, want);
      if (!(errors.tensors <= worst[type])) worst[type] = errors.tensors;
      if (!(errors.samples <= samples[type])) samples[type] = errors.samples;
    }
    slope = std::max(slope, Differences(c, DataFor(c, TFGEO_FLOAT64, seed + static_cast<uint32_t>(i)), uniform));
  }
  for (const TfgeoType type : kTypes) {
    const std::string name = std::to_string(count) + " random shapes, " + dev::TypeName(type);
    Check(name, worst[type], ToleranceOf(type));
    Check(name + ", samples", samples[type], ToleranceOf(dev::SampleType(type)));
  }
  Check(std::to_string(count) + " random shapes, differences", slope, 1e-6);
}

// ---- timing ----

// Locations as a detector has them: around the query's own place, a few pixels apart.
void LocalLocations(const DeformCase& c, std::vector<double>& positions) {
  dev::Uniform uniform(9);
  std::vector<std::pair<double, double>> centres;
  for (size_t l = 0; l < c.levels.size(); l += 2) {
    for (int y = 0; y < c.levels[l]; ++y) {
      for (int x = 0; x < c.levels[l + 1]; ++x) {
        centres.emplace_back((x + 0.5) / c.levels[l + 1], (y + 0.5) / c.levels[l]);
      }
    }
  }
  const int64_t per_query = c.heads * c.Levels() * c.points;
  for (int64_t i = 0; i < c.Samples(); ++i) {
    const int64_t query = i / per_query % c.queries, level = i / c.points % c.Levels();
    const auto [x, y] = centres[query * static_cast<int64_t>(centres.size()) / c.queries];
    positions[2 * i] = x + uniform(-4, 4) / c.levels[2 * level + 1];
    positions[2 * i + 1] = y + uniform(-4, 4) / c.levels[2 * level];
  }
}

void Time(const DeformCase& c, TfgeoType type, int threads, bool local) {
  const auto same = [](double x) { return x; };
  DeformData d = dev::RandomData(c, 1, same, same);
  if (local) LocalLocations(c, d.positions);
  DeformCall call(c, d, type);
  const Parallel parallel = dev::Threads(threads);
  const double forward = dev::Milliseconds([&] { call.Forward(parallel); });
  const double backward = dev::Milliseconds([&] { call.Backward(parallel); });
  std::printf("time  %-38s %-7s %d threads: forward %7.2f ms, backward %7.2f ms\n", NameOf(c, type).c_str(),
              local ? "local" : "uniform", threads, forward, backward);
}

void TimeAll() {
  const DeformCase tiny = {"tiny, batch 8, S = Q = 2100", 8, 2100, 8, 2, 16, {40, 40, 20, 20, 10, 10}};
  const DeformCase large = {"800x800, S = Q = 13294", 1, 13294, 8, 4, 32, {100, 100, 50, 50, 25, 25, 13, 13}, 0, 1};
  DeformCase decoder = large;
  decoder.name = "800x800, Q = 300";
  decoder.queries = 300;
  for (const DeformCase& c : {tiny, decoder, large}) {
    for (int threads : {1, 2}) {
      for (const bool local : {true, false}) Time(c, TFGEO_FLOAT32, threads, local);
      Time(c.Raw(2), TFGEO_FLOAT32, threads, false);
      Time(c, TFGEO_BFLOAT16, threads, false);
      Time(c, TFGEO_FLOAT16, threads, false);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (!dev::StartIsa()) return dev::kLeftOut;
  for (const DeformCase& c : dev::DeformCases()) {
    for (const int64_t form : {0, 2, 4}) {
      for (const TfgeoType type : kTypes) CheckCase(c.Raw(form), type);
    }
  }
  for (const int64_t form : {0, 2, 4}) {
    for (const TfgeoType type : kTypes) CheckLeftOut(dev::DeformCases()[2].Raw(form), type);
  }
  CheckRandom(11, 60);
  dev::CheckOdd();
  return dev::Finish(argc, argv, TimeAll);
}
