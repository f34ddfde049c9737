// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/ms_deform_attn.cc; how to build it: dev.h.
#include "../kernels/ms_deform_attn_cpu.h"

#include <limits>

#include "dev.h"

namespace {

using namespace tfgeo;
using dev::Check;
using dev::Error;

struct Case {
  const char* name;
  int64_t batch, queries, heads, points, dim;
  std::vector<int32_t> levels;  // H, W, H, W ...
  double low = -0.3, high = 1.3;  // range of the locations

  int64_t Length() const {
    int64_t sum = 0;
    for (size_t l = 0; l < levels.size(); l += 2) sum += int64_t{levels[l]} * levels[l + 1];
    return sum;
  }
  int64_t Samples() const { return batch * queries * heads * points * static_cast<int64_t>(levels.size() / 2); }
  int64_t ValueSize() const { return batch * Length() * heads * dim; }
  int64_t OutputSize() const { return batch * queries * heads * dim; }
  MsDeformAttnShape Shape() const {
    return {batch, Length(), heads, dim, static_cast<int64_t>(levels.size() / 2), points, queries, levels.data()};
  }
};

template <typename T>
struct Data {
  std::vector<T> value, loc, attn, upstream, out, grad_value, grad_loc, grad_attn;

  Data(const Case& c, uint32_t seed) {
    dev::Uniform uniform(seed);
    value = uniform.Many<T>(c.ValueSize(), -1, 1);
    loc = uniform.Many<T>(2 * c.Samples(), c.low, c.high);
    attn = uniform.Many<T>(c.Samples(), -0.2, 1);
    upstream = uniform.Many<T>(c.OutputSize(), -1, 1);
    const T poison = std::numeric_limits<T>::quiet_NaN();  // every element must be written
    out.assign(c.OutputSize(), poison);
    grad_value.assign(c.ValueSize(), poison);
    grad_loc.assign(2 * c.Samples(), poison);
    grad_attn.assign(c.Samples(), poison);
  }
  template <typename U>
  explicit Data(const Data<U>& d)
      : value(d.value.begin(), d.value.end()),
        loc(d.loc.begin(), d.loc.end()),
        attn(d.attn.begin(), d.attn.end()),
        upstream(d.upstream.begin(), d.upstream.end()),
        out(d.out.size()),
        grad_value(d.value.size()),
        grad_loc(d.loc.size()),
        grad_attn(d.attn.size()) {}

