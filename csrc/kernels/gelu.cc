// SPDX-License-Identifier: Apache-2.0
#include "gelu.h"

#include <utility>

#define TFGEO_ISA_BODY "gelu_body.h"
#include "foreach_isa.h"

namespace tfgeo {
namespace {

// Blocks of whole cache lines.
int64_t Block(const Parallel& parallel, int64_t size) { return (BlockSize(parallel, size, 16384) + 15) / 16 * 16; }

}  // namespace

void Gelu(int64_t size, const float* x, float* y, const Parallel& parallel) {
  const auto gelu = TFGEO_DISPATCH(GeluRange);
  parallel.run(size, Block(parallel, size),
               [&](int64_t begin, int64_t end) { gelu(end - begin, x + begin, y + begin); });
}

void GeluGrad(int64_t size, const float* grad_y, const float* x, float* grad_x, const Parallel& parallel) {
  const auto gelu = TFGEO_DISPATCH(GeluGradRange);
  parallel.run(size, Block(parallel, size), [&](int64_t begin, int64_t end) {
    gelu(end - begin, grad_y + begin, x + begin, grad_x + begin);
  });
}

}  // namespace tfgeo
