// SPDX-License-Identifier: Apache-2.0
// Layer normalisation over the last axis. Source: Ba, Kiros and Hinton 2016, "Layer Normalization".
#ifndef TFGEO_KERNELS_LAYER_NORM_H_
#define TFGEO_KERNELS_LAYER_NORM_H_

#include <cstdint>

#include "parallel.h"

namespace tfgeo {

// x [rows, columns], weight [columns], bias [columns] -> y like x.
void LayerNorm(int64_t rows, int64_t columns, const float* x, const float* weight, const float* bias, float eps,
               float* y, const Parallel& parallel);

// Gradients of sum(y * grad_y). Finds mean and deviation again: a row is in the cache anyway, and two more tensors to
// keep would cost more. The result does not depend on the number of threads.
void LayerNormGrad(int64_t rows, int64_t columns, const float* grad_y, const float* x, const float* weight, float eps,
                   float* grad_x, float* grad_weight, float* grad_bias, const Parallel& parallel);

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_LAYER_NORM_H_
