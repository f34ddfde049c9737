// SPDX-License-Identifier: Apache-2.0
// The GPU kernels of deformable attention: the C interface of tfgeo_cuda.so on the op's stream. Needs no CUDA headers.
#include "cuda_library.h"
#include "errors.h"
#include "ms_deform_attn_call.h"
#include "tensorflow/core/util/determinism.h"

// A build for tests registers these kernels for DEVICE_CPU, where a library compiled for the host stands in for the
// real one; it leaves ms_deform_attn_cpu.cc out.
#ifndef TFGEO_GPU_DEVICE
#define TFGEO_GPU_DEVICE tensorflow::DEVICE_GPU
#endif

namespace tfgeo {
namespace {

class MsDeformAttnGpu : public MsDeformAttnKernel {
 public:
  using MsDeformAttnKernel::MsDeformAttnKernel;

 protected:
  absl::Status Forward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) override {
    const CudaLibrary* cuda = nullptr;
    TF_RETURN_IF_ERROR(OpenCudaLibrary(context, &cuda));
    char sentence[512] = "";
    const TfgeoCode code = cuda->ms_deform_attn(call.type, &call.shape, call.value, &call.samples, call.output,
                                                CudaStream(context), {sentence, sizeof(sentence)});
    return ToStatus(code, sentence);
  }

  absl::Status Backward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) override {
    if (tensorflow::OpDeterminismRequired()) {
      return absl::UnimplementedError(absl::StrCat(
          prefix(), " has no deterministic kernel for the GPU, because gradients of value are summed in no fixed order; ",
          "place it on the CPU, or do without deterministic ops"));
    }
    const CudaLibrary* cuda = nullptr;
    TF_RETURN_IF_ERROR(OpenCudaLibrary(context, &cuda));
    const size_t bytes = cuda->ms_deform_attn_grad_scratch(call.type, &call.shape);
    tensorflow::Tensor scratch;
    if (bytes > 0) {
      const tensorflow::TensorShape shape({static_cast<int64_t>(bytes)});
      tensorflow::AllocatorAttributes attributes;
      TF_RETURN_IF_ERROR(context->allocate_temp(tensorflow::DT_UINT8, shape, &scratch, attributes));
    }
    char sentence[512] = "";
    const TfgeoCode code = cuda->ms_deform_attn_grad(call.type, &call.shape, call.grad_output, call.value,
                                                     &call.samples, &call.grads, bytes > 0 ? scratch.data() : nullptr,
                                                     CudaStream(context), {sentence, sizeof(sentence)});
    return ToStatus(code, sentence);
  }
};

TFGEO_REGISTER_MS_DEFORM_ATTN(TFGEO_GPU_DEVICE, float, float, MsDeformAttnGpu);
TFGEO_REGISTER_MS_DEFORM_ATTN(TFGEO_GPU_DEVICE, double, double, MsDeformAttnGpu);
TFGEO_REGISTER_MS_DEFORM_ATTN(TFGEO_GPU_DEVICE, tensorflow::bfloat16, float, MsDeformAttnGpu);
TFGEO_REGISTER_MS_DEFORM_ATTN(TFGEO_GPU_DEVICE, Eigen::half, float, MsDeformAttnGpu);

}  // namespace
}  // namespace tfgeo
