// SPDX-License-Identifier: Apache-2.0
#include "function.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "context.h"
#include "environment.h"
#include "execute.h"
#include "status.h"

namespace tfgeo {
namespace {

struct OpDeleter {
  void operator()(TFE_Op* op) const { TFE_DeleteOp(op); }
};

napi_value Names(napi_env env, const std::vector<std::string>& names) {
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, names.size(), &result));
  for (size_t i = 0; i < names.size(); i++) {
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), String(env, names[i])));
  }
  return result;
}

napi_value Bytes(napi_env env, const std::string& bytes) {
  void* data = nullptr;
  napi_value buffer = nullptr, result = nullptr;
  Check(env, napi_create_arraybuffer(env, bytes.size(), &data, &buffer));
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(data));
  Check(env, napi_create_typedarray(env, napi_uint8_array, bytes.size(), buffer, 0, &result));
  return result;
}

/** Tensors for what a function keeps, each with the id that it was captured by. */
napi_value Values(napi_env env, Environment& environment, const std::vector<CapturedValue>& values) {
  const Keys keys(env, environment);
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, values.size(), &result));
  for (size_t i = 0; i < values.size(); i++) {
    Status status;
    TFE_TensorHandle* copy = TFE_TensorHandleCopySharingTensor(values[i].handle, status.get());
    status.ThrowUnlessOk("a captured tensor");
    const napi_value entry = DescribeAndAdd(env, environment, keys, copy);
    Check(env, napi_set_named_property(env, entry, "source", Number(env, static_cast<double>(values[i].source))));
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), entry));
  }
  return result;
}

std::string FromBytes(napi_env env, napi_value value) {
  napi_typedarray_type type = napi_uint8_array;
  size_t length = 0;
  void* data = nullptr;
  Check(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
  return std::string(static_cast<const char*>(data), length);
}

Trace& ActiveTrace(Environment& environment) {
  if (!environment.trace) throw Failure("no function is being traced");
  return *environment.trace;
}

/** Reads (shape, dtype) and gives the id of what `add` makes of them. */
template <typename Add>
napi_value AddTraced(napi_env env, napi_callback_info info, const Add& add) {
  auto [js_shape, js_dtype] = Arguments<2>(env, info);
  Environment& environment = EnvironmentOf(env);
  const std::vector<int64_t> shape = ToShape(env, js_shape);
  const TF_DataType dtype = static_cast<TF_DataType>(ToInt64(env, js_dtype, "dtype"));
  const TracedTensor tensor = add(ActiveTrace(environment), dtype, shape, environment.tensors);
  return Number(env, static_cast<double>(tensor.id));
}

}  // namespace

Function::Function(const std::string& name, TF_Function* function, size_t inputs, size_t outputs,
                   std::vector<TFE_TensorHandle*> captured, const std::string& config)
    : name_(name), inputs_(inputs), outputs_(outputs), captured_(std::move(captured)), config_(config) {
  Status status;
  TFE_ContextAddFunction(EagerContext(), function, status.get());
  TF_DeleteFunction(function);
  if (status.ok()) return;
  for (TFE_TensorHandle* handle : captured_) TFE_DeleteTensorHandle(handle);
  status.ThrowUnlessOk(name);
}

Function::~Function() {
  Status ignored;
  TFE_ContextRemoveFunction(EagerContext(), name_.c_str(), ignored.get());
  for (TFE_TensorHandle* handle : captured_) TFE_DeleteTensorHandle(handle);
}

void Function::CheckInputs(size_t count) const {
  if (count == inputs_) return;
  throw Failure(name_ + ": expected " + std::to_string(inputs_) + " inputs, got " + std::to_string(count));
}

std::vector<TFE_TensorHandle*> Function::Execute(const std::vector<TFE_TensorHandle*>& inputs,
                                                 TF_Status* status) const {
  const std::unique_ptr<TFE_Op, OpDeleter> op(TFE_NewOp(EagerContext(), name_.c_str(), status));
  if (TF_GetCode(status) != TF_OK) return {};
  for (const auto* list : {&inputs, &captured_}) {
    for (TFE_TensorHandle* handle : *list) {
      TFE_OpAddInput(op.get(), handle, status);
      if (TF_GetCode(status) != TF_OK) return {};
    }
  }
  TFE_OpSetAttrString(op.get(), "config_proto", config_.data(), config_.size());
  std::vector<TFE_TensorHandle*> outputs(outputs_, nullptr);
  int made = static_cast<int>(outputs_);
  TFE_Execute(op.get(), outputs.data(), &made, status);
  if (TF_GetCode(status) != TF_OK) return {};
  outputs.resize(static_cast<size_t>(made));
  return outputs;
}

std::vector<int64_t> Function::Run(const std::vector<int64_t>& inputs, TensorTable& tensors) const {
  CheckInputs(inputs.size());
  std::vector<TFE_TensorHandle*> handles;
  for (const int64_t id : inputs) handles.push_back(tensors.Get(id));
  Status status;
  const std::vector<TFE_TensorHandle*> outputs = Execute(handles, status.get());
  status.ThrowUnlessOk(name_);
  std::vector<int64_t> ids;
  for (TFE_TensorHandle* output : outputs) ids.push_back(tensors.Add(output));
  return ids;
}

