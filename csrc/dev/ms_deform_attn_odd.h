// SPDX-License-Identifier: Apache-2.0
// Multi-scale deformable attention on numbers that are not finite or hard to round, and calls that must be refused.
#ifndef TFGEO_DEV_MS_DEFORM_ATTN_ODD_H_
#define TFGEO_DEV_MS_DEFORM_ATTN_ODD_H_

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "ms_deform_attn_call.h"

namespace tfgeo::dev {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// ---- not finite ----

// Two heads, two levels, two points: a row is 4 samples, a query 8. On few pixels kernels may work on copies of them.
inline DeformCase OddCase(bool few, int64_t reference_size) {
  DeformCase c = {few ? "few pixels" : "many pixels", 1, 8, 2, 2, 30, {12, 15, 8, 9}, 0.3, 0.7, reference_size};
  if (few) c.levels = {4, 5, 2, 3};
  return c;
}

// Changes `odd`, what the kernels get, and `tame`, finite numbers that must give the same; true where a row is NaN.
inline std::vector<bool> MakeOdd(const DeformCase& c, DeformData& odd, DeformData& tame) {
  std::vector<bool> nan(static_cast<size_t>(c.queries * c.heads), false);
  const auto at = [](int query, int head) { return static_cast<size_t>(query * 8 + head * 4); };
  odd.positions[2 * at(0, 0)] = kNaN;
  nan[0] = true;
  odd.scores[at(1, 1) + 2] = kNaN;
  nan[3] = true;
  // Outside, in one way or another.
  odd.positions[2 * at(2, 0)] = kInf;
  odd.positions[2 * at(2, 1) + 3] = -kInf;
  odd.positions[2 * at(3, 0)] = 1e38;
  odd.positions[2 * at(3, 1) + 1] = -3e38;
  for (const size_t p : {2 * at(2, 0), 2 * at(2, 1) + 3, 2 * at(3, 0), 2 * at(3, 1) + 1}) tame.positions[p] = 1e6;
  if (c.reference_size == 0) {
    odd.positions[2 * at(4, 0)] = tame.positions[2 * at(4, 0)] = -3;
    odd.scores[at(4, 0)] = kInf;  // outside, an infinite weight adds nothing
    return nan;
  }
  odd.scores[at(4, 0)] = -kInf;
  tame.scores[at(4, 0)] = -1e6;
  for (size_t i = 0; i < 4; ++i) odd.scores[at(5, 0) + i] = -kInf;
  odd.scores[at(5, 1)] = kInf;
  nan[10] = nan[11] = true;
  const size_t row = static_cast<size_t>(2 * c.reference_size);  // two levels
  odd.reference[6 * row] = kNaN;
  nan[12] = nan[13] = true;
  odd.reference[7 * row] = kInf;
  tame.reference[7 * row] = 1e6;
  return nan;
}

// Elements that differ by more than rounding, or are finite in one of the two only.
inline int Differing(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  int count = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(want[i]) ? !(std::fabs(got[i] - want[i]) <= tolerance * std::max(1.0, std::fabs(want[i])))
                               : std::isfinite(got[i])) {
      ++count;
    }
  }
  return count;
}

inline void CheckNotFinite(const DeformCase& c, TfgeoType type) {
  const double tolerance = type == TFGEO_BFLOAT16 ? 4e-3 : type == TFGEO_FLOAT16 ? 5e-4 : 1e-5;
  const auto to_value = [&](double x) { return RoundTo(type, x); };
  const auto to_sample = [&](double x) { return RoundTo(SampleType(type), x); };
  DeformData odd = RandomData(c, 5, to_value, to_sample), tame = odd, got;
  const std::vector<bool> nan = MakeOdd(c, odd, tame);
  Define(c, tame);
  // A row that is NaN is so in all channels; in its gradients at least the sample that brought it.
  for (int64_t i = 0; i < c.OutputSize(); ++i) {
    if (nan[static_cast<size_t>(i / c.dim)]) tame.output[static_cast<size_t>(i)] = kNaN;
  }
  // (A weight's own gradient does not depend on the weight, a logit's does.)
  tame.grad_positions[0] = tame.grad_scores[0] = tame.grad_positions[2 * (8 + 4 + 2)] = kNaN;
  if (c.reference_size != 0) tame.grad_scores[8 + 4 + 2] = kNaN;
  DeformCall call(c, odd, type);
  int wrong = call.Forward(Parallel()) + call.Backward(Parallel()) + !call.Intact();
  call.Read(got);
  wrong += Differing(got.output, tame.output, tolerance);
  const auto finite_rows = [&](std::vector<double> results, const std::vector<double>& all, size_t per_row) {
    for (size_t i = 0; i < results.size(); ++i) {
      if (nan[i / per_row] && std::isfinite(all[i])) results[i] = all[i];
    }
    return Differing(results, all, 1e-5);
  };
  wrong += finite_rows(got.grad_positions, tame.grad_positions, 8);
  wrong += finite_rows(got.grad_scores, tame.grad_scores, 4);
  const std::string name = std::string(c.name) + ", R " + std::to_string(c.reference_size) + ", " + TypeName(type);
  Check("not finite, " + name, wrong, 0);

  DeformData value = RandomData(c, 6, to_value, to_sample);
  value.value[value.value.size() / 2] = kNaN;
  value.value[value.value.size() / 3] = -kInf;
  Define(c, value);
  DeformCall second(c, value, type);
  wrong = second.Forward(Parallel()) + second.Backward(Parallel());
  second.Read(got);
  wrong += Differing(got.output, value.output, tolerance) + Differing(got.grad_value, value.grad_value, tolerance);
  Check("a value not finite, " + name, wrong, 0);
}

