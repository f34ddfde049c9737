// SPDX-License-Identifier: Apache-2.0
// Runs of a graph in a session, with TensorFlow's own statistics of every node.
#ifndef TFGEO_NODE_PROFILE_H_
#define TFGEO_NODE_PROFILE_H_

#include "napi_util.h"

namespace tfgeo {

/**
 * profileGraph(graph, config, inputNames, inputIds, outputNames, runs) -> { milliseconds, metadata }: a GraphDef in a
 * session of its own. After two runs that are not counted, `runs` plain ones with their times and `runs` with a
 * tensorflow.RunMetadata each.
 */
napi_value ProfileGraph(napi_env env, napi_callback_info info);

}  // namespace tfgeo

#endif  // TFGEO_NODE_PROFILE_H_
