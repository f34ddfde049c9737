// SPDX-License-Identifier: Apache-2.0
#include "saved_model.h"

#include <sstream>
#include <vector>

#include "context.h"
#include "execute.h"
#include "status.h"
#include "tensorflow/c/c_api.h"

namespace tfgeo {
namespace {

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

std::vector<TF_Output> FindOutputs(TF_Graph* graph, const std::string& names) {
  std::vector<TF_Output> outputs;
  for (const std::string& name : Split(names)) outputs.push_back(FindOutput(graph, name));
  return outputs;
}

}  // namespace

TF_Output FindOutput(TF_Graph* graph, const std::string& name) {
  const size_t colon = name.rfind(':');
  const std::string operation = name.substr(0, colon);
  const int index = colon == std::string::npos ? 0 : std::atoi(name.c_str() + colon + 1);
  TF_Operation* found = TF_GraphOperationByName(graph, operation.c_str());
  if (found == nullptr) throw Failure("the SavedModel has no operation '" + operation + "'");
  if (index < 0 || index >= TF_OperationNumOutputs(found)) {
    throw Failure("operation '" + operation + "' of the SavedModel has no output " + std::to_string(index));
  }
  return {found, index};
}

TensorList::~TensorList() {
  for (TF_Tensor* tensor : tensors) {
    if (tensor != nullptr) TF_DeleteTensor(tensor);
  }
}

SavedModel::~SavedModel() {
  Status ignored;
  TF_CloseSession(session, ignored.get());
  TF_DeleteSession(session, ignored.get());
  TF_DeleteGraph(graph);
}

const std::shared_ptr<SavedModel>& SavedModelOf(Environment& environment, int64_t id) {
  auto found = environment.saved_models.find(id);
  if (found == environment.saved_models.end()) throw Failure("no SavedModel has id " + std::to_string(id));
  return found->second;
}

napi_value LoadSavedModel(napi_env env, napi_callback_info info) {
  auto [js_directory, js_tags] = Arguments<2>(env, info);
  const std::string directory = ToString(env, js_directory, "SavedModel directory");
  const std::vector<std::string> tags = Split(ToString(env, js_tags, "tags"));
  std::vector<const char*> tag_pointers;
  for (const std::string& tag : tags) tag_pointers.push_back(tag.c_str());

  Status status;
  TF_SessionOptions* options = TF_NewSessionOptions();
  const std::string config = ConfigProto(StartContext(ContextSettings()));
  TF_SetConfig(options, config.data(), config.size(), status.get());
  TF_Graph* graph = TF_NewGraph();
  TF_Session* session =
      TF_LoadSessionFromSavedModel(options, nullptr, directory.c_str(), tag_pointers.data(),
                                   static_cast<int>(tag_pointers.size()), graph, nullptr, status.get());
  TF_DeleteSessionOptions(options);
  if (!status.ok()) {
    TF_DeleteGraph(graph);
    status.ThrowUnlessOk("SavedModel " + directory);
  }
  Environment& environment = EnvironmentOf(env);
  const int64_t id = environment.next_saved_model++;
  environment.saved_models[id] = std::make_shared<SavedModel>(session, graph);
  return Number(env, static_cast<double>(id));
}

napi_value DeleteSavedModel(napi_env env, napi_callback_info info) {
  auto [js_id] = Arguments<1>(env, info);
  Environment& environment = EnvironmentOf(env);
  const int64_t id = ToInt64(env, js_id, "SavedModel id");
  SavedModelOf(environment, id);
  environment.saved_models.erase(id);
  return Undefined(env);
}

napi_value SavedModelCount(napi_env env, napi_callback_info) {
  return Number(env, static_cast<double>(EnvironmentOf(env).saved_models.size()));
}

napi_value RunSavedModel(napi_env env, napi_callback_info info) {
  auto [js_id, js_inputs, js_input_names, js_output_names] = Arguments<4>(env, info);
  Environment& environment = EnvironmentOf(env);
  const SavedModel& model = *SavedModelOf(environment, ToInt64(env, js_id, "SavedModel id"));
  const auto input_ops = FindOutputs(model.graph, ToString(env, js_input_names, "input names"));
  const auto output_ops = FindOutputs(model.graph, ToString(env, js_output_names, "output names"));
  const uint32_t count = ArrayLength(env, js_inputs, "input ids");
  if (count != input_ops.size()) {
    throw Failure("the SavedModel's signature has " + std::to_string(input_ops.size()) + " inputs, but " +
                  std::to_string(count) + " tensors were given");
  }

  Status status;
  TensorList inputs, outputs;
  for (uint32_t i = 0; i < count; i++) {
    TFE_TensorHandle* handle = environment.tensors.Get(ToInt64(env, Element(env, js_inputs, i), "an input id"));
    inputs.tensors.push_back(TFE_TensorHandleResolve(handle, status.get()));
    status.ThrowUnlessOk("input of the SavedModel");
  }
  outputs.tensors.resize(output_ops.size(), nullptr);
  TF_SessionRun(model.session, nullptr, input_ops.data(), inputs.tensors.data(), static_cast<int>(count),
                output_ops.data(), outputs.tensors.data(), static_cast<int>(output_ops.size()), nullptr, 0, nullptr,
                status.get());
  status.ThrowUnlessOk("running the SavedModel");

  const Keys keys(env, environment);
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, output_ops.size(), &result));
  for (size_t i = 0; i < output_ops.size(); i++) {
    TFE_TensorHandle* handle = TFE_NewTensorHandle(outputs.tensors[i], status.get());
    status.ThrowUnlessOk("output of the SavedModel");
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), DescribeAndAdd(env, environment, keys, handle)));
  }
  return result;
}

}  // namespace tfgeo
