// SPDX-License-Identifier: Apache-2.0
// Errors of CUDA calls as codes and sentences. Nothing is launched without a look at what became of it.
#ifndef TFGEO_KERNELS_CUDA_CALL_CUH_
#define TFGEO_KERNELS_CUDA_CALL_CUH_

#include <cuda_runtime.h>

#include "abi.h"
#include "cuda_library.h"
#include "fail.h"

namespace tfgeo::cuda {

// What went wrong with `what`; the error is taken from the runtime's memory unless the context is lost.
TfgeoCode FailWith(cudaError_t status, const char* what, TfgeoError error);

// The launch before this call.
inline TfgeoCode AfterLaunch(const char* what, TfgeoError error) {
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? TFGEO_OK : FailWith(status, what, error);
}

// Multiprocessors of the current device.
cudaError_t Processors(int* count);

}  // namespace tfgeo::cuda

#define TFGEO_CUDA_TRY(call, error)                                                           \
  do {                                                                                        \
    const cudaError_t tfgeo_status = (call);                                                  \
    if (tfgeo_status != cudaSuccess) return ::tfgeo::cuda::FailWith(tfgeo_status, #call, error); \
  } while (false)

#endif  // TFGEO_KERNELS_CUDA_CALL_CUH_
