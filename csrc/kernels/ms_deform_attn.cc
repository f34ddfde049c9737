// SPDX-License-Identifier: Apache-2.0
#include "ms_deform_attn.h"

#include <new>

#include "fail.h"
#include "isa.h"
#include "ms_deform_attn_check.h"
#include "ms_deform_attn_run.h"
#include "parallel.h"

TfgeoCode tfgeo_ms_deform_attn(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                               const TfgeoMsDeformAttnSamples* samples, void* output, const TfgeoThreads* threads,
                               TfgeoError error) {
  using namespace tfgeo::deform;
  TfgeoCode code = CheckForward(type, shape, value, samples, output, error);
  if (code == TFGEO_OK) code = tfgeo_cpu_check_isa(error);
  if (code != TFGEO_OK) return code;
  try {
    if (type == TFGEO_FLOAT64) {
      RunForward<double>({type, *shape, *samples}, value, output, tfgeo::FromC(threads));
    } else {
      RunForward<float>({type, *shape, *samples}, value, output, tfgeo::FromC(threads));
    }
  } catch (const std::bad_alloc&) {
    return tfgeo::Fail(error, TFGEO_OUT_OF_MEMORY, "[msDeformAttn] there is not enough memory");
  }
  return TFGEO_OK;
}

TfgeoCode tfgeo_ms_deform_attn_grad(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* grad_output,
                                    const void* value, const TfgeoMsDeformAttnSamples* samples,
                                    const TfgeoMsDeformAttnGrads* grads, const TfgeoThreads* threads,
                                    TfgeoError error) {
  using namespace tfgeo::deform;
  TfgeoCode code = CheckBackward(type, shape, grad_output, value, samples, grads, error);
  if (code == TFGEO_OK) code = tfgeo_cpu_check_isa(error);
  if (code != TFGEO_OK) return code;
  try {
    if (type == TFGEO_FLOAT64) {
      RunBackward<double>({type, *shape, *samples}, grad_output, value, *grads, tfgeo::FromC(threads));
    } else {
      RunBackward<float>({type, *shape, *samples}, grad_output, value, *grads, tfgeo::FromC(threads));
    }
  } catch (const std::bad_alloc&) {
    return tfgeo::Fail(error, TFGEO_OUT_OF_MEMORY, "[msDeformAttn] there is not enough memory");
  }
  return TFGEO_OK;
}
