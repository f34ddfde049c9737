// SPDX-License-Identifier: Apache-2.0
// TfgeoGelu and its gradient: registration, shapes and CPU kernels.
#include "../kernels/gelu.h"

#include "errors.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "threads.h"

namespace tfgeo {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;

REGISTER_OP("TfgeoGelu")
    .Input("x: float")
    .Output("y: float")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc("x * Phi(x) with the normal distribution Phi, not approximated.");

REGISTER_OP("TfgeoGeluGrad")
    .Input("grad_y: float")
    .Input("x: float")
    .Output("grad_x: float")
    .SetShapeFn(tensorflow::shape_inference::MergeBothInputsShapeFn)
    .Doc("Gradient of TfgeoGelu.");

class GeluOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckIsa());
    const Tensor& x = context->input(0);
    Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    Gelu(x.NumElements(), x.flat<float>().data(), y->flat<float>().data(), Threads(context));
  }
};

class GeluGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckIsa());
    const Tensor& grad_y = context->input(0);
    const Tensor& x = context->input(1);
    OP_REQUIRES(context, grad_y.shape() == x.shape(),
                Invalid("[TfgeoGelu] expected shape ", x.shape().DebugString(),
                                                    " for grad_y but received ", grad_y.shape().DebugString()));
    Tensor* grad_x = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &grad_x));
    GeluGrad(x.NumElements(), grad_y.flat<float>().data(), x.flat<float>().data(), grad_x->flat<float>().data(),
             Threads(context));
  }
};

REGISTER_KERNEL_BUILDER(Name("TfgeoGelu").Device(tensorflow::DEVICE_CPU), GeluOp);
REGISTER_KERNEL_BUILDER(Name("TfgeoGeluGrad").Device(tensorflow::DEVICE_CPU), GeluGradOp);

}  // namespace
}  // namespace tfgeo
