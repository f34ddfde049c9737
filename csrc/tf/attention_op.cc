// SPDX-License-Identifier: Apache-2.0
// TfgeoAttention and its gradient: registration, shapes, checks and CPU kernels.
#include "../kernels/attention.h"

#include <string>
#include <vector>

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
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Which tensor queries, keys and values lie in, and their place there; tensors of several hold them side by side.
struct Layout {
  const char* name;
  int tensors;
  int tensor[3];
  int place[3];
};

constexpr Layout kLayouts[] = {
    {"q,k,v", 3, {0, 1, 2}, {0, 0, 0}},
    {"qk,v", 2, {0, 0, 1}, {0, 1, 0}},
    {"q,kv", 2, {0, 1, 1}, {0, 0, 1}},
    {"qkv", 1, {0, 0, 0}, {0, 1, 2}},
};

enum Role { kQuery, kKey, kValue };

const Layout& LayoutOf(const std::string& name) {
  for (const Layout& layout : kLayouts) {
    if (name == layout.name) return layout;
  }
  return kLayouts[0];  // the attribute allows no other
}

// How many of the three lie in a tensor.
int SharesOf(const Layout& layout, int tensor) {
  int shares = 0;
  for (const int own : layout.tensor) shares += own == tensor ? 1 : 0;
  return shares;
}

absl::Status LayoutAttribute(InferenceContext* c, const Layout** layout) {
  std::string name;
  TF_RETURN_IF_ERROR(c->GetAttr("layout", &name));
  *layout = &LayoutOf(name);
  return absl::OkStatus();
}

constexpr char kLayoutNames[] = "layout: {'q,k,v', 'qk,v', 'q,kv', 'qkv'}";

REGISTER_OP("TfgeoAttention")
    .Input("bias: float")
    .Input("mask: float")
    .Input("tensors: N * float")
    .Output("output: float")
    .Output("statistics: float")
    .Attr("N: int >= 1")
    .Attr("heads: int >= 1")
    .Attr("scale: float")
    .Attr(kLayoutNames)
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      const Layout* layout = nullptr;
      TF_RETURN_IF_ERROR(LayoutAttribute(c, &layout));
      int64_t heads = 0;
      TF_RETURN_IF_ERROR(c->GetAttr("heads", &heads));
      ShapeHandle query;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(2 + layout->tensor[kQuery]), 3, &query));
      DimensionHandle channels;
      const int shares = SharesOf(*layout, layout->tensor[kQuery]);
      TF_RETURN_IF_ERROR(c->Divide(c->Dim(query, 2), shares, true, &channels));
      c->set_output(0, c->MakeShape({c->Dim(query, 0), c->Dim(query, 1), channels}));
      c->set_output(1, c->MakeShape({c->Dim(query, 0), c->MakeDim(heads), c->Dim(query, 1)}));
      return absl::OkStatus();
    })
    .Doc("softmax(scale q k^T + bias + mask) v by heads. tensors [B, L, shares * C] hold queries, keys and values as "
         "layout says; bias [H or 1, Q or 1, K] and mask [S, H or 1, Q or 1, K], sequence b taking that of number b % S, "
         "are left out where they are empty. output [B, Q, C]; statistics [B, H, Q] are what the gradient needs.");

REGISTER_OP("TfgeoAttentionGrad")
    .Input("grad_output: float")
    .Input("output: float")
    .Input("statistics: float")
    .Input("bias: float")
    .Input("mask: float")
    .Input("tensors: N * float")
    .Output("grad_bias: float")
    .Output("grad_tensors: N * float")
    .Attr("N: int >= 1")
    .Attr("heads: int >= 1")
    .Attr("scale: float")
    .Attr(kLayoutNames)
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      c->set_output(0, c->input(3));
      for (int i = 5; i < c->num_inputs(); i++) c->set_output(i - 4, c->input(i));
      return absl::OkStatus();
    })
    .Doc("Gradients of TfgeoAttention in bias and tensors.");

absl::Status Refused(const std::string& expected, const char* name, const Tensor& tensor) {
  return Invalid("[TfgeoAttention] expected ", expected, " for ", name, " but received ",
                 tensor.shape().DebugString());
}

