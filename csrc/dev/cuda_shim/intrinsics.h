// SPDX-License-Identifier: Apache-2.0
// What kernels call: keywords, indices, barriers, shuffles, atomics, arithmetic.
#ifndef TFGEO_CUDA_SHIM_INTRINSICS_H_
#define TFGEO_CUDA_SHIM_INTRINSICS_H_

#include <cmath>
#include <cstring>
#include <type_traits>

#include "shim.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

static const uint3& threadIdx = tfgeo::shim::thread_index;
static const uint3& blockIdx = tfgeo::shim::block_index;
static const dim3& blockDim = tfgeo::shim::block_size;
static const dim3& gridDim = tfgeo::shim::grid_size;
constexpr int warpSize = 32;

// The caller's file and line, as last arguments of what waits.
#define TFGEO_SHIM_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define TFGEO_SHIM_PLACE(what) ::tfgeo::shim::Place{what, file, line}

// ---- barriers and votes ----

inline void __syncthreads(TFGEO_SHIM_CALLER) { tfgeo::shim::BlockSync(TFGEO_SHIM_PLACE("__syncthreads"), false); }
inline int __syncthreads_count(int value, TFGEO_SHIM_CALLER) {
  return tfgeo::shim::BlockSync(TFGEO_SHIM_PLACE("__syncthreads_count"), value != 0);
}
inline int __syncthreads_or(int value, TFGEO_SHIM_CALLER) {
  return tfgeo::shim::BlockSync(TFGEO_SHIM_PLACE("__syncthreads_or"), value != 0) > 0;
}
inline int __syncthreads_and(int value, TFGEO_SHIM_CALLER) {
  return tfgeo::shim::BlockSync(TFGEO_SHIM_PLACE("__syncthreads_and"), value == 0) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, TFGEO_SHIM_CALLER) {
  tfgeo::shim::WarpSync(TFGEO_SHIM_PLACE("__syncwarp"), mask);
}
inline unsigned __ballot_sync(unsigned mask, int value, TFGEO_SHIM_CALLER) {
  return tfgeo::shim::WarpBallot(TFGEO_SHIM_PLACE("__ballot_sync"), mask, value != 0);
}
inline int __any_sync(unsigned mask, int value, TFGEO_SHIM_CALLER) {
  return tfgeo::shim::WarpBallot(TFGEO_SHIM_PLACE("__any_sync"), mask, value != 0) != 0;
}
inline int __all_sync(unsigned mask, int value, TFGEO_SHIM_CALLER) {
  return tfgeo::shim::WarpBallot(TFGEO_SHIM_PLACE("__all_sync"), mask, value != 0) == mask;
}
inline unsigned __activemask() { return tfgeo::shim::ActiveLanes(); }
[[noreturn]] inline void __trap(TFGEO_SHIM_CALLER) { tfgeo::shim::Trap(TFGEO_SHIM_PLACE("__trap")); }
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- shuffles ----

namespace tfgeo::shim {

template <typename T>
T Shuffle(Place place, unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>, "shuffles move up to 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = WarpShuffle(place, mask, bits, source);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace tfgeo::shim

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, TFGEO_SHIM_CALLER) {
  const int lane = tfgeo::shim::LaneIndex();
  return tfgeo::shim::Shuffle(TFGEO_SHIM_PLACE("__shfl_sync"), mask, value, (lane & -width) | (source & (width - 1)));
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, TFGEO_SHIM_CALLER) {
  const int lane = tfgeo::shim::LaneIndex(), source = lane ^ bits;
  // From later parts of the warp nothing comes, from earlier ones it does.
  return tfgeo::shim::Shuffle(TFGEO_SHIM_PLACE("__shfl_xor_sync"), mask, value,
                              source > (lane | (width - 1)) ? lane : source);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, TFGEO_SHIM_CALLER) {
  const int lane = tfgeo::shim::LaneIndex(), source = lane + static_cast<int>(delta);
  return tfgeo::shim::Shuffle(TFGEO_SHIM_PLACE("__shfl_down_sync"), mask, value,
                              source > (lane | (width - 1)) ? lane : source);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, TFGEO_SHIM_CALLER) {
  const int lane = tfgeo::shim::LaneIndex(), source = lane - static_cast<int>(delta);
  return tfgeo::shim::Shuffle(TFGEO_SHIM_PLACE("__shfl_up_sync"), mask, value, source < (lane & -width) ? lane : source);
}

// ---- memory ----

template <typename T>
T __ldg(const T* p) {
  tfgeo::shim::Read(p, sizeof(T));
  return *p;
}

namespace tfgeo::shim {

template <typename T>
T AddTo(T* p, T value) {
  Atomic(p, sizeof(T));
  const T old = *p;
  *p = old + value;
  return old;
}

}  // namespace tfgeo::shim

inline float atomicAdd(float* p, float value) { return tfgeo::shim::AddTo(p, value); }
inline double atomicAdd(double* p, double value) { return tfgeo::shim::AddTo(p, value); }
inline int atomicAdd(int* p, int value) { return tfgeo::shim::AddTo(p, value); }
inline unsigned atomicAdd(unsigned* p, unsigned value) { return tfgeo::shim::AddTo(p, value); }
inline float2 atomicAdd(float2* p, float2 value) {
  tfgeo::shim::Atomic(p, sizeof(float2));
  return {atomicAdd(&p->x, value.x), atomicAdd(&p->y, value.y)};
}
inline float4 atomicAdd(float4* p, float4 value) {
  tfgeo::shim::Atomic(p, sizeof(float4));
  return {atomicAdd(&p->x, value.x), atomicAdd(&p->y, value.y), atomicAdd(&p->z, value.z), atomicAdd(&p->w, value.w)};
}

// ---- arithmetic ----

namespace tfgeo::shim {

template <typename To, typename From>
To BitsAs(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To bits;
  std::memcpy(&bits, &value, sizeof(To));
  return bits;
}

}  // namespace tfgeo::shim

inline int __float_as_int(float x) { return tfgeo::shim::BitsAs<int>(x); }
inline unsigned __float_as_uint(float x) { return tfgeo::shim::BitsAs<unsigned>(x); }
inline float __int_as_float(int x) { return tfgeo::shim::BitsAs<float>(x); }
inline float __uint_as_float(unsigned x) { return tfgeo::shim::BitsAs<float>(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int min(int x, int y) { return x < y ? x : y; }
inline int max(int x, int y) { return x > y ? x : y; }
inline unsigned min(unsigned x, unsigned y) { return x < y ? x : y; }
inline unsigned max(unsigned x, unsigned y) { return x > y ? x : y; }
inline float min(float x, float y) { return std::fmin(x, y); }
inline float max(float x, float y) { return std::fmax(x, y); }
inline double min(double x, double y) { return std::fmin(x, y); }
inline double max(double x, double y) { return std::fmax(x, y); }

#endif  // TFGEO_CUDA_SHIM_INTRINSICS_H_
