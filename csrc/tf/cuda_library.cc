// SPDX-License-Identifier: Apache-2.0
#include "cuda_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

#include "errors.h"
#include "xla/stream_executor/stream.h"

namespace tfgeo {
namespace {

constexpr char kFile[] = "tfgeo_cuda.so";
constexpr char kRemedy[] = "; `npx tfgeo-train setup` puts it in place, TFGEO_CUDA_LIBRARY names one elsewhere";

// Where the library is to be, by the setting or beside the library that this code is in.
std::string Path() {
  const char* wanted = std::getenv("TFGEO_CUDA_LIBRARY");
  if (wanted != nullptr && *wanted != '\0') return wanted;
  Dl_info own;
  if (dladdr(reinterpret_cast<const void*>(&OpenCudaLibrary), &own) == 0 || own.dli_fname == nullptr) return kFile;
  const std::string file = own.dli_fname;
  return file.substr(0, file.rfind('/') + 1) + kFile;
}

template <typename F>
bool Find(void* handle, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(handle, name));
  return *function != nullptr;
}

absl::Status Open(CudaLibrary* library) {
  const std::string path = Path();
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return absl::FailedPreconditionError(absl::StrCat("[tfgeo] the GPU kernels need the library ", path,
                                                      ", which cannot be opened (", reason ? reason : "no reason given",
                                                      ")", kRemedy));
  }
  const bool whole = Find(handle, "tfgeo_cuda_targets", &library->targets) &&
                     Find(handle, "tfgeo_cuda_check_device", &library->check_device) &&
                     Find(handle, "tfgeo_cuda_ms_deform_attn", &library->ms_deform_attn) &&
                     Find(handle, "tfgeo_cuda_ms_deform_attn_grad_scratch", &library->ms_deform_attn_grad_scratch) &&
                     Find(handle, "tfgeo_cuda_ms_deform_attn_grad", &library->ms_deform_attn_grad);
  if (whole) return absl::OkStatus();
  dlclose(handle);
  return absl::FailedPreconditionError(
      absl::StrCat("[tfgeo] ", path, " is not this version's library of GPU kernels", kRemedy));
}

}  // namespace

absl::Status OpenCudaLibrary(tensorflow::OpKernelContext* context, const CudaLibrary** library) {
  static std::mutex mutex;
  static CudaLibrary* opened = nullptr;
  static std::set<std::string>* checked = new std::set<std::string>();  // devices that the library has code for
  std::lock_guard<std::mutex> lock(mutex);
  if (opened == nullptr) {
    CudaLibrary table = {};
    TF_RETURN_IF_ERROR(Open(&table));
    opened = new CudaLibrary(table);
  }
  const std::string& device = context->device()->name();
  if (checked->count(device) == 0) {
    char sentence[512] = "";
    TF_RETURN_IF_ERROR(ToStatus(opened->check_device({sentence, sizeof(sentence)}), sentence));
    checked->insert(device);
  }
  *library = opened;
  return absl::OkStatus();
}

void* CudaStream(tensorflow::OpKernelContext* context) {
  tensorflow::DeviceContext* device = context->op_device_context();
  if (device == nullptr || device->stream() == nullptr) return nullptr;
  return device->stream()->platform_specific_handle().stream;
}

}  // namespace tfgeo
