// SPDX-License-Identifier: Apache-2.0
// How threads wait for each other: barriers of the block and of lanes of a warp, with what they exchange.
#include <algorithm>
#include <cstring>

#include "fibres.h"
#include "run_state.h"

namespace tfgeo::shim {
namespace {

bool SamePlace(const Place& a, const Place& b) {
  return a.line == b.line && std::strcmp(a.what, b.what) == 0 && std::strcmp(a.file, b.file) == 0;
}

bool IsSyncwarp(const Place& place) { return std::strcmp(place.what, "__syncwarp") == 0; }

// Whether two lanes wait for each other: __syncwarp may stand at several places, what exchanges values must be one.
bool Together(const Thread& a, const Thread& b) {
  if (a.state != State::kAtWarp || b.state != State::kAtWarp || a.mask != b.mask) return false;
  if (SamePlace(a.place, b.place)) return true;
  return IsSyncwarp(a.place) && IsSyncwarp(b.place);
}

// Lets the lanes of `mask` go on if all have come.
void ReleaseWarp(int warp, uint32_t mask) {
  Thread* lanes = run.thread + 32 * warp;
  const Thread& mine = run.thread[run.current];
  uint32_t ballot = 0;
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    if (!Together(mine, lanes[lane])) return;
    if (lanes[lane].value != 0) ballot |= 1u << lane;
  }
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    Thread& lane = lanes[__builtin_ctz(left)];
    lane.result = lane.source < 0 ? ballot : lanes[lane.source].value;
  }
  for (uint32_t left = mask; left != 0; left &= left - 1) lanes[__builtin_ctz(left)].state = State::kReady;
  run.at_warp[warp] &= ~mask;
  // Shuffles and votes exchange values, but CUDA does not promise that memory is seen in their order.
  if (IsSyncwarp(mine.place)) run.clock[warp].Meet(mask);
}

// What is wrong with a lane's call, or an empty string.
std::string WrongMask(const Place& place, uint32_t mask, int source) {
  const int lane = run.current % 32;
  const int lanes = std::min(32, run.threads - run.current / 32 * 32);
  const std::string call = NamePlace(place) + " with mask " + NameMask(mask) + ": ";
  if (!(mask >> lane & 1)) return call + "the mask does not name the calling lane " + std::to_string(lane);
  if (lanes < 32 && mask >> lanes != 0) return call + "the warp has only " + std::to_string(lanes) + " lanes";
  if (source >= 0 && !(mask >> source & 1)) {
    return call + "lane " + std::to_string(lane) + " reads from lane " + std::to_string(source) + ", which takes no part";
  }
  return "";
}

void CheckMask(const Place& place, uint32_t mask, int source) {
  const uint32_t needed = 1u << (run.current % 32) | (source < 0 ? 0 : 1u << source);
  if ((mask & needed) == needed && run.current / 32 * 32 + 32 <= run.threads) return;
  const std::string wrong = WrongMask(place, mask, source);
  if (!wrong.empty()) Report(cudaErrorLaunchFailure, wrong + "; " + NameRunning());
}

uint64_t WaitForLanes(const Place& place, uint32_t mask, uint64_t value, int source) {
  CheckMask(place, mask, source);
  if (run.stopped) LeaveFibre();
  Thread& thread = run.thread[run.current];
  const int warp = run.current / 32;
  thread = {State::kAtWarp, place, mask, value, 0, source};
  run.at_warp[warp] |= 1u << (run.current % 32);
  if ((run.at_warp[warp] & mask) == mask) ReleaseWarp(warp, mask);
  if (thread.state != State::kReady) YieldFibre();
  return thread.result;
}

void ReleaseBlock() {
  const Thread& mine = run.thread[run.current];
  uint64_t sum = 0;
  for (int i = 0; i < run.threads; ++i) {
    if (!SamePlace(mine.place, run.thread[i].place)) {
      Report(cudaErrorLaunchFailure,
             NameThread(run.here.block, static_cast<uint32_t>(i)) + " waits in " + NamePlace(run.thread[i].place) +
                 ", but " + NameRunning() + " in " + NamePlace(mine.place));
      return;
    }
    sum += run.thread[i].value;
  }
  for (int i = 0; i < run.threads; ++i) {
    run.thread[i].state = State::kReady;
    run.thread[i].result = sum;
  }
  run.at_block = 0;
  ++run.here.epoch;
}

}  // namespace

void ReportStandstill() {
  const uint32_t block = run.here.block;
  for (int i = 0; i < run.threads; ++i) {
    const Thread& waiting = run.thread[i];
    if (waiting.state == State::kReturned) continue;
    const int begin = waiting.state == State::kAtBlock ? 0 : i / 32 * 32;
    const int end = waiting.state == State::kAtBlock ? run.threads : std::min(begin + 32, run.threads);
    for (int k = begin; k < end; ++k) {
      const Thread& other = run.thread[k];
      const bool named = waiting.state == State::kAtBlock || waiting.mask >> (k % 32) & 1;
      const bool there = waiting.state == State::kAtBlock ? other.state == State::kAtBlock : Together(waiting, other);
      if (!named || there) continue;
      std::string what = NameThread(block, static_cast<uint32_t>(i)) + " waits in " + NamePlace(waiting.place);
      if (waiting.state == State::kAtWarp) what += " with mask " + NameMask(waiting.mask);
      what += " for " + NameThread(block, static_cast<uint32_t>(k)) + ", which ";
      if (other.state == State::kReturned) {
        what += "has returned";
      } else {
        what += "waits in " + NamePlace(other.place);
        if (other.state == State::kAtWarp) what += " with mask " + NameMask(other.mask);
      }
      return Report(cudaErrorLaunchFailure, what);
    }
  }
  Report(cudaErrorLaunchFailure, "no thread can go on");
}

int BlockSync(Place place, bool value) {
  Thread& thread = run.thread[run.current];
  thread = {State::kAtBlock, place, 0, value, 0, -1};
  if (++run.at_block == run.threads) ReleaseBlock();
  if (run.stopped) LeaveFibre();
  if (thread.state != State::kReady) YieldFibre();
  return static_cast<int>(thread.result);
}

void WarpSync(Place place, unsigned mask) { WaitForLanes(place, mask, 0, -1); }

uint64_t WarpShuffle(Place place, unsigned mask, uint64_t value, int source) {
  return WaitForLanes(place, mask, value, source);
}

unsigned WarpBallot(Place place, unsigned mask, bool value) {
  return static_cast<unsigned>(WaitForLanes(place, mask, value, -1));
}

unsigned ActiveLanes() {
  const int first = run.current / 32 * 32;
  uint32_t lanes = 0;
  for (int i = first; i < std::min(first + 32, run.threads); ++i) {
    if (run.thread[i].state != State::kReturned) lanes |= 1u << (i - first);
  }
  return lanes;
}

int LaneIndex() { return run.current % 32; }

void Trap(Place place) {
  Report(cudaErrorIllegalInstruction, NamePlace(place) + ", by " + NameRunning());
  LeaveFibre();
}

}  // namespace tfgeo::shim
