// SPDX-License-Identifier: Apache-2.0
// Running one TensorFlow op by name.
#ifndef TFGEO_NODE_EXECUTE_H_
#define TFGEO_NODE_EXECUTE_H_

#include <vector>

#include "environment.h"

namespace tfgeo {

/** executeOp(name, attributes, inputIds, numOutputs) -> [{ id, shape, dtype }]. */
napi_value ExecuteOp(napi_env env, napi_callback_info info);

/** Reads a JavaScript array of tensor ids. */
std::vector<int64_t> ToIds(napi_env env, napi_value array);

/** { id, shape, dtype } of `handle`, which the table takes over. */
napi_value DescribeAndAdd(napi_env env, Environment& environment, const Keys& keys, TFE_TensorHandle* handle);

}  // namespace tfgeo

#endif  // TFGEO_NODE_EXECUTE_H_
