// SPDX-License-Identifier: Apache-2.0
// A step of AdamW (Loshchilov and Hutter 2019) on parameters that lie one after the other in single vectors, with
// averages of the parameters, and the norm that gradients are clipped by.
#ifndef TFGEO_KERNELS_ADAMW_H_
#define TFGEO_KERNELS_ADAMW_H_

#include <cstdint>
#include <vector>

#include "parallel.h"

namespace tfgeo {

struct AdamWNumbers {
  // Of the moments, and what is left of 1: rounded from double precision by the caller.
  float beta1, rest1, beta2, rest2;
  // Parameters are first multiplied with this.
  float decay;
  // Added to the root of the second moments, bias correction included.
  float epsilon;
  // Learning rate, bias corrections included.
  float rate;
  // Averages move this part of the way to the parameters.
  float share;
  // Gradients are first multiplied with this.
  float scale;
};

// All of one length. `average` and `next_average` are null where there are none.
struct AdamWVectors {
  const float *param, *first, *second, *average;
  float *next_param, *next_first, *next_second, *next_average;
};

// One parameter: its gradient, and where its new value goes a second time.
struct AdamWPart {
  const float* gradient;
  float* value;
  int64_t size;
};

// The parts follow one another in the vectors.
void AdamW(const AdamWNumbers& numbers, const AdamWVectors& vectors, const std::vector<AdamWPart>& parts,
           const Parallel& parallel);

struct NormPart {
  const float* values;
  int64_t size;
};

// Sum of the squares of all values. Its order depends on the sizes alone.
double SquaredNorm(const std::vector<NormPart>& parts, const Parallel& parallel);

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_ADAMW_H_
