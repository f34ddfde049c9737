// SPDX-License-Identifier: Apache-2.0
// In the place of tfgeo_cuda.so, for tests of the GPU kernels' way into TensorFlow: the CPU's kernels under the names of
// the GPU's. TFGEO_TEST_NO_CODE=1: as if there were no code for the card. TFGEO_TEST_FAIL=1: as if a launch failed.
#include <cstdlib>
#include <cstring>

#include "csrc/kernels/cuda_library.h"
#include "csrc/kernels/fail.h"
#include "csrc/kernels/ms_deform_attn.h"

namespace {

constexpr size_t kScratch = 1000;

bool Set(const char* name) { return std::getenv(name) != nullptr; }

}  // namespace

const char* tfgeo_cuda_targets(void) { return "the CPU"; }

TfgeoCode tfgeo_cuda_check_device(TfgeoError error) {
  if (!Set("TFGEO_TEST_NO_CODE")) return TFGEO_OK;
  return tfgeo::Fail(error, TFGEO_NO_GPU_CODE, "no code for sm_75 among %s", tfgeo_cuda_targets());
}

TfgeoCode tfgeo_cuda_ms_deform_attn(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                                    const TfgeoMsDeformAttnSamples* samples, void* output, void*, TfgeoError error) {
  if (Set("TFGEO_TEST_FAIL")) return tfgeo::Fail(error, TFGEO_GPU_ERROR, "the launch failed");
  return tfgeo_ms_deform_attn(type, shape, value, samples, output, nullptr, error);
}

size_t tfgeo_cuda_ms_deform_attn_grad_scratch(TfgeoType, const TfgeoMsDeformAttnShape*) { return kScratch; }

TfgeoCode tfgeo_cuda_ms_deform_attn_grad(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* grad_output,
                                         const void* value, const TfgeoMsDeformAttnSamples* samples,
                                         const TfgeoMsDeformAttnGrads* grads, void* scratch, void*, TfgeoError error) {
  if (scratch == nullptr) return tfgeo::Fail(error, TFGEO_INVALID_ARGUMENT, "no scratch memory");
  std::memset(scratch, 1, kScratch);
  return tfgeo_ms_deform_attn_grad(type, shape, grad_output, value, samples, grads, nullptr, error);
}
