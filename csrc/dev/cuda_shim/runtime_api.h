// SPDX-License-Identifier: Apache-2.0
// The part of CUDA's runtime API that launchers and their programs use. Work is done when a call returns. The names have
// C++ linkage, so that a real CUDA runtime may live in the same process.
//
// TFGEO_SHIM_NO_CODE=1 makes the device one that the kernels were not compiled for.
#ifndef TFGEO_CUDA_SHIM_RUNTIME_API_H_
#define TFGEO_CUDA_SHIM_RUNTIME_API_H_

#include "shim.h"

// ---- errors ----

#define TFGEO_SHIM_ERRORS(X)                                                                   \
  X(cudaSuccess, 0, "no error")                                                                \
  X(cudaErrorInvalidValue, 1, "invalid argument")                                              \
  X(cudaErrorMemoryAllocation, 2, "out of memory")                                             \
  X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                        \
  X(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")                  \
  X(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime version") \
  X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                             \
  X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                              \
  X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                     \
  X(cudaErrorNoKernelImageForDevice, 209, "no kernel image is available for execution on the device") \
  X(cudaErrorUnsupportedPtxVersion, 222, "the provided PTX was compiled with an unsupported toolchain.") \
  X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                  \
  X(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered")                \
  X(cudaErrorMisalignedAddress, 716, "misaligned address")                                     \
  X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                 \
  X(cudaErrorUnknown, 999, "unknown error")

enum cudaError {
#define TFGEO_SHIM_ERROR(name, value, text) name = value,
  TFGEO_SHIM_ERRORS(TFGEO_SHIM_ERROR)
#undef TFGEO_SHIM_ERROR
};
typedef cudaError cudaError_t;

TFGEO_SHIM_API cudaError_t cudaGetLastError();
TFGEO_SHIM_API cudaError_t cudaPeekAtLastError();
TFGEO_SHIM_API const char* cudaGetErrorName(cudaError_t error);
TFGEO_SHIM_API const char* cudaGetErrorString(cudaError_t error);

// ---- devices ----

enum cudaDeviceAttr {
  cudaDevAttrMaxThreadsPerBlock = 1,
  cudaDevAttrMaxSharedMemoryPerBlock = 8,
  cudaDevAttrWarpSize = 10,
  cudaDevAttrClockRate = 13,
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrMemoryClockRate = 36,
  cudaDevAttrGlobalMemoryBusWidth = 37,
  cudaDevAttrL2CacheSize = 38,
  cudaDevAttrMaxThreadsPerMultiProcessor = 39,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
  int major, minor, multiProcessorCount, warpSize, maxThreadsPerBlock, l2CacheSize, memoryBusWidth;
};

TFGEO_SHIM_API cudaError_t cudaGetDeviceCount(int* count);
TFGEO_SHIM_API cudaError_t cudaGetDevice(int* device);
TFGEO_SHIM_API cudaError_t cudaSetDevice(int device);
TFGEO_SHIM_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
TFGEO_SHIM_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
TFGEO_SHIM_API cudaError_t cudaDeviceSynchronize();
// Frees everything and clears a sticky error.
TFGEO_SHIM_API cudaError_t cudaDeviceReset();
TFGEO_SHIM_API cudaError_t cudaDriverGetVersion(int* version);
TFGEO_SHIM_API cudaError_t cudaRuntimeGetVersion(int* version);

// ---- memory ----

enum cudaMemcpyKind {
  cudaMemcpyHostToHost = 0,
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault = 4
};

struct CUstream_st;
typedef CUstream_st* cudaStream_t;

TFGEO_SHIM_API cudaError_t cudaMalloc(void** p, size_t bytes);
TFGEO_SHIM_API cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream);
TFGEO_SHIM_API cudaError_t cudaFree(void* p);
TFGEO_SHIM_API cudaError_t cudaFreeAsync(void* p, cudaStream_t stream);
TFGEO_SHIM_API cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind);
TFGEO_SHIM_API cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                           cudaStream_t stream = nullptr);
TFGEO_SHIM_API cudaError_t cudaMemset(void* p, int value, size_t bytes);
TFGEO_SHIM_API cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream = nullptr);

template <typename T>
cudaError_t cudaMalloc(T** p, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(p), bytes);
}

// ---- streams and events ----

constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDefault = 0;
struct CUevent_st;
typedef CUevent_st* cudaEvent_t;

TFGEO_SHIM_API cudaError_t cudaStreamCreate(cudaStream_t* stream);
TFGEO_SHIM_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
TFGEO_SHIM_API cudaError_t cudaStreamDestroy(cudaStream_t stream);
TFGEO_SHIM_API cudaError_t cudaStreamSynchronize(cudaStream_t stream);
TFGEO_SHIM_API cudaError_t cudaEventCreate(cudaEvent_t* event);
TFGEO_SHIM_API cudaError_t cudaEventDestroy(cudaEvent_t event);
TFGEO_SHIM_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
TFGEO_SHIM_API cudaError_t cudaEventSynchronize(cudaEvent_t event);
TFGEO_SHIM_API cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);

// ---- kernels ----

struct cudaFuncAttributes {
  size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
  int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, maxDynamicSharedSizeBytes;
};
enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

TFGEO_SHIM_API cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function);
TFGEO_SHIM_API cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value);
// As if registers never were the limit.
TFGEO_SHIM_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                                         int threads, size_t shared);

template <typename R, typename... Args>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, R (*function)(Args...)) {
  return cudaFuncGetAttributes(attributes, reinterpret_cast<const void*>(function));
}
template <typename R, typename... Args>
cudaError_t cudaFuncSetAttribute(R (*function)(Args...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(function), attribute, value);
}
template <typename R, typename... Args>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, R (*function)(Args...), int threads,
                                                          size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void*>(function), threads,
                                                       shared);
}

#endif  // TFGEO_CUDA_SHIM_RUNTIME_API_H_
