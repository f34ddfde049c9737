// SPDX-License-Identifier: Apache-2.0
// What is timed, and with which numbers.
#ifndef TFGEO_BENCH_CUDA_CASES_H_
#define TFGEO_BENCH_CUDA_CASES_H_

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "../../csrc/dev/ms_deform_attn_definition.h"
#include "floats.h"

namespace tfgeo::bench {

using dev::DeformCase;

// Sizes of detectors at full resolution, of the small model, and awkward ones.
inline const std::vector<DeformCase>& Cases() {
  static const std::vector<int32_t> k800 = {100, 100, 50, 50, 25, 25, 13, 13};
  static const std::vector<int32_t> k1333 = {100, 167, 50, 84, 25, 42, 13, 21};
  static const std::vector<int32_t> k160 = {20, 20, 10, 10, 5, 5}, k320 = {40, 40, 20, 20, 10, 10};
  static const std::vector<DeformCase> cases = {
      {"encoder 800x800", 1, 13294, 8, 4, 32, k800},
      {"encoder 800x800, batch 2", 2, 13294, 8, 4, 32, k800},
      {"encoder 800x800, batch 8", 8, 13294, 8, 4, 32, k800},
      {"encoder 1333x800", 1, 22223, 8, 4, 32, k1333},
      {"decoder, 100 queries", 1, 100, 8, 4, 32, k800},
      {"decoder, 300 queries", 1, 300, 8, 4, 32, k800},
      {"decoder, 900 queries", 1, 900, 8, 4, 32, k800},
      {"decoder, 300 queries, batch 8", 8, 300, 8, 4, 32, k800},
      {"tiny encoder 160x160, batch 8", 8, 525, 8, 2, 16, k160},
      {"tiny encoder 320x320, batch 8", 8, 2100, 8, 2, 16, k320},
      {"tiny decoder, 60 queries, batch 8", 8, 60, 8, 2, 16, k320},
      {"dim 30", 1, 3000, 8, 4, 30, k800},
      {"dim 64", 1, 3000, 4, 4, 64, k800},
      {"dim 71", 1, 3000, 4, 4, 71, k800},
      {"dim 1025", 1, 300, 1, 4, 1025, {25, 25, 13, 13}},
      {"one query", 1, 1, 8, 4, 32, k800},
  };
  return cases;
}

// Sizes with which the program itself is tried.
inline const std::vector<DeformCase>& SmokeCases() {
  static const std::vector<DeformCase> cases = {
      {"encoder, smoke", 2, 20, 2, 2, 16, {4, 4, 2, 2}},
      {"dim 5, smoke", 1, 7, 3, 2, 5, {3, 5, 2, 1}},
  };
  return cases;
}

// Inputs of a case in both forms; value and upstream hold what `type` holds.
struct Data {
  std::vector<float> value, upstream, reference, offsets, logits, locations, weights;
};

// (x, y) of every query in [0, 1]: the centres of the maps' cells where there is one for each, else random places.
inline std::vector<double> QueryCentres(const DeformCase& c, dev::Uniform& uniform) {
  if (c.queries != c.Length()) return uniform.Many<double>(static_cast<size_t>(2 * c.queries), 0, 1);
  std::vector<double> centres;
  for (size_t l = 0; l < c.levels.size(); l += 2) {
    for (int y = 0; y < c.levels[l]; ++y) {
      for (int x = 0; x < c.levels[l + 1]; ++x) {
        centres.push_back((x + 0.5) / c.levels[l + 1]);
        centres.push_back((y + 0.5) / c.levels[l]);
      }
    }
  }
  return centres;
}

// Samples anywhere in their map, or within four pixels of the query's own place, and never within 0.05 pixel of a whole
// one: there the gradient of the location jumps, and two kernels may round to either side.
inline void FillSamples(const DeformCase& c, bool local, dev::Uniform& uniform, Data& d) {
  const std::vector<double> centres = QueryCentres(c, uniform);
  const int64_t per_level = c.points * 2, per_query = c.heads * c.Levels() * per_level;
  d.reference.resize(static_cast<size_t>(2 * c.batch * c.queries * c.Levels()));
  d.offsets.resize(static_cast<size_t>(2 * c.Samples()));
  d.locations.resize(d.offsets.size());
  for (size_t i = 0; i < d.reference.size(); ++i) {
    const size_t query = i / static_cast<size_t>(2 * c.Levels()) % static_cast<size_t>(c.queries);
    d.reference[i] = static_cast<float>(centres[2 * query + i % 2]);
  }
  for (int64_t i = 0; i < 2 * c.Samples(); ++i) {
    const int64_t query = i / per_query % c.queries, level = i / per_level % c.Levels(), axis = i % 2;
    const double size = c.levels[static_cast<size_t>(2 * level + 1 - axis)];
    const double centre = static_cast<float>(centres[static_cast<size_t>(2 * query + axis)]);
    const double place = centre * size - 0.5;
    const double pixel = local ? place + uniform(-4, 4) : uniform(0, size) - 0.5;
    const double fraction = std::min(0.95, std::max(0.05, pixel - std::floor(pixel)));
    d.offsets[static_cast<size_t>(i)] = static_cast<float>(std::floor(pixel) + fraction - place);
    d.locations[static_cast<size_t>(i)] = static_cast<float>(centre + d.offsets[static_cast<size_t>(i)] / size);
  }
}

inline Data MakeData(const DeformCase& c, bool local, TfgeoType type) {
  dev::Uniform uniform(1);
  Data d;
  FillSamples(c, local, uniform, d);
  d.value = uniform.Many<float>(static_cast<size_t>(c.ValueSize()), -1, 1);
  d.upstream = uniform.Many<float>(static_cast<size_t>(c.OutputSize()), -1, 1);
  d.logits = uniform.Many<float>(static_cast<size_t>(c.Samples()), -1, 1);
  d.weights.resize(d.logits.size());
  const size_t run = static_cast<size_t>(c.Levels() * c.points);
  for (size_t first = 0; first < d.logits.size(); first += run) {
    double sum = 0;
    for (size_t i = first; i < first + run; ++i) sum += std::exp(static_cast<double>(d.logits[i]));
    for (size_t i = first; i < first + run; ++i) d.weights[i] = static_cast<float>(std::exp(d.logits[i]) / sum);
  }
  Round(type, d.value);
  Round(type, d.upstream);
  // The public kernels for 16-bit values take these in 16 bits too; all are to compute with the same numbers.
  if (type == TFGEO_FLOAT16) {
    Round(type, d.locations);
    Round(type, d.weights);
  }
  return d;
}

// Bytes that must at least pass between the card and its memory: every tensor once.
inline double LeastBytes(const DeformCase& c, TfgeoType type, bool backward) {
  const double wide = static_cast<double>(SizeOf(type));
  const double samples = 3.0 * 4 * c.Samples();
  const double forward = wide * (c.ValueSize() + c.OutputSize()) + samples;
  return backward ? forward + wide * c.ValueSize() + samples : forward;
}

// Bytes of value rows that the samples ask for, four corners each, from wherever they lie; backward adds as many again to
// the gradient, in the type of the values.
inline double GatheredBytes(const DeformCase& c, TfgeoType type, bool backward) {
  return (backward ? 2.0 : 1.0) * 4 * c.Samples() * c.dim * static_cast<double>(SizeOf(type));
}

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_CASES_H_
