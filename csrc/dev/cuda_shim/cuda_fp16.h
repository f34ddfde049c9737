// SPDX-License-Identifier: Apache-2.0
// CUDA's header of this name: IEEE half precision.
#ifndef TFGEO_CUDA_SHIM_CUDA_FP16_H_
#define TFGEO_CUDA_SHIM_CUDA_FP16_H_

#include "cuda_runtime.h"
#include "small_floats.h"

typedef tfgeo::shim::SmallFloat<10> __half;
typedef tfgeo::shim::SmallFloatPair<__half> __half2;
typedef __half half;
typedef __half2 half2;

inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline __half __double2half(double x) { return x; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline __half2 __float22half2_rn(float2 x) { return {x.x, x.y}; }
inline float2 __half22float2(__half2 x) { return {x.x, x.y}; }
inline float __low2float(__half2 x) { return x.x; }
inline float __high2float(__half2 x) { return x.y; }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __half __ushort_as_half(unsigned short bits) {
  __half x;
  x.bits = bits;
  return x;
}

#endif  // TFGEO_CUDA_SHIM_CUDA_FP16_H_
