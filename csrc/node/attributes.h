// SPDX-License-Identifier: Apache-2.0
// Op attributes as tfjs describes them: { name, type, value }.
#ifndef TFGEO_NODE_ATTRIBUTES_H_
#define TFGEO_NODE_ATTRIBUTES_H_

#include "environment.h"
#include "op_table.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

namespace tfgeo {

/** Sets every attribute of the JavaScript array `attributes` on `op`. */
void SetAttributes(napi_env env, const Keys& keys, napi_value attributes, TFE_Op* op);

/**
 * The same on a node of a graph. Attributes that follow from its inputs, and those the op does not have, are left out:
 * running an op does the same.
 */
void SetAttributes(napi_env env, const Keys& keys, napi_value attributes, const OpInfo& info,
                   TF_OperationDescription* node);

}  // namespace tfgeo

#endif  // TFGEO_NODE_ATTRIBUTES_H_
