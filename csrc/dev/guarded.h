// SPDX-License-Identifier: Apache-2.0
// Memory that notices what is read or written beside it.
#ifndef TFGEO_DEV_GUARDED_H_
#define TFGEO_DEV_GUARDED_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tfgeo::dev {

// Between two pages that nobody may touch, and right beside one of them; between the other and the buffer lies a
// pattern. A stray access ends the program, or makes Intact() false.
class Guarded {
 public:
  enum Side { kFront, kBack };

  // All bytes are 0xff: NaN in every floating type.
  Guarded(size_t size, Side side) : size_(size) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    inner_ = (size + page) / page * page;
    whole_ = inner_ + 2 * page;
    void* memory = mmap(nullptr, whole_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(static_cast<char*>(memory) + page, inner_, PROT_READ | PROT_WRITE) != 0) {
      std::perror("guarded memory");
      std::abort();
    }
    start_ = static_cast<unsigned char*>(memory);
    first_ = start_ + page;
    data_ = side == kFront ? first_ : first_ + inner_ - size;
    std::memset(first_, kPattern, inner_);
    std::memset(data_, 0xff, size);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(start_, whole_); }

  void* get() const { return data_; }
  size_t size() const { return size_; }

  bool Intact() const {
    for (const unsigned char* p = first_; p < first_ + inner_; ++p) {
      if ((p < data_ || p >= data_ + size_) && *p != kPattern) return false;
    }
    return true;
  }

 private:
  static constexpr unsigned char kPattern = 0xa5;

  size_t size_, inner_, whole_;
  unsigned char *start_, *first_, *data_;
};

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_GUARDED_H_
