// SPDX-License-Identifier: Apache-2.0
// RoIAlign: means of bilinear samples in the cells of a grid laid over each box. Source: He et al. 2017, "Mask R-CNN".
#ifndef TFGEO_KERNELS_ROI_ALIGN_H_
#define TFGEO_KERNELS_ROI_ALIGN_H_

#include <cstdint>

#include "parallel.h"

namespace tfgeo {

struct RoiAlignShape {
  int64_t batch, cells, channels, boxes;
  // Maps one after the other, `cells` in all: sizes [levels, 2] (height, width), and how many cells a unit of the boxes is.
  int64_t levels;
  const int32_t* sizes;
  const float* scales;
  // The grid.
  int64_t height, width;
  // Samples along each side of a grid cell; 0 = as many as it spans cells of the map, rounded up.
  int64_t sampling;
  // Whether the centre of the first cell lies at half a cell.
  bool aligned;
};

// value [batch, cells, channels], boxes [batch, boxes, 4] (x0, y0, x1, y1), level [batch, boxes]
// -> out [batch, boxes, height, width, channels]. A box of a level that there is not gives 0, one that is not finite NaN.
void RoiAlign(const RoiAlignShape& shape, const float* value, const float* boxes, const int32_t* level, float* out,
              const Parallel& parallel);

// Gradient of sum(out * grad_out) in value. The result does not depend on the number of threads.
void RoiAlignGrad(const RoiAlignShape& shape, const float* grad_out, const float* boxes, const int32_t* level,
                  float* grad_value, const Parallel& parallel);

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_ROI_ALIGN_H_
