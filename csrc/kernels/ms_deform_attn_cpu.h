// SPDX-License-Identifier: Apache-2.0
// Multi-scale deformable attention on the CPU: sums bilinear samples of several feature maps, weighted per head.
// Source: Zhu et al. 2021, "Deformable DETR: Deformable Transformers for End-to-End Object Detection".
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_CPU_H_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_CPU_H_

#include <cstdint>

#include "parallel.h"

namespace tfgeo {

// Sizes of a call. All are at least 1 (the callers check), every tensor has fewer than 2^31 elements.
struct MsDeformAttnShape {
  int64_t batch;    // N
  int64_t length;   // S = sum of H * W over the levels
  int64_t heads;    // M
  int64_t dim;      // D, channels of a head
  int64_t levels;   // L
  int64_t points;   // P, samples per level
  int64_t queries;  // Q
  const int32_t* spatial_shapes;  // [L, 2] = (H, W)
};

// value [N, S, M, D], locations [N, Q, M, L, P, (x, y)] in [0, 1], weights [N, Q, M, L, P] -> output [N, Q, M * D].
// Pixel coordinates are x * W - 0.5 and y * H - 0.5. A sample counts when both lie strictly between -1 and the size;
// corners outside the map are zero. A sample outside adds nothing, whatever its weight; NaN as a location or weight
// makes the outputs of its query and head NaN.
template <typename T>
void MsDeformAttn(const MsDeformAttnShape& shape, const T* value, const T* locations, const T* weights, T* output,
                  const Parallel& parallel);

// Gradients of sum(output * grad_output) in value, locations and weights; all elements are written. Where a
// coordinate is an integer the location gradient is the derivative to the right. The result depends on the number
// of threads only when there are more threads than batch * heads.
template <typename T>
void MsDeformAttnGrad(const MsDeformAttnShape& shape, const T* grad_output, const T* value, const T* locations,
                      const T* weights, T* grad_value, T* grad_locations, T* grad_weights, const Parallel& parallel);

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_CPU_H_
