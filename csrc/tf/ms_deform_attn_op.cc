// SPDX-License-Identifier: Apache-2.0
// TfgeoMsDeformAttn and its gradient: registration, shapes, checks and CPU kernels.
#include "../kernels/ms_deform_attn_cpu.h"

#include <limits>
#include <utility>

#include "errors.h"
#include "tensorflow/core/framework/common_shape_fns.h"
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
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// ---- registration ----

// The common sizes of the four inputs that start at input `first`; fails where they contradict each other.
struct Dims {
  DimensionHandle batch, heads, dim, levels, points, queries;
};

absl::Status InferDims(InferenceContext* c, int first, Dims* dims) {
  ShapeHandle value, spatial, locations, weights;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first), 4, &value));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first + 1), 2, &spatial));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first + 2), 6, &locations));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first + 3), 5, &weights));
  DimensionHandle two;
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(spatial, 1), 2, &two));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(locations, 5), 2, &two));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(value, 0), c->Dim(locations, 0), &dims->batch));
  TF_RETURN_IF_ERROR(c->Merge(dims->batch, c->Dim(weights, 0), &dims->batch));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(locations, 1), c->Dim(weights, 1), &dims->queries));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(value, 2), c->Dim(locations, 2), &dims->heads));
  TF_RETURN_IF_ERROR(c->Merge(dims->heads, c->Dim(weights, 2), &dims->heads));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(spatial, 0), c->Dim(locations, 3), &dims->levels));
  TF_RETURN_IF_ERROR(c->Merge(dims->levels, c->Dim(weights, 3), &dims->levels));
  TF_RETURN_IF_ERROR(c->Merge(c->Dim(locations, 4), c->Dim(weights, 4), &dims->points));
  dims->dim = c->Dim(value, 3);
  return absl::OkStatus();
}

REGISTER_OP("TfgeoMsDeformAttn")
    .Input("value: T")
    .Input("spatial_shapes: int32")
    .Input("sampling_locations: T")
    .Input("attention_weights: T")
    .Output("output: T")
    .Attr("T: {float, double} = DT_FLOAT")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      Dims dims;
      TF_RETURN_IF_ERROR(InferDims(c, 0, &dims));
      DimensionHandle channels;
      TF_RETURN_IF_ERROR(c->Multiply(dims.heads, dims.dim, &channels));
      c->set_output(0, c->MakeShape({dims.batch, dims.queries, channels}));
      return absl::OkStatus();
    })
    .Doc(R"doc(
Multi-scale deformable attention: bilinear samples of L feature maps, weighted and summed per head.

value: [N, S, M, D], the maps one after the other, each row-major; S is the sum of H * W.
spatial_shapes: [L, 2], (H, W) of each map.
sampling_locations: [N, Q, M, L, P, 2], (x, y) in [0, 1] of the map; pixel coordinates are x * W - 0.5, y * H - 0.5.
attention_weights: [N, Q, M, L, P].
output: [N, Q, M * D].
)doc");

REGISTER_OP("TfgeoMsDeformAttnGrad")
    .Input("grad_output: T")
    .Input("value: T")
    .Input("spatial_shapes: int32")
    .Input("sampling_locations: T")
    .Input("attention_weights: T")
    .Output("grad_value: T")
    .Output("grad_sampling_locations: T")
    .Output("grad_attention_weights: T")
    .Attr("T: {float, double} = DT_FLOAT")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      Dims dims;
      TF_RETURN_IF_ERROR(InferDims(c, 1, &dims));
      c->set_output(0, c->input(1));
      c->set_output(1, c->input(3));
      c->set_output(2, c->input(4));
      return absl::OkStatus();
    })
    .Doc("Gradients of TfgeoMsDeformAttn in value, sampling_locations and attention_weights.");

// ---- checks ----

absl::Status CheckRank(const char* name, const Tensor& tensor, int rank, const char* layout) {
  if (tensor.dims() == rank) return absl::OkStatus();
  return Invalid("[TfgeoMsDeformAttn] expected shape ", layout, " for ", name, " but received ",
                         tensor.shape().DebugString());
}

absl::Status CheckShape(const char* name, const Tensor& tensor, const TensorShape& expected, const char* layout) {
  if (tensor.shape() == expected) return absl::OkStatus();
  return Invalid("[TfgeoMsDeformAttn] expected shape ", layout, " = ", expected.DebugString(), " for ", name,
                         " but received ", tensor.shape().DebugString());
}

absl::Status CheckLevels(const Tensor& spatial, int64_t length) {
  int64_t sum = 0;
  for (int64_t l = 0; l < spatial.dim_size(0); ++l) {
    const int64_t height = spatial.matrix<int32_t>()(l, 0), width = spatial.matrix<int32_t>()(l, 1);
    if (height < 1 || width < 1) {
      return Invalid("[TfgeoMsDeformAttn] expected positive (H, W) for level ", l,
                             " of spatial_shapes but received (", height, ", ", width, ")");
    }
    sum += height * width;
    if (sum > length) break;  // before it can overflow
  }
  if (sum != length) {
    return Invalid("[TfgeoMsDeformAttn] expected a sum of H * W equal to the ", length,
                           " positions of value for spatial_shapes but received ", sum, sum > length ? " or more" : "");
  }
  return absl::OkStatus();
}

