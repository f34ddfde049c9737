// SPDX-License-Identifier: Apache-2.0
// The addon's one export table. Its mirror in TypeScript is src/engine/binding.ts; both change together.
#include <algorithm>
#include <memory>

#include "context.h"
#include "environment.h"
#include "execute.h"
#include "function.h"
#include "function_run.h"
#include "profile.h"
#include "saved_model.h"
#include "session_run.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_attrtype.h"

namespace tfgeo {
namespace {

napi_value CreateTensor(napi_env env, napi_callback_info info) {
  auto [shape, dtype, values] = Arguments<3>(env, info);
  EagerContext();
  TFE_TensorHandle* handle = HandleFromValues(env, ToShape(env, shape),
                                              static_cast<TF_DataType>(ToInt64(env, dtype, "dtype")), values);
  return Number(env, static_cast<double>(EnvironmentOf(env).tensors.Add(handle)));
}

napi_value DeleteTensor(napi_env env, napi_callback_info info) {
  auto [id] = Arguments<1>(env, info);
  EnvironmentOf(env).tensors.Remove(ToInt64(env, id, "tensor id"));
  return Undefined(env);
}

napi_value TensorDataSync(napi_env env, napi_callback_info info) {
  auto [id] = Arguments<1>(env, info);
  return ValuesOfHandle(env, EnvironmentOf(env).tensors.Get(ToInt64(env, id, "tensor id")));
}

napi_value TensorCount(napi_env env, napi_callback_info) {
  return Number(env, static_cast<double>(EnvironmentOf(env).tensors.size()));
}

napi_value IsUsingGpuDevice(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  Check(env, napi_get_boolean(env, UsesGpu(), &result));
  return result;
}

/** startContext(intraThreads, interThreads) -> the [intra, inter] in force (the first call of the process wins). */
napi_value Start(napi_env env, napi_callback_info info) {
  auto [intra, inter] = Arguments<2>(env, info);
  ContextSettings wanted;
  wanted.intra_threads = static_cast<int>(ToInt64(env, intra, "intraThreads"));
  wanted.inter_threads = static_cast<int>(ToInt64(env, inter, "interThreads"));
  const ContextSettings settings = StartContext(wanted);
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, 2, &result));
  Check(env, napi_set_element(env, result, 0, Number(env, settings.intra_threads)));
  Check(env, napi_set_element(env, result, 1, Number(env, settings.inter_threads)));
  return result;
}

/** listDevices() -> [{ name, type, memoryBytes }]. */
napi_value Devices(napi_env env, napi_callback_info) {
  const std::vector<Device> devices = ListDevices();
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, devices.size(), &result));
  for (size_t i = 0; i < devices.size(); i++) {
    napi_value entry = nullptr;
    Check(env, napi_create_object(env, &entry));
    Check(env, napi_set_named_property(env, entry, "name", String(env, devices[i].name)));
    Check(env, napi_set_named_property(env, entry, "type", String(env, devices[i].type)));
    const double memory = static_cast<double>(std::max<int64_t>(0, devices[i].memory_bytes));
    Check(env, napi_set_named_property(env, entry, "memoryBytes", Number(env, memory)));
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), entry));
  }
  return result;
}

napi_value Bytes(napi_env env, const char* bytes, size_t size) {
  void* data = nullptr;
  napi_value buffer = nullptr, result = nullptr;
  Check(env, napi_create_arraybuffer(env, size, &data, &buffer));
  std::copy(bytes, bytes + size, static_cast<char*>(data));
  Check(env, napi_create_typedarray(env, napi_uint8_array, size, buffer, 0, &result));
  return result;
}

/** loadOpLibrary(path) -> its ops as a serialized tensorflow.OpList, in a Uint8Array. */
napi_value LoadLibrary(napi_env env, napi_callback_info info) {
  auto [path] = Arguments<1>(env, info);
  const std::string list = LoadOpLibrary(ToString(env, path, "path of the op library"));
  return Bytes(env, list.data(), list.size());
}

