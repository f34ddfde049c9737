// SPDX-License-Identifier: Apache-2.0
#include "run_state.h"

#include <cstdio>
#include <cstring>

#include "device_state.h"

namespace tfgeo::shim {

Run run;

namespace {

std::string Triple(unsigned x, unsigned y, unsigned z) {
  return "(" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

}  // namespace

std::string NameThread(uint32_t block, uint32_t thread) {
  const dim3 b = block_size, g = grid_size;
  return "thread " + Triple(thread % b.x, thread / b.x % b.y, thread / b.x / b.y) + " of block " +
         Triple(block % g.x, block / g.x % g.y, block / g.x / g.y);
}

std::string NamePlace(const Place& place) {
  const char* slash = std::strrchr(place.file, '/');
  return std::string(place.what) + " at " + (slash ? slash + 1 : place.file) + ":" + std::to_string(place.line);
}

std::string NameMask(uint32_t mask) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08x", mask);
  return text;
}

void Report(cudaError_t error, const std::string& what) {
  run.stopped = true;
  SetReport(error, what + "; kernel " + run.name);
}

std::string NameRunning() { return NameThread(run.here.block, static_cast<uint32_t>(run.current)); }

}  // namespace tfgeo::shim
