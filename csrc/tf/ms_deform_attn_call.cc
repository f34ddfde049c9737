// SPDX-License-Identifier: Apache-2.0
#include "ms_deform_attn_call.h"

#include "errors.h"

namespace tfgeo {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

namespace {

TfgeoType TypeOf(tensorflow::DataType type) {
  switch (type) {
    case tensorflow::DT_DOUBLE:
      return TFGEO_FLOAT64;
    case tensorflow::DT_HALF:
      return TFGEO_FLOAT16;
    case tensorflow::DT_BFLOAT16:
      return TFGEO_BFLOAT16;
    default:
      return TFGEO_FLOAT32;
  }
}

// Axis `axis`, or -1 where the tensor has fewer; a check of the whole shape follows.
int64_t Size(const Tensor& tensor, int axis) { return axis < tensor.dims() ? tensor.dim_size(axis) : -1; }

bool EndsWithGrad(const std::string& op) { return op.size() > 4 && op.compare(op.size() - 4, 4, "Grad") == 0; }

}  // namespace

MsDeformAttnKernel::MsDeformAttnKernel(tensorflow::OpKernelConstruction* context)
    : OpKernel(context),
      raw_(type_string().find("Raw") != std::string::npos),
      grad_(EndsWithGrad(type_string())),
      prefix_("[" + type_string() + "]") {}

void MsDeformAttnKernel::Compute(OpKernelContext* context) {
  MsDeformAttnCall call = {};
  OP_REQUIRES_OK(context, ReadInputs(context, &call));
  char sentence[512] = "";
  const TfgeoCode code = tfgeo_ms_deform_attn_check(call.type, &call.shape, {sentence, sizeof(sentence)});
  OP_REQUIRES_OK(context, ToStatus(code, sentence));
  OP_REQUIRES_OK(context, MakeOutputs(context, &call));
  OP_REQUIRES_OK(context, grad_ ? Backward(context, call) : Forward(context, call));
}

absl::Status MsDeformAttnKernel::CheckShape(const char* name, const Tensor& tensor, const TensorShape& expected,
                                            const char* layout) const {
  if (tensor.shape() == expected) return absl::OkStatus();
  return Invalid(prefix_, " expected shape ", layout, " = ", expected.DebugString(), " for ", name, " but received ",
                 tensor.shape().DebugString());
}

// Reads the sizes from `value`, `spatial_shapes` and the positions, and holds every input against them.
absl::Status MsDeformAttnKernel::ReadInputs(OpKernelContext* context, MsDeformAttnCall* call) const {
  const int first = grad_ ? 1 : 0;
  const Tensor& value = context->input(first);
  const Tensor& spatial = context->input(first + 1);
  const Tensor& positions = context->input(first + (raw_ ? 3 : 2));
  const Tensor& scores = context->input(first + (raw_ ? 4 : 3));
  const char* positions_name = raw_ ? "sampling_offsets" : "sampling_locations";
  const struct {
    const char* name;
    const Tensor& tensor;
    int rank;
    const char* layout;
  } ranks[] = {{"value", value, 4, "[N, S, M, D]"},
               {"spatial_shapes", spatial, 2, "[L, 2]"},
               {positions_name, positions, 6, "[N, Q, M, L, P, 2]"}};
  for (const auto& [name, tensor, rank, layout] : ranks) {
    if (tensor.dims() == rank) continue;
    return Invalid(prefix_, " expected shape ", layout, " for ", name, " but received ", tensor.shape().DebugString());
  }
  const int64_t n = value.dim_size(0), m = value.dim_size(2), d = value.dim_size(3), l = spatial.dim_size(0);
  const int64_t q = positions.dim_size(1), p = positions.dim_size(4);
  TF_RETURN_IF_ERROR(CheckShape("spatial_shapes", spatial, TensorShape({l, 2}), "[L, 2]"));
  TF_RETURN_IF_ERROR(
      CheckShape(positions_name, positions, TensorShape({n, q, m, l, p, 2}), "[N, Q, M, L, P, 2]"));
  call->shape = {n, value.dim_size(1), m, d, l, p, q, 0, spatial.flat<int32_t>().data()};
  if (raw_) {
    const Tensor& reference = context->input(first + 2);
    const int64_t r = Size(reference, 3) == 4 ? 4 : 2;
    TF_RETURN_IF_ERROR(CheckShape("reference_points", reference, TensorShape({n, q, l, r}), "[N, Q, L, 2 or 4]"));
    TF_RETURN_IF_ERROR(CheckShape("attention_logits", scores, TensorShape({n, q, m, l * p}), "[N, Q, M, L * P]"));
    call->shape.reference_size = r;
    call->samples.reference = reference.data();
  } else {
    TF_RETURN_IF_ERROR(CheckShape("attention_weights", scores, TensorShape({n, q, m, l, p}), "[N, Q, M, L, P]"));
  }
  if (grad_) {
    const Tensor& grad_output = context->input(0);
    TF_RETURN_IF_ERROR(CheckShape("grad_output", grad_output, TensorShape({n, q, m * d}), "[N, Q, M * D]"));
    call->grad_output = grad_output.data();
  }
  call->type = TypeOf(value.dtype());
  call->value = value.data();
  call->samples.positions = positions.data();
  call->samples.scores = scores.data();
  return absl::OkStatus();
}

absl::Status MsDeformAttnKernel::MakeOutputs(OpKernelContext* context, MsDeformAttnCall* call) const {
  Tensor* tensor = nullptr;
  if (!grad_) {
    const auto& s = call->shape;
    TF_RETURN_IF_ERROR(context->allocate_output(0, TensorShape({s.batch, s.queries, s.heads * s.dim}), &tensor));
    call->output = tensor->data();
    return absl::OkStatus();
  }
  void** const located[] = {&call->grads.value, &call->grads.positions, &call->grads.scores};
  void** const raw[] = {&call->grads.value, &call->grads.reference, &call->grads.positions, &call->grads.scores};
  for (int i = 0; i < num_outputs(); ++i) {
    // Inputs are grad_output, value, spatial_shapes and the samples; outputs leave out the first and the third.
    const TensorShape& shape = context->input(i == 0 ? 1 : i + 2).shape();
    TF_RETURN_IF_ERROR(context->allocate_output(i, shape, &tensor));
    *(raw_ ? raw[i] : located[i]) = tensor->data();
  }
  return absl::OkStatus();
}

}  // namespace tfgeo
