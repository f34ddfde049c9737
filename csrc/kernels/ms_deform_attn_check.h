// SPDX-License-Identifier: Apache-2.0
// The checks that the CPU and the CUDA calls of ms_deform_attn.h share. Need no C++ library.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_CHECK_H_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_CHECK_H_

#include "ms_deform_attn.h"

namespace tfgeo::deform {

// Sizes (tfgeo_ms_deform_attn_check) and that no pointer is null.
TfgeoCode CheckForward(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                       const TfgeoMsDeformAttnSamples* samples, const void* output, TfgeoError error);

// The same; the pointers in `grads` may be null.
TfgeoCode CheckBackward(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* grad_output,
                        const void* value, const TfgeoMsDeformAttnSamples* samples,
                        const TfgeoMsDeformAttnGrads* grads, TfgeoError error);

}  // namespace tfgeo::deform

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_CHECK_H_
