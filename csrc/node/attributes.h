// SPDX-License-Identifier: Apache-2.0
// Op attributes as tfjs describes them: { name, type, value }.
#ifndef TFGEO_NODE_ATTRIBUTES_H_
#define TFGEO_NODE_ATTRIBUTES_H_

#include "environment.h"
#include "tensorflow/c/eager/c_api.h"

namespace tfgeo {

/** Sets every attribute of the JavaScript array `attributes` on `op`. */
void SetAttributes(napi_env env, const Keys& keys, napi_value attributes, TFE_Op* op);

}  // namespace tfgeo

#endif  // TFGEO_NODE_ATTRIBUTES_H_
