// SPDX-License-Identifier: Apache-2.0
// The runtime API; what it says of errors and kernels stands in device_state.cc.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device_state.h"

using namespace tfgeo::shim;

struct CUstream_st {};
struct CUevent_st {
  std::chrono::steady_clock::time_point time;
};

namespace {

typedef std::lock_guard<std::recursive_mutex> Held;

// Whether all bytes lie in device memory.
bool OnDevice(const void* p, size_t bytes) {
  const Allocation* allocation = DeviceMemory().Find(p);
  return allocation != nullptr && allocation->Holds(p, bytes);
}

// TFGEO_SHIM_ARCH=12.0 pretends another card.
void ComputeCapability(int* major, int* minor) {
  const char* set = std::getenv("TFGEO_SHIM_ARCH");
  if (set == nullptr || std::sscanf(set, "%d.%d", major, minor) != 2) {
    *major = 9;
    *minor = 0;
  }
}

}  // namespace

// ---- devices ----

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  const Held held(DeviceLock());
  *device = 0;
  return SetError(cudaSuccess);
}

cudaError_t cudaSetDevice(int device) {
  const Held held(DeviceLock());
  return SetError(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const Held held(DeviceLock());
  if (device != 0) return SetError(cudaErrorInvalidDevice);
  int major, minor;
  ComputeCapability(&major, &minor);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = kSharedMemory; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrClockRate: *value = 1000000; break;
    case cudaDevAttrMultiProcessorCount: *value = kMultiprocessors; break;
    case cudaDevAttrMemoryClockRate: *value = 1000000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 64; break;
    case cudaDevAttrL2CacheSize: *value = 1 << 20; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = kThreadsOfMultiprocessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = kSharedMemoryOptIn + 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = kSharedMemoryOptIn; break;
    default: return SetError(cudaErrorInvalidValue);
  }
  return SetError(cudaSuccess);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const Held held(DeviceLock());
  if (device != 0) return SetError(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "CPU stand-in for CUDA");
  properties->totalGlobalMem = size_t{1} << 33;
  properties->sharedMemPerBlock = kSharedMemory;
  properties->sharedMemPerBlockOptin = kSharedMemoryOptIn;
  properties->sharedMemPerMultiprocessor = kSharedMemoryOptIn + 1024;
  ComputeCapability(&properties->major, &properties->minor);
  properties->multiProcessorCount = kMultiprocessors;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->l2CacheSize = 1 << 20;
  properties->memoryBusWidth = 64;
  return SetError(cudaSuccess);
}

cudaError_t cudaDeviceSynchronize() {
  const Held held(DeviceLock());
  return StickyError();
}

cudaError_t cudaDeviceReset() {
  const Held held(DeviceLock());
  DeviceMemory().Clear();
  ClearErrors();
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }

// ---- memory ----

cudaError_t cudaMalloc(void** p, size_t bytes) {
  const Held held(DeviceLock());
  *p = nullptr;
  if (StickyError() != cudaSuccess) return StickyError();
  if (bytes == 0) return cudaSuccess;
  Allocation* made = DeviceMemory().Allocate(bytes);
  if (made == nullptr) return SetError(cudaErrorMemoryAllocation);
  *p = made->data();
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t) { return cudaMalloc(p, bytes); }

cudaError_t cudaFree(void* p) {
  const Held held(DeviceLock());
  if (p == nullptr || DeviceMemory().Free(p)) return SetError(cudaSuccess);
  return SetError(cudaErrorInvalidValue);
}

cudaError_t cudaFreeAsync(void* p, cudaStream_t) { return cudaFree(p); }

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const Held held(DeviceLock());
  if (StickyError() != cudaSuccess) return StickyError();
  if (bytes == 0) return cudaSuccess;
  const bool device_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool device_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind != cudaMemcpyDefault) {
    if (OnDevice(to, 1) != device_to || OnDevice(from, 1) != device_from) {
      return SetError(cudaErrorInvalidMemcpyDirection);
    }
  }
  for (const void* p : {static_cast<const void*>(to), from}) {
    if (OnDevice(p, 1) && !OnDevice(p, bytes)) return SetError(cudaErrorInvalidValue);
  }
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}

cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  const Held held(DeviceLock());
  if (StickyError() != cudaSuccess) return StickyError();
  if (bytes == 0) return cudaSuccess;
  if (!OnDevice(p, bytes)) return SetError(cudaErrorInvalidValue);
  std::memset(p, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) { return cudaMemset(p, value, bytes); }

// ---- streams and events ----

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaDeviceSynchronize(); }

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaDeviceSynchronize(); }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

// ---- kernels ----

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  const Held held(DeviceLock());
  *attributes = {};
  if (NoCode()) return SetError(cudaErrorNoKernelImageForDevice);
  int major, minor;
  ComputeCapability(&major, &minor);
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->ptxVersion = attributes->binaryVersion = 10 * major + minor;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(SharedMemoryLimit(function));
  return SetError(cudaSuccess);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads, size_t shared) {
  const Held held(DeviceLock());
  *blocks = 0;
  if (NoCode()) return SetError(cudaErrorNoKernelImageForDevice);
  if (threads < 1 || threads > 1024) return SetError(cudaErrorInvalidValue);
  const size_t by_memory = shared == 0 ? 32 : (kSharedMemoryOptIn + 1024) / (shared + 1024);
  *blocks = static_cast<int>(std::min<size_t>({by_memory, static_cast<size_t>(kThreadsOfMultiprocessor / threads), 32}));
  return SetError(cudaSuccess);
}
