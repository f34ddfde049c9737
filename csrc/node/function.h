// SPDX-License-Identifier: Apache-2.0
// Functions that were traced: registered with the eager context, run as one op, removed when they are no longer wanted.
#ifndef TFGEO_NODE_FUNCTION_H_
#define TFGEO_NODE_FUNCTION_H_

#include <memory>
#include <string>
#include <vector>

#include "napi_util.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

namespace tfgeo {

class TensorTable;

/** A registered function and the tensors it captured. */
class Function {
 public:
  /**
   * Registers and frees `function`; takes over the handles of `captured`, its last inputs.
   * @param config a serialized tensorflow.ConfigProto: how TensorFlow optimises and runs it
   */
  Function(const std::string& name, TF_Function* function, size_t inputs, size_t outputs,
           std::vector<TFE_TensorHandle*> captured, const std::string& config);
  ~Function();
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  const std::string& name() const { return name_; }
  /** Throws where `count` is not the number of its inputs. */
  void CheckInputs(size_t count) const;
  /** Runs it, on any thread; the caller takes over the outputs. */
  std::vector<TFE_TensorHandle*> Execute(const std::vector<TFE_TensorHandle*>& inputs, TF_Status* status) const;
  /** Runs it; the ids of the outputs. */
  std::vector<int64_t> Run(const std::vector<int64_t>& inputs, TensorTable& tensors) const;

 private:
  std::string name_;
  size_t inputs_;
  size_t outputs_;
  std::vector<TFE_TensorHandle*> captured_;
  std::string config_;
};

/** A JavaScript array of ids. */
napi_value IdArray(napi_env env, const std::vector<int64_t>& ids);

/** The function with this id; throws if there is none. */
const std::shared_ptr<Function>& FunctionOf(napi_env env, napi_value js_id);

/** A serialized tensorflow.GraphDef. */
std::string SerializedGraph(TF_Graph* graph);

/** traceBegin(mostConstantBytes, beside, inputIds): see CaptureRule. */
napi_value TraceBegin(napi_env env, napi_callback_info info);
/** traceArgument(shape, dtype) -> id. */
napi_value TraceArgument(napi_env env, napi_callback_info info);
/** traceVariable(shape, dtype) -> id. */
napi_value TraceVariable(napi_env env, napi_callback_info info);
/** traceScope(scope): what stands before the names of nodes from now on. */
napi_value TraceScope(napi_env env, napi_callback_info info);
/** traceFinish(name, outputIds, withGraph, config) -> { id, variables, nodes, constants, captured, graph,
 * inputNames, outputNames, values: [{ source, id, shape, dtype }] }; the last four are empty without `withGraph`. */
napi_value TraceFinish(napi_env env, napi_callback_info info);
/** traceAbort(): forgets the function that is being traced, if any. */
napi_value TraceAbort(napi_env env, napi_callback_info info);
/** isSymbolic(id): whether a tensor was made by a trace and has no value. */
napi_value IsSymbolic(napi_env env, napi_callback_info info);
/** runFunction(id, inputIds) -> outputIds. */
napi_value RunFunction(napi_env env, napi_callback_info info);
/** deleteFunction(id). */
napi_value DeleteFunction(napi_env env, napi_callback_info info);
/** getNumOfFunctions(). */
napi_value FunctionCount(napi_env env, napi_callback_info info);

}  // namespace tfgeo

#endif  // TFGEO_NODE_FUNCTION_H_