// ---- rounding ----

// One pixel times a weight, for every number of 16 bits.
inline void CheckRounding(TfgeoType type, bool few) {
  DeformCase c = {"rounding", 1, 1, 1, 1, 65536, {1, 1}};
  if (!few) c.levels = {1, 3};
  DeformData d;
  int wrong = 0;
  for (const double number : {1.0, 1.0 / 3, 0.00731, 1e-6, 4097.0, -77.7}) {
    const double weight = RoundTo(TFGEO_FLOAT32, number);
    d.value.assign(static_cast<size_t>(c.ValueSize()), 0);
    for (int i = 0; i < 65536; ++i) {
      unsigned char bytes[8];
      PutBits(static_cast<uint16_t>(i), bytes);
      d.value[static_cast<size_t>(i)] = Decode(type, bytes);
    }
    d.positions = {few ? 0.5 : RoundTo(TFGEO_FLOAT32, 0.5 / 3), 0.5};
    d.scores = {weight};
    d.upstream.assign(65536, 0);
    DeformCall call(c, d, type);
    wrong += call.Forward(Parallel());
    DeformData got;
    call.Read(got);
    for (size_t i = 0; i < 65536; ++i) {
      const double want = RoundTo(type, static_cast<float>(weight * d.value[i]));
      wrong += std::isfinite(d.value[i]) ? got.output[i] != want : std::isfinite(got.output[i]);
    }
  }
  Check(std::string("all numbers of ") + TypeName(type) + (few ? "" : ", in place"), wrong, 0);
}

// The weight of the second of two samples is exp(-s) / (1 + exp(-s)).
inline void CheckExp(TfgeoType type) {
  const DeformCase c = {"exp", 1, 4000, 1, 2, 1, {1, 2}, 0, 1, 2};
  DeformData d, got;
  Uniform uniform(8);
  d.value = {0, 1};
  for (int64_t q = 0; q < c.queries; ++q) {
    d.positions.insert(d.positions.end(), {0, 0, 1, 0});
    d.reference.insert(d.reference.end(), {0.25, 0.5});
    d.scores.insert(d.scores.end(), {0, RoundTo(type, -uniform(0, 86))});
  }
  d.upstream.assign(static_cast<size_t>(c.OutputSize()), 0);
  DeformCall call(c, d, type);
  Check("a call", call.Forward(Parallel()), 0);
  call.Read(got);
  double worst = 0;
  for (size_t q = 0; q < 4000; ++q) {
    const double e = std::exp(d.scores[2 * q + 1]);
    worst = std::max(worst, std::fabs(got.output[q] / (e / (1 + e)) - 1));
  }
  Check(std::string("softmax, relative, ") + TypeName(type), worst, type == TFGEO_FLOAT64 ? 1e-15 : 4e-7);
}

// ---- refusals ----

struct Refusal {
  const char* says;  // part of the sentence
  std::function<void(TfgeoMsDeformAttnShape&)> change;
};

inline const std::vector<Refusal>& Refusals() {
  using Shape = TfgeoMsDeformAttnShape;
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  static const int32_t negative[] = {4, 5, -2, -3}, empty[] = {4, 5, 0, 6}, fewer[] = {4, 5, 1, 3};
  static const int32_t huge[] = {std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::max(), 2, 3};
  static const std::vector<Refusal> refusals = {
      {"at least 1 for batch but received 0", [](Shape& s) { s.batch = 0; }},
      {"at least 1 for length but received -1", [](Shape& s) { s.length = -1; }},
      {"at least 1 for heads", [](Shape& s) { s.heads = std::numeric_limits<int64_t>::min(); }},
      {"at least 1 for dim", [](Shape& s) { s.dim = 0; }},
      {"at least 1 for levels", [](Shape& s) { s.levels = 0; }},
      {"at least 1 for points", [](Shape& s) { s.points = -5; }},
      {"at least 1 for queries", [](Shape& s) { s.queries = 0; }},
      {"the size of reference points but received 3", [](Shape& s) { s.reference_size = 3; }},
      {"fewer than 2^31 elements for value", [](Shape& s) { s.dim = (int64_t{1} << 31) / 52 + 1; }},
      {"fewer than 2^31 elements for value", [](Shape& s) { s.batch = s.dim = s.heads = kMost; }},
      {"fewer than 2^31 elements for output", [](Shape& s) { s.queries = int64_t{1} << 30; }},
      {"fewer than 2^31 elements for sampling locations", [](Shape& s) { s.points = int64_t{1} << 28; }},
      {"fewer than 2^31 elements for sampling offsets",
       [](Shape& s) {
         s.points = kMost / 2;
         s.reference_size = 2;
       }},
      {"fewer than 2^31 elements", [](Shape& s) { s.levels = kMost; }},
      {"positive (H, W) for level 1 of spatial shapes but received (-2, -3)",
       [](Shape& s) { s.spatial_shapes = negative; }},
      {"positive (H, W) for level 1", [](Shape& s) { s.spatial_shapes = empty; }},
      {"26 positions of value for spatial shapes but received 23", [](Shape& s) { s.spatial_shapes = fewer; }},
      {"26 positions of value for spatial shapes but received", [](Shape& s) { s.spatial_shapes = huge; }},
      {"a pointer for spatial shapes", [](Shape& s) { s.spatial_shapes = nullptr; }},
  };
  return refusals;
}

