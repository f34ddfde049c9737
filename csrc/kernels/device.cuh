// SPDX-License-Identifier: Apache-2.0
// What CUDA kernels share: launches, vector loads, atomic additions, sums over neighbouring lanes.
//
// Kernels touch global and shared memory through the functions of this file only. Compiled by a host compiler with a
// stand-in for the CUDA headers (TFGEO_CUDA_SHIM), these report every access, and races and overruns are found on
// machines without a GPU.
#ifndef TFGEO_KERNELS_DEVICE_CUH_
#define TFGEO_KERNELS_DEVICE_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#ifdef TFGEO_CUDA_SHIM
#define TFGEO_SHARED(name) unsigned char* name = ::tfgeo::shim::SharedMemory()
#define TFGEO_LAUNCH(kernel, grid, block, shared, stream, ...) \
  ::tfgeo::shim::Launch(__PRETTY_FUNCTION__, grid, block, shared, [=] { kernel(__VA_ARGS__); }, \
                        reinterpret_cast<const void*>(kernel))
#define TFGEO_READ(pointer, bytes) ::tfgeo::shim::Read(pointer, bytes)
#define TFGEO_WRITE(pointer, bytes) ::tfgeo::shim::Write(pointer, bytes)
#define TFGEO_ATOMIC(pointer, bytes) ::tfgeo::shim::Atomic(pointer, bytes)
#define TFGEO_UNROLL(count)
#else
#define TFGEO_SHARED(name) extern __shared__ __align__(32) unsigned char name[]
#define TFGEO_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define TFGEO_READ(pointer, bytes)
#define TFGEO_WRITE(pointer, bytes)
#define TFGEO_ATOMIC(pointer, bytes)
#define TFGEO_PRAGMA(text) _Pragma(#text)
#define TFGEO_UNROLL(count) TFGEO_PRAGMA(unroll count)
#endif

namespace tfgeo::cuda {

constexpr unsigned kWholeWarp = 0xffffffffu;
constexpr int kWarp = 32;

// ---- types ----

// What sums over values of type T are taken in.
template <typename T>
struct Sum {
  typedef float Type;
};
template <>
struct Sum<double> {
  typedef double Type;
};

template <typename A, typename T>
__device__ __forceinline__ A Widen(T x) {
  return static_cast<A>(x);
}
template <>
__device__ __forceinline__ float Widen<float, __half>(__half x) {
  return __half2float(x);
}
template <>
__device__ __forceinline__ float Widen<float, __nv_bfloat16>(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

template <typename T, typename A>
__device__ __forceinline__ T Narrow(A x) {
  return static_cast<T>(x);
}
template <>
__device__ __forceinline__ __half Narrow<__half, float>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 Narrow<__nv_bfloat16, float>(float x) {
  return __float2bfloat16_rn(x);
}

// ---- memory ----

// V neighbours in memory, moved by one instruction where they have 4, 8 or 16 bytes.
template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T at[V];
};

template <typename P>
__device__ __forceinline__ P Load(const P* p) {
  TFGEO_READ(p, sizeof(P));
  return *p;
}

template <typename P>
__device__ __forceinline__ void Store(P* p, const P& value) {
  TFGEO_WRITE(p, sizeof(P));
  *p = value;
}

template <int V, typename T>
__device__ __forceinline__ Pack<T, V> LoadPack(const T* p) {
  return Load(reinterpret_cast<const Pack<T, V>*>(p));
}

template <int V, typename T>
__device__ __forceinline__ void StorePack(T* p, const Pack<T, V>& value) {
  Store(reinterpret_cast<Pack<T, V>*>(p), value);
}

template <typename A>
__device__ __forceinline__ void Add(A* p, A value) {
  TFGEO_ATOMIC(p, sizeof(A));
  atomicAdd(p, value);
}

// Adds V neighbours. Cards from sm_90 on add 2 or 4 floats at once; the addresses are aligned to that.
template <int V, typename A>
__device__ __forceinline__ void AddPack(A* p, const A (&value)[V]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  constexpr int kAtOnce = sizeof(A) == 4 ? (V % 4 == 0 ? 4 : V % 2 == 0 ? 2 : 1) : 1;
#else
  constexpr int kAtOnce = 1;
#endif
#pragma unroll
  for (int i = 0; i < V; i += kAtOnce) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kAtOnce == 4) {
      atomicAdd(reinterpret_cast<float4*>(p + i), make_float4(value[i], value[i + 1], value[i + 2], value[i + 3]));
    } else if constexpr (kAtOnce == 2) {
      atomicAdd(reinterpret_cast<float2*>(p + i), make_float2(value[i], value[i + 1]));
    } else {
      Add(p + i, value[i]);
    }
#else
    Add(p + i, value[i]);
#endif
  }
}

// ---- neighbouring lanes ----

// Over each run of G lanes (a power of two); all 32 lanes of the warp take part, and all get the result of their run.
template <int G, typename A>
__device__ __forceinline__ A SumOverLanes(A x) {
#pragma unroll
  for (int step = 1; step < G; step *= 2) x += __shfl_xor_sync(kWholeWarp, x, step);
  return x;
}

// NaN wins.
template <int G, typename A>
__device__ __forceinline__ A MaxOverLanes(A x) {
#pragma unroll
  for (int step = 1; step < G; step *= 2) {
    const A other = __shfl_xor_sync(kWholeWarp, x, step);
    x = x > other || x != x ? x : other;
  }
  return x;
}

// Four sums over each run of G >= 4 lanes for little more than the price of one: lane i ends with the sum of x(i mod 4),
// because the first two exchanges halve the numbers a lane holds.
template <int G, typename A>
__device__ __forceinline__ A FourSumsOverLanes(A x0, A x1, A x2, A x3, int lane) {
  static_assert(G >= 4, "four results need four lanes");
  const bool odd = lane & 1, high = lane & 2;
  const A low_pair = (odd ? x1 : x0) + __shfl_xor_sync(kWholeWarp, odd ? x0 : x1, 1);
  const A high_pair = (odd ? x3 : x2) + __shfl_xor_sync(kWholeWarp, odd ? x2 : x3, 1);
  A sum = (high ? high_pair : low_pair) + __shfl_xor_sync(kWholeWarp, high ? low_pair : high_pair, 2);
#pragma unroll
  for (int step = 4; step < G; step *= 2) sum += __shfl_xor_sync(kWholeWarp, sum, step);
  return sum;
}

}  // namespace tfgeo::cuda

#endif  // TFGEO_KERNELS_DEVICE_CUH_
