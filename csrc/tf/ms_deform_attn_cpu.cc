// SPDX-License-Identifier: Apache-2.0
// The CPU kernels of deformable attention: the C interface on TensorFlow's threads.
#include "errors.h"
#include "ms_deform_attn_call.h"
#include "threads.h"

namespace tfgeo {
namespace {

class MsDeformAttnCpu : public MsDeformAttnKernel {
 public:
  using MsDeformAttnKernel::MsDeformAttnKernel;

 protected:
  absl::Status Forward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) override {
    const TfgeoThreads threads = CThreads(context);
    char sentence[512] = "";
    const TfgeoCode code = tfgeo_ms_deform_attn(call.type, &call.shape, call.value, &call.samples, call.output,
                                                &threads, {sentence, sizeof(sentence)});
    return ToStatus(code, sentence);
  }

  absl::Status Backward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) override {
    const TfgeoThreads threads = CThreads(context);
    char sentence[512] = "";
    const TfgeoCode code =
        tfgeo_ms_deform_attn_grad(call.type, &call.shape, call.grad_output, call.value, &call.samples, &call.grads,
                                  &threads, {sentence, sizeof(sentence)});
    return ToStatus(code, sentence);
  }
};

TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, float, float, MsDeformAttnCpu);
TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, double, double, MsDeformAttnCpu);
TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, tensorflow::bfloat16, float, MsDeformAttnCpu);
TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, Eigen::half, float, MsDeformAttnCpu);

}  // namespace
}  // namespace tfgeo
