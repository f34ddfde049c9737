// SPDX-License-Identifier: Apache-2.0
// The card: what it is, its memory, its clock.
#ifndef TFGEO_BENCH_CUDA_DEVICE_H_
#define TFGEO_BENCH_CUDA_DEVICE_H_

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace tfgeo::bench {

inline void Try(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

struct Card {
  std::string name;
  int major = 0, minor = 0, processors = 0, l2 = 0, driver = 0, runtime = 0;
  double peak = 0;  // bytes a second of its memory; 0 = the driver does not say

  static Card Current() {
    int count = 0, device = 0, clock = 0, width = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) throw std::runtime_error("there is no GPU to measure");
    Try(cudaGetDevice(&device), "cudaGetDevice");
    cudaDeviceProp properties;
    Try(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    Card card;
    card.name = properties.name;
    auto ask = [&](int* into, cudaDeviceAttr attribute) {
      if (cudaDeviceGetAttribute(into, attribute, device) != cudaSuccess) *into = 0;
    };
    ask(&card.major, cudaDevAttrComputeCapabilityMajor);
    ask(&card.minor, cudaDevAttrComputeCapabilityMinor);
    ask(&card.processors, cudaDevAttrMultiProcessorCount);
    ask(&card.l2, cudaDevAttrL2CacheSize);
    ask(&clock, cudaDevAttrMemoryClockRate);
    ask(&width, cudaDevAttrGlobalMemoryBusWidth);
    cudaGetLastError();
    Try(cudaDriverGetVersion(&card.driver), "cudaDriverGetVersion");
    Try(cudaRuntimeGetVersion(&card.runtime), "cudaRuntimeGetVersion");
    card.peak = 2.0 * 1000 * clock * (width / 8);  // kHz; two transfers a cycle
    return card;
  }
};

// Device memory of so many bytes; freed with its owner.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes) : bytes_(bytes) { Try(cudaMalloc(&p_, bytes), "cudaMalloc"); }
  explicit Buffer(const std::vector<unsigned char>& data) : Buffer(data.size()) {
    Try(cudaMemcpy(p_, data.data(), bytes_, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(p_, other.p_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer() {
    if (p_) cudaFree(p_);
  }

  void* get() const { return p_; }
  size_t bytes() const { return bytes_; }
  void Clear(cudaStream_t stream) const { Try(cudaMemsetAsync(p_, 0, bytes_, stream), "cudaMemsetAsync"); }
  std::vector<unsigned char> Read() const {
    std::vector<unsigned char> data(bytes_);
    Try(cudaMemcpy(data.data(), p_, bytes_, cudaMemcpyDeviceToHost), "cudaMemcpy");
    return data;
  }

 private:
  void* p_ = nullptr;
  size_t bytes_ = 0;
};

// Microseconds of work on the stream, from events around it.
class Stopwatch {
 public:
  // cold: before every run, more memory than the L2 cache holds is written.
  Stopwatch(cudaStream_t stream, const Card& card, bool cold) : stream_(stream), cold_(cold) {
    Try(cudaEventCreate(&begin_), "cudaEventCreate");
    Try(cudaEventCreate(&end_), "cudaEventCreate");
    if (cold) flush_ = Buffer(2 * static_cast<size_t>(std::max(card.l2, 1 << 20)));
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }

  // How many runs make a measurement long enough for the events' resolution; runs the work a few times first.
  template <typename F>
  int RunsFor(const F& work) {
    for (int i = 0; i < 3; ++i) work();
    if (cold_) return 1;
    const double once = Time(work, 3);
    return std::clamp(static_cast<int>(kLeastTime / std::max(once, 1.0)), 1, kMostRuns);
  }

  // Of one of `runs` that are queued back to back.
  template <typename F>
  double Time(const F& work, int runs) {
    if (cold_) flush_.Clear(stream_);
    Try(cudaEventRecord(begin_, stream_), "cudaEventRecord");
    for (int i = 0; i < runs; ++i) work();
    Try(cudaEventRecord(end_, stream_), "cudaEventRecord");
    Try(cudaEventSynchronize(end_), "cudaEventSynchronize");
    float milliseconds = 0;
    Try(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
    return 1000.0 * milliseconds / runs;
  }

 private:
  static constexpr double kLeastTime = 500;
  static constexpr int kMostRuns = 200;
  cudaStream_t stream_;
  bool cold_;
  Buffer flush_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_DEVICE_H_
