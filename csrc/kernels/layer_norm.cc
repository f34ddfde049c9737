// SPDX-License-Identifier: Apache-2.0
#include "layer_norm.h"

#include <algorithm>
#include <utility>
#include <vector>

#define TFGEO_ISA_BODY "layer_norm_body.h"
#include "foreach_isa.h"

namespace tfgeo {

void LayerNorm(int64_t rows, int64_t columns, const float* x, const float* weight, const float* bias, float eps,
               float* y, const Parallel& parallel) {
  const auto norm = TFGEO_DISPATCH(NormRows);
  parallel.run(rows, BlockSize(parallel, rows, 1 + 32768 / columns), [&](int64_t begin, int64_t end) {
    norm(end - begin, columns, x + begin * columns, weight, bias, eps, y + begin * columns);
  });
}

void LayerNormGrad(int64_t rows, int64_t columns, const float* grad_y, const float* x, const float* weight, float eps,
                   float* grad_x, float* grad_weight, float* grad_bias, const Parallel& parallel) {
  const auto norm = TFGEO_DISPATCH(NormRowsGrad);
  // The blocks, and so the order of the sums, depend on the sizes alone.
  const int64_t blocks = std::clamp<int64_t>(rows * columns / 16384, 1, 64);
  std::vector<float> sums(2 * blocks * columns, 0.0f);
  parallel.run(blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * rows / blocks, end = (block + 1) * rows / blocks;
      float* sum = sums.data() + 2 * block * columns;
      norm(end - begin, columns, grad_y + begin * columns, x + begin * columns, weight, eps,
           grad_x + begin * columns, sum, sum + columns);
    }
  });
  std::fill(grad_weight, grad_weight + columns, 0.0f);
  std::fill(grad_bias, grad_bias + columns, 0.0f);
  for (int64_t block = 0; block < blocks; ++block) {
    const float* sum = sums.data() + 2 * block * columns;
    for (int64_t c = 0; c < columns; ++c) {
      grad_weight[c] += sum[c];
      grad_bias[c] += sum[columns + c];
    }
  }
}

}  // namespace tfgeo
