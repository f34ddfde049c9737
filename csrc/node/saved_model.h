// SPDX-License-Identifier: Apache-2.0
// SavedModels: open, run, close.
#ifndef TFGEO_NODE_SAVED_MODEL_H_
#define TFGEO_NODE_SAVED_MODEL_H_

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

void CloseSavedModel(const SavedModel& model);

}  // namespace tfgeo

#endif  // TFGEO_NODE_SAVED_MODEL_H_
