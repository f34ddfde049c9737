// SPDX-License-Identifier: Apache-2.0
#include "trace.h"

#include <algorithm>

#include "context.h"
#include "status.h"

namespace tfgeo {
namespace {

std::string ShapeText(TF_Graph* graph, TF_Output output, int rank) {
  if (rank < 0) return "[?]";
  Status status;
  std::vector<int64_t> dims(static_cast<size_t>(rank));
  TF_GraphGetTensorShape(graph, output, dims.data(), rank, status.get());
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); i++) text += (i ? "," : "") + (dims[i] < 0 ? "?" : std::to_string(dims[i]));
  return text + "]";
}

/** How many tensors each list input has, given how many there are in all. */
size_t ListLength(const NodeRequest& request) {
  size_t lists = 0;
  for (const OpInput& input : request.info.inputs) lists += input.list_attribute.empty() ? 0 : 1;
  const size_t single = request.info.inputs.size() - lists;
  if (request.inputs.size() < single || (lists == 0 && request.inputs.size() != single)) {
    throw Failure(request.name + ": expected " + std::to_string(single) + " inputs, got " +
                  std::to_string(request.inputs.size()));
  }
  if (lists == 0) return 0;
  const size_t rest = request.inputs.size() - single;
  if (rest % lists != 0) throw Failure(request.name + ": its lists of inputs differ in length", "TFGEO_TRACE_OP");
  return rest / lists;
}

/**
 * Whether a tensor may say something about shapes (sides, axes, paddings), which inference reads from constants. Size does
 * not count: in traces of one function with other shapes, the same tensors must be constants.
 */
bool IsArgumentOfShapes(TF_DataType dtype, const std::vector<int64_t>& shape) {
  if (dtype == TF_STRING || shape.empty()) return true;
  const bool whole = dtype == TF_INT32 || dtype == TF_INT64;
  return whole && (shape.size() == 1 || (shape.size() == 2 && shape[1] == 2));
}

struct TensorDeleter {
  void operator()(TF_Tensor* tensor) const { TF_DeleteTensor(tensor); }
};

}  // namespace

Trace::Trace(int64_t serial, CaptureRule rule) : serial_(serial), rule_(std::move(rule)), graph_(TF_NewGraph()) {}

Trace::~Trace() {
  for (TFE_TensorHandle* handle : captured_) TFE_DeleteTensorHandle(handle);
  TF_DeleteGraph(graph_);
}

std::string Trace::NodeName(const std::string& op) {
  const std::string name = op + "_" + std::to_string(nodes_++);
  return scope_.empty() ? name : scope_ + "/" + name;
}

TF_Output Trace::Finished(TF_OperationDescription* node, const std::string& what) {
  Status status;
  TF_Operation* operation = TF_FinishOperation(node, status.get());
  status.ThrowUnlessOk(what);
  return {operation, 0};
}

TF_Output Trace::Placeholder(const char* role, TF_DataType dtype, const std::vector<int64_t>& shape) {
  TF_OperationDescription* node = TF_NewOperation(graph_, "Placeholder", NodeName(role).c_str());
  TF_SetAttrType(node, "dtype", dtype);
  TF_SetAttrShape(node, "shape", shape.data(), static_cast<int>(shape.size()));
  return Finished(node, role);
}

TracedTensor Trace::AddArgument(TF_DataType dtype, const std::vector<int64_t>& shape, TensorTable& tensors) {
  const TF_Output output = Placeholder("argument", dtype, shape);
  arguments_.push_back(output);
  return {tensors.Add(Symbol{serial_, output, -1}), shape, dtype};
}

TracedTensor Trace::AddVariable(TF_DataType dtype, const std::vector<int64_t>& shape, TensorTable& tensors) {
  const int64_t number = static_cast<int64_t>(variables_.size());
  variables_.push_back({dtype, shape, {nullptr, 0}});
  return {tensors.Add(Symbol{serial_, {nullptr, 0}, number}), shape, dtype};
}

