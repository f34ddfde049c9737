// SPDX-License-Identifier: Apache-2.0
// What the addon keeps per JavaScript environment (main thread, each worker, each sandboxed module registry).
#ifndef TFGEO_NODE_ENVIRONMENT_H_
#define TFGEO_NODE_ENVIRONMENT_H_

#include <memory>
#include <unordered_map>

#include "function.h"
#include "napi_util.h"
#include "tensorflow/c/c_api.h"
#include "tensors.h"
#include "trace.h"

namespace tfgeo {

/** An open SavedModel; runs that are under way keep it. */
struct SavedModel {
  TF_Session* session;
  TF_Graph* graph;

  SavedModel(TF_Session* a_session, TF_Graph* a_graph) : session(a_session), graph(a_graph) {}
  ~SavedModel();
  SavedModel(const SavedModel&) = delete;
  SavedModel& operator=(const SavedModel&) = delete;
};

struct Environment {
  TensorTable tensors;
  std::unordered_map<int64_t, std::shared_ptr<SavedModel>> saved_models;
  int64_t next_saved_model = 0;
  /** The function that is being traced, if any. */
  std::unique_ptr<Trace> trace;
  std::unordered_map<int64_t, std::shared_ptr<Function>> functions;
  int64_t next_function = 0;
  /** An array of the property names, made once: looking them up by C string costs a string per access. */
  napi_ref keys = nullptr;
};

enum Key { kKeyName, kKeyType, kKeyValue, kKeyId, kKeyShape, kKeyDtype };

Environment& EnvironmentOf(napi_env env);

/** Creates the environment and its keys; it is destroyed with `env`. */
void SetUpEnvironment(napi_env env);

/** The property names of this environment, fetched once per call. */
class Keys {
 public:
  Keys(napi_env env, const Environment& environment);
  napi_value operator[](Key key) const { return Element(env_, array_, key); }

 private:
  napi_env env_;
  napi_value array_ = nullptr;
};

}  // namespace tfgeo

#endif  // TFGEO_NODE_ENVIRONMENT_H_
