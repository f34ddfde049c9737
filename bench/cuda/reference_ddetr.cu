// SPDX-License-Identifier: Apache-2.0
// The kernels of Deformable DETR (fundamentalvision/Deformable-DETR, models/ops/src/cuda), compiled from a copy that the
// user has fetched: ms_deform_im2col_cuda.cuh must lie on the include path.
#include <cuda_runtime.h>

#include <cstdint>

#include "ms_deform_im2col_cuda.cuh"
#include "reference.h"

namespace {

const char* Outcome() {
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

template <typename T>
const T* As(const void* p) {
  return static_cast<const T*>(p);
}

}  // namespace

const char* tfgeo_reference_name(void) { return "Deformable-DETR"; }

int tfgeo_reference_supports(TfgeoType type) { return type == TFGEO_FLOAT32; }

const char* tfgeo_reference_forward(TfgeoType, const TfgeoReferenceCall* c, const void* value, const void* locations,
                                    const void* weights, void* output) {
  ms_deformable_im2col_cuda<float>(static_cast<cudaStream_t>(c->stream), As<float>(value), c->shapes, c->starts,
                                   As<float>(locations), As<float>(weights), c->batch, c->length, c->heads, c->dim,
                                   c->levels, c->queries, c->points, static_cast<float*>(output));
  return Outcome();
}

const char* tfgeo_reference_backward(TfgeoType, const TfgeoReferenceCall* c, const void* grad_output,
                                     const void* value, const void* locations, const void* weights, void* grad_value,
                                     void* grad_locations, void* grad_weights) {
  ms_deformable_col2im_cuda<float>(static_cast<cudaStream_t>(c->stream), As<float>(grad_output), As<float>(value),
                                   c->shapes, c->starts, As<float>(locations), As<float>(weights), c->batch,
                                   c->length, c->heads, c->dim, c->levels, c->queries, c->points,
                                   static_cast<float*>(grad_value), static_cast<float*>(grad_locations),
                                   static_cast<float*>(grad_weights));
  return Outcome();
}
