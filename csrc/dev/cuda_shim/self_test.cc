// SPDX-License-Identifier: Apache-2.0
// Checks the stand-in itself: kernels that are right give what a card gives, kernels with a fault are stopped with a
// report that names it.
//     g++ -std=c++17 -O2 -I csrc/dev/cuda_shim csrc/dev/cuda_shim/*.cc -o /tmp/self_test && /tmp/self_test
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

namespace {

using tfgeo::shim::Atomic;
using tfgeo::shim::LastReport;
using tfgeo::shim::Launch;
using tfgeo::shim::Read;
using tfgeo::shim::SharedMemory;
using tfgeo::shim::Write;

int failures = 0;

void Expect(bool right, const std::string& what, const std::string& found = "") {
  std::printf("%s  %s%s\n", right ? "ok  " : "FAIL", what.c_str(), right || found.empty() ? "" : (": " + found).c_str());
  if (!right) ++failures;
}

// 4096 ints on the device, zero.
struct Fresh {
  int* p = nullptr;
  Fresh() {
    cudaDeviceReset();
    cudaMalloc(&p, 4096 * sizeof(int));
    cudaMemset(p, 0, 4096 * sizeof(int));
  }
  std::vector<int> Host() const {
    std::vector<int> host(4096);
    cudaMemcpy(host.data(), p, 4096 * sizeof(int), cudaMemcpyDeviceToHost);
    return host;
  }
};

void Set(int* p, int value) {
  Write(p, sizeof(int));
  *p = value;
}

int Get(const int* p) {
  Read(p, sizeof(int));
  return *p;
}

// ---- kernels without fault ----

void RunsWell(const char* what, dim3 grid, dim3 block, size_t shared, const std::function<void(int*)>& kernel,
              const std::function<int(int)>& want, int count) {
  Fresh data;
  Launch("well", grid, block, shared, [&] { kernel(data.p); });
  const cudaError_t error = cudaGetLastError();
  int wrong = 0;
  const std::vector<int> got = data.Host();
  for (int i = 0; error == cudaSuccess && i < count; ++i) wrong += got[i] != want(i);
  Expect(error == cudaSuccess && wrong == 0, what, LastReport() + " " + std::to_string(wrong) + " wrong");
}

unsigned Global() { return blockIdx.x * blockDim.x + threadIdx.x; }

void CheckIndices() {
  RunsWell("every thread once", 7, 96, 0, [](int* p) { Set(p + Global(), static_cast<int>(Global())); },
           [](int i) { return i; }, 7 * 96);
  RunsWell(
      "three dimensions", dim3(2, 3, 2), dim3(4, 2, 4), 0,
      [](int* p) {
        const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        Set(p + block * 32 + thread, static_cast<int>(100 * block + thread));
      },
      [](int i) { return i / 32 * 100 + i % 32; }, 12 * 32);
}

void CheckBarriers() {
  RunsWell(
      "reversal through shared memory", 3, 256, 256 * sizeof(int),
      [](int* p) {
        auto* shared = reinterpret_cast<int*>(SharedMemory());
        for (int round = 0; round < 3; ++round) {
          Set(shared + threadIdx.x, static_cast<int>(threadIdx.x) + round);
          __syncthreads();
          Set(p + Global(), Get(shared + 255 - threadIdx.x));
          __syncthreads();
        }
      },
      [](int i) { return 255 - i % 256 + 2; }, 768);
  RunsWell(
      "lanes through shared memory, in halves of a warp", 1, 64, 64 * sizeof(int),
      [](int* p) {
        auto* shared = reinterpret_cast<int*>(SharedMemory());
        const unsigned half = threadIdx.x % 32 / 16, mask = half ? 0xffff0000u : 0xffffu;
        for (unsigned round = 0; round <= half; ++round) {  // the halves need not keep step
          Set(shared + threadIdx.x, static_cast<int>(threadIdx.x));
          __syncwarp(mask);
          Set(p + threadIdx.x, Get(shared + (threadIdx.x ^ 1)));
          __syncwarp(mask);
        }
      },
      [](int i) { return i ^ 1; }, 64);
  RunsWell(
      "counting barriers", 1, 96, 0,
      [](int* p) {
        const int low = __syncthreads_count(threadIdx.x < 10), any = __syncthreads_or(threadIdx.x == 95),
                  all = __syncthreads_and(threadIdx.x < 95);
        Set(p + threadIdx.x, 100 * low + 10 * any + all);
      },
      [](int) { return 1010; }, 96);
}

void CheckShuffles() {
  RunsWell(
      "sum over a warp by exchange", 1, 128, 0,
      [](int* p) {
        int x = static_cast<int>(threadIdx.x);
        for (int step = 1; step < 32; step *= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
        Set(p + threadIdx.x, x);
      },
      [](int i) { return i / 32 * 1024 + 496; }, 128);
  RunsWell(
      "one lane to all of its eight", 1, 64, 0,
      [](int* p) {
        const double x = __shfl_sync(0xffffffffu, threadIdx.x * 0.5, 3, 8);
        Set(p + threadIdx.x, static_cast<int>(2 * x));
      },
      [](int i) { return i / 8 * 8 + 3; }, 64);
  RunsWell(
      "down and up stop at the width", 1, 32, 0,
      [](int* p) {
        const int x = static_cast<int>(threadIdx.x);
        Set(p + x, 100 * __shfl_down_sync(0xffffffffu, x, 3, 16) + __shfl_up_sync(0xffffffffu, x, 2, 16));
      },
      [](int i) { return 100 * (i % 16 < 13 ? i + 3 : i) + (i % 16 < 2 ? i : i - 2); }, 32);
  RunsWell(
      "votes", 1, 64, 0,
      [](int* p) {
        const int lane = static_cast<int>(threadIdx.x % 32);
        if (lane >= 16) return;
        const bool ballot = __ballot_sync(0xffffu, lane < 5) == 0x1fu;
        const bool any = __any_sync(0xffffu, lane == 7) && !__any_sync(0xffffu, lane > 40);
        const bool all = __all_sync(0xffffu, lane < 16) && !__all_sync(0xffffu, lane < 15);
        Set(p + threadIdx.x, ballot + 2 * any + 4 * all);
      },
      [](int i) { return i % 32 < 16 ? 7 : 0; }, 64);
}

void CheckAtomics() {
  RunsWell("atomic additions meet", 20, 64, 0, [](int* p) { atomicAdd(p + threadIdx.x % 4, 1); },
           [](int) { return 320; }, 4);
  RunsWell(
      "atomic additions in shared memory", 2, 64, 4,
      [](int* p) {
        auto* sum = reinterpret_cast<int*>(SharedMemory());
        if (threadIdx.x == 0) Set(sum, 0);
        __syncthreads();
        atomicAdd(sum, static_cast<int>(threadIdx.x));
        __syncthreads();
        if (threadIdx.x == 5) Set(p + blockIdx.x, Get(sum));
      },
      [](int) { return 2016; }, 2);
}

// ---- kernels with a fault ----

void IsStopped(const char* what, dim3 grid, dim3 block, size_t shared, cudaError_t error, const char* report,
               const std::function<void(int*)>& kernel) {
  Fresh data;
  Launch("(faulty<1, 2>)", grid, block, shared, [&] { kernel(data.p); });
  // In another order the same fault is met by other threads.
  const bool text = std::getenv("TFGEO_SHIM_SEED") != nullptr || LastReport().find(report) != std::string::npos;
  const bool said = text && LastReport().find("; kernel faulty<1, 2>") != std::string::npos;
  const bool sticky = cudaGetLastError() == error && cudaMemset(data.p, 0, 4) == error;
  Expect(said && sticky, what, LastReport());
  // And the next one runs.
  Fresh again;
  Launch("after", 1, 64, 0, [&] {
    __syncthreads();
    Set(again.p + threadIdx.x, 1);
  });
  if (cudaGetLastError() != cudaSuccess) Expect(false, "a kernel after that one", LastReport());
}

void CheckRaces() {
  const cudaError_t race = cudaErrorLaunchFailure;
  IsStopped("shared memory without a barrier", 1, 64, 256, race, "of shared memory", [](int* p) {
    auto* shared = reinterpret_cast<int*>(SharedMemory());
    Set(shared + threadIdx.x, 1);
    __syncwarp();  // not enough between warps
    Set(p + threadIdx.x, Get(shared + 63 - threadIdx.x));
  });
  IsStopped("reads before a write of another lane", 1, 32, 256, race, "read by thread", [](int* p) {
    const int x = Get(p + 1);
    if (threadIdx.x == 9) Set(p + 1, x);
  });
  IsStopped("two blocks write to one place", 2, 1, 0, race,
            "write by thread (0, 0, 0) of block (0, 0, 0) and write by thread (0, 0, 0) of block (1, 0, 0)",
            [](int* p) { Set(p + 5, 1); });
  IsStopped("a block reads what another wrote", 4, 32, 0, race, "and read by", [](int* p) {
    Set(p + Global(), 1);
    __syncthreads();
    if (blockIdx.x == 3) Get(p + threadIdx.x);
  });
  IsStopped("a write over what two blocks read", 3, 1, 0, race, "read by thread (0, 0, 0) of block (0", [](int* p) {
    if (blockIdx.x < 2) Get(p);
    if (blockIdx.x == 2) Set(p, 1);
  });
  IsStopped("atomic and plain", 2, 1, 0, race, "atomic access by", [](int* p) {
    if (blockIdx.x == 0) atomicAdd(p, 1);
    if (blockIdx.x == 1) Set(p, 1);
  });
  IsStopped("halves of a warp that did not wait for each other", 1, 32, 128, race, "with nothing that orders", [](int*) {
    auto* shared = reinterpret_cast<int*>(SharedMemory());
    const unsigned mask = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
    Set(shared + threadIdx.x, 1);
    __syncwarp(mask);
    Get(shared + (threadIdx.x + 16) % 32);
  });
  IsStopped("a shuffle is no barrier for memory", 1, 32, 128, race, "of shared memory", [](int*) {
    auto* shared = reinterpret_cast<int*>(SharedMemory());
    Set(shared + threadIdx.x, 1);
    __shfl_xor_sync(0xffffffffu, 1, 1);
    Get(shared + (threadIdx.x ^ 1));
  });
  IsStopped("a 16-byte read over a neighbour's 2-byte write", 1, 2, 0, race, "race at byte 6", [](int* p) {
    if (threadIdx.x == 0) Write(reinterpret_cast<char*>(p) + 6, 2);
    if (threadIdx.x == 1) Read(p, 16);
  });
  RunsWell(
      "neighbours in one word are no race", 1, 64, 0,
      [](int* p) {
        auto* bytes = reinterpret_cast<char*>(p) + threadIdx.x;
        Write(bytes, 1);
        *bytes = 1;
      },
      [](int) { return 0x01010101; }, 16);
}

void CheckAccesses() {
  const cudaError_t illegal = cudaErrorIllegalAddress;
  IsStopped("a write behind an allocation", 1, 1, 0, illegal, "byte 16384 of an allocation of 16384",
            [](int* p) { Set(p + 4096, 1); });
  IsStopped("a read before an allocation", 1, 1, 0, illegal, "4 bytes before", [](int* p) { Get(p - 1); });
  IsStopped("a read half behind an allocation", 1, 1, 0, illegal, "16-byte read", [](int* p) { Read(p + 4094, 16); });
  IsStopped("a read behind shared memory", 1, 32, 64, illegal, "of the block's 64 of shared memory",
            [](int*) { Get(reinterpret_cast<int*>(SharedMemory()) + 16); });
  IsStopped("memory that was freed", 1, 1, 0, illegal, "outside of memory", [](int* p) {
    cudaFree(p);
    Get(p);
  });
  IsStopped("a null pointer", 1, 1, 0, illegal, "far from every", [](int*) { Read(nullptr, 4); });
  IsStopped("a write that asked nobody", 1, 1, 0, illegal, "just outside of an allocation",
            [](int* p) { p[4097] = 1; });
  IsStopped("an address that is not aligned", 1, 1, 0, cudaErrorMisalignedAddress, "no multiple of 8",
            [](int* p) { Read(p + 1, 8); });
}

void CheckWaiting() {
  const cudaError_t failure = cudaErrorLaunchFailure;
  IsStopped("a lane that returned before the barrier", 1, 64, 0, failure, "has returned", [](int*) {
    if (threadIdx.x == 40) return;
    __syncthreads();
  });
  IsStopped("a lane that returned before the shuffle", 1, 32, 0, failure, "waits in __shfl_xor_sync at self_test.cc:",
            [](int*) {
              if (threadIdx.x < 16) __shfl_xor_sync(0xffffffffu, 1, 1);
            });
  IsStopped("threads at different barriers", 1, 64, 0, failure, "waits in __syncthreads", [](int*) {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  });
  IsStopped("lanes that disagree about the mask", 1, 32, 0, failure, "with mask", [](int*) {
    __syncwarp(threadIdx.x == 3 ? 0x8u | 0x1u : 0xffffffffu);
  });
  IsStopped("a mask without the caller", 1, 32, 0, failure, "does not name the calling lane 8",
            [](int*) { __ballot_sync(0xffu, 1); });
  IsStopped("lanes that do not exist", 1, 40, 0, failure, "has only 8 lanes", [](int*) { __syncwarp(); });
  IsStopped("a value from a lane that takes no part", 1, 32, 0, failure, "reads from lane 12", [](int*) {
    if (threadIdx.x < 8) __shfl_sync(0xffu, 1, 12);
  });
  IsStopped("a trap", 1, 32, 0, cudaErrorIllegalInstruction, "__trap at self_test.cc:", [](int*) {
    if (threadIdx.x == 7) __trap();
  });
  IsStopped("a thread without stack", 1, 1, 0, failure, "more stack than there is", [](int* p) {
    volatile char large[(64 << 10) - 600];
    for (char& x : const_cast<char(&)[(64 << 10) - 600]>(large)) x = 1;
    p[0] = large[5];
  });
}

// ---- launches, errors, numbers ----

void CheckLaunches() {
  const auto outcome = [](dim3 grid, dim3 block, size_t shared) {
    Fresh data;
    int threads = 0;
    Launch("limits", grid, block, shared, [&] { ++threads; });
    const cudaError_t error = cudaPeekAtLastError();
    const bool cleared = cudaGetLastError() == error && cudaGetLastError() == cudaSuccess;
    return cleared && (error == cudaSuccess) == (threads > 0) ? error : cudaErrorUnknown;
  };
  Expect(outcome(1, 1024, 48 << 10) == cudaSuccess, "1024 threads, 48 KiB");
  Expect(outcome(1, 1025, 0) == cudaErrorInvalidConfiguration, "1025 threads are refused");
  Expect(outcome(1, dim3(1, 1, 65), 0) == cudaErrorInvalidConfiguration, "65 threads in z are refused");
  Expect(outcome(0, 32, 0) == cudaErrorInvalidConfiguration, "no block is refused");
  Expect(outcome(dim3(1, 65536), 1, 0) == cudaErrorInvalidConfiguration, "65536 blocks in y are refused");
  Expect(outcome(1, 32, (48 << 10) + 1) == cudaErrorInvalidValue, "more than 48 KiB unasked are refused");
  const auto function = reinterpret_cast<const void*>(&CheckRaces);
  Expect(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 << 10) != cudaSuccess,
         "more than 227 KiB are refused");
  cudaGetLastError();
  Expect(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10) == cudaSuccess &&
             outcome(1, 32, 100 << 10) == cudaSuccess,
         "100 KiB when asked for");
  setenv("TFGEO_SHIM_NO_CODE", "1", 1);
  cudaFuncAttributes attributes;
  Expect(outcome(1, 1, 0) == cudaErrorNoKernelImageForDevice, "no code for the card: launches");
  Expect(cudaFuncGetAttributes(&attributes, function) == cudaErrorNoKernelImageForDevice &&
             std::string(cudaGetErrorName(cudaGetLastError())) == "cudaErrorNoKernelImageForDevice",
         "no code for the card: attributes");
  unsetenv("TFGEO_SHIM_NO_CODE");
}

