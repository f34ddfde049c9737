// SPDX-License-Identifier: Apache-2.0
#include "session_run.h"

#include <memory>
#include <vector>

#include "saved_model.h"
#include "status.h"

namespace tfgeo {
namespace {

/** One run: made on the JavaScript thread, run on another, answered on the JavaScript thread. */
struct Run {
  std::shared_ptr<SavedModel> model;
  std::vector<TF_Output> feeds, fetches;
  TensorList inputs, outputs;
  Status status;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void AddInput(napi_env env, const Keys& keys, napi_value js_input, Run* run) {
  const auto property = [&](Key key) {
    napi_value value = nullptr;
    Check(env, napi_get_property(env, js_input, keys[key], &value));
    return value;
  };
  const std::string name = ToString(env, property(kKeyName), "name of an input");
  const auto dtype = static_cast<TF_DataType>(ToInt64(env, property(kKeyDtype), "dtype of an input"));
  run->feeds.push_back(FindOutput(run->model->graph, name));
  run->inputs.tensors.push_back(
      TensorFromValues(env, ToShape(env, property(kKeyShape)), dtype, property(kKeyValue)));
}

void Execute(napi_env, void* data) {
  Run* run = static_cast<Run*>(data);
  TF_SessionRun(run->model->session, nullptr, run->feeds.data(), run->inputs.tensors.data(),
                static_cast<int>(run->feeds.size()), run->fetches.data(), run->outputs.tensors.data(),
                static_cast<int>(run->fetches.size()), nullptr, 0, nullptr, run->status.get());
}

napi_value Describe(napi_env env, const Keys& keys, TF_Tensor* tensor) {
  napi_value result = nullptr, shape = nullptr;
  const int rank = TF_NumDims(tensor);
  Check(env, napi_create_array_with_length(env, static_cast<size_t>(rank), &shape));
  for (int i = 0; i < rank; i++) {
    const napi_value side = Number(env, static_cast<double>(TF_Dim(tensor, i)));
    Check(env, napi_set_element(env, shape, static_cast<uint32_t>(i), side));
  }
  Check(env, napi_create_object(env, &result));
  Check(env, napi_set_property(env, result, keys[kKeyShape], shape));
  Check(env, napi_set_property(env, result, keys[kKeyDtype], Number(env, TF_TensorType(tensor))));
  Check(env, napi_set_property(env, result, keys[kKeyValue], ValuesOfTensor(env, tensor)));
  return result;
}

napi_value Results(napi_env env, const Run& run) {
  const Keys keys(env, EnvironmentOf(env));
  napi_value results = nullptr;
  Check(env, napi_create_array_with_length(env, run.outputs.tensors.size(), &results));
  for (size_t i = 0; i < run.outputs.tensors.size(); i++) {
    const napi_value entry = Describe(env, keys, run.outputs.tensors[i]);
    Check(env, napi_set_element(env, results, static_cast<uint32_t>(i), entry));
  }
  return results;
}

void Reject(napi_env env, napi_deferred deferred, const char* code, const std::string& message) {
  napi_value error = nullptr;
  napi_create_error(env, String(env, code), String(env, message), &error);
  napi_reject_deferred(env, deferred, error);
}

void Complete(napi_env env, napi_status outcome, void* data) {
  const std::unique_ptr<Run> run(static_cast<Run*>(data));
  napi_delete_async_work(env, run->work);
  // Cancelled: the environment is going away, and nobody waits for an answer.
  if (outcome == napi_cancelled) return;
  try {
    // The caller's mistake is told from all others.
    if (TF_GetCode(run->status.get()) == TF_INVALID_ARGUMENT) throw Failure(run->status.message(), "TFGEO_INVALID");
    run->status.ThrowUnlessOk("running the SavedModel");
    napi_resolve_deferred(env, run->deferred, Results(env, *run));
  } catch (const Failure& failure) {
    Reject(env, run->deferred, failure.code().c_str(), failure.what());
  } catch (const PendingException&) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    napi_reject_deferred(env, run->deferred, error);
  }
}

}  // namespace

napi_value RunSession(napi_env env, napi_callback_info info) {
  auto [js_id, js_inputs, js_outputs] = Arguments<3>(env, info);
  Environment& environment = EnvironmentOf(env);
  const Keys keys(env, environment);
  auto run = std::make_unique<Run>();
  run->model = SavedModelOf(environment, ToInt64(env, js_id, "SavedModel id"));
  const uint32_t inputs = ArrayLength(env, js_inputs, "inputs");
  for (uint32_t i = 0; i < inputs; i++) AddInput(env, keys, Element(env, js_inputs, i), run.get());
  const uint32_t outputs = ArrayLength(env, js_outputs, "output names");
  for (uint32_t i = 0; i < outputs; i++) {
    const std::string name = ToString(env, Element(env, js_outputs, i), "name of an output");
    run->fetches.push_back(FindOutput(run->model->graph, name));
  }
  run->outputs.tensors.resize(outputs, nullptr);
  napi_value promise = nullptr;
  Check(env, napi_create_async_work(env, nullptr, String(env, "tfgeo.runSession"), Execute, Complete, run.get(),
                                    &run->work));
  Check(env, napi_create_promise(env, &run->deferred, &promise));
  Check(env, napi_queue_async_work(env, run->work));
  run.release();
  return promise;
}

}  // namespace tfgeo
