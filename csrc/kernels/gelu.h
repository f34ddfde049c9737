// SPDX-License-Identifier: Apache-2.0
// Exact GELU, x * Phi(x) with the normal distribution Phi. Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear
// Units (GELUs)". Accurate to a few units of the last place also where Phi is tiny.
#ifndef TFGEO_KERNELS_GELU_H_
#define TFGEO_KERNELS_GELU_H_

#include <cstdint>

#include "parallel.h"

namespace tfgeo {

void Gelu(int64_t size, const float* x, float* y, const Parallel& parallel);

// grad_x = grad_y * (Phi(x) + x * phi(x)).
void GeluGrad(int64_t size, const float* grad_y, const float* x, float* grad_x, const Parallel& parallel);

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_GELU_H_