inline void CheckRefusals() {
  const DeformCase c = OddCase(true, 0);
  int wrong = 0;
  const auto expect = [&](TfgeoCode code, const char* text, const std::string& says) {
    const std::string sentence = text;
    const bool right = code == TFGEO_INVALID_ARGUMENT && sentence.rfind("[msDeformAttn] expected ", 0) == 0 &&
                       sentence.find(says) != std::string::npos;
    if (!right) std::printf("not refused: %s; but: %s\n", says.c_str(), text);
    wrong += !right;
  };
  char text[256];
  for (const Refusal& refusal : Refusals()) {
    TfgeoMsDeformAttnShape shape = c.Shape();
    refusal.change(shape);
    text[0] = 0;
    expect(tfgeo_ms_deform_attn_check(TFGEO_FLOAT32, &shape, {text, sizeof(text)}), text, refusal.says);
    wrong += tfgeo_ms_deform_attn_check(TFGEO_FLOAT32, &shape, {nullptr, 0}) != TFGEO_INVALID_ARGUMENT;
  }
  const TfgeoMsDeformAttnShape shape = c.Shape();
  TfgeoMsDeformAttnShape raw = shape;
  raw.reference_size = 2;
  const TfgeoError error = {text, sizeof(text)};
  expect(tfgeo_ms_deform_attn_check(static_cast<TfgeoType>(7), &shape, error), text, "received type 7");
  expect(tfgeo_ms_deform_attn_check(TFGEO_FLOAT32, nullptr, error), text, "a pointer for shape");
  double some[1];
  const TfgeoMsDeformAttnSamples all = {nullptr, some, some}, none = {nullptr, nullptr, some};
  const TfgeoMsDeformAttnSamples unscored = {some, some, nullptr};
  const auto forward = [&](const TfgeoMsDeformAttnShape& s, const void* value, const TfgeoMsDeformAttnSamples* samples,
                           void* output) {
    return tfgeo_ms_deform_attn(TFGEO_FLOAT32, &s, value, samples, output, nullptr, error);
  };
  expect(forward(shape, nullptr, &all, some), text, "a pointer for value");
  expect(forward(shape, some, nullptr, some), text, "a pointer for samples");
  expect(forward(shape, some, &none, some), text, "a pointer for sampling locations");
  expect(forward(raw, some, &unscored, some), text, "a pointer for attention logits");
  expect(forward(raw, some, &all, some), text, "a pointer for reference points");
  expect(forward(shape, some, &all, nullptr), text, "a pointer for output");
  const TfgeoMsDeformAttnGrads grads = {};
  const auto backward = [&](const void* upstream, const TfgeoMsDeformAttnGrads* results) {
    return tfgeo_ms_deform_attn_grad(TFGEO_FLOAT64, &shape, upstream, some, &all, results, nullptr, error);
  };
  expect(backward(nullptr, &grads), text, "a pointer for the output's gradient");
  expect(backward(some, nullptr), text, "a pointer for gradients");
  char small[8];
  std::memset(small, 'x', sizeof(small));
  wrong += tfgeo_ms_deform_attn_check(TFGEO_FLOAT32, nullptr, {small, 5}) != TFGEO_INVALID_ARGUMENT;
  wrong += std::string(small) != "[msD" || small[5] != 'x';
  Check("calls that must be refused", wrong, 0);
}

inline void CheckOdd() {
  for (const bool few : {true, false}) {
    for (const int64_t form : {0, 2, 4}) {
      for (const TfgeoType type : {TFGEO_FLOAT32, TFGEO_FLOAT64, TFGEO_FLOAT16, TFGEO_BFLOAT16}) {
        CheckNotFinite(OddCase(few, form), type);
      }
    }
    CheckRounding(TFGEO_FLOAT16, few);
    CheckRounding(TFGEO_BFLOAT16, few);
  }
  CheckExp(TFGEO_FLOAT32);
  CheckExp(TFGEO_FLOAT64);
  CheckRefusals();
}

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_MS_DEFORM_ATTN_ODD_H_
