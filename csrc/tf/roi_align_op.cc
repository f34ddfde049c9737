// SPDX-License-Identifier: Apache-2.0
// TfgeoRoiAlign and its gradient: registration, shapes, checks and CPU kernels.
#include "../kernels/roi_align.h"

#include <vector>

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

REGISTER_OP("TfgeoRoiAlign")
    .Input("value: float")
    .Input("boxes: float")
    .Input("level: int32")
    .Output("out: float")
    .Attr("sizes: list(int)")
    .Attr("scales: list(float)")
    .Attr("height: int >= 1")
    .Attr("width: int >= 1")
    .Attr("sampling: int >= 0")
    .Attr("aligned: bool")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      ShapeHandle value, boxes;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &value));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 3, &boxes));
      int64_t height, width;
      TF_RETURN_IF_ERROR(c->GetAttr("height", &height));
      TF_RETURN_IF_ERROR(c->GetAttr("width", &width));
      c->set_output(0, c->MakeShape({c->Dim(boxes, 0), c->Dim(boxes, 1), c->MakeDim(height), c->MakeDim(width),
                                     c->Dim(value, 2)}));
      return absl::OkStatus();
    })
    .Doc(R"doc(
RoIAlign: means of bilinear samples in the cells of a grid laid over each box.

value: [N, S, C], maps one after the other, each row-major.
boxes: [N, R, 4], (x0, y0, x1, y1).
level: [N, R], the map that a box is read from; one that there is not gives 0.
out: [N, R, height, width, C].
sizes: height and width of each map.
scales: cells of each map that a unit of the boxes is.
)doc");

REGISTER_OP("TfgeoRoiAlignGrad")
    .Input("grad_out: float")
    .Input("boxes: float")
    .Input("level: int32")
    .Output("grad_value: float")
    .Attr("sizes: list(int)")
    .Attr("scales: list(float)")
    .Attr("height: int >= 1")
    .Attr("width: int >= 1")
    .Attr("sampling: int >= 0")
    .Attr("aligned: bool")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      ShapeHandle grad;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 5, &grad));
      std::vector<int32_t> sizes;
      TF_RETURN_IF_ERROR(c->GetAttr("sizes", &sizes));
      int64_t cells = 0;
      for (size_t i = 0; i + 1 < sizes.size(); i += 2) cells += static_cast<int64_t>(sizes[i]) * sizes[i + 1];
      c->set_output(0, c->MakeShape({c->Dim(grad, 0), c->MakeDim(cells), c->Dim(grad, 4)}));
      return absl::OkStatus();
    })
    .Doc("Gradient of TfgeoRoiAlign in value.");

// What both ops have in common.
class RoiAlignBase : public OpKernel {
 public:
  explicit RoiAlignBase(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("sizes", &sizes_));
    OP_REQUIRES_OK(context, context->GetAttr("scales", &scales_));
    OP_REQUIRES_OK(context, context->GetAttr("height", &shape_.height));
    OP_REQUIRES_OK(context, context->GetAttr("width", &shape_.width));
    OP_REQUIRES_OK(context, context->GetAttr("sampling", &shape_.sampling));
    OP_REQUIRES_OK(context, context->GetAttr("aligned", &shape_.aligned));
    OP_REQUIRES(context, !scales_.empty() && sizes_.size() == 2 * scales_.size(),
                Invalid("[TfgeoRoiAlign] expected two sizes for each scale but received ", sizes_.size(), " and ",
                        scales_.size()));
    shape_.levels = static_cast<int64_t>(scales_.size());
    shape_.cells = 0;
    for (int64_t l = 0; l < shape_.levels; ++l) {
      OP_REQUIRES(context, sizes_[2 * l] > 0 && sizes_[2 * l + 1] > 0,
                  Invalid("[TfgeoRoiAlign] expected sizes above 0 but received ", sizes_[2 * l], " x ",
                          sizes_[2 * l + 1]));
      shape_.cells += static_cast<int64_t>(sizes_[2 * l]) * sizes_[2 * l + 1];
    }
    shape_.sizes = sizes_.data();
    shape_.scales = scales_.data();
  }

 protected:
  // `first`: the value, or the gradient of the output.
  absl::Status Check(const Tensor& first, const Tensor& boxes, const Tensor& level, bool backward,
                     RoiAlignShape* shape) const {
    *shape = shape_;
    if (boxes.dims() != 3 || boxes.dim_size(2) != 4) {
      return Invalid("[TfgeoRoiAlign] expected shape [N, R, 4] for boxes but received ", boxes.shape().DebugString());
    }
    shape->batch = boxes.dim_size(0);
    shape->boxes = boxes.dim_size(1);
    if (level.shape() != TensorShape({shape->batch, shape->boxes})) {
      return Invalid("[TfgeoRoiAlign] expected shape [", shape->batch, ", ", shape->boxes,
                     "] for level but received ", level.shape().DebugString());
    }
    shape->channels = first.dims() > 0 ? first.dim_size(first.dims() - 1) : 0;
    const TensorShape expected =
        backward ? TensorShape({shape->batch, shape->boxes, shape->height, shape->width, shape->channels})
                 : TensorShape({shape->batch, shape->cells, shape->channels});
    if (first.shape() == expected) return CheckIsa();
    return Invalid("[TfgeoRoiAlign] expected shape ", expected.DebugString(), " for ", backward ? "grad_out" : "value",
                   " but received ", first.shape().DebugString());
  }

 private:
  std::vector<int32_t> sizes_;
  std::vector<float> scales_;
  RoiAlignShape shape_;
};

class RoiAlignOp : public RoiAlignBase {
 public:
  using RoiAlignBase::RoiAlignBase;

  void Compute(OpKernelContext* context) override {
    const Tensor &value = context->input(0), &boxes = context->input(1), &level = context->input(2);
    RoiAlignShape shape;
    OP_REQUIRES_OK(context, Check(value, boxes, level, false, &shape));
    Tensor* out = nullptr;
    const TensorShape size({shape.batch, shape.boxes, shape.height, shape.width, shape.channels});
    OP_REQUIRES_OK(context, context->allocate_output(0, size, &out));
    RoiAlign(shape, value.flat<float>().data(), boxes.flat<float>().data(), level.flat<int32_t>().data(),
             out->flat<float>().data(), Threads(context));
  }
};

class RoiAlignGradOp : public RoiAlignBase {
 public:
  using RoiAlignBase::RoiAlignBase;

  void Compute(OpKernelContext* context) override {
    const Tensor &grad = context->input(0), &boxes = context->input(1), &level = context->input(2);
    RoiAlignShape shape;
    OP_REQUIRES_OK(context, Check(grad, boxes, level, true, &shape));
    Tensor* out = nullptr;
    const TensorShape size({shape.batch, shape.cells, shape.channels});
    OP_REQUIRES_OK(context, context->allocate_output(0, size, &out));
    RoiAlignGrad(shape, grad.flat<float>().data(), boxes.flat<float>().data(), level.flat<int32_t>().data(),
                 out->flat<float>().data(), Threads(context));
  }
};

REGISTER_KERNEL_BUILDER(Name("TfgeoRoiAlign").Device(tensorflow::DEVICE_CPU), RoiAlignOp);
REGISTER_KERNEL_BUILDER(Name("TfgeoRoiAlignGrad").Device(tensorflow::DEVICE_CPU), RoiAlignGradOp);

}  // namespace
}  // namespace tfgeo
