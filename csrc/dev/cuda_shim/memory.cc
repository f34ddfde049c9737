// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace tfgeo::shim {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kStrip = 512;
constexpr unsigned char kStripByte = 0xa5;
constexpr unsigned char kNanByte = 0xff;  // NaN in every floating-point type
constexpr size_t kLargest = size_t{1} << 33;

bool AllStrip(const unsigned char* p, size_t bytes) {
  return std::all_of(p, p + bytes, [](unsigned char byte) { return byte == kStripByte; });
}

}  // namespace

Allocation::Allocation(size_t bytes) : shadow(bytes <= kLargest ? bytes : 0), data_(nullptr), size_(bytes) {
  const size_t whole = (bytes + 2 * kStrip + kAlignment - 1) / kAlignment * kAlignment;
  memory_ = bytes <= kLargest ? static_cast<unsigned char*>(std::aligned_alloc(kAlignment, whole)) : nullptr;
  if (memory_ == nullptr) return;
  data_ = memory_ + kStrip;
  std::memset(memory_, kStripByte, kStrip);
  std::memset(data_ + size_, kStripByte, kStrip);
  Poison();
}

Allocation::~Allocation() { std::free(memory_); }

bool Allocation::Holds(const void* p, size_t bytes) const {
  const auto* at = static_cast<const unsigned char*>(p);
  return at >= data_ && at <= data_ + size_ && bytes <= static_cast<size_t>(data_ + size_ - at);
}

bool Allocation::Intact() const { return AllStrip(memory_, kStrip) && AllStrip(data_ + size_, kStrip); }

void Allocation::Poison() { std::memset(data_, kNanByte, size_); }

Allocation* Memory::Allocate(size_t bytes) {
  auto made = std::make_unique<Allocation>(bytes);
  if (made->data() == nullptr) return nullptr;
  const auto address = reinterpret_cast<uintptr_t>(made->data());
  return (live_[address] = std::move(made)).get();
}

bool Memory::Free(void* p) {
  std::fill(std::begin(recent_), std::end(recent_), nullptr);
  return live_.erase(reinterpret_cast<uintptr_t>(p)) == 1;
}

Allocation* Memory::Find(const void* p) {
  for (Allocation* allocation : recent_) {
    if (allocation != nullptr && allocation->Holds(p, 1)) return allocation;
  }
  auto above = live_.upper_bound(reinterpret_cast<uintptr_t>(p));
  if (above == live_.begin()) return nullptr;
  Allocation* found = std::prev(above)->second.get();
  if (!found->Holds(p, 0)) return nullptr;
  recent_[next_++ % 4] = found;
  return found;
}

std::string Memory::Describe(const void* p) const {
  const auto address = reinterpret_cast<uintptr_t>(p);
  auto above = live_.upper_bound(address);
  if (above != live_.begin()) {
    const Allocation& below = *std::prev(above)->second;
    const size_t offset = address - reinterpret_cast<uintptr_t>(below.data());
    if (offset < below.size() + (1 << 20)) {
      return "byte " + std::to_string(offset) + " of an allocation of " + std::to_string(below.size());
    }
  }
  if (above != live_.end() && above->first - address < (1 << 20)) {
    return std::to_string(above->first - address) + " bytes before an allocation of " +
           std::to_string(above->second->size());
  }
  return "far from every live allocation";
}

const Allocation* Memory::Damaged() const {
  for (const auto& [address, allocation] : live_) {
    if (!allocation->Intact()) return allocation.get();
  }
  return nullptr;
}

void Memory::Clear() {
  std::fill(std::begin(recent_), std::end(recent_), nullptr);
  live_.clear();
}

}  // namespace tfgeo::shim
