// SPDX-License-Identifier: Apache-2.0
// "Somebody else's kernels" for trying bench/cuda.sh without a GPU, where device memory is host memory: the CPU kernels
// behind bench/cuda/reference.h. FAKE_REFERENCE_WRONG=1 makes its output differ.
#include <cstdlib>
#include <vector>

#include "../../bench/cuda/reference.h"
#include "../../csrc/kernels/ms_deform_attn.h"

namespace {

struct Shape {
  explicit Shape(const TfgeoReferenceCall& c) : levels(c.shapes, c.shapes + 2 * c.levels) {
    shape = {c.batch, c.length, c.heads, c.dim, c.levels, c.points, c.queries, 0, levels.data()};
  }
  std::vector<int32_t> levels;
  TfgeoMsDeformAttnShape shape;
};

const char* Outcome(TfgeoCode code) { return code == TFGEO_OK ? nullptr : "the CPU kernel refused"; }

}  // namespace

const char* tfgeo_reference_name(void) { return "fake"; }

int tfgeo_reference_supports(TfgeoType type) { return type == TFGEO_FLOAT32; }

const char* tfgeo_reference_forward(TfgeoType type, const TfgeoReferenceCall* call, const void* value,
                                    const void* locations, const void* weights, void* output) {
  const Shape s(*call);
  const TfgeoMsDeformAttnSamples samples = {nullptr, locations, weights};
  const TfgeoCode code = tfgeo_ms_deform_attn(type, &s.shape, value, &samples, output, nullptr, {nullptr, 0});
  if (std::getenv("FAKE_REFERENCE_WRONG")) static_cast<float*>(output)[0] += 0.01f;
  return Outcome(code);
}

const char* tfgeo_reference_backward(TfgeoType type, const TfgeoReferenceCall* call, const void* grad_output,
                                     const void* value, const void* locations, const void* weights, void* grad_value,
                                     void* grad_locations, void* grad_weights) {
  const Shape s(*call);
  const TfgeoMsDeformAttnSamples samples = {nullptr, locations, weights};
  const TfgeoMsDeformAttnGrads grads = {grad_value, nullptr, grad_locations, grad_weights};
  return Outcome(tfgeo_ms_deform_attn_grad(type, &s.shape, grad_output, value, &samples, &grads, nullptr,
                                           {nullptr, 0}));
}