napi_value IdArray(napi_env env, const std::vector<int64_t>& ids) {
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, ids.size(), &result));
  for (size_t i = 0; i < ids.size(); i++) {
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), Number(env, static_cast<double>(ids[i]))));
  }
  return result;
}

const std::shared_ptr<Function>& FunctionOf(napi_env env, napi_value js_id) {
  Environment& environment = EnvironmentOf(env);
  auto found = environment.functions.find(ToInt64(env, js_id, "function id"));
  if (found == environment.functions.end()) throw Failure("no function has this id (was it disposed?)");
  return found->second;
}

std::string SerializedGraph(TF_Graph* graph) {
  Status status;
  TF_Buffer* buffer = TF_NewBuffer();
  TF_GraphToGraphDef(graph, buffer, status.get());
  const std::string bytes(static_cast<const char*>(buffer->data), buffer->length);
  TF_DeleteBuffer(buffer);
  status.ThrowUnlessOk("TF_GraphToGraphDef");
  return bytes;
}

napi_value TraceBegin(napi_env env, napi_callback_info info) {
  auto [js_bytes, js_beside, js_inputs] = Arguments<3>(env, info);
  static std::atomic<int64_t> serial{0};
  Environment& environment = EnvironmentOf(env);
  if (environment.trace) throw Failure("a function is being traced already");
  EagerContext();
  CaptureRule rule;
  rule.most_constant_bytes = static_cast<size_t>(std::max<int64_t>(0, ToInt64(env, js_bytes, "mostConstantBytes")));
  rule.beside = ToBool(env, js_beside, "beside");
  const std::vector<int64_t> inputs = ToIds(env, js_inputs);
  rule.inputs.insert(inputs.begin(), inputs.end());
  environment.trace = std::make_unique<Trace>(serial++, std::move(rule));
  return Undefined(env);
}

napi_value TraceArgument(napi_env env, napi_callback_info info) {
  return AddTraced(env, info, [](Trace& trace, TF_DataType dtype, const auto& shape, TensorTable& tensors) {
    return trace.AddArgument(dtype, shape, tensors);
  });
}

napi_value TraceVariable(napi_env env, napi_callback_info info) {
  return AddTraced(env, info, [](Trace& trace, TF_DataType dtype, const auto& shape, TensorTable& tensors) {
    return trace.AddVariable(dtype, shape, tensors);
  });
}

napi_value TraceScope(napi_env env, napi_callback_info info) {
  auto [js_scope] = Arguments<1>(env, info);
  ActiveTrace(EnvironmentOf(env)).SetScope(ToString(env, js_scope, "scope"));
  return Undefined(env);
}

napi_value TraceFinish(napi_env env, napi_callback_info info) {
  auto [js_name, js_outputs, js_graph, js_config] = Arguments<4>(env, info);
  Environment& environment = EnvironmentOf(env);
  // One eager context serves all environments, so names are made distinct here.
  static std::atomic<int64_t> serial{0};
  const std::string name = ToString(env, js_name, "name") + "_" + std::to_string(serial++);
  TracedFunction traced =
      ActiveTrace(environment)
          .Finish(name, ToIds(env, js_outputs), ToBool(env, js_graph, "withGraph"), FromBytes(env, js_config),
                  environment.tensors);
  environment.trace.reset();
  const int64_t id = environment.next_function++;
  environment.functions[id] = std::move(traced.function);
  napi_value result = nullptr;
  Check(env, napi_create_object(env, &result));
  const auto set = [&](const char* name, napi_value value) {
    Check(env, napi_set_named_property(env, result, name, value));
  };
  set("id", Number(env, static_cast<double>(id)));
  set("variables", IdArray(env, traced.variables));
  set("nodes", Number(env, traced.nodes));
  set("constants", Number(env, traced.constants));
  set("captured", Number(env, traced.captured));
  set("graph", Bytes(env, traced.graph));
  set("inputNames", Names(env, traced.input_names));
  set("outputNames", Names(env, traced.output_names));
  set("values", Values(env, environment, traced.values));
  return result;
}

napi_value TraceAbort(napi_env env, napi_callback_info) {
  EnvironmentOf(env).trace.reset();
  return Undefined(env);
}

napi_value IsSymbolic(napi_env env, napi_callback_info info) {
  auto [id] = Arguments<1>(env, info);
  napi_value result = nullptr;
  const bool symbolic = EnvironmentOf(env).tensors.FindSymbol(ToInt64(env, id, "tensor id")) != nullptr;
  Check(env, napi_get_boolean(env, symbolic, &result));
  return result;
}

napi_value RunFunction(napi_env env, napi_callback_info info) {
  auto [js_id, js_inputs] = Arguments<2>(env, info);
  const std::shared_ptr<Function> function = FunctionOf(env, js_id);
  return IdArray(env, function->Run(ToIds(env, js_inputs), EnvironmentOf(env).tensors));
}

napi_value DeleteFunction(napi_env env, napi_callback_info info) {
  auto [id] = Arguments<1>(env, info);
  EnvironmentOf(env).functions.erase(ToInt64(env, id, "function id"));
  return Undefined(env);
}

napi_value FunctionCount(napi_env env, napi_callback_info) {
  return Number(env, static_cast<double>(EnvironmentOf(env).functions.size()));
}

}  // namespace tfgeo
