// SPDX-License-Identifier: Apache-2.0
// Runs kernels: one block after the other, its threads as fibres that change hands only where they wait.
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "device_state.h"
#include "fibres.h"
#include "run_state.h"

namespace tfgeo::shim {

uint3 thread_index, block_index;
dim3 block_size, grid_size;

namespace {

uint64_t launches = 0;

void RunThread(int thread) {
  (*run.body)();
  run.thread[thread].state = State::kReturned;
  ++run.returned;
}

// Until it waits or returns.
void Continue(int thread) {
  const dim3 b = block_size;
  const auto index = static_cast<unsigned>(thread);
  thread_index = {index % b.x, index / b.x % b.y, index / b.x / b.y};
  run.current = thread;
  run.here.warp = index / 32;
  run.here.lane = index % 32;
  run.here.clock = &run.clock[run.here.warp];
  if (!ResumeFibre(thread) && !run.stopped) {
    Report(cudaErrorLaunchFailure, "a thread used more stack than there is for it (64 KiB); " + NameRunning());
  }
}

void RunBlock(std::vector<int>& warps, std::vector<int>& lanes, std::mt19937* random) {
  for (int i = 0; i < run.threads; ++i) run.thread[i].state = State::kReady;
  std::fill(std::begin(run.at_warp), std::end(run.at_warp), 0);
  run.at_block = run.returned = 0;
  run.here.epoch = 0;
  run.shared->Poison();
  run.shared_launch = ++launches;
  for (bool moved = true; run.returned < run.threads; moved = false) {
    if (random) std::shuffle(warps.begin(), warps.end(), *random);
    for (const int warp : warps) {
      for (bool again = true; again;) {
        again = false;
        if (random) std::shuffle(lanes.begin(), lanes.end(), *random);
        for (const int lane : lanes) {
          const int thread = 32 * warp + lane;
          if (thread >= run.threads || run.thread[thread].state != State::kReady) continue;
          Continue(thread);
          if (run.stopped) return;
          again = moved = true;
        }
      }
    }
    if (!moved) return ReportStandstill();
  }
}

cudaError_t CheckLaunch(dim3 grid, dim3 block, size_t shared, const void* function) {
  if (StickyError() != cudaSuccess) return StickyError();
  if (NoCode()) return cudaErrorNoKernelImageForDevice;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMaxThreads || block.z > 64) return cudaErrorInvalidConfiguration;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaErrorInvalidConfiguration;
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidConfiguration;
  if (shared > SharedMemoryLimit(function)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

// Without brackets around it, and without the namespaces of a function as compilers spell it.
std::string PlainName(const char* name) {
  std::string text(name);
  if (text.size() > 1 && text.front() == '(' && text.back() == ')') text = text.substr(1, text.size() - 2);
  for (const std::string part : {"tfgeo::cuda::", "{anonymous}::", "(anonymous namespace)::"}) {
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part)) text.erase(at, part.size());
  }
  return text;
}

void RunGrid() {
  const uint64_t blocks = uint64_t{grid_size.x} * grid_size.y * grid_size.z;
  std::vector<uint32_t> order(blocks);
  std::vector<int> warps((run.threads + 31) / 32), lanes(32);
  std::iota(order.begin(), order.end(), 0);
  std::iota(warps.begin(), warps.end(), 0);
  std::iota(lanes.begin(), lanes.end(), 0);
  const char* seed = std::getenv("TFGEO_SHIM_SEED");
  std::mt19937 random(static_cast<uint32_t>(seed ? std::atoi(seed) : 0));
  if (seed) std::shuffle(order.begin(), order.end(), random);
  for (const uint32_t block : order) {
    run.here.block = block;
    block_index = {block % grid_size.x, block / grid_size.x % grid_size.y, block / grid_size.x / grid_size.y};
    RunBlock(warps, lanes, seed ? &random : nullptr);
    if (run.stopped) return;
  }
}

}  // namespace

void Launch(const char* name, dim3 grid, dim3 block, size_t shared, const std::function<void()>& body,
            const void* function) {
  const std::lock_guard<std::recursive_mutex> held(DeviceLock());
  const cudaError_t refused = CheckLaunch(grid, block, shared, function);
  if (refused != cudaSuccess) {
    SetError(refused);
    return;
  }
  run.name = PlainName(name);
  run.body = &body;
  run.threads = static_cast<int>(block.x * block.y * block.z);
  run.shared = std::make_unique<Allocation>(shared);
  run.launch = ++launches;
  run.stopped = false;
  block_size = block;
  grid_size = grid;
  if (run.shared->data() == nullptr || !PrepareFibres(run.threads, RunThread)) {
    SetError(cudaErrorMemoryAllocation);
    return;
  }
  run.active = true;
  RunGrid();
  run.active = false;
  if (run.stopped) {
    ForgetFibres();
  } else if (!run.shared->Intact() || DeviceMemory().Damaged() != nullptr) {
    const Allocation* damaged = DeviceMemory().Damaged();
    Report(cudaErrorIllegalAddress,
           damaged ? "a write just outside of an allocation of " + std::to_string(damaged->size()) + " bytes"
                   : "a write just outside of shared memory");
  }
}

unsigned char* SharedMemory() { return run.shared->data(); }

}  // namespace tfgeo::shim
