// SPDX-License-Identifier: Apache-2.0
// What the CPU and GPU kernels of deformable attention share: reading and checking inputs, making outputs.
#ifndef TFGEO_TF_MS_DEFORM_ATTN_CALL_H_
#define TFGEO_TF_MS_DEFORM_ATTN_CALL_H_

#include "../kernels/ms_deform_attn.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfgeo {

// A call of the C interface: sizes, inputs, outputs.
struct MsDeformAttnCall {
  TfgeoType type;
  TfgeoMsDeformAttnShape shape;
  const void* value;
  TfgeoMsDeformAttnSamples samples;
  void* output;             // of the forward call
  const void* grad_output;  // of the backward call
  TfgeoMsDeformAttnGrads grads;
};

// One of the four ops on some device. The name of the op tells its form: "Raw" in it, "Grad" at its end.
class MsDeformAttnKernel : public tensorflow::OpKernel {
 public:
  explicit MsDeformAttnKernel(tensorflow::OpKernelConstruction* context);
  void Compute(tensorflow::OpKernelContext* context) final;

 protected:
  virtual absl::Status Forward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) = 0;
  virtual absl::Status Backward(tensorflow::OpKernelContext* context, const MsDeformAttnCall& call) = 0;
  // The op's name in brackets, as errors begin.
  const std::string& prefix() const { return prefix_; }

 private:
  absl::Status ReadInputs(tensorflow::OpKernelContext* context, MsDeformAttnCall* call) const;
  absl::Status CheckShape(const char* name, const tensorflow::Tensor& tensor, const tensorflow::TensorShape& expected,
                          const char* layout) const;
  absl::Status MakeOutputs(tensorflow::OpKernelContext* context, MsDeformAttnCall* call) const;

  const bool raw_;
  const bool grad_;
  const std::string prefix_;
};

// Registers KERNEL for the four ops with values of type T and samples of type C; `spatial_shapes` lies on the host.
#define TFGEO_REGISTER_MS_DEFORM_ATTN(DEVICE, T, C, KERNEL)       \
  TFGEO_REGISTER_ONE("TfgeoMsDeformAttn", DEVICE, T, C, KERNEL);     \
  TFGEO_REGISTER_ONE("TfgeoMsDeformAttnGrad", DEVICE, T, C, KERNEL); \
  TFGEO_REGISTER_ONE("TfgeoMsDeformAttnRaw", DEVICE, T, C, KERNEL);  \
  TFGEO_REGISTER_ONE("TfgeoMsDeformAttnRawGrad", DEVICE, T, C, KERNEL)
#define TFGEO_REGISTER_ONE(NAME, DEVICE, T, C, KERNEL)  \
  REGISTER_KERNEL_BUILDER(Name(NAME)                    \
                              .Device(DEVICE)           \
                              .TypeConstraint<T>("T")   \
                              .TypeConstraint<C>("C")   \
                              .HostMemory("spatial_shapes"), \
                          KERNEL)

}  // namespace tfgeo

#endif  // TFGEO_TF_MS_DEFORM_ATTN_CALL_H_