  void Forward(const Case& c, const Parallel& parallel) {
    MsDeformAttn(c.Shape(), value.data(), loc.data(), attn.data(), out.data(), parallel);
  }
  void Backward(const Case& c, const Parallel& parallel) {
    MsDeformAttnGrad(c.Shape(), upstream.data(), value.data(), loc.data(), attn.data(), grad_value.data(),
                     grad_loc.data(), grad_attn.data(), parallel);
  }
};

// The definition, sample by sample and corner by corner, in double precision.
void Naive(const Case& c, Data<double>& d) {
  std::fill(d.out.begin(), d.out.end(), 0);
  std::fill(d.grad_value.begin(), d.grad_value.end(), 0);
  int64_t sample = 0;
  for (int64_t nq = 0; nq < c.batch * c.queries; ++nq) {
    for (int64_t m = 0; m < c.heads; ++m) {
      int64_t start = nq / c.queries * c.Length();
      for (size_t l = 0; l < c.levels.size(); l += 2) {
        const int64_t height = c.levels[l], width = c.levels[l + 1];
        for (int64_t p = 0; p < c.points; ++p, ++sample) {
          const double x = d.loc[2 * sample] * width - 0.5, y = d.loc[2 * sample + 1] * height - 0.5;
          double ga = 0, gx = 0, gy = 0;
          for (int corner = 0; corner < 4; ++corner) {
            const double px = std::floor(x) + corner % 2, py = std::floor(y) + corner / 2;
            if (px < 0 || px >= width || py < 0 || py >= height) continue;
            const double wx = 1 - std::fabs(x - px), wy = 1 - std::fabs(y - py);
            const double sx = corner % 2 ? 1 : -1, sy = corner / 2 ? 1 : -1;
            for (int64_t k = 0; k < c.dim; ++k) {
              const int64_t pixel = start + static_cast<int64_t>(py) * width + static_cast<int64_t>(px);
              const int64_t at = (pixel * c.heads + m) * c.dim + k;
              const int64_t to = (nq * c.heads + m) * c.dim + k;
              d.out[to] += d.attn[sample] * wx * wy * d.value[at];
              d.grad_value[at] += d.attn[sample] * wx * wy * d.upstream[to];
              ga += wx * wy * d.value[at] * d.upstream[to];
              gx += sx * wy * d.value[at] * d.upstream[to];
              gy += sy * wx * d.value[at] * d.upstream[to];
            }
          }
          d.grad_attn[sample] = ga;
          d.grad_loc[2 * sample] = gx * width * d.attn[sample];
          d.grad_loc[2 * sample + 1] = gy * height * d.attn[sample];
        }
        start += height * width;
      }
    }
  }
}

void CheckCase(const Case& c, int threads) {
  Data<float> single(c, 7);
  Data<double> twin(single);
  Data<double> want(single);
  Naive(c, want);
  const Parallel parallel = dev::Threads(threads);
  single.Forward(c, parallel);
  single.Backward(c, parallel);
  twin.Forward(c, parallel);
  twin.Backward(c, parallel);
  const std::string name = std::string(c.name) + ", " + std::to_string(threads) + " threads: ";
  auto worst = [&](auto& got) {
    return std::max({Error(got.out, want.out), Error(got.grad_value, want.grad_value),
                     Error(got.grad_loc, want.grad_loc), Error(got.grad_attn, want.grad_attn)});
  };
  Check(name + "float", worst(single), 1e-5);
  Check(name + "double", worst(twin), 1e-12);

  Data<float> again(single);
  again.Backward(c, parallel);
  const bool equal = again.grad_value == single.grad_value && again.grad_loc == single.grad_loc;
  Check(name + "same bits twice", equal ? 0 : 1, 0);
}

// The double version against central differences of itself: 20 random elements of each input.
void CheckDifferences(const Case& c) {
  Data<double> d(c, 11);
  const Parallel one;
  d.Backward(c, one);
  dev::Uniform uniform(3);
  auto loss = [&] {
    d.Forward(c, one);
    double sum = 0;
    for (size_t i = 0; i < d.out.size(); ++i) sum += d.out[i] * d.upstream[i];
    return sum;
  };
  auto worst = [&](std::vector<double>& input, const std::vector<double>& grad) {
    const double step = 1e-6;
    double error = 0;
    for (int i = 0; i < 20; ++i) {
      const size_t at = static_cast<size_t>(uniform(0, 1) * input.size());
      const double kept = input[at];
      input[at] = kept + step;
      const double up = loss();
      input[at] = kept - step;
      const double down = loss();
      input[at] = kept;
      error = std::max(error, std::fabs((up - down) / (2 * step) - grad[at]) / std::max(1.0, std::fabs(grad[at])));
    }
    return error;
  };
  Check(std::string(c.name) + ": differences, value", worst(d.value, d.grad_value), 1e-6);
  Check(std::string(c.name) + ": differences, locations", worst(d.loc, d.grad_loc), 1e-6);
  Check(std::string(c.name) + ": differences, weights", worst(d.attn, d.grad_attn), 1e-6);
}

// NaN shows up where it went in and nowhere else; infinite locations are outside.
void CheckNotFinite() {
  const Case c{"not finite", 1, 6, 2, 2, 30, {4, 5, 2, 3}, 0.1, 0.9};
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  Data<float> d(c, 5);
  const int64_t per_query = 2 * 2 * 2;
  d.loc[0] = nan;                       // query 0, head 0
  d.attn[per_query + 4] = nan;          // query 1, head 1
  d.loc[2 * (2 * per_query)] = inf;     // query 2
  d.loc[2 * (3 * per_query) + 1] = -inf;
  d.loc[2 * (4 * per_query)] = 1e30f;
  d.loc[2 * (5 * per_query)] = -3;
  d.attn[5 * per_query] = inf;  // an infinite weight outside adds nothing
  d.Forward(c, Parallel());
  d.Backward(c, Parallel());
  int wrong = 0;
  for (int64_t i = 0; i < c.OutputSize(); ++i) {
    const int64_t q = i / 60, m = i / 30 % 2;
    const bool expected = (q == 0 && m == 0) || (q == 1 && m == 1);
    wrong += std::isnan(d.out[i]) != expected;
    wrong += std::isinf(d.out[i]);
  }
  wrong += !std::isnan(d.grad_loc[0]) + !std::isnan(d.grad_attn[0]);
  wrong += d.grad_loc[2 * (2 * per_query)] != 0 || d.grad_attn[2 * per_query] != 0;
  wrong += d.grad_loc[2 * (5 * per_query)] != 0 || d.grad_attn[5 * per_query] != 0;
  Check("NaN and infinity stay where they belong", wrong, 0);
}

// Locations as a detector has them: around the query's own place, a few pixels apart.
void LocalLocations(const Case& c, std::vector<float>& loc) {
  dev::Uniform uniform(9);
  std::vector<std::pair<double, double>> centres;
  for (size_t l = 0; l < c.levels.size(); l += 2) {
    for (int y = 0; y < c.levels[l]; ++y) {
      for (int x = 0; x < c.levels[l + 1]; ++x) {
        centres.emplace_back((x + 0.5) / c.levels[l + 1], (y + 0.5) / c.levels[l]);
      }
    }
  }
  size_t at = 0;
  for (int64_t nq = 0; nq < c.batch * c.queries; ++nq) {
    const auto [cx, cy] = centres[(nq % c.queries) * centres.size() / c.queries];
    for (int64_t m = 0; m < c.heads; ++m) {
      for (size_t l = 0; l < c.levels.size(); l += 2) {
        for (int64_t p = 0; p < c.points; ++p) {
          loc[at++] = static_cast<float>(cx + uniform(-4, 4) / c.levels[l + 1]);
          loc[at++] = static_cast<float>(cy + uniform(-4, 4) / c.levels[l]);
        }
      }
    }
  }
}

void Time(const Case& c, int threads, bool local) {
  Data<float> d(c, 1);
  if (local) LocalLocations(c, d.loc);
  const Parallel parallel = dev::Threads(threads);
  const double forward = dev::Milliseconds([&] { d.Forward(c, parallel); });
  const double backward = dev::Milliseconds([&] { d.Backward(c, parallel); });
  std::printf("time  %-26s %-7s %d threads: forward %7.2f ms, backward %7.2f ms\n", c.name,
              local ? "local" : "uniform", threads, forward, backward);
}

const Case kCases[] = {
    {"one of everything", 1, 1, 1, 1, 1, {1, 1}},
    {"dim 16, tiny model", 2, 40, 8, 2, 16, {20, 20, 10, 10, 5, 5}},
    {"dim 32", 1, 37, 8, 4, 32, {9, 12, 5, 6, 3, 3, 2, 1}},
    {"dim 30, one head", 3, 10, 1, 3, 30, {6, 7, 3, 4}},
    {"dim 71", 1, 9, 5, 2, 71, {5, 5, 1, 13}},
    {"dim 1, many levels", 2, 11, 3, 1, 1, {4, 4, 3, 3, 2, 2, 1, 1, 7, 1}},
    {"dim 4", 1, 50, 4, 8, 4, {17, 15, 9, 8}},
    {"dim 48", 1, 24, 8, 8, 48, {11, 6}},
    {"dim 127", 1, 7, 2, 2, 127, {3, 8}},
    {"all outside", 1, 8, 2, 2, 16, {3, 3}, 2.0, 3.0},
    {"1x1 levels", 2, 20, 4, 4, 4, {1, 1, 1, 1, 1, 1}},
};

void TimeAll() {
  const Case tiny{"tiny, batch 8, S = Q = 525", 8, 525, 8, 2, 16, {20, 20, 10, 10, 5, 5}};
  const Case tiny4{"tiny, batch 8, S = Q = 2100", 8, 2100, 8, 2, 16, {40, 40, 20, 20, 10, 10}};
  const Case decoder{"tiny decoder, Q = 100", 8, 100, 8, 2, 16, {40, 40, 20, 20, 10, 10}};
  const Case large{"800x800, S = Q = 13294", 1, 13294, 8, 4, 32, {100, 100, 50, 50, 25, 25, 13, 13}, 0, 1};
  for (const Case& c : {tiny, tiny4, decoder, large}) {
    for (bool local : {true, false}) {
      for (int threads : {1, 2}) Time(c, threads, local);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const Case& c : kCases) {
    for (int threads : {1, 2, 19}) CheckCase(c, threads);
  }
  for (const Case& c : kCases) CheckDifferences(c);
  CheckNotFinite();
  return tfgeo::dev::Finish(argc, argv, TimeAll);
}
