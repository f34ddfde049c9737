// SPDX-License-Identifier: Apache-2.0
// Stands in for mmcv's header of this name, without PyTorch: 16-bit floats that convert, compute and add as PyTorch's
// do, that is in float32 with a rounding after each operation.
#ifndef TFGEO_BENCH_CUDA_STUBS_PYTORCH_CUDA_HELPER_HPP_
#define TFGEO_BENCH_CUDA_STUBS_PYTORCH_CUDA_HELPER_HPP_

#include <cuda_fp16.h>

namespace tfgeo_bench {

struct Half {
  __half bits;
  Half() = default;
  __host__ __device__ Half(float x) : bits(__float2half_rn(x)) {}
  __host__ __device__ operator float() const { return __half2float(bits); }
};

#define TFGEO_BENCH_HALF_OPERATOR(op)                                                                           \
  __host__ __device__ inline Half operator op(Half a, Half b) { return float(a) op float(b); }                  \
  __host__ __device__ inline Half operator op(Half a, int b) { return a op Half(static_cast<float>(b)); }       \
  __host__ __device__ inline Half operator op(int a, Half b) { return Half(static_cast<float>(a)) op b; }       \
  __host__ __device__ inline float operator op(Half a, float b) { return float(a) op b; }                       \
  __host__ __device__ inline float operator op(float a, Half b) { return a op float(b); }                       \
  __host__ __device__ inline double operator op(Half a, double b) { return static_cast<double>(float(a)) op b; } \
  __host__ __device__ inline double operator op(double a, Half b) { return a op static_cast<double>(float(b)); }
TFGEO_BENCH_HALF_OPERATOR(+)
TFGEO_BENCH_HALF_OPERATOR(-)
TFGEO_BENCH_HALF_OPERATOR(*)
TFGEO_BENCH_HALF_OPERATOR(/)
#undef TFGEO_BENCH_HALF_OPERATOR

__host__ __device__ inline Half operator-(Half a) { return -float(a); }
__host__ __device__ inline Half& operator+=(Half& a, Half b) { return a = a + b; }
__host__ __device__ inline Half& operator-=(Half& a, Half b) { return a = a - b; }
__host__ __device__ inline Half& operator*=(Half& a, Half b) { return a = a * b; }

__device__ inline Half atomicAdd(Half* p, Half x) { return __half2float(::atomicAdd(&p->bits, x.bits)); }

}  // namespace tfgeo_bench

#endif  // TFGEO_BENCH_CUDA_STUBS_PYTORCH_CUDA_HELPER_HPP_
