// SPDX-License-Identifier: Apache-2.0
#include "function_run.h"

#include <memory>
#include <vector>

#include "environment.h"
#include "execute.h"
#include "function.h"
#include "status.h"

namespace tfgeo {
namespace {

/** Handles that are deleted with it. */
struct HandleList {
  std::vector<TFE_TensorHandle*> handles;
  ~HandleList() {
    for (TFE_TensorHandle* handle : handles) TFE_DeleteTensorHandle(handle);
  }
};

/** One run: made on the JavaScript thread, run on another, answered on the JavaScript thread. */
struct FunctionRun {
  std::shared_ptr<const Function> function;
  HandleList inputs, outputs;
  Status status;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void Execute(napi_env, void* data) {
  FunctionRun* run = static_cast<FunctionRun*>(data);
  run->outputs.handles = run->function->Execute(run->inputs.handles, run->status.get());
}

void Complete(napi_env env, napi_status outcome, void* data) {
  const std::unique_ptr<FunctionRun> run(static_cast<FunctionRun*>(data));
  napi_delete_async_work(env, run->work);
  // Cancelled: the environment is going away, and nobody waits for an answer.
  if (outcome == napi_cancelled) return;
  try {
    run->status.ThrowUnlessOk(run->function->name());
    TensorTable& tensors = EnvironmentOf(env).tensors;
    std::vector<int64_t> ids;
    for (TFE_TensorHandle* handle : run->outputs.handles) ids.push_back(tensors.Add(handle));
    run->outputs.handles.clear();
    napi_resolve_deferred(env, run->deferred, IdArray(env, ids));
  } catch (const Failure& failure) {
    napi_value error = nullptr;
    napi_create_error(env, String(env, failure.code()), String(env, failure.what()), &error);
    napi_reject_deferred(env, run->deferred, error);
  } catch (const PendingException&) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    napi_reject_deferred(env, run->deferred, error);
  }
}

}  // namespace

napi_value StartFunction(napi_env env, napi_callback_info info) {
  auto [js_id, js_inputs] = Arguments<2>(env, info);
  const Environment& environment = EnvironmentOf(env);
  auto run = std::make_unique<FunctionRun>();
  run->function = FunctionOf(env, js_id);
  for (const int64_t id : ToIds(env, js_inputs)) {
    TFE_TensorHandle* copy = TFE_TensorHandleCopySharingTensor(environment.tensors.Get(id), run->status.get());
    run->status.ThrowUnlessOk(run->function->name());
    run->inputs.handles.push_back(copy);
  }
  run->function->CheckInputs(run->inputs.handles.size());
  napi_value promise = nullptr;
  Check(env, napi_create_async_work(env, nullptr, String(env, "tfgeo.startFunction"), Execute, Complete, run.get(),
                                    &run->work));
  Check(env, napi_create_promise(env, &run->deferred, &promise));
  Check(env, napi_queue_async_work(env, run->work));
  run.release();
  return promise;
}

}  // namespace tfgeo
