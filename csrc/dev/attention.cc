// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/attention.cc; how to build it: dev.h.
#include "../kernels/attention.h"

#include "dev.h"

namespace {

using namespace tfgeo;

// Queries, keys and values beside each other in one row where `packed`, else each on its own.
struct Case {
  AttentionSizes sizes;
  bool packed = false;
  AttentionTerm bias = {nullptr, 1, 1, 1}, mask = {nullptr, 1, 1, 1};
};

struct Data {
  Case c;
  int64_t width;
  std::vector<float> query, key, value, bias, mask, upstream, output, statistics;
  std::vector<float> grad_query, grad_key, grad_value, grad_bias;
  AttentionInput in;

  // Terms are there where they have sequences.
  Data(const Case& given, bool with_bias, bool with_mask) : c(given), width(c.sizes.heads * c.sizes.dim) {
    dev::Uniform uniform(7);
    const auto& s = c.sizes;
    const int64_t row = c.packed ? 3 * width : width;
    query = uniform.Many<float>(s.batch * s.queries * row, -2, 2);
    key = uniform.Many<float>(s.batch * s.keys * row, -2, 2);
    value = uniform.Many<float>(s.batch * s.keys * row, -2, 2);
    if (c.packed) key = value = query;
    const auto term = [&](AttentionTerm t, std::vector<float>* values) {
      *values = uniform.Many<float>(t.sequences * t.heads * t.queries * s.keys, -1, 1);
      t.data = values->data();
      return t;
    };
    if (with_bias) c.bias = term(c.bias, &bias);
    if (with_mask) c.mask = term(c.mask, &mask);
    for (size_t i = 0; i < mask.size(); i += 3) mask[i] = -1e9f;  // hidden
    upstream = uniform.Many<float>(s.batch * s.queries * width, -1, 1);
    output.assign(upstream.size(), NAN);
    statistics.assign(s.batch * s.heads * s.queries, NAN);
    grad_query.assign(query.size(), NAN);
    grad_key.assign(key.size(), NAN);
    grad_value.assign(value.size(), NAN);
    grad_bias.assign(bias.size(), NAN);
    const int64_t shift = c.packed ? width : 0;
    in = {s, {query.data(), row}, {key.data() + shift, row}, {value.data() + 2 * shift, row}, c.bias, c.mask, Scale()};
  }

  float Scale() const { return 1 / std::sqrt(static_cast<float>(c.sizes.dim)); }

  void Forward(const Parallel& parallel) { Attention(in, output.data(), statistics.data(), parallel); }

  void Backward(const Parallel& parallel) {
    const int64_t row = in.query.row, shift = c.packed ? width : 0;
    float* whole = grad_query.data();
    const AttentionGradients gradients = {{whole, row},
                                          {c.packed ? whole + shift : grad_key.data(), row},
                                          {c.packed ? whole + 2 * shift : grad_value.data(), row},
                                          bias.empty() ? nullptr : grad_bias.data()};
    AttentionGrad(in, output.data(), statistics.data(), upstream.data(), gradients, parallel);
  }
};

double At(const AttentionTerm& t, int64_t b, int64_t h, int64_t q, int64_t k, int64_t keys) {
  if (t.data == nullptr) return 0;
  const int64_t head = (b % t.sequences) * t.heads + (t.heads > 1 ? h : 0);
  return t.data[(head * t.queries + (t.queries > 1 ? q : 0)) * keys + k];
}

struct Wanted {
  std::vector<double> output, query, key, value, bias;
};

// The definition and its gradient.
Wanted Naive(const Data& d) {
  const auto& [batch, heads, queries, keys, dim] = d.c.sizes;
  const AttentionInput& in = d.in;
  const int64_t row = d.width;
  Wanted w;
  w.output.assign(batch * queries * row, 0);
  w.query.assign(batch * queries * row, 0);
  w.key.assign(batch * keys * row, 0);
  w.value.assign(batch * keys * row, 0);
  w.bias.assign(d.bias.size(), 0);
  std::vector<double> p(keys), slope(keys);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t q = 0; q < queries; ++q) {
        const float* own = in.query.data + (b * queries + q) * in.query.row + h * dim;
        double largest = -1e30, sum = 0, mean = 0;
        for (int64_t k = 0; k < keys; ++k) {
          const float* other = in.key.data + (b * keys + k) * in.key.row + h * dim;
          p[k] = 0;
          for (int64_t i = 0; i < dim; ++i) p[k] += static_cast<double>(own[i]) * other[i];
          p[k] = p[k] * in.scale + At(in.bias, b, h, q, k, keys) + At(in.mask, b, h, q, k, keys);
          largest = std::max(largest, p[k]);
        }
        for (double& x : p) sum += x = std::exp(x - largest);
        const float* up = d.upstream.data() + (b * queries + q) * row + h * dim;
        for (int64_t k = 0; k < keys; ++k) {
          p[k] /= sum;
          const float* v = in.value.data + (b * keys + k) * in.value.row + h * dim;
          slope[k] = 0;
          for (int64_t i = 0; i < dim; ++i) {
            w.output[(b * queries + q) * row + h * dim + i] += p[k] * v[i];
            w.value[(b * keys + k) * row + h * dim + i] += p[k] * up[i];
            slope[k] += static_cast<double>(v[i]) * up[i];
          }
          mean += p[k] * slope[k];
        }
        for (int64_t k = 0; k < keys; ++k) {
          const double s = p[k] * (slope[k] - mean);
          if (in.bias.data != nullptr) {
            const int64_t head = in.bias.heads > 1 ? h : 0;
            w.bias[(head * in.bias.queries + (in.bias.queries > 1 ? q : 0)) * keys + k] += s;
          }
          const float* other = in.key.data + (b * keys + k) * in.key.row + h * dim;
          for (int64_t i = 0; i < dim; ++i) {
            w.query[(b * queries + q) * row + h * dim + i] += s * in.scale * other[i];
            w.key[(b * keys + k) * row + h * dim + i] += s * in.scale * own[i];
          }
        }
      }
    }
  }
  return w;
}

