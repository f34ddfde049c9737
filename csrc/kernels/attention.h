// SPDX-License-Identifier: Apache-2.0
// Softmax attention by heads: softmax(scale q k^T + bias + mask) v. Source: Vaswani et al. 2017, "Attention Is All You
// Need". Scores exist for a few queries at a time only; the backward pass computes them again from the statistics.
#ifndef TFGEO_KERNELS_ATTENTION_H_
#define TFGEO_KERNELS_ATTENTION_H_

#include <cstdint>

#include "parallel.h"

namespace tfgeo {

struct AttentionSizes {
  // `dim` values of each head.
  int64_t batch, heads, queries, keys, dim;
};

// Tokens of all sequences: token t of sequence b begins at data[(b * tokens + t) * row], head h of it dim * h further.
template <typename T>
struct AttentionRows {
  T* data;
  int64_t row;
};

// What is added to the scores: [sequences, heads, queries, keys], where heads and queries may be 1, and sequence b takes
// that of number b % sequences. Null data = nothing.
struct AttentionTerm {
  const float* data;
  int64_t sequences, heads, queries;
};

struct AttentionInput {
  AttentionSizes sizes;
  AttentionRows<const float> query, key, value;
  AttentionTerm bias, mask;
  float scale;
};

struct AttentionGradients {
  AttentionRows<float> query, key, value;
  // Null where it is not wanted.
  float* bias;
};

// output: [batch, queries, heads * dim]; statistics: [batch, heads, queries], the logarithms of the sums of exponentials.
void Attention(const AttentionInput& input, float* output, float* statistics, const Parallel& parallel);

// Gradients of sum(output * grad_output). A bias with a gradient is of one sequence. The result does not depend on the
// number of threads.
void AttentionGrad(const AttentionInput& input, const float* output, const float* statistics, const float* grad_output,
                   const AttentionGradients& gradients, const Parallel& parallel);

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_ATTENTION_H_
