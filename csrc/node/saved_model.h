// SPDX-License-Identifier: Apache-2.0
// SavedModels: open, run, close.
#ifndef TFGEO_NODE_SAVED_MODEL_H_
#define TFGEO_NODE_SAVED_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "environment.h"

namespace tfgeo {

/** loadSavedModel(directory, "tag,tag") -> id. */
napi_value LoadSavedModel(napi_env env, napi_callback_info info);
/** deleteSavedModel(id). */
napi_value DeleteSavedModel(napi_env env, napi_callback_info info);
/** runSavedModel(id, inputIds, "name:0,name:1", "name:0") -> [{ id, shape, dtype }]. */
napi_value RunSavedModel(napi_env env, napi_callback_info info);
/** getNumOfSavedModels(). */
napi_value SavedModelCount(napi_env env, napi_callback_info info);

/** The SavedModel with this id; throws if there is none. */
const std::shared_ptr<SavedModel>& SavedModelOf(Environment& environment, int64_t id);

/** The tensor "operation:index", where ":0" may be left out; throws if there is none. */
TF_Output FindOutput(TF_Graph* graph, const std::string& name);

/** Tensors that are deleted at the end of a run. */
struct TensorList {
  std::vector<TF_Tensor*> tensors;
  ~TensorList();
};

}  // namespace tfgeo

#endif  // TFGEO_NODE_SAVED_MODEL_H_
