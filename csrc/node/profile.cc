// SPDX-License-Identifier: Apache-2.0
#include "profile.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "context.h"
#include "environment.h"
#include "execute.h"
#include "saved_model.h"
#include "status.h"
#include "tensorflow/c/c_api.h"

namespace tfgeo {
namespace {

constexpr int kWarmUps = 2;
// A tensorflow.RunOptions with trace_level FULL_TRACE.
constexpr char kFullTrace[] = {1 << 3, 3};

struct BufferDeleter {
  void operator()(TF_Buffer* buffer) const { TF_DeleteBuffer(buffer); }
};
using BufferPtr = std::unique_ptr<TF_Buffer, BufferDeleter>;

struct Bytes {
  const void* data = nullptr;
  size_t size = 0;
};

Bytes ToBytes(napi_env env, napi_value value) {
  napi_typedarray_type type = napi_uint8_array;
  Bytes bytes;
  void* data = nullptr;
  Check(env, napi_get_typedarray_info(env, value, &type, &bytes.size, &data, nullptr, nullptr));
  bytes.data = data;
  return bytes;
}

napi_value FromBuffer(napi_env env, const TF_Buffer& buffer) {
  void* data = nullptr;
  napi_value array = nullptr, result = nullptr;
  Check(env, napi_create_arraybuffer(env, buffer.length, &data, &array));
  const char* from = static_cast<const char*>(buffer.data);
  std::copy(from, from + buffer.length, static_cast<char*>(data));
  Check(env, napi_create_typedarray(env, napi_uint8_array, buffer.length, array, 0, &result));
  return result;
}

/** A session with `graph`; the type that owns both is a SavedModel's. */
std::unique_ptr<SavedModel> OpenGraph(const Bytes& graph, const Bytes& config) {
  Status status;
  const BufferPtr definition(TF_NewBufferFromString(graph.data, graph.size));
  TF_Graph* imported = TF_NewGraph();
  TF_ImportGraphDefOptions* how = TF_NewImportGraphDefOptions();
  TF_GraphImportGraphDef(imported, definition.get(), how, status.get());
  TF_DeleteImportGraphDefOptions(how);
  TF_Session* session = nullptr;
  if (status.ok()) {
    TF_SessionOptions* options = TF_NewSessionOptions();
    // Messages that are written one after the other are merged.
    const std::string all = ConfigProto(StartContext(ContextSettings())) +
                            std::string(static_cast<const char*>(config.data), config.size);
    TF_SetConfig(options, all.data(), all.size(), status.get());
    if (status.ok()) session = TF_NewSession(imported, options, status.get());
    TF_DeleteSessionOptions(options);
  }
  if (!status.ok()) TF_DeleteGraph(imported);
  status.ThrowUnlessOk("the graph that is to be profiled");
  return std::make_unique<SavedModel>(session, imported);
}

std::vector<TF_Output> Outputs(napi_env env, TF_Graph* graph, napi_value names) {
  std::vector<TF_Output> outputs;
  const uint32_t count = ArrayLength(env, names, "names of nodes");
  for (uint32_t i = 0; i < count; i++) {
    outputs.push_back(FindOutput(graph, ToString(env, Element(env, names, i), "name of a node")));
  }
  return outputs;
}

/** Feeds and fetches of a session, run any number of times. */
class Runner {
 public:
  Runner(const SavedModel& model, std::vector<TF_Output> feeds, std::vector<TF_Output> fetches)
      : model_(model), feeds_(std::move(feeds)), fetches_(std::move(fetches)) {}

  void AddInput(TFE_TensorHandle* handle) {
    Status status;
    inputs_.tensors.push_back(TFE_TensorHandleResolve(handle, status.get()));
    status.ThrowUnlessOk("input of the profile");
  }

  /** Milliseconds of a run. @param metadata filled with statistics if given, which costs time */
  double Run(TF_Buffer* metadata) {
    if (inputs_.tensors.size() != feeds_.size()) throw Failure("the profile needs a tensor for every input");
    const BufferPtr options(TF_NewBufferFromString(kFullTrace, sizeof kFullTrace));
    TensorList outputs;
    outputs.tensors.resize(fetches_.size(), nullptr);
    Status status;
    const auto began = std::chrono::steady_clock::now();
    TF_SessionRun(model_.session, metadata ? options.get() : nullptr, feeds_.data(), inputs_.tensors.data(),
                  static_cast<int>(feeds_.size()), fetches_.data(), outputs.tensors.data(),
                  static_cast<int>(fetches_.size()), nullptr, 0, metadata, status.get());
    status.ThrowUnlessOk("running the profile");
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  }

 private:
  const SavedModel& model_;
  std::vector<TF_Output> feeds_, fetches_;
  TensorList inputs_;
};

}  // namespace

napi_value ProfileGraph(napi_env env, napi_callback_info info) {
  auto [js_graph, js_config, js_inputs, js_ids, js_outputs, js_runs] = Arguments<6>(env, info);
  const Environment& environment = EnvironmentOf(env);
  const auto model = OpenGraph(ToBytes(env, js_graph), ToBytes(env, js_config));
  Runner runner(*model, Outputs(env, model->graph, js_inputs), Outputs(env, model->graph, js_outputs));
  for (const int64_t id : ToIds(env, js_ids)) runner.AddInput(environment.tensors.Get(id));
  const int64_t runs = ToInt64(env, js_runs, "runs");
  napi_value milliseconds = nullptr, metadata = nullptr, result = nullptr;
  Check(env, napi_create_array(env, &milliseconds));
  Check(env, napi_create_array(env, &metadata));
  for (int i = 0; i < kWarmUps; i++) runner.Run(nullptr);
  for (uint32_t i = 0; i < runs; i++) {
    Check(env, napi_set_element(env, milliseconds, i, Number(env, runner.Run(nullptr))));
    const BufferPtr buffer(TF_NewBuffer());
    runner.Run(buffer.get());
    Check(env, napi_set_element(env, metadata, i, FromBuffer(env, *buffer)));
  }
  Check(env, napi_create_object(env, &result));
  Check(env, napi_set_named_property(env, result, "milliseconds", milliseconds));
  Check(env, napi_set_named_property(env, result, "metadata", metadata));
  return result;
}

}  // namespace tfgeo