// What both kernels are told by attributes and inputs.
class AttentionKernel : public OpKernel {
 public:
  explicit AttentionKernel(OpKernelConstruction* context) : OpKernel(context) {
    std::string layout;
    OP_REQUIRES_OK(context, context->GetAttr("layout", &layout));
    OP_REQUIRES_OK(context, context->GetAttr("heads", &heads_));
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_));
    layout_ = &LayoutOf(layout);
  }

 protected:
  absl::Status Read(OpKernelContext* context, AttentionInput* in, OpInputList* tensors) const {
    TF_RETURN_IF_ERROR(CheckIsa());
    TF_RETURN_IF_ERROR(context->input_list("tensors", tensors));
    if (tensors->size() != layout_->tensors) {
      return Invalid("[TfgeoAttention] expected ", layout_->tensors, " tensors for the layout ", layout_->name,
                     " but received ", tensors->size());
    }
    int64_t batch = 0, channels = 0, lengths[3];
    for (const int role : {kQuery, kKey, kValue}) {
      const Tensor& tensor = (*tensors)[layout_->tensor[role]];
      const int shares = SharesOf(*layout_, layout_->tensor[role]);
      if (tensor.dims() != 3) return Refused("shape [B, L, channels]", "tensors", tensor);
      if (role == kQuery) {
        batch = tensor.dim_size(0);
        channels = tensor.dim_size(2) / shares;
      }
      const bool fits = tensor.dim_size(0) == batch && tensor.dim_size(2) == channels * shares;
      if (!fits || channels < 1 || channels % heads_ != 0) {
        return Refused(absl::StrCat("[", batch, ", L, ", shares, " times a multiple of ", heads_, " heads]"), "tensors",
                       tensor);
      }
      lengths[role] = tensor.dim_size(1);
    }
    const Tensor& value = (*tensors)[layout_->tensor[kValue]];
    if (lengths[kKey] != lengths[kValue]) return Refused(absl::StrCat(lengths[kKey], " tokens"), "values", value);
    if (lengths[kKey] < 1) return Refused("at least one token", "keys", value);
    in->sizes = {batch, heads_, lengths[kQuery], lengths[kKey], channels / heads_};
    in->query = RowsOf<const float>(*tensors, kQuery, channels);
    in->key = RowsOf<const float>(*tensors, kKey, channels);
    in->value = RowsOf<const float>(*tensors, kValue, channels);
    in->scale = scale_;
    const Tensor *bias = nullptr, *mask = nullptr;
    TF_RETURN_IF_ERROR(context->input("bias", &bias));
    TF_RETURN_IF_ERROR(context->input("mask", &mask));
    TF_RETURN_IF_ERROR(TermOf("bias", *bias, 3, in->sizes, &in->bias));
    return TermOf("mask", *mask, 4, in->sizes, &in->mask);
  }

  // Where queries, keys or values lie in inputs or outputs of their layout.
  template <typename T, typename Tensors>
  AttentionRows<T> RowsOf(const Tensors& tensors, Role role, int64_t channels) const {
    const int tensor = layout_->tensor[role];
    T* data = const_cast<T*>(tensors[tensor].template flat<float>().data());
    return {data + layout_->place[role] * channels, SharesOf(*layout_, tensor) * channels};
  }

 private:
  static absl::Status TermOf(const char* name, const Tensor& tensor, int rank, const AttentionSizes& sizes,
                             AttentionTerm* term) {
    *term = {nullptr, 1, 1, 1};
    if (tensor.NumElements() == 0) return absl::OkStatus();
    if (tensor.dims() != rank) return Refused(absl::StrCat("rank ", rank), name, tensor);
    const int64_t sequences = rank == 4 ? tensor.dim_size(0) : 1;
    const int64_t heads = tensor.dim_size(rank - 3), queries = tensor.dim_size(rank - 2);
    const bool fits = tensor.dim_size(rank - 1) == sizes.keys && (heads == 1 || heads == sizes.heads) &&
                      (queries == 1 || queries == sizes.queries) && sizes.batch % sequences == 0;
    if (!fits) {
      return Refused(absl::StrCat("[", rank == 4 ? "a part of B, " : "", sizes.heads, " or 1, ", sizes.queries,
                                  " or 1, ", sizes.keys, "]"),
                     name, tensor);
    }
    *term = {tensor.flat<float>().data(), sequences, heads, queries};
    return absl::OkStatus();
  }

  const Layout* layout_ = kLayouts;
  int64_t heads_ = 1;
  float scale_ = 1;
};

class AttentionOp : public AttentionKernel {
 public:
  using AttentionKernel::AttentionKernel;

  void Compute(OpKernelContext* context) override {
    AttentionInput in;
    OpInputList tensors;
    OP_REQUIRES_OK(context, Read(context, &in, &tensors));
    const auto& [batch, heads, queries, keys, dim] = in.sizes;
    Tensor *output = nullptr, *statistics = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({batch, queries, heads * dim}), &output));
    OP_REQUIRES_OK(context, context->allocate_output(1, TensorShape({batch, heads, queries}), &statistics));
    Attention(in, output->flat<float>().data(), statistics->flat<float>().data(), Threads(context));
  }
};

class AttentionGradOp : public AttentionKernel {
 public:
  using AttentionKernel::AttentionKernel;

  void Compute(OpKernelContext* context) override {
    AttentionInput in;
    OpInputList tensors;
    OP_REQUIRES_OK(context, Read(context, &in, &tensors));
    const auto& [batch, heads, queries, keys, dim] = in.sizes;
    const Tensor &grad_output = context->input(0), &output = context->input(1), &statistics = context->input(2);
    const TensorShape whole({batch, queries, heads * dim}), by_head({batch, heads, queries});
    OP_REQUIRES(context, grad_output.shape() == whole, Refused(whole.DebugString(), "grad_output", grad_output));
    OP_REQUIRES(context, output.shape() == whole, Refused(whole.DebugString(), "output", output));
    OP_REQUIRES(context, statistics.shape() == by_head, Refused(by_head.DebugString(), "statistics", statistics));
    Tensor* grad_bias = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(3).shape(), &grad_bias));
    std::vector<Tensor> grads;
    for (int i = 0; i < tensors.size(); i++) {
      Tensor* grad = nullptr;
      OP_REQUIRES_OK(context, context->allocate_output(1 + i, tensors[i].shape(), &grad));
      grads.push_back(*grad);
    }
    const int64_t channels = heads * dim;
    const AttentionGradients gradients = {
        RowsOf<float>(grads, kQuery, channels), RowsOf<float>(grads, kKey, channels),
        RowsOf<float>(grads, kValue, channels), in.bias.data == nullptr ? nullptr : grad_bias->flat<float>().data()};
    AttentionGrad(in, output.flat<float>().data(), statistics.flat<float>().data(), grad_output.flat<float>().data(),
                  gradients, Threads(context));
  }
};

REGISTER_KERNEL_BUILDER(Name("TfgeoAttention").Device(tensorflow::DEVICE_CPU), AttentionOp);
REGISTER_KERNEL_BUILDER(Name("TfgeoAttentionGrad").Device(tensorflow::DEVICE_CPU), AttentionGradOp);

}  // namespace
}  // namespace tfgeo
