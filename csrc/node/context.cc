// SPDX-License-Identifier: Apache-2.0
#include "context.h"

#include <map>
#include <mutex>

#include "op_table.h"
#include "status.h"
#include "tensorflow/c/c_api.h"

namespace tfgeo {
namespace {

std::mutex g_mutex;
// Never destroyed: TensorFlow's threads may still run while the process leaves main().
TFE_Context* g_context = nullptr;
ContextSettings g_settings;
bool g_uses_gpu = false;

void AppendVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

std::vector<Device> DevicesOf(TFE_Context* context) {
  Status status;
  TF_DeviceList* list = TFE_ContextListDevices(context, status.get());
  status.ThrowUnlessOk("TFE_ContextListDevices");
  std::vector<Device> devices;
  for (int i = 0; i < TF_DeviceListCount(list); i++) {
    Status ignored;
    Device device;
    const char* name = TF_DeviceListName(list, i, ignored.get());
    const char* type = TF_DeviceListType(list, i, ignored.get());
    device.name = name ? name : "";
    device.type = type ? type : "";
    device.memory_bytes = TF_DeviceListMemoryBytes(list, i, ignored.get());
    devices.push_back(device);
  }
  TF_DeleteDeviceList(list);
  return devices;
}

/** Call with g_mutex held. */
void StartLocked(const ContextSettings& wanted) {
  if (g_context != nullptr) return;
  Status status;
  TFE_ContextOptions* options = TFE_NewContextOptions();
  const std::string config = ConfigProto(wanted);
  TFE_ContextOptionsSetConfig(options, config.data(), config.size(), status.get());
  if (status.ok()) {
    TFE_ContextOptionsSetDevicePlacementPolicy(options, TFE_DEVICE_PLACEMENT_SILENT);
    g_context = TFE_NewContext(options, status.get());
  }
  TFE_DeleteContextOptions(options);
  status.ThrowUnlessOk("TFE_NewContext");
  g_settings = wanted;
  for (const Device& device : DevicesOf(g_context)) g_uses_gpu = g_uses_gpu || device.type == "GPU";
}

}  // namespace

std::string ConfigProto(const ContextSettings& settings) {
  std::string config;
  if (settings.intra_threads > 0) {
    AppendVarint(&config, (2 << 3) | 0);  // intra_op_parallelism_threads
    AppendVarint(&config, static_cast<uint64_t>(settings.intra_threads));
  }
  if (settings.inter_threads > 0) {
    AppendVarint(&config, (5 << 3) | 0);  // inter_op_parallelism_threads
    AppendVarint(&config, static_cast<uint64_t>(settings.inter_threads));
  }
  return config;
}

ContextSettings StartContext(const ContextSettings& wanted) {
  std::lock_guard<std::mutex> lock(g_mutex);
  StartLocked(wanted);
  return g_settings;
}

TFE_Context* EagerContext() {
  std::lock_guard<std::mutex> lock(g_mutex);
  StartLocked(ContextSettings());
  return g_context;
}

std::vector<Device> ListDevices() { return DevicesOf(EagerContext()); }

bool UsesGpu() {
  EagerContext();
  return g_uses_gpu;
}

std::string LoadOpLibrary(const std::string& path) {
  static std::map<std::string, std::string>* loaded = new std::map<std::string, std::string>();
  std::lock_guard<std::mutex> lock(g_mutex);
  auto found = loaded->find(path);
  if (found != loaded->end()) return found->second;
  Status status;
  TF_Library* library = TF_LoadLibrary(path.c_str(), status.get());
  status.ThrowUnlessOk(path);
  const TF_Buffer ops = TF_GetOpList(library);
  std::string list(static_cast<const char*>(ops.data), ops.length);
  AddToOpTable(list);
  TF_DeleteLibraryHandle(library);  // frees the handle, not the library
  return (*loaded)[path] = list;
}

}  // namespace tfgeo
