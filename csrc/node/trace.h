// SPDX-License-Identifier: Apache-2.0
// A function being traced: ops on its symbolic tensors become nodes of a graph instead of running.
#ifndef TFGEO_NODE_TRACE_H_
#define TFGEO_NODE_TRACE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "function.h"
#include "op_table.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"
#include "tensors.h"

namespace tfgeo {

/** An op that is to become a node. */
struct NodeRequest {
  std::string name;
  const OpInfo& info;
  const std::vector<int64_t>& inputs;
  int outputs;
};

/** A symbolic tensor as JavaScript sees it. */
struct TracedTensor {
  int64_t id;
  std::vector<int64_t> shape;
  TF_DataType dtype;
};

/** What a trace does with values from outside. */
struct CaptureRule {
  /** Larger values are inputs that the function keeps, smaller ones constants of its graph. */
  size_t most_constant_bytes = 0;
  /**
   * For a graph that is written out: values are inputs whatever their size, unless they may say something about shapes,
   * and equal constants stay apart, so that traces of one function with other shapes have the same nodes.
   */
  bool beside = false;
  /** Ids of tensors that are inputs in any case; with `beside`. */
  std::set<int64_t> inputs;
};

/** A value that a function keeps as an input: the id that it was captured by, and a tensor of its own. */
struct CapturedValue {
  int64_t source;
  TFE_TensorHandle* handle;
};

/** What became of a trace. */
struct TracedFunction {
  std::unique_ptr<Function> function;
  /** Numbers of the variables that are read, in the order of the function's inputs after its arguments. */
  std::vector<int64_t> variables;
  int nodes = 0;
  int constants = 0;
  int captured = 0;
  /** The serialized graph and the names of its nodes, if they were asked for. */
  std::string graph;
  std::vector<std::string> input_names;
  std::vector<std::string> output_names;
  /** What the last inputs hold, if the graph was asked for; handles are the function's. */
  std::vector<CapturedValue> values;
};

class Trace {
 public:
  Trace(int64_t serial, CaptureRule rule);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /** An argument of the function. */
  TracedTensor AddArgument(TF_DataType dtype, const std::vector<int64_t>& shape, TensorTable& tensors);

  /** A variable; it becomes an input of the function when a node reads it. */
  TracedTensor AddVariable(TF_DataType dtype, const std::vector<int64_t>& shape, TensorTable& tensors);

  /**
   * Whether an op becomes a node: if any input is symbolic, or it has to run on every call. All others have inputs that
   * are the same on every call, so they run at once and their results are constants of the function.
   */
  bool Takes(const OpInfo& info, const std::vector<int64_t>& inputs, TensorTable& tensors) const;

  /** What stands before the names of nodes from now on; empty = nothing. */
  void SetScope(const std::string& scope) { scope_ = scope; }

  /** Adds a node. Throws TFGEO_TRACE_SHAPE if the shape of an output depends on values. */
  std::vector<TracedTensor> AddNode(const NodeRequest& request, TensorTable& tensors,
                                    const std::function<void(TF_OperationDescription*)>& set_attributes);

  /** Makes the function that computes `outputs`. @param with_graph also serialize the graph (a GraphDef) */
  TracedFunction Finish(const std::string& name, const std::vector<int64_t>& outputs, bool with_graph,
                        const std::string& config, TensorTable& tensors);

 private:
  struct Variable {
    TF_DataType dtype;
    std::vector<int64_t> shape;
    TF_Output output;
  };

  TF_Output Placeholder(const char* role, TF_DataType dtype, const std::vector<int64_t>& shape);
  TF_Output Resolve(int64_t id, TensorTable& tensors);
  TF_Output ResolveValue(int64_t id, TFE_TensorHandle* handle);
  bool IsConstant(int64_t id, TF_DataType dtype, const std::vector<int64_t>& shape) const;
  TF_Output Constant(TF_Tensor* tensor);
  TF_Output Finished(TF_OperationDescription* node, const std::string& what);
  std::string NodeName(const std::string& op);
  TracedTensor Describe(const std::string& op, TF_Output output, TensorTable& tensors);

  int64_t serial_;
  CaptureRule rule_;
  TF_Graph* graph_;
  std::string scope_;
  int nodes_ = 0;
  std::vector<TF_Output> arguments_;
  std::vector<Variable> variables_;
  /** Variables with a node, in the order of their first use. */
  std::vector<int64_t> used_variables_;
  std::vector<TF_Output> captured_nodes_;
  std::vector<TFE_TensorHandle*> captured_;
  std::vector<int64_t> captured_sources_;
  /** Constants and captured tensors by the id of their tensor. */
  std::unordered_map<int64_t, TF_Output> by_id_;
  /** Constants by type, shape and bytes. */
  std::map<std::string, TF_Output> constants_;
  /** Ops with side effects, each after the one before. */
  std::vector<TF_Operation*> stateful_;
};

}  // namespace tfgeo

#endif  // TFGEO_NODE_TRACE_H_
