// SPDX-License-Identifier: Apache-2.0
#include "attention.h"

#include <algorithm>
#include <utility>
#include <vector>

#define TFGEO_ISA_BODY "attention_body.h"
#include "foreach_isa.h"

namespace tfgeo {
namespace {

// Parts in which the sequences' gradients of a bias are summed: fixed, so that sums are the same whatever the threads.
constexpr int64_t kGroups = 16;

// A head's work in multiplications, by which blocks are measured.
int64_t WorkOf(const AttentionSizes& s) { return std::max<int64_t>(1, s.queries * s.keys * s.dim); }

}  // namespace

void Attention(const AttentionInput& input, float* output, float* statistics, const Parallel& parallel) {
  const AttentionSizes& s = input.sizes;
  if (s.batch * s.heads * s.queries == 0) return;
  const auto attend = TFGEO_DISPATCH(AttendHead);
  const int64_t work_size = TFGEO_DISPATCH(ForwardWork)(s);
  // Where there are few heads, the queries of a head are divided too.
  const int64_t units = s.batch * s.heads;
  const int64_t most = std::max<int64_t>(1, s.queries / 32);
  const int64_t parts = std::clamp<int64_t>(4 * parallel.threads / units, 1, most);
  const int64_t grain = 1 + 65536 * parts / WorkOf(s);
  parallel.run(units * parts, BlockSize(parallel, units * parts, grain), [&](int64_t begin, int64_t end) {
    std::vector<float> work(static_cast<size_t>(work_size));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t unit = i / parts, part = i % parts;
      attend(input, unit / s.heads, unit % s.heads, part * s.queries / parts, (part + 1) * s.queries / parts,
             work.data(), output, statistics);
    }
  });
}

void AttentionGrad(const AttentionInput& input, const float* output, const float* statistics, const float* grad_output,
                   const AttentionGradients& gradients, const Parallel& parallel) {
  const AttentionSizes& s = input.sizes;
  const auto attend = TFGEO_DISPATCH(AttendHeadGrad);
  const int64_t work_size = TFGEO_DISPATCH(BackwardWork)(s);
  const bool biased = gradients.bias != nullptr;
  const int64_t head_size = input.bias.queries * s.keys;
  const int64_t groups = biased ? std::min(s.batch, kGroups) : s.batch;
  std::vector<float> sums(biased ? static_cast<size_t>(groups * s.heads * head_size) : 0, 0.0f);
  // A unit is one head of the sequences of a group.
  const int64_t units = groups * s.heads;
  const int64_t grain = 1 + 32768 * groups / (WorkOf(s) * std::max<int64_t>(1, s.batch));
  parallel.run(units, BlockSize(parallel, units, grain), [&](int64_t begin, int64_t end) {
    std::vector<float> work(static_cast<size_t>(work_size));
    AttentionGradients own = gradients;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t group = unit / s.heads, h = unit % s.heads;
      if (biased) own.bias = sums.data() + unit * head_size;
      for (int64_t b = group * s.batch / groups; b < (group + 1) * s.batch / groups; ++b) {
        attend(input, b, h, output, statistics, grad_output, own, work.data());
      }
    }
  });
  if (!biased) return;
  const int64_t size = input.bias.heads * head_size;
  std::fill(gradients.bias, gradients.bias + size, 0.0f);
  for (size_t i = 0; i < sums.size(); ++i) gradients.bias[i % static_cast<size_t>(size)] += sums[i];
}

}  // namespace tfgeo
