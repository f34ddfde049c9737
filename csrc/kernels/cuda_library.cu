// SPDX-License-Identifier: Apache-2.0
#include "cuda_library.h"

#include <atomic>

#include "cuda_call.cuh"
#include "device.cuh"

// The build names what it compiles for.
#ifndef TFGEO_CUDA_TARGETS
#error "define TFGEO_CUDA_TARGETS, as in \"sm_90 compute_90\""
#endif

namespace tfgeo::cuda {
namespace {

constexpr int kMaxDevices = 64;

// Asks after this kernel tell whether the library holds code for a card: all kernels are compiled for the same ones.
__global__ void ProbeKernel(int* p) { Store(p, 1); }

TfgeoCode NoGpuCode(int device, TfgeoError error) {
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return Fail(error, TFGEO_NO_GPU_CODE,
              "this card is sm_%d%d and tfgeo_cuda.so holds code for %s only; build it for the card with "
              "`TFGEO_CUDA_TARGETS=sm_%d%d npx tfgeo-train setup --cuda`",
              major, minor, TFGEO_CUDA_TARGETS, major, minor);
}

}  // namespace

TfgeoCode FailWith(cudaError_t status, const char* what, TfgeoError error) {
  cudaGetLastError();
  int device = 0;
  if (status == cudaErrorNoKernelImageForDevice && cudaGetDevice(&device) == cudaSuccess) {
    return NoGpuCode(device, error);
  }
  const TfgeoCode code = status == cudaErrorMemoryAllocation ? TFGEO_OUT_OF_MEMORY : TFGEO_GPU_ERROR;
  return Fail(error, code, "%s failed: %s (%s)", what, cudaGetErrorString(status), cudaGetErrorName(status));
}

cudaError_t Processors(int* count) {
  static std::atomic<int> known[kMaxDevices];
  int device = 0;
  const cudaError_t status = cudaGetDevice(&device);
  if (status != cudaSuccess) return status;
  if (device < kMaxDevices && (*count = known[device].load()) > 0) return cudaSuccess;
  const cudaError_t asked = cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device);
  if (asked == cudaSuccess && device < kMaxDevices) known[device].store(*count);
  return asked;
}

}  // namespace tfgeo::cuda

using namespace tfgeo::cuda;

const char* tfgeo_cuda_targets(void) { return TFGEO_CUDA_TARGETS; }

TfgeoCode tfgeo_cuda_check_device(TfgeoError error) {
  static std::atomic<bool> served[kMaxDevices];
  int device = 0;
  TFGEO_CUDA_TRY(cudaGetDevice(&device), error);
  if (device < kMaxDevices && served[device].load()) return TFGEO_OK;
  cudaFuncAttributes attributes;
  const auto probe = ProbeKernel;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, probe);
  // Both say that there is nothing to run; which of them comes depends on how the library was loaded.
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction) {
    cudaGetLastError();
    return NoGpuCode(device, error);
  }
  TFGEO_CUDA_TRY(status, error);
  if (device < kMaxDevices) served[device].store(true);
  return TFGEO_OK;
}
