// SPDX-License-Identifier: Apache-2.0
// TfgeoMsDeformAttn, its raw form and their gradients: registration and shapes. The kernels are in
// ms_deform_attn_cpu.cc and ms_deform_attn_gpu.cc, what they share in ms_deform_attn_call.cc.
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tfgeo {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// The sizes that the inputs agree on.
struct Dims {
  DimensionHandle batch, heads, dim, levels, queries;
};

// Narrows `dim` by axis `axis` of `shape`; fails where they contradict each other.
absl::Status Agree(InferenceContext* c, ShapeHandle shape, int axis, DimensionHandle* dim) {
  return c->Merge(*dim, c->Dim(shape, axis), dim);
}

// value, spatial_shapes and the positions [N, Q, M, L, P, 2], which every form has.
absl::Status InferCommon(InferenceContext* c, int value_at, int positions_at, Dims* dims) {
  ShapeHandle value, spatial, positions;
  DimensionHandle two;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(value_at), 4, &value));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(value_at + 1), 2, &spatial));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(positions_at), 6, &positions));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(spatial, 1), 2, &two));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(positions, 5), 2, &two));
  *dims = {c->Dim(value, 0), c->Dim(value, 2), c->Dim(value, 3), c->Dim(spatial, 0), c->Dim(positions, 1)};
  TF_RETURN_IF_ERROR(Agree(c, positions, 0, &dims->batch));
  TF_RETURN_IF_ERROR(Agree(c, positions, 2, &dims->heads));
  return Agree(c, positions, 3, &dims->levels);
}

absl::Status InferLocated(InferenceContext* c, int first, Dims* dims) {
  TF_RETURN_IF_ERROR(InferCommon(c, first, first + 2, dims));
  ShapeHandle weights;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first + 3), 5, &weights));
  TF_RETURN_IF_ERROR(Agree(c, weights, 0, &dims->batch));
  TF_RETURN_IF_ERROR(Agree(c, weights, 1, &dims->queries));
  TF_RETURN_IF_ERROR(Agree(c, weights, 2, &dims->heads));
  TF_RETURN_IF_ERROR(Agree(c, weights, 3, &dims->levels));
  DimensionHandle points = c->Dim(c->input(first + 2), 4);
  return Agree(c, weights, 4, &points);
}

absl::Status InferRaw(InferenceContext* c, int first, Dims* dims) {
  TF_RETURN_IF_ERROR(InferCommon(c, first, first + 3, dims));
  ShapeHandle reference, logits;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first + 2), 4, &reference));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(first + 4), 4, &logits));
  TF_RETURN_IF_ERROR(Agree(c, reference, 0, &dims->batch));
  TF_RETURN_IF_ERROR(Agree(c, reference, 1, &dims->queries));
  TF_RETURN_IF_ERROR(Agree(c, reference, 2, &dims->levels));
  TF_RETURN_IF_ERROR(Agree(c, logits, 0, &dims->batch));
  TF_RETURN_IF_ERROR(Agree(c, logits, 1, &dims->queries));
  TF_RETURN_IF_ERROR(Agree(c, logits, 2, &dims->heads));
  DimensionHandle samples;
  TF_RETURN_IF_ERROR(c->Multiply(dims->levels, c->Dim(c->input(first + 3), 4), &samples));
  return Agree(c, logits, 3, &samples);
}

using Infer = absl::Status (*)(InferenceContext*, int first, Dims*);

template <Infer kInfer>
absl::Status OutputShape(InferenceContext* c) {
  Dims dims;
  TF_RETURN_IF_ERROR(kInfer(c, 0, &dims));
  DimensionHandle channels;
  TF_RETURN_IF_ERROR(c->Multiply(dims.heads, dims.dim, &channels));
  c->set_output(0, c->MakeShape({dims.batch, dims.queries, channels}));
  return absl::OkStatus();
}

// Each gradient has the shape of its input: all inputs but grad_output and spatial_shapes.
template <Infer kInfer>
absl::Status GradShapes(InferenceContext* c) {
  Dims dims;
  TF_RETURN_IF_ERROR(kInfer(c, 1, &dims));
  c->set_output(0, c->input(1));
  for (int i = 1; i < c->num_outputs(); ++i) c->set_output(i, c->input(i + 2));
  return absl::OkStatus();
}

REGISTER_OP("TfgeoMsDeformAttn")
    .Input("value: T")
    .Input("spatial_shapes: int32")
    .Input("sampling_locations: C")
    .Input("attention_weights: C")
    .Output("output: T")
    .Attr("T: {float, double, bfloat16, half} = DT_FLOAT")
    .Attr("C: {float, double} = DT_FLOAT")
    .SetShapeFn(OutputShape<InferLocated>)
    .Doc(R"doc(
Multi-scale deformable attention: bilinear samples of L feature maps, weighted and summed per head.

From Zhu et al. 2021, "Deformable DETR". Sums are taken in C, which is double where T is double and float otherwise.

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
    .Input("sampling_locations: C")
    .Input("attention_weights: C")
    .Output("grad_value: T")
    .Output("grad_sampling_locations: C")
    .Output("grad_attention_weights: C")
    .Attr("T: {float, double, bfloat16, half} = DT_FLOAT")
    .Attr("C: {float, double} = DT_FLOAT")
    .SetShapeFn(GradShapes<InferLocated>)
    .Doc("Gradients of TfgeoMsDeformAttn in value, sampling_locations and attention_weights.");

REGISTER_OP("TfgeoMsDeformAttnRaw")
    .Input("value: T")
    .Input("spatial_shapes: int32")
    .Input("reference_points: C")
    .Input("sampling_offsets: C")
    .Input("attention_logits: C")
    .Output("output: T")
    .Attr("T: {float, double, bfloat16, half} = DT_FLOAT")
    .Attr("C: {float, double} = DT_FLOAT")
    .SetShapeFn(OutputShape<InferRaw>)
    .Doc(R"doc(
TfgeoMsDeformAttn from what a network gives: locations from reference points and offsets, weights by softmax.

The weights are the softmax of a head's L * P logits. The locations are (x, y) + offset / (W, H) around points (x, y),
and (cx, cy) + offset / P * (w, h) / 2 around boxes (cx, cy, w, h).

value: [N, S, M, D], the maps one after the other, each row-major; S is the sum of H * W.
spatial_shapes: [L, 2], (H, W) of each map.
reference_points: [N, Q, L, 2 or 4], in [0, 1] of each map.
sampling_offsets: [N, Q, M, L, P, 2].
attention_logits: [N, Q, M, L * P].
output: [N, Q, M * D].
)doc");

REGISTER_OP("TfgeoMsDeformAttnRawGrad")
    .Input("grad_output: T")
    .Input("value: T")
    .Input("spatial_shapes: int32")
    .Input("reference_points: C")
    .Input("sampling_offsets: C")
    .Input("attention_logits: C")
    .Output("grad_value: T")
    .Output("grad_reference_points: C")
    .Output("grad_sampling_offsets: C")
    .Output("grad_attention_logits: C")
    .Attr("T: {float, double, bfloat16, half} = DT_FLOAT")
    .Attr("C: {float, double} = DT_FLOAT")
    .SetShapeFn(GradShapes<InferRaw>)
    .Doc("Gradients of TfgeoMsDeformAttnRaw in value, reference_points, sampling_offsets and attention_logits.");

}  // namespace
}  // namespace tfgeo
