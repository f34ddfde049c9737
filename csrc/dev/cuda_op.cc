// SPDX-License-Identifier: Apache-2.0
// The operators of deformable attention for TensorFlow's CPU, computed by tfgeo_cuda.so: every call copies its tensors
// to the device and the results back. With it, everything that runs on the operators tries the CUDA kernels, on a GPU
// that TensorFlow does not know or on the CPU that stands in for one. tools/native/cuda.ts builds it.
#include "../tf/cuda_library.h"
#include "../tf/errors.h"
#include "../tf/ms_deform_attn_call.h"
#include "device_array.h"
#include "element_types.h"

namespace tfgeo {
namespace {

using dev::DeviceArray;
using dev::DeviceErrors;

// The tensors of a call on the device.
class OnDevice {
 public:
  OnDevice(const MsDeformAttnCall& call, DeviceErrors* errors)
      : value_(ValueBytes(call), errors), reference_(ReferenceBytes(call), errors),
        positions_(2 * ScoreBytes(call), errors), scores_(ScoreBytes(call), errors) {
    value_.Upload(call.value);
    reference_.Upload(call.samples.reference);
    positions_.Upload(call.samples.positions);
    scores_.Upload(call.samples.scores);
  }

  const void* value() const { return value_.get(); }
  TfgeoMsDeformAttnSamples samples() const { return {reference_.get(), positions_.get(), scores_.get()}; }

  static size_t ValueBytes(const MsDeformAttnCall& call) {
    const auto& s = call.shape;
    return static_cast<size_t>(s.batch * s.length * s.heads * s.dim) * dev::TypeSize(call.type);
  }
  static size_t OutputBytes(const MsDeformAttnCall& call) {
    const auto& s = call.shape;
    return static_cast<size_t>(s.batch * s.queries * s.heads * s.dim) * dev::TypeSize(call.type);
  }
  static size_t ReferenceBytes(const MsDeformAttnCall& call) {
    const auto& s = call.shape;
    return static_cast<size_t>(s.batch * s.queries * s.levels * s.reference_size) * SampleSize(call);
  }
  static size_t ScoreBytes(const MsDeformAttnCall& call) {
    const auto& s = call.shape;
    return static_cast<size_t>(s.batch * s.queries * s.heads * s.levels * s.points) * SampleSize(call);
  }

 private:
  static size_t SampleSize(const MsDeformAttnCall& call) { return dev::TypeSize(dev::SampleType(call.type)); }

  DeviceArray value_, reference_, positions_, scores_;
};

class MsDeformAttnCopied : public MsDeformAttnKernel {
 public:
  using MsDeformAttnKernel::MsDeformAttnKernel;

 protected:
  absl::Status Forward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) override {
    const CudaLibrary* cuda = nullptr;
    TF_RETURN_IF_ERROR(OpenCudaLibrary(context, &cuda));
    DeviceErrors errors;
    const OnDevice inputs(call, &errors);
    const DeviceArray output(OnDevice::OutputBytes(call), &errors);
    TF_RETURN_IF_ERROR(StatusOf(errors));
    char sentence[512] = "";
    const TfgeoMsDeformAttnSamples samples = inputs.samples();
    TF_RETURN_IF_ERROR(ToStatus(cuda->ms_deform_attn(call.type, &call.shape, inputs.value(), &samples, output.get(),
                                                     nullptr, {sentence, sizeof(sentence)}),
                                sentence));
    output.Download(call.output);
    return StatusOf(errors);
  }

  absl::Status Backward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) override {
    const CudaLibrary* cuda = nullptr;
    TF_RETURN_IF_ERROR(OpenCudaLibrary(context, &cuda));
    DeviceErrors errors;
    const OnDevice inputs(call, &errors);
    DeviceArray upstream(OnDevice::OutputBytes(call), &errors);
    upstream.Upload(call.grad_output);
    const DeviceArray value(OnDevice::ValueBytes(call), &errors), reference(OnDevice::ReferenceBytes(call), &errors);
    const DeviceArray positions(2 * OnDevice::ScoreBytes(call), &errors), scores(OnDevice::ScoreBytes(call), &errors);
    const DeviceArray scratch(cuda->ms_deform_attn_grad_scratch(call.type, &call.shape), &errors);
    TF_RETURN_IF_ERROR(StatusOf(errors));
    char sentence[512] = "";
    const TfgeoMsDeformAttnSamples samples = inputs.samples();
    const TfgeoMsDeformAttnGrads grads = {value.get(), reference.get(), positions.get(), scores.get()};
    TF_RETURN_IF_ERROR(ToStatus(cuda->ms_deform_attn_grad(call.type, &call.shape, upstream.get(), inputs.value(),
                                                          &samples, &grads, scratch.get(), nullptr,
                                                          {sentence, sizeof(sentence)}),
                                sentence));
    value.Download(call.grads.value);
    reference.Download(call.grads.reference);
    positions.Download(call.grads.positions);
    scores.Download(call.grads.scores);
    return StatusOf(errors);
  }

 private:
  absl::Status StatusOf(const DeviceErrors& errors) const {
    if (errors.text().empty()) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(prefix(), " ", errors.text()));
  }
};

TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, float, float, MsDeformAttnCopied);
TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, double, double, MsDeformAttnCopied);
TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, tensorflow::bfloat16, float, MsDeformAttnCopied);
TFGEO_REGISTER_MS_DEFORM_ATTN(tensorflow::DEVICE_CPU, Eigen::half, float, MsDeformAttnCopied);

}  // namespace
}  // namespace tfgeo
