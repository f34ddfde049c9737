// SPDX-License-Identifier: Apache-2.0
// Runs of functions beside the JavaScript thread.
#ifndef TFGEO_NODE_FUNCTION_RUN_H_
#define TFGEO_NODE_FUNCTION_RUN_H_

#include "napi_util.h"

namespace tfgeo {

/** startFunction(id, inputIds) -> promise of outputIds. The inputs may be freed at once. */
napi_value StartFunction(napi_env env, napi_callback_info info);

}  // namespace tfgeo

#endif  // TFGEO_NODE_FUNCTION_RUN_H_
