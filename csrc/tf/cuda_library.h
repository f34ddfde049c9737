// SPDX-License-Identifier: Apache-2.0
// tfgeo_cuda.so as a table of functions. It is opened when the first GPU kernel runs: the op library itself serves
// machines with and without CUDA, and the CUDA library every TensorFlow.
#ifndef TFGEO_TF_CUDA_LIBRARY_H_
#define TFGEO_TF_CUDA_LIBRARY_H_

#include "../kernels/cuda_library.h"
#include "../kernels/ms_deform_attn.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tfgeo {

struct CudaLibrary {
  decltype(&tfgeo_cuda_targets) targets;
  decltype(&tfgeo_cuda_check_device) check_device;
  decltype(&tfgeo_cuda_ms_deform_attn) ms_deform_attn;
  decltype(&tfgeo_cuda_ms_deform_attn_grad_scratch) ms_deform_attn_grad_scratch;
  decltype(&tfgeo_cuda_ms_deform_attn_grad) ms_deform_attn_grad;
};

// The library: the file TFGEO_CUDA_LIBRARY names, else the one beside the op library. FailedPrecondition where it is
// missing, damaged, of another version, or holds no code for the device of `context`.
absl::Status OpenCudaLibrary(tensorflow::OpKernelContext* context, const CudaLibrary** library);

// The cudaStream_t of the op; null is the device's default stream.
void* CudaStream(tensorflow::OpKernelContext* context);

}  // namespace tfgeo

#endif  // TFGEO_TF_CUDA_LIBRARY_H_