void CheckMemory() {
  Fresh data;
  int host[2] = {1, 2};
  Expect(cudaMemcpy(data.p + 4095, host, 8, cudaMemcpyHostToDevice) == cudaErrorInvalidValue, "a copy past the end");
  Expect(cudaMemcpy(data.p, host, 8, cudaMemcpyDeviceToHost) == cudaErrorInvalidMemcpyDirection, "a wrong direction");
  Expect(cudaFree(data.p + 1) == cudaErrorInvalidValue, "freeing the middle of an allocation");
  void* large = nullptr;
  Expect(cudaMalloc(&large, size_t{1} << 40) == cudaErrorMemoryAllocation && large == nullptr, "a terabyte");
  float fresh = 0;
  cudaMalloc(&large, 64);
  cudaMemcpy(&fresh, large, 4, cudaMemcpyDeviceToHost);
  Expect(fresh != fresh, "fresh memory is NaN");
}

void CheckNumbers() {
  int wrong = 0;
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const __half h = __ushort_as_half(static_cast<unsigned short>(bits));
    const __nv_bfloat16 b = __ushort_as_bfloat16(static_cast<unsigned short>(bits));
    const float x = __half2float(h), y = __bfloat162float(b);
    wrong += x == x ? __half_as_ushort(__float2half_rn(x)) != bits : __half_as_ushort(__float2half_rn(x)) != 0x7fff;
    wrong += y == y ? __bfloat16_as_ushort(__float2bfloat16_rn(y)) != bits
                    : __bfloat16_as_ushort(__float2bfloat16_rn(y)) != 0x7fff;
    wrong += y == y && __float_as_uint(y) != bits << 16;
  }
  Expect(wrong == 0, "16-bit numbers there and back");
  const auto half = [](double x) { return __half_as_ushort(__double2half(x)); };
  const auto brain = [](double x) { return __bfloat16_as_ushort(__double2bfloat16(x)); };
  Expect(half(1 + 1 / 2048.) == 0x3c00 && half(1 + 3 / 2048.) == 0x3c02 && half(1 + 1.0001 / 2048) == 0x3c01,
         "half: to the nearest, ties to even");
  Expect(half(65519.99) == 0x7bff && half(65520) == 0x7c00 && half(-1e9) == 0xfc00, "half: overflow");
  Expect(half(std::ldexp(1, -24)) == 1 && half(std::ldexp(1, -25)) == 0 && half(std::ldexp(1.001, -25)) == 1 &&
             half(-std::ldexp(1, -26)) == 0x8000 && half(std::ldexp(1, -14)) == 0x400,
         "half: subnormal numbers");
  Expect(brain(1 + 1 / 256.) == 0x3f80 && brain(1 + 3 / 256.) == 0x3f82 && brain(3.4e38) == 0x7f80 &&
             brain(std::numeric_limits<double>::infinity()) == 0x7f80 && brain(1e-45) == 0,
         "bfloat16: rounding and overflow");
  const float2 pair = __half22float2(__floats2half2_rn(1.5f, -2));
  const float2 other = __bfloat1622float2(__floats2bfloat162_rn(1.5f, -2));
  Expect(pair.x == 1.5f && pair.y == -2 && other.x == 1.5f && other.y == -2, "pairs");
}

void CheckAll() {
  CheckIndices();
  CheckBarriers();
  CheckShuffles();
  CheckAtomics();
  CheckRaces();
  CheckAccesses();
  CheckWaiting();
}

}  // namespace

int main() {
  CheckLaunches();
  CheckMemory();
  CheckNumbers();
  unsetenv("TFGEO_SHIM_SEED");
  CheckAll();
  for (int seed = 1; seed <= 3; ++seed) {
    setenv("TFGEO_SHIM_SEED", std::to_string(seed).c_str(), 1);
    CheckAll();
  }
  if (failures) std::printf("%d checks failed\n", failures);
  return failures ? 1 : 0;
}
