// SPDX-License-Identifier: Apache-2.0
// What kernels say before they touch memory: bounds, alignment, races.
#include <algorithm>

#include "device_state.h"
#include "fibres.h"
#include "run_state.h"

namespace tfgeo::shim {
namespace {

const char* NameAccess(Access access) {
  return access == Access::kRead ? "read" : access == Access::kWrite ? "write" : "atomic access";
}

void ReportOutside(Access access, const void* p, size_t bytes, bool shared) {
  const auto* at = static_cast<const unsigned char*>(p);
  const std::string place = shared ? "byte " + std::to_string(at - run.shared->data()) + " of the block's " +
                                         std::to_string(run.shared->size()) + " of shared memory"
                                   : DeviceMemory().Describe(p);
  Report(cudaErrorIllegalAddress, std::to_string(bytes) + "-byte " + NameAccess(access) + " outside of memory (" +
                                      place + ") by " + NameRunning());
}

void ReportRace(const Race& race, Access access, const Allocation& place) {
  const std::string where =
      &place == run.shared.get() ? "shared memory" : "an allocation of " + std::to_string(place.size());
  Report(cudaErrorLaunchFailure,
         "race at byte " + std::to_string(race.offset) + " of " + where + ": " + NameAccess(race.earlier) + " by " +
             NameThread(race.block, 32 * race.warp + race.lane) + " and " + NameAccess(access) + " by " +
             NameRunning() + ", with nothing that orders them");
}

void Check(Access access, const void* p, size_t bytes) {
  // Shared memory ends in a strip that belongs to nobody, so what lies just behind it is meant for it.
  const bool shared = run.shared->Holds(p, 0);
  Allocation* place = shared ? run.shared.get() : DeviceMemory().Find(p);
  if (place == nullptr || !place->Holds(p, bytes)) return ReportOutside(access, p, bytes, shared);
  // Instructions move up to 16 bytes; odd sizes are moved by parts.
  const size_t alignment = bytes & (bytes - 1) ? 1 : std::min<size_t>(bytes, 16);
  if (reinterpret_cast<uintptr_t>(p) % alignment != 0) {
    return Report(cudaErrorMisalignedAddress, std::to_string(bytes) + "-byte " + NameAccess(access) +
                                                  " at an address that is no multiple of " +
                                                  std::to_string(alignment) + ", by " + NameRunning());
  }
  const auto offset = static_cast<size_t>(static_cast<const unsigned char*>(p) - place->data());
  const Race race = place->shadow.Record(access, offset, bytes, shared ? run.shared_launch : run.launch, run.here);
  if (race.found) ReportRace(race, access, *place);
}

void CheckOrLeave(Access access, const void* p, size_t bytes) {
  if (!run.active) return;
  Check(access, p, bytes);
  if (run.stopped) LeaveFibre();
}

}  // namespace

void Read(const void* p, size_t bytes) { CheckOrLeave(Access::kRead, p, bytes); }
void Write(const void* p, size_t bytes) { CheckOrLeave(Access::kWrite, p, bytes); }
void Atomic(const void* p, size_t bytes) { CheckOrLeave(Access::kAtomic, p, bytes); }

}  // namespace tfgeo::shim
