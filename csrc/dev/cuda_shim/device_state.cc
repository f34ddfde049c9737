// SPDX-License-Identifier: Apache-2.0
#include "device_state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace tfgeo::shim {
namespace {

cudaError_t last = cudaSuccess, sticky = cudaSuccess;
std::string report;
std::string text;  // of the sticky error

std::map<const void*, size_t>& Limits() {
  static std::map<const void*, size_t> limits;
  return limits;
}

std::string BriefText(cudaError_t error) {
  switch (error) {
#define TFGEO_SHIM_ERROR(name, value, brief) \
  case name:                                 \
    return brief;
    TFGEO_SHIM_ERRORS(TFGEO_SHIM_ERROR)
#undef TFGEO_SHIM_ERROR
  }
  return "unrecognized error code";
}

}  // namespace

std::recursive_mutex& DeviceLock() {
  static std::recursive_mutex lock;
  return lock;
}

Memory& DeviceMemory() {
  static Memory memory;
  return memory;
}

bool NoCode() {
  const char* set = std::getenv("TFGEO_SHIM_NO_CODE");
  return set != nullptr && std::strcmp(set, "1") == 0;
}

size_t SharedMemoryLimit(const void* function) {
  size_t largest = kSharedMemory;
  for (const auto& [kernel, limit] : Limits()) {
    if (function == nullptr || function == kernel) largest = std::max(largest, limit);
  }
  return largest;
}

cudaError_t SetError(cudaError_t error) {
  if (sticky != cudaSuccess) return sticky;
  if (error != cudaSuccess) last = error;
  return error;
}

cudaError_t StickyError() { return sticky; }

void SetReport(cudaError_t error, std::string what) {
  report = std::move(what);
  std::fprintf(stderr, "cuda shim: %s\n", report.c_str());
  sticky = last = error;
  text = BriefText(error) + " (" + report + ")";
}

void ClearErrors() {
  last = sticky = cudaSuccess;
  report.clear();
}

const std::string& LastReport() { return report; }

}  // namespace tfgeo::shim

using namespace tfgeo::shim;

cudaError_t cudaGetLastError() {
  const std::lock_guard<std::recursive_mutex> held(DeviceLock());
  const cudaError_t error = last;
  last = sticky;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard<std::recursive_mutex> held(DeviceLock());
  return last;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define TFGEO_SHIM_ERROR(name, value, brief) \
  case name:                                 \
    return #name;
    TFGEO_SHIM_ERRORS(TFGEO_SHIM_ERROR)
#undef TFGEO_SHIM_ERROR
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  if (error == sticky && error != cudaSuccess) return text.c_str();
  switch (error) {
#define TFGEO_SHIM_ERROR(name, value, brief) \
  case name:                                 \
    return brief;
    TFGEO_SHIM_ERRORS(TFGEO_SHIM_ERROR)
#undef TFGEO_SHIM_ERROR
  }
  return "unrecognized error code";
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  const std::lock_guard<std::recursive_mutex> held(DeviceLock());
  if (NoCode()) return SetError(cudaErrorNoKernelImageForDevice);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return SetError(cudaSuccess);
  if (value < 0 || static_cast<size_t>(value) > kSharedMemoryOptIn) return SetError(cudaErrorInvalidValue);
  Limits()[function] = static_cast<size_t>(value);
  return SetError(cudaSuccess);
}