// The columns of one part of packed rows.
std::vector<float> Part(const Data& d, const std::vector<float>& rows, int64_t part) {
  if (!d.c.packed) return rows;
  std::vector<float> own;
  for (size_t r = 0; r < rows.size() / (3 * d.width); ++r) {
    const auto from = rows.begin() + (3 * r + part) * d.width;
    own.insert(own.end(), from, from + d.width);
  }
  return own;
}

void CheckCase(const std::string& name, const Case& c, bool with_bias, bool with_mask) {
  Data d(c, with_bias, with_mask);
  const Parallel parallel = dev::Threads(3);
  d.Forward(parallel);
  d.Backward(parallel);
  const Wanted w = Naive(d);
  const auto& whole = d.grad_query;
  dev::Check(name + ": output", dev::Error(d.output, w.output), 2e-6);
  dev::Check(name + ": query", dev::Error(Part(d, whole, 0), w.query), 5e-6);
  dev::Check(name + ": key", dev::Error(Part(d, d.c.packed ? whole : d.grad_key, 1), w.key), 5e-6);
  dev::Check(name + ": value", dev::Error(Part(d, d.c.packed ? whole : d.grad_value, 2), w.value), 5e-6);
  if (with_bias) dev::Check(name + ": bias", dev::Error(d.grad_bias, w.bias), 5e-6);
  const auto all = {d.grad_query, d.grad_key, d.grad_value, d.grad_bias, d.output};
  const std::vector<std::vector<float>> before(all);
  d.Forward(Parallel());
  d.Backward(Parallel());
  const std::vector<std::vector<float>> after = {d.grad_query, d.grad_key, d.grad_value, d.grad_bias, d.output};
  bool same = true;
  for (size_t i = 0; i < after.size(); ++i) {
    // Bits, because what is not written is NaN.
    same = same && std::equal(after[i].begin(), after[i].end(), before[i].begin(), [](float a, float b) {
             return a == b || (std::isnan(a) && std::isnan(b));
           });
  }
  dev::Check(name + ": whatever the threads", same ? 0 : 1, 0);
}

void CheckExtremes() {
  Data d({{1, 1, 3, 5, 4}}, false, true);
  d.mask.assign(d.mask.size(), -1e9f);
  for (float& x : d.query) x *= 1000;
  d.Forward(Parallel());
  bool finite = true;
  for (const float x : d.output) finite = finite && std::isfinite(x);
  dev::Check("everything hidden, large scores: finite", finite ? 0 : 1, 0);
  d.query[1] = NAN;
  d.Forward(Parallel());
  dev::Check("NaN in its query", std::isnan(d.output[0]) ? 0 : 1, 0);
  dev::Check("and in no other", std::isfinite(d.output[4]) ? 0 : 1, 0);
}

void TimeAll() {
  const Parallel parallel = dev::Threads(2);
  const auto time = [&](const char* name, const Case& c, bool with_bias) {
    Data d(c, with_bias, false);
    const double forward = dev::Milliseconds([&] { d.Forward(parallel); });
    const double backward = dev::Milliseconds([&] { d.Backward(parallel); });
    std::printf("time  %-40s 2 threads: forward %.2f ms, backward %.2f ms\n", name, forward, backward);
  };
  time("300 queries, 8 x 32", {{1, 8, 300, 300, 32}}, false);
  time("8 x 525 tokens to 16 words, 8 x 16", {{8, 8, 525, 16, 16}}, false);
  time("8 x 16 words to 525 tokens, 8 x 16", {{8, 8, 16, 525, 16}}, false);
  time("2500 tokens, 4 x 64", {{1, 4, 2500, 2500, 64}}, false);
  time("900 queries, 8 x 32", {{1, 8, 900, 900, 32}}, false);
  time("512 windows of 25, 2 x 16", {{512, 2, 25, 25, 16}, true, {nullptr, 1, 2, 25}}, true);
}

}  // namespace

int main(int argc, char** argv) {
  if (!dev::StartIsa()) return dev::kLeftOut;
  CheckCase("one of each", {{1, 1, 1, 1, 1}}, false, false);
  CheckCase("odd sizes", {{2, 3, 7, 13, 5}}, false, false);
  CheckCase("whole vectors", {{2, 2, 8, 32, 32}}, false, false);
  CheckCase("many queries, few keys", {{2, 2, 131, 3, 16}}, false, false);
  CheckCase("one head, queries divided", {{1, 1, 300, 70, 33}}, false, false);
  CheckCase("keys hidden", {{3, 2, 9, 17, 8}, false, {}, {nullptr, 3, 1, 1}}, false, true);
  CheckCase("packed, bias", {{37, 2, 25, 25, 16}, true, {nullptr, 1, 2, 25}}, true, false);
  CheckCase("packed, bias, mask of 4", {{8, 2, 9, 9, 6}, true, {nullptr, 1, 2, 9}, {nullptr, 4, 1, 9}}, true, true);
  CheckCase("bias of one head and query", {{5, 3, 6, 20, 4}, false, {nullptr, 1, 1, 1}, {nullptr, 5, 3, 6}}, true, true);
  CheckExtremes();
  return dev::Finish(argc, argv, TimeAll);
}
