// SPDX-License-Identifier: Apache-2.0
// Runs of a SavedModel beside the JavaScript thread.
#ifndef TFGEO_NODE_SESSION_RUN_H_
#define TFGEO_NODE_SESSION_RUN_H_

#include "napi_util.h"

namespace tfgeo {

/** runSession(id, [{ name, dtype, shape, value }], ["name:0"]) -> Promise of [{ dtype, shape, value }]. */
napi_value RunSession(napi_env env, napi_callback_info info);

}  // namespace tfgeo

#endif  // TFGEO_NODE_SESSION_RUN_H_
