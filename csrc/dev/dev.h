// SPDX-License-Identifier: Apache-2.0
// What the workbench programs share: threads, random numbers, comparing, timing.
//
// Each program checks its kernel against a naive version and then times it:
//     g++ -std=c++17 -O3 -pthread csrc/dev/OP.cc csrc/kernels/OP*.cc csrc/kernels/isa.cc -o /tmp/OP && /tmp/OP
// It exits 1 when a check fails, 5 when the processor lacks the instruction set. With the argument `check` it does not time. TFGEO_ISA=portable|avx2 tries the code for
// older processors.
#ifndef TFGEO_DEV_DEV_H_
#define TFGEO_DEV_DEV_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../kernels/isa.h"
#include "../kernels/parallel.h"

namespace tfgeo::dev {

// Fresh threads per call: simple, and some 30 us slower than a pool.
inline Parallel Threads(int count) {
  Parallel parallel;
  parallel.threads = count;
  parallel.run = [count](int64_t total, int64_t block, const RangeFn& fn) {
    std::atomic<int64_t> next{0};
    auto work = [&] {
      for (;;) {
        const int64_t begin = next.fetch_add(block);
        if (begin >= total) return;
        fn(begin, std::min(begin + block, total));
      }
    };
    std::vector<std::thread> others;
    for (int i = 1; i < count && i * block < total; ++i) others.emplace_back(work);
    work();
    for (auto& thread : others) thread.join();
  };
  return parallel;
}

class Uniform {
 public:
  explicit Uniform(uint32_t seed) : engine_(seed) {}
  double operator()(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine_); }
  template <typename T>
  std::vector<T> Many(size_t count, double low, double high) {
    std::vector<T> values(count);
    for (auto& value : values) value = static_cast<T>((*this)(low, high));
    return values;
  }

 private:
  std::mt19937 engine_;
};

// Largest |got - want|, relative to the largest |want| (at least 1).
template <typename A, typename B>
double Error(const std::vector<A>& got, const std::vector<B>& want) {
  double scale = 1, worst = 0;
  for (const B& w : want) scale = std::max(scale, std::fabs(static_cast<double>(w)));
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i])) / scale;
    if (!(error <= worst)) worst = error;  // NaN stays
  }
  return worst;
}

inline int failures = 0;

inline void Check(const std::string& what, double error, double tolerance) {
  const bool ok = error <= tolerance;
  if (!ok) ++failures;
  std::printf("%s  %-58s %.2e (at most %.0e)\n", ok ? "ok  " : "FAIL", what.c_str(), error, tolerance);
}

// The start of a program whose kernels are compiled for several instruction sets: says which one it is. False where
// TFGEO_ISA names one that this processor lacks; the program then ends with kLeftOut.
constexpr int kLeftOut = 5;

inline bool StartIsa() {
  char text[256] = "";
  const bool usable = tfgeo_cpu_check_isa({text, sizeof(text)}) == TFGEO_OK;
  std::printf("%s\n", usable ? (std::string("isa   ") + tfgeo_cpu_isa()).c_str() : text);
  return usable;
}

// The end of every program: times unless told not to, then gives the exit code.
template <typename F>
int Finish(int argc, char** argv, F time) {
  if (argc < 2 || std::string(argv[1]) != "check") time();
  if (failures) std::printf("%d checks failed\n", failures);
  return failures ? 1 : 0;
}

// Fastest of several runs, in milliseconds.
template <typename F>
double Milliseconds(F run, int repeats = 15) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best,
                    std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_DEV_H_