/** opDefinitions() -> every op of the process as a serialized tensorflow.OpList. */
napi_value OpDefinitions(napi_env env, napi_callback_info) {
  TF_Buffer* list = TF_GetAllOpList();
  const std::unique_ptr<TF_Buffer, void (*)(TF_Buffer*)> owner(list, TF_DeleteBuffer);
  return Bytes(env, static_cast<const char*>(list->data), list->length);
}

struct Function {
  const char* name;
  napi_callback callback;
};

const Function kFunctions[] = {
    {"createTensor", Guard<CreateTensor>},
    {"deleteTensor", Guard<DeleteTensor>},
    {"tensorDataSync", Guard<TensorDataSync>},
    {"executeOp", Guard<ExecuteOp>},
    {"loadSavedModel", Guard<LoadSavedModel>},
    {"deleteSavedModel", Guard<DeleteSavedModel>},
    {"runSavedModel", Guard<RunSavedModel>},
    {"getNumOfSavedModels", Guard<SavedModelCount>},
    {"getNumOfTensors", Guard<TensorCount>},
    {"isUsingGpuDevice", Guard<IsUsingGpuDevice>},
    {"startContext", Guard<Start>},
    {"listDevices", Guard<Devices>},
    {"loadOpLibrary", Guard<LoadLibrary>},
    {"opDefinitions", Guard<OpDefinitions>},
    {"runSession", Guard<RunSession>},
    {"allocate", Guard<Allocate>},
    {"traceBegin", Guard<TraceBegin>},
    {"traceArgument", Guard<TraceArgument>},
    {"traceVariable", Guard<TraceVariable>},
    {"traceScope", Guard<TraceScope>},
    {"traceFinish", Guard<TraceFinish>},
    {"traceAbort", Guard<TraceAbort>},
    {"isSymbolic", Guard<IsSymbolic>},
    {"runFunction", Guard<RunFunction>},
    {"startFunction", Guard<StartFunction>},
    {"deleteFunction", Guard<DeleteFunction>},
    {"getNumOfFunctions", Guard<FunctionCount>},
    {"profileGraph", Guard<ProfileGraph>},
};

struct Constant {
  const char* name;
  int value;
};

const Constant kConstants[] = {
    {"TF_FLOAT", TF_FLOAT},
    {"TF_DOUBLE", TF_DOUBLE},
    {"TF_INT32", TF_INT32},
    {"TF_INT64", TF_INT64},
    {"TF_BOOL", TF_BOOL},
    {"TF_COMPLEX64", TF_COMPLEX64},
    {"TF_STRING", TF_STRING},
    {"TF_RESOURCE", TF_RESOURCE},
    {"TF_UINT8", TF_UINT8},
    {"TF_HALF", TF_HALF},
    {"TF_BFLOAT16", TF_BFLOAT16},
    {"TF_ATTR_STRING", TF_ATTR_STRING},
    {"TF_ATTR_INT", TF_ATTR_INT},
    {"TF_ATTR_FLOAT", TF_ATTR_FLOAT},
    {"TF_ATTR_BOOL", TF_ATTR_BOOL},
    {"TF_ATTR_TYPE", TF_ATTR_TYPE},
    {"TF_ATTR_SHAPE", TF_ATTR_SHAPE},
};

void DefineExports(napi_env env, napi_value exports) {
  SetUpEnvironment(env);
  for (const Function& function : kFunctions) {
    napi_value value = nullptr;
    Check(env, napi_create_function(env, function.name, NAPI_AUTO_LENGTH, function.callback, nullptr, &value));
    Check(env, napi_set_named_property(env, exports, function.name, value));
  }
  for (const Constant& constant : kConstants) {
    Check(env, napi_set_named_property(env, exports, constant.name, Number(env, constant.value)));
  }
  Check(env, napi_set_named_property(env, exports, "TF_Version", String(env, TF_Version())));
}

}  // namespace
}  // namespace tfgeo

NAPI_MODULE_INIT() {
  try {
    tfgeo::DefineExports(env, exports);
  } catch (const std::exception& error) {
    napi_throw_error(env, "TFGEO_INTERNAL", error.what());
  } catch (const tfgeo::PendingException&) {
  }
  return exports;
}
