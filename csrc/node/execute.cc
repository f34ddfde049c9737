// SPDX-License-Identifier: Apache-2.0
#include "execute.h"

#include <memory>

#include "attributes.h"
#include "context.h"
#include "op_table.h"
#include "status.h"

namespace tfgeo {
namespace {

struct OpDeleter {
  void operator()(TFE_Op* op) const { TFE_DeleteOp(op); }
};
using OpPtr = std::unique_ptr<TFE_Op, OpDeleter>;

/** Handles that are deleted unless they were handed on. */
class Outputs {
 public:
  explicit Outputs(size_t count) : handles_(count, nullptr) {}
  ~Outputs() {
    for (TFE_TensorHandle* handle : handles_) {
      if (handle != nullptr) TFE_DeleteTensorHandle(handle);
    }
  }
  TFE_TensorHandle** data() { return handles_.data(); }
  TFE_TensorHandle* Take(size_t index) {
    TFE_TensorHandle* handle = handles_[index];
    handles_[index] = nullptr;
    return handle;
  }

 private:
  std::vector<TFE_TensorHandle*> handles_;
};

std::vector<int64_t> ShapeOf(TFE_TensorHandle* handle) {
  Status status;
  const int rank = TFE_TensorHandleNumDims(handle, status.get());
  status.ThrowUnlessOk("shape of an output");
  std::vector<int64_t> shape(static_cast<size_t>(rank));
  for (int i = 0; i < rank; i++) {
    shape[i] = TFE_TensorHandleDim(handle, i, status.get());
    status.ThrowUnlessOk("shape of an output");
  }
  return shape;
}

/** { id, shape, dtype } for JavaScript. */
napi_value Describe(napi_env env, const Keys& keys, int64_t id, const std::vector<int64_t>& dims, TF_DataType dtype) {
  napi_value shape = nullptr, result = nullptr;
  Check(env, napi_create_array_with_length(env, dims.size(), &shape));
  for (size_t i = 0; i < dims.size(); i++) {
    Check(env, napi_set_element(env, shape, static_cast<uint32_t>(i), Number(env, static_cast<double>(dims[i]))));
  }
  Check(env, napi_create_object(env, &result));
  Check(env, napi_set_property(env, result, keys[kKeyId], Number(env, static_cast<double>(id))));
  Check(env, napi_set_property(env, result, keys[kKeyShape], shape));
  Check(env, napi_set_property(env, result, keys[kKeyDtype], Number(env, dtype)));
  return result;
}

napi_value DescribeSymbols(napi_env env, const Keys& keys, const std::vector<TracedTensor>& tensors) {
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, tensors.size(), &result));
  for (size_t i = 0; i < tensors.size(); i++) {
    const napi_value entry = Describe(env, keys, tensors[i].id, tensors[i].shape, tensors[i].dtype);
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), entry));
  }
  return result;
}

}  // namespace

std::vector<int64_t> ToIds(napi_env env, napi_value array) {
  const uint32_t count = ArrayLength(env, array, "input ids");
  std::vector<int64_t> ids(count);
  for (uint32_t i = 0; i < count; i++) ids[i] = ToInt64(env, Element(env, array, i), "an input id");
  return ids;
}

napi_value DescribeAndAdd(napi_env env, Environment& environment, const Keys& keys, TFE_TensorHandle* handle) {
  const int64_t id = environment.tensors.Add(handle);
  return Describe(env, keys, id, ShapeOf(handle), TFE_TensorHandleDataType(handle));
}

napi_value ExecuteOp(napi_env env, napi_callback_info info) {
  auto [js_name, js_attributes, js_inputs, js_count] = Arguments<4>(env, info);
  Environment& environment = EnvironmentOf(env);
  const Keys keys(env, environment);
  const std::string name = ToString(env, js_name, "op name");
  const OpInfo* info_of_op = FindOp(name);
  const std::vector<int64_t> ids = ToIds(env, js_inputs);
  const int most = info_of_op == nullptr ? -1 : info_of_op->MostInputs();
  if (most >= 0 && ids.size() > static_cast<size_t>(most)) {
    throw Failure(name + ": expected " + std::to_string(most) + " inputs, got " + std::to_string(ids.size()));
  }
  const int64_t wanted = ToInt64(env, js_count, "number of outputs");
  if (wanted < 0 || wanted > 100000) throw Failure("number of outputs must be between 0 and 100000");
  Trace* trace = environment.trace.get();
  if (trace != nullptr && info_of_op != nullptr && trace->Takes(*info_of_op, ids, environment.tensors)) {
    const NodeRequest request{name, *info_of_op, ids, static_cast<int>(wanted)};
    return DescribeSymbols(env, keys, trace->AddNode(request, environment.tensors, [&](TF_OperationDescription* node) {
      SetAttributes(env, keys, js_attributes, *info_of_op, node);
    }));
  }
  Status status;
  const OpPtr op(TFE_NewOp(EagerContext(), name.c_str(), status.get()));
  status.ThrowUnlessOk(name);

  // Inputs before attributes: TensorFlow then infers types from the inputs and lets them prevail, which the kernels
  // count on (Mean of tfjs-node names the type of what it was given, but passes it cast to float).
  for (const int64_t id : ids) {
    TFE_OpAddInput(op.get(), environment.tensors.Get(id), status.get());
    status.ThrowUnlessOk(name);
  }

  SetAttributes(env, keys, js_attributes, op.get());

  Outputs outputs(static_cast<size_t>(wanted));
  int made = static_cast<int>(wanted);
  TFE_Execute(op.get(), outputs.data(), &made, status.get());
  status.ThrowUnlessOk(name);

  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, static_cast<size_t>(made), &result));
  for (int i = 0; i < made; i++) {
    const napi_value output = DescribeAndAdd(env, environment, keys, outputs.Take(static_cast<size_t>(i)));
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), output));
  }
  return result;
}

}  // namespace tfgeo
