// SPDX-License-Identifier: Apache-2.0
// The kernels of mmcv (open-mmlab/mmcv, mmcv/ops/csrc/common/cuda), compiled from a copy that the user has fetched:
// ms_deform_attn_cuda_kernel.cuh and the common_cuda_helper.hpp beside it must lie on the include path. Which kernel runs
// for which number of channels, with how many threads, is mmcv's choice, told here in other words.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>

#include "pytorch_cuda_helper.hpp"

using tfgeo_bench::Half;

#include "ms_deform_attn_cuda_kernel.cuh"
#include "reference.h"

namespace {

const char* Outcome() {
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

// A backward call with everything but the kernel.
template <typename T>
struct Backward {
  const TfgeoReferenceCall& c;
  const T *grad_output, *value, *locations, *weights;
  T *grad_value, *grad_locations, *grad_weights;

  int Threads() const { return c.dim < THREADS_PER_BLOCK ? c.dim : THREADS_PER_BLOCK; }

  template <typename Kernel>
  void Launch(Kernel kernel, size_t shared) const {
    const int count = c.batch * c.queries * c.heads * c.dim;
    kernel<<<GET_BLOCKS(count, Threads()), Threads(), shared, static_cast<cudaStream_t>(c.stream)>>>(
        count, grad_output, value, c.shapes, c.starts, locations, weights, c.batch, c.length, c.heads, c.dim,
        c.levels, c.queries, c.points, grad_value, grad_locations, grad_weights);
  }

  // Powers of two up to 512 have kernels of their own.
  template <unsigned kDim>
  bool LaunchForDim() const {
    if constexpr (kDim > 512) {
      return false;
    } else {
      if (c.dim != static_cast<int>(kDim)) return LaunchForDim<2 * kDim>();
      if constexpr (kDim < 64) {
        Launch(ms_deformable_col2im_gpu_kernel_shm_blocksize_aware_reduce_v1<T, kDim>, 0);
      } else {
        Launch(ms_deformable_col2im_gpu_kernel_shm_blocksize_aware_reduce_v2<T, kDim>, 0);
      }
      return true;
    }
  }

  const char* Run() const {
    const size_t shared = 3 * sizeof(T) * Threads();
    if (c.dim > THREADS_PER_BLOCK && c.dim % THREADS_PER_BLOCK != 0) {
      Launch(ms_deformable_col2im_gpu_kernel_gm<T>, 0);
    } else if (c.dim > THREADS_PER_BLOCK) {
      Launch(ms_deformable_col2im_gpu_kernel_shm_reduce_v2_multi_blocks<T>, shared);
    } else if (LaunchForDim<1>()) {
      // done
    } else if (c.dim < 64) {
      Launch(ms_deformable_col2im_gpu_kernel_shm_reduce_v1<T>, shared);
    } else {
      Launch(ms_deformable_col2im_gpu_kernel_shm_reduce_v2<T>, shared);
    }
    return Outcome();
  }
};

template <typename T>
const char* Forward(const TfgeoReferenceCall& c, const void* value, const void* locations, const void* weights,
                    void* output) {
  const int count = c.batch * c.queries * c.heads * c.dim;
  ms_deformable_im2col_gpu_kernel<T>
      <<<GET_BLOCKS(count, THREADS_PER_BLOCK), THREADS_PER_BLOCK, 0, static_cast<cudaStream_t>(c.stream)>>>(
          count, static_cast<const T*>(value), c.shapes, c.starts, static_cast<const T*>(locations),
          static_cast<const T*>(weights), c.batch, c.length, c.heads, c.dim, c.levels, c.queries, c.points,
          static_cast<T*>(output));
  return Outcome();
}

template <typename T>
const char* RunBackward(const TfgeoReferenceCall& c, const void* grad_output, const void* value,
                        const void* locations, const void* weights, void* grad_value, void* grad_locations,
                        void* grad_weights) {
  return Backward<T>{c,
                     static_cast<const T*>(grad_output),
                     static_cast<const T*>(value),
                     static_cast<const T*>(locations),
                     static_cast<const T*>(weights),
                     static_cast<T*>(grad_value),
                     static_cast<T*>(grad_locations),
                     static_cast<T*>(grad_weights)}
      .Run();
}

}  // namespace

const char* tfgeo_reference_name(void) { return "mmcv"; }

int tfgeo_reference_supports(TfgeoType type) { return type == TFGEO_FLOAT32 || type == TFGEO_FLOAT16; }

const char* tfgeo_reference_forward(TfgeoType type, const TfgeoReferenceCall* c, const void* value,
                                    const void* locations, const void* weights, void* output) {
  return (type == TFGEO_FLOAT32 ? Forward<float> : Forward<Half>)(*c, value, locations, weights, output);
}

const char* tfgeo_reference_backward(TfgeoType type, const TfgeoReferenceCall* c, const void* grad_output,
                                     const void* value, const void* locations, const void* weights, void* grad_value,
                                     void* grad_locations, void* grad_weights) {
  return (type == TFGEO_FLOAT32 ? RunBackward<float> : RunBackward<Half>)(
      *c, grad_output, value, locations, weights, grad_value, grad_locations, grad_weights);
}
