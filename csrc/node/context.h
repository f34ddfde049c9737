// SPDX-License-Identifier: Apache-2.0
// The process's one eager context. It outlives every JavaScript environment that uses it.
#ifndef TFGEO_NODE_CONTEXT_H_
#define TFGEO_NODE_CONTEXT_H_

#include <string>
#include <vector>

#include "tensorflow/c/eager/c_api.h"

namespace tfgeo {

struct ContextSettings {
  int intra_threads = 0;  // 0: TensorFlow decides
  int inter_threads = 0;
};

struct Device {
  std::string name;
  std::string type;
  int64_t memory_bytes = 0;
};

/** Creates the context if there is none yet. Returns the settings it runs with (those of the first call). */
ContextSettings StartContext(const ContextSettings& wanted);

/** The context; started with default settings if nobody has. */
TFE_Context* EagerContext();

std::vector<Device> ListDevices();

/** Whether any device of the context is a GPU. */
bool UsesGpu();

/** A serialized tensorflow.ConfigProto with the thread counts of `settings`. */
std::string ConfigProto(const ContextSettings& settings);

/** Loads a library of REGISTER_OP ops and kernels, once per process and path; returns its op list (OpList proto). */
std::string LoadOpLibrary(const std::string& path);

}  // namespace tfgeo

#endif  // TFGEO_NODE_CONTEXT_H_
