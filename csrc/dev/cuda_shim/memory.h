// SPDX-License-Identifier: Apache-2.0
// Device memory: blocks of host memory that know their bounds.
#ifndef TFGEO_CUDA_SHIM_MEMORY_H_
#define TFGEO_CUDA_SHIM_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "races.h"

namespace tfgeo::shim {

// Aligned as on a card, filled with NaN, between two strips that must stay as they are.
class Allocation {
 public:
  // The memory is missing (`data` is null) where there is too little.
  explicit Allocation(size_t bytes);
  ~Allocation();
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;

  unsigned char* data() const { return data_; }
  size_t size() const { return size_; }
  bool Holds(const void* p, size_t bytes) const;
  // Whether nobody wrote just before or behind it.
  bool Intact() const;
  void Poison();

  Shadow shadow;

 private:
  unsigned char* memory_;
  unsigned char* data_;
  size_t size_;
};

// All live allocations, by address.
class Memory {
 public:
  // Null where there is too little memory.
  Allocation* Allocate(size_t bytes);
  // False where `p` is not the beginning of one.
  bool Free(void* p);
  // The one that `p` lies in, or null.
  Allocation* Find(const void* p);
  // Where `p` lies, for messages.
  std::string Describe(const void* p) const;
  // The first whose surroundings were written to, or null.
  const Allocation* Damaged() const;
  void Clear();

 private:
  std::map<uintptr_t, std::unique_ptr<Allocation>> live_;
  Allocation* recent_[4] = {};
  unsigned next_ = 0;
};

}  // namespace tfgeo::shim

#endif  // TFGEO_CUDA_SHIM_MEMORY_H_