bool Trace::Takes(const OpInfo& info, const std::vector<int64_t>& inputs, TensorTable& tensors) const {
  return info.stateful || std::any_of(inputs.begin(), inputs.end(), [&](int64_t id) {
           const Symbol* symbol = tensors.FindSymbol(id);
           return symbol != nullptr && symbol->trace == serial_;
         });
}

TF_Output Trace::Resolve(int64_t id, TensorTable& tensors) {
  Symbol* symbol = tensors.FindSymbol(id);
  if (symbol == nullptr || symbol->trace != serial_) return ResolveValue(id, tensors.Get(id));
  if (symbol->variable < 0) return symbol->output;
  Variable& variable = variables_[static_cast<size_t>(symbol->variable)];
  if (variable.output.oper == nullptr) {
    variable.output = Placeholder("variable", variable.dtype, variable.shape);
    used_variables_.push_back(symbol->variable);
  }
  return variable.output;
}

bool Trace::IsConstant(int64_t id, TF_DataType dtype, const std::vector<int64_t>& shape) const {
  if (dtype == TF_RESOURCE || dtype == TF_VARIANT) return false;
  if (rule_.beside) return IsArgumentOfShapes(dtype, shape) && rule_.inputs.count(id) == 0;
  // Sizes of strings are not known from their type: 0.
  size_t bytes = TF_DataTypeSize(dtype);
  for (const int64_t side : shape) bytes *= static_cast<size_t>(side);
  return bytes <= rule_.most_constant_bytes;
}

TF_Output Trace::ResolveValue(int64_t id, TFE_TensorHandle* handle) {
  auto found = by_id_.find(id);
  if (found != by_id_.end()) return found->second;
  Status status;
  const TF_DataType dtype = TFE_TensorHandleDataType(handle);
  const int rank = TFE_TensorHandleNumDims(handle, status.get());
  status.ThrowUnlessOk("a captured tensor");
  std::vector<int64_t> shape(static_cast<size_t>(rank));
  for (int i = 0; i < rank; i++) {
    shape[i] = TFE_TensorHandleDim(handle, i, status.get());
    status.ThrowUnlessOk("a captured tensor");
  }
  TF_Output output;
  if (IsConstant(id, dtype, shape)) {
    const std::unique_ptr<TF_Tensor, TensorDeleter> tensor(TFE_TensorHandleResolve(handle, status.get()));
    status.ThrowUnlessOk("a captured tensor");
    output = Constant(tensor.get());
  } else {
    output = Placeholder("captured", dtype, shape);
    TFE_TensorHandle* copy = TFE_TensorHandleCopySharingTensor(handle, status.get());
    status.ThrowUnlessOk("a captured tensor");
    captured_.push_back(copy);
    captured_sources_.push_back(id);
    captured_nodes_.push_back(output);
  }
  by_id_[id] = output;
  return output;
}

TF_Output Trace::Constant(TF_Tensor* tensor) {
  const TF_DataType dtype = TF_TensorType(tensor);
  std::string key;
  const bool shared = dtype != TF_STRING && !rule_.beside;
  if (shared) {
    key = std::to_string(dtype);
    for (int i = 0; i < TF_NumDims(tensor); i++) key += "," + std::to_string(TF_Dim(tensor, i));
    key += ":";
    key.append(static_cast<const char*>(TF_TensorData(tensor)), TF_TensorByteSize(tensor));
    auto found = constants_.find(key);
    if (found != constants_.end()) return found->second;
  }
  TF_OperationDescription* node = TF_NewOperation(graph_, "Const", NodeName("Const").c_str());
  Status status;
  TF_SetAttrTensor(node, "value", tensor, status.get());
  TF_SetAttrType(node, "dtype", dtype);
  const TF_Output output = Finished(node, "Const");
  if (shared) constants_[key] = output;
  return output;
}

