// SPDX-License-Identifier: Apache-2.0
// TfgeoLayerNorm and its gradient: registration, shapes, checks and CPU kernels.
#include "../kernels/layer_norm.h"

#include "errors.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "threads.h"

namespace tfgeo {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

REGISTER_OP("TfgeoLayerNorm")
    .Input("x: float")
    .Input("weight: float")
    .Input("bias: float")
    .Output("y: float")
    .Attr("eps: float")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      ShapeHandle x;
      TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(0), 1, &x));
      c->set_output(0, x);
      return absl::OkStatus();
    })
    .Doc("Layer normalisation of x [..., C] over its last axis, times weight [C], plus bias [C].");

REGISTER_OP("TfgeoLayerNormGrad")
    .Input("grad_y: float")
    .Input("x: float")
    .Input("weight: float")
    .Output("grad_x: float")
    .Output("grad_weight: float")
    .Output("grad_bias: float")
    .Attr("eps: float")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      c->set_output(0, c->input(1));
      c->set_output(1, c->input(2));
      c->set_output(2, c->input(2));
      return absl::OkStatus();
    })
    .Doc("Gradients of TfgeoLayerNorm in x, weight and bias.");

absl::Status CheckShape(const char* name, const Tensor& tensor, const TensorShape& expected) {
  if (tensor.shape() == expected) return absl::OkStatus();
  return Invalid("[TfgeoLayerNorm] expected shape ", expected.DebugString(), " for ", name, " but received ",
                         tensor.shape().DebugString());
}

absl::Status CheckInput(const Tensor& x) {
  if (x.dims() >= 1 && x.dim_size(x.dims() - 1) >= 1) return absl::OkStatus();
  return Invalid("[TfgeoLayerNorm] expected shape [..., C] with C of at least 1 for x but received ",
                         x.shape().DebugString());
}

class LayerNormOp : public OpKernel {
 public:
  explicit LayerNormOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("eps", &eps_));
  }

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckIsa());
    const Tensor& x = context->input(0);
    OP_REQUIRES_OK(context, CheckInput(x));
    const int64_t columns = x.dim_size(x.dims() - 1);
    OP_REQUIRES_OK(context, CheckShape("weight", context->input(1), TensorShape({columns})));
    OP_REQUIRES_OK(context, CheckShape("bias", context->input(2), TensorShape({columns})));
    Tensor* y = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    LayerNorm(x.NumElements() / columns, columns, x.flat<float>().data(), context->input(1).flat<float>().data(),
              context->input(2).flat<float>().data(), eps_, y->flat<float>().data(), Threads(context));
  }

 private:
  float eps_;
};

class LayerNormGradOp : public OpKernel {
 public:
  explicit LayerNormGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("eps", &eps_));
  }

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckIsa());
    const Tensor& grad_y = context->input(0);
    const Tensor& x = context->input(1);
    const Tensor& weight = context->input(2);
    OP_REQUIRES_OK(context, CheckInput(x));
    const int64_t columns = x.dim_size(x.dims() - 1);
    OP_REQUIRES_OK(context, CheckShape("grad_y", grad_y, x.shape()));
    OP_REQUIRES_OK(context, CheckShape("weight", weight, TensorShape({columns})));
    Tensor *grad_x = nullptr, *grad_weight = nullptr, *grad_bias = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &grad_x));
    OP_REQUIRES_OK(context, context->allocate_output(1, weight.shape(), &grad_weight));
    OP_REQUIRES_OK(context, context->allocate_output(2, weight.shape(), &grad_bias));
    LayerNormGrad(x.NumElements() / columns, columns, grad_y.flat<float>().data(), x.flat<float>().data(),
                  weight.flat<float>().data(), eps_, grad_x->flat<float>().data(),
                  grad_weight->flat<float>().data(), grad_bias->flat<float>().data(), Threads(context));
  }

 private:
  float eps_;
};

REGISTER_KERNEL_BUILDER(Name("TfgeoLayerNorm").Device(tensorflow::DEVICE_CPU), LayerNormOp);
REGISTER_KERNEL_BUILDER(Name("TfgeoLayerNormGrad").Device(tensorflow::DEVICE_CPU), LayerNormGradOp);

}  // namespace
}  // namespace tfgeo
