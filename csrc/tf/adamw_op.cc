// SPDX-License-Identifier: Apache-2.0
// TfgeoAdamW and TfgeoSquaredNorm: registration, shapes, checks and CPU kernels.
#include "../kernels/adamw.h"

#include "errors.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "threads.h"

namespace tfgeo {
namespace {

using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::InferenceContext;

// Inputs before the gradients.
enum Input { kNumbers, kScale, kParam, kFirst, kSecond, kAverage, kGradients };
// Outputs before the values.
constexpr int kVectors = 4;

REGISTER_OP("TfgeoAdamW")
    .Input("numbers: float")
    .Input("scale: float")
    .Input("param: float")
    .Input("first: float")
    .Input("second: float")
    .Input("average: float")
    .Input("gradients: N * float")
    .Output("next_param: float")
    .Output("next_first: float")
    .Output("next_second: float")
    .Output("next_average: float")
    .Output("values: N * float")
    .Attr("N: int >= 1")
    .Attr("beta1: float")
    .Attr("rest1: float")
    .Attr("beta2: float")
    .Attr("rest2: float")
    .Attr("averages: bool")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      bool averages = false;
      TF_RETURN_IF_ERROR(c->GetAttr("averages", &averages));
      for (int i = 0; i < kVectors - 1; i++) c->set_output(i, c->input(kParam));
      c->set_output(kVectors - 1, averages ? c->input(kParam) : c->Vector(0));
      for (int i = kGradients; i < c->num_inputs(); i++) c->set_output(kVectors + i - kGradients, c->input(i));
      return absl::OkStatus();
    })
    .Doc("A step of AdamW on parameters that lie one after the other in vectors. numbers: decay, epsilon, rate, share; "
         "gradients are first multiplied with scale; values: the new parameters one by one, in the gradients' shapes. "
         "Without averages, next_average is empty.");

REGISTER_OP("TfgeoSquaredNorm")
    .Input("vectors: N * float")
    .Output("norm: float")
    .Attr("N: int >= 1")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      c->set_output(0, c->Scalar());
      return absl::OkStatus();
    })
    .Doc("Sum of the squares of all values of all tensors.");

absl::Status CheckShape(const char* name, const Tensor& tensor, const TensorShape& expected) {
  if (tensor.shape() == expected) return absl::OkStatus();
  return Invalid("[TfgeoAdamW] expected shape ", expected.DebugString(), " for ", name, " but received ",
                 tensor.shape().DebugString());
}

class AdamWOp : public OpKernel {
 public:
  explicit AdamWOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("beta1", &numbers_.beta1));
    OP_REQUIRES_OK(context, context->GetAttr("rest1", &numbers_.rest1));
    OP_REQUIRES_OK(context, context->GetAttr("beta2", &numbers_.beta2));
    OP_REQUIRES_OK(context, context->GetAttr("rest2", &numbers_.rest2));
    OP_REQUIRES_OK(context, context->GetAttr("averages", &averages_));
  }

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckIsa());
    OpInputList gradients;
    OP_REQUIRES_OK(context, context->input_list("gradients", &gradients));
    OP_REQUIRES_OK(context, CheckInputs(context, gradients));
    const auto data = [&](int i) { return context->input(i).flat<float>().data(); };
    Tensor* vectors[kVectors] = {};
    for (int i = 0; i < kVectors; i++) {
      const bool empty = i == kVectors - 1 && !averages_;
      const TensorShape shape = empty ? TensorShape({0}) : context->input(kParam).shape();
      OP_REQUIRES_OK(context, context->allocate_output(i, shape, &vectors[i]));
    }
    std::vector<AdamWPart> parts;
    for (int i = 0; i < gradients.size(); i++) {
      Tensor* value = nullptr;
      OP_REQUIRES_OK(context, context->allocate_output(kVectors + i, gradients[i].shape(), &value));
      parts.push_back({gradients[i].flat<float>().data(), value->flat<float>().data(), value->NumElements()});
    }
    AdamWNumbers numbers = numbers_;
    const float* given = data(kNumbers);
    numbers.decay = given[0];
    numbers.epsilon = given[1];
    numbers.rate = given[2];
    numbers.share = given[3];
    numbers.scale = *data(kScale);
    const auto out = [&](int i) { return vectors[i]->flat<float>().data(); };
    AdamW(numbers,
          {data(kParam), data(kFirst), data(kSecond), averages_ ? data(kAverage) : nullptr, out(0), out(1), out(2),
           averages_ ? out(3) : nullptr},
          parts, Threads(context));
  }

 private:
  absl::Status CheckInputs(OpKernelContext* context, const OpInputList& gradients) const {
    TF_RETURN_IF_ERROR(CheckShape("numbers", context->input(kNumbers), TensorShape({4})));
    TF_RETURN_IF_ERROR(CheckShape("scale", context->input(kScale), TensorShape({})));
    int64_t total = 0;
    for (const Tensor& gradient : gradients) total += gradient.NumElements();
    const TensorShape whole({total});
    TF_RETURN_IF_ERROR(CheckShape("param", context->input(kParam), whole));
    TF_RETURN_IF_ERROR(CheckShape("first", context->input(kFirst), whole));
    TF_RETURN_IF_ERROR(CheckShape("second", context->input(kSecond), whole));
    return averages_ ? CheckShape("average", context->input(kAverage), whole) : absl::OkStatus();
  }

  AdamWNumbers numbers_ = {};
  bool averages_ = false;
};

class SquaredNormOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckIsa());
    OpInputList vectors;
    OP_REQUIRES_OK(context, context->input_list("vectors", &vectors));
    std::vector<NormPart> parts;
    for (const Tensor& vector : vectors) parts.push_back({vector.flat<float>().data(), vector.NumElements()});
    Tensor* norm = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({}), &norm));
    norm->scalar<float>()() = static_cast<float>(SquaredNorm(parts, Threads(context)));
  }
};

REGISTER_KERNEL_BUILDER(Name("TfgeoAdamW").Device(tensorflow::DEVICE_CPU), AdamWOp);
REGISTER_KERNEL_BUILDER(Name("TfgeoSquaredNorm").Device(tensorflow::DEVICE_CPU), SquaredNormOp);

}  // namespace
}  // namespace tfgeo
