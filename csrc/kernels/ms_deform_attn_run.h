// SPDX-License-Identifier: Apache-2.0
// The calls of ms_deform_attn.h on the CPU once they are checked; C, float or double, is what they compute with. They
// throw std::bad_alloc.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_RUN_H_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_RUN_H_

#include "ms_deform_attn_plan.h"
#include "parallel.h"

namespace tfgeo::deform {

template <typename C>
void RunForward(const Call<C>& call, const void* value, void* output, const Parallel& parallel);

template <typename C>
void RunBackward(const Call<C>& call, const void* grad_output, const void* value, TfgeoMsDeformAttnGrads grads,
                 const Parallel& parallel);

}  // namespace tfgeo::deform

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_RUN_H_
