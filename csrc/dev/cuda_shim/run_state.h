// SPDX-License-Identifier: Apache-2.0
// The kernel that runs: what launch.cc, waiting.cc and access.cc share.
#ifndef TFGEO_CUDA_SHIM_RUN_STATE_H_
#define TFGEO_CUDA_SHIM_RUN_STATE_H_

#include <functional>
#include <memory>
#include <string>

#include "memory.h"
#include "runtime_api.h"

namespace tfgeo::shim {

constexpr int kMaxThreads = 1024;

enum class State : uint8_t { kReady, kAtWarp, kAtBlock, kReturned };

struct Thread {
  State state = State::kReady;
  Place place = {};
  uint32_t mask = 0;
  uint64_t value = 0, result = 0;
  int source = -1;  // lane; -1: a vote
};

struct Run {
  std::string name;
  const std::function<void()>* body = nullptr;
  int threads = 0;
  Thread thread[kMaxThreads];
  WarpClock clock[kMaxThreads / 32];
  uint32_t at_warp[kMaxThreads / 32] = {};  // lanes that wait for lanes
  int at_block = 0, returned = 0;
  Position here;
  int current = 0;
  uint64_t launch = 0, shared_launch = 0;  // mark what the shadows hold
  std::unique_ptr<Allocation> shared;
  bool active = false, stopped = false;
};

extern Run run;

// ---- messages ----

std::string NameThread(uint32_t block, uint32_t thread);
// The running thread.
std::string NameRunning();
std::string NamePlace(const Place& place);
std::string NameMask(uint32_t mask);

// Stops the kernel; in a fibre, LeaveFibre must follow.
void Report(cudaError_t error, const std::string& what);

// Nobody can go on: reports the first that waits and whom it waits for.
void ReportStandstill();

}  // namespace tfgeo::shim

#endif  // TFGEO_CUDA_SHIM_RUN_STATE_H_