// Checks the four inputs and reads their sizes.
absl::Status ReadShape(const Tensor& value, const Tensor& spatial, const Tensor& locations, const Tensor& weights,
                       MsDeformAttnShape* shape) {
  TF_RETURN_IF_ERROR(CheckRank("value", value, 4, "[N, S, M, D]"));
  TF_RETURN_IF_ERROR(CheckRank("spatial_shapes", spatial, 2, "[L, 2]"));
  TF_RETURN_IF_ERROR(CheckRank("sampling_locations", locations, 6, "[N, Q, M, L, P, 2]"));
  const int64_t n = value.dim_size(0), m = value.dim_size(2), l = spatial.dim_size(0);
  const int64_t q = locations.dim_size(1), p = locations.dim_size(4);
  TF_RETURN_IF_ERROR(CheckShape("spatial_shapes", spatial, TensorShape({l, 2}), "[L, 2]"));
  TF_RETURN_IF_ERROR(
      CheckShape("sampling_locations", locations, TensorShape({n, q, m, l, p, 2}), "[N, Q, M, L, P, 2]"));
  TF_RETURN_IF_ERROR(CheckShape("attention_weights", weights, TensorShape({n, q, m, l, p}), "[N, Q, M, L, P]"));
  const std::pair<const char*, const Tensor*> inputs[] = {
      {"value", &value}, {"sampling_locations", &locations}, {"attention_weights", &weights}};
  for (const auto& [name, tensor] : inputs) {
    if (tensor->NumElements() < 1) {
      return Invalid("[TfgeoMsDeformAttn] expected sizes of at least 1 for ", name, " but received ",
                             tensor->shape().DebugString());
    }
    if (tensor->NumElements() > std::numeric_limits<int32_t>::max()) {
      return Invalid("[TfgeoMsDeformAttn] expected fewer than 2^31 elements for ", name, " but received ",
                             tensor->shape().DebugString());
    }
  }
  const int64_t dim = value.dim_size(3);
  if (n * q > std::numeric_limits<int32_t>::max() / (m * dim)) {
    return Invalid("[TfgeoMsDeformAttn] expected fewer than 2^31 elements for the output but received [", n,
                           ", ", q, ", ", m * dim, "]");
  }
  TF_RETURN_IF_ERROR(CheckLevels(spatial, value.dim_size(1)));
  *shape = {n, value.dim_size(1), m, dim, l, p, q, spatial.flat<int32_t>().data()};
  return absl::OkStatus();
}

// ---- CPU ----

template <typename T>
class MsDeformAttnOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& value = context->input(0);
    const Tensor& locations = context->input(2);
    const Tensor& weights = context->input(3);
    MsDeformAttnShape shape;
    OP_REQUIRES_OK(context, ReadShape(value, context->input(1), locations, weights, &shape));
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(
                                0, TensorShape({shape.batch, shape.queries, shape.heads * shape.dim}), &output));
    MsDeformAttn<T>(shape, value.flat<T>().data(), locations.flat<T>().data(), weights.flat<T>().data(),
                    output->flat<T>().data(), Threads(context));
  }
};

template <typename T>
class MsDeformAttnGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& grad_output = context->input(0);
    const Tensor& value = context->input(1);
    const Tensor& locations = context->input(3);
    const Tensor& weights = context->input(4);
    MsDeformAttnShape shape;
    OP_REQUIRES_OK(context, ReadShape(value, context->input(2), locations, weights, &shape));
    OP_REQUIRES_OK(context, CheckShape("grad_output", grad_output,
                                       TensorShape({shape.batch, shape.queries, shape.heads * shape.dim}),
                                       "[N, Q, M * D]"));
    Tensor *grad_value = nullptr, *grad_locations = nullptr, *grad_weights = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, value.shape(), &grad_value));
    OP_REQUIRES_OK(context, context->allocate_output(1, locations.shape(), &grad_locations));
    OP_REQUIRES_OK(context, context->allocate_output(2, weights.shape(), &grad_weights));
    MsDeformAttnGrad<T>(shape, grad_output.flat<T>().data(), value.flat<T>().data(), locations.flat<T>().data(),
                        weights.flat<T>().data(), grad_value->flat<T>().data(), grad_locations->flat<T>().data(),
                        grad_weights->flat<T>().data(), Threads(context));
  }
};

#define TFGEO_REGISTER(T)                                                                           \
  REGISTER_KERNEL_BUILDER(Name("TfgeoMsDeformAttn").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), \
                          MsDeformAttnOp<T>);                                                       \
  REGISTER_KERNEL_BUILDER(Name("TfgeoMsDeformAttnGrad").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), \
                          MsDeformAttnGradOp<T>)
TFGEO_REGISTER(float);
TFGEO_REGISTER(double);
#undef TFGEO_REGISTER

}  // namespace
}  // namespace tfgeo