std::vector<TracedTensor> Trace::AddNode(const NodeRequest& request, TensorTable& tensors,
                                         const std::function<void(TF_OperationDescription*)>& set_attributes) {
  const size_t list_length = ListLength(request);
  std::vector<TF_Output> inputs;
  for (const int64_t id : request.inputs) inputs.push_back(Resolve(id, tensors));
  TF_OperationDescription* node =
      TF_NewOperation(graph_, request.name.c_str(), NodeName(request.name).c_str());
  try {
    size_t next = 0;
    for (const OpInput& input : request.info.inputs) {
      if (input.list_attribute.empty()) {
        TF_AddInput(node, inputs[next++]);
      } else {
        TF_AddInputList(node, inputs.data() + next, static_cast<int>(list_length));
        next += list_length;
      }
    }
    if (request.info.stateful && !stateful_.empty()) TF_AddControlInput(node, stateful_.back());
    set_attributes(node);
  } catch (...) {
    // Finishing a node is the only way to free it.
    Status ignored;
    TF_FinishOperation(node, ignored.get());
    throw;
  }
  TF_Operation* operation = Finished(node, request.name).oper;
  if (request.info.stateful) stateful_.push_back(operation);
  const int outputs = std::min(request.outputs, TF_OperationNumOutputs(operation));
  std::vector<TracedTensor> results;
  for (int i = 0; i < outputs; i++) results.push_back(Describe(request.name, {operation, i}, tensors));
  return results;
}

TracedTensor Trace::Describe(const std::string& op, TF_Output output, TensorTable& tensors) {
  Status status;
  const int rank = TF_GraphGetTensorNumDims(graph_, output, status.get());
  status.ThrowUnlessOk(op);
  std::vector<int64_t> shape(static_cast<size_t>(std::max(0, rank)));
  if (rank > 0) {
    TF_GraphGetTensorShape(graph_, output, shape.data(), rank, status.get());
    status.ThrowUnlessOk(op);
  }
  const bool known = rank >= 0 && std::all_of(shape.begin(), shape.end(), [](int64_t dim) { return dim >= 0; });
  if (!known) {
    throw Failure("the shape of output " + std::to_string(output.index) + " of " + op +
                      " depends on values: " + ShapeText(graph_, output, rank),
                  "TFGEO_TRACE_SHAPE");
  }
  return {tensors.Add(Symbol{serial_, output, -1}), shape, TF_OperationOutputType(output)};
}

TracedFunction Trace::Finish(const std::string& name, const std::vector<int64_t>& outputs, bool with_graph,
                             const std::string& config, TensorTable& tensors) {
  std::vector<TF_Output> results;
  for (const int64_t id : outputs) {
    const TF_Output value = Resolve(id, tensors);
    TF_OperationDescription* node = TF_NewOperation(graph_, "Identity", NodeName("result").c_str());
    TF_AddInput(node, value);
    results.push_back(Finished(node, "result"));
  }
  TracedFunction traced;
  traced.variables = used_variables_;
  std::vector<TF_Output> inputs = arguments_;
  for (const int64_t number : used_variables_) inputs.push_back(variables_[static_cast<size_t>(number)].output);
  inputs.insert(inputs.end(), captured_nodes_.begin(), captured_nodes_.end());
  traced.nodes = nodes_;
  traced.constants = static_cast<int>(constants_.size());
  traced.captured = static_cast<int>(captured_.size());
  if (with_graph) {
    traced.graph = SerializedGraph(graph_);
    for (const TF_Output& input : inputs) traced.input_names.push_back(TF_OperationName(input.oper));
    for (const TF_Output& result : results) traced.output_names.push_back(TF_OperationName(result.oper));
    for (size_t i = 0; i < captured_.size(); i++) traced.values.push_back({captured_sources_[i], captured_[i]});
  }
  Status status;
  TF_Function* function = TF_GraphToFunctionWithControlOutputs(
      graph_, name.c_str(), 0, -1, nullptr, static_cast<int>(inputs.size()), inputs.data(),
      static_cast<int>(results.size()), results.data(), nullptr, static_cast<int>(stateful_.size()),
      stateful_.data(), nullptr, nullptr, nullptr, status.get());
  status.ThrowUnlessOk(name);
  traced.function = std::make_unique<Function>(name, function, inputs.size() - captured_.size(), results.size(),
                                               std::move(captured_), config);
  captured_.clear();
  return traced;
}

}  // namespace tfgeo
