// SPDX-License-Identifier: Apache-2.0
// TfgeoLinearAssignment: registration, shapes, checks and the CPU kernel.
#include "../kernels/linear_assignment.h"

#include <algorithm>
#include <vector>

#include "errors.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "threads.h"

namespace tfgeo {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

REGISTER_OP("TfgeoLinearAssignment")
    .Input("costs: float")
    .Input("sizes: int32")
    .Output("query_of_target: int32")
    .SetShapeFn([](InferenceContext* c) -> absl::Status {
      ShapeHandle costs, sizes;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &costs));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 1, &sizes));
      DimensionHandle batch;
      TF_RETURN_IF_ERROR(c->Merge(c->Dim(costs, 0), c->Dim(sizes, 0), &batch));
      c->set_output(0, c->MakeShape({batch, c->Dim(costs, 2)}));
      return absl::OkStatus();
    })
    .Doc(R"doc(
Assigns targets to queries at the least total cost, exactly; each batch item is a problem of its own.

costs: [B, Q, T]; +infinity forbids a pair.
sizes: [B], how many targets of each item are real; the columns after them are padding.
query_of_target: [B, T], -1 for padding and, when there are more targets than queries, for those left over.
)doc");

absl::Status Explain(AssignmentStatus status, int64_t item, int64_t queries, int64_t targets) {
  if (status == AssignmentStatus::kOk) return absl::OkStatus();
  if (status == AssignmentStatus::kInvalid) {
    return Invalid("[TfgeoLinearAssignment] expected numbers or +infinity for the costs of batch item ", item,
                   " but received NaN or -infinity");
  }
  return Invalid("[TfgeoLinearAssignment] expected a possible assignment for the costs of batch item ", item,
                 " but received too many +infinity among ", queries, " queries x ", targets, " targets");
}

class LinearAssignmentOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& costs = context->input(0);
    const Tensor& sizes = context->input(1);
    OP_REQUIRES(context, costs.dims() == 3,
                Invalid("[TfgeoLinearAssignment] expected shape [B, Q, T] for costs but received ",
                                costs.shape().DebugString()));
    const int64_t batch = costs.dim_size(0), queries = costs.dim_size(1), targets = costs.dim_size(2);
    OP_REQUIRES(context, sizes.shape() == TensorShape({batch}),
                Invalid("[TfgeoLinearAssignment] expected shape [", batch, "] for sizes but received ",
                                sizes.shape().DebugString()));
    const int32_t* size = sizes.flat<int32_t>().data();
    for (int64_t b = 0; b < batch; ++b) {
      OP_REQUIRES(context, size[b] >= 0 && size[b] <= targets,
                  Invalid("[TfgeoLinearAssignment] expected 0 to ", targets, " targets for batch item ", b,
                                  " but received ", size[b]));
    }
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({batch, targets}), &output));
    int32_t* found = output->flat<int32_t>().data();
    std::fill(found, found + batch * targets, -1);
    std::vector<AssignmentStatus> status(batch);
    const float* cost = costs.flat<float>().data();
    // A problem smaller than a few thousand pairs takes less time than waking a thread.
    const Parallel parallel = Threads(context);
    parallel.run(batch, BlockSize(parallel, batch, 1 + 8192 / (1 + queries * targets)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t b = begin; b < end; ++b) {
                     status[b] = LinearAssignment(cost + b * queries * targets, queries, size[b], targets,
                                                  found + b * targets);
                   }
                 });
    for (int64_t b = 0; b < batch; ++b) {
      OP_REQUIRES_OK(context, Explain(status[b], b, queries, size[b]));
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("TfgeoLinearAssignment").Device(tensorflow::DEVICE_CPU), LinearAssignmentOp);

}  // namespace
}  // namespace tfgeo
