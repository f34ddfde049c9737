// SPDX-License-Identifier: Apache-2.0
// How a call of ms_deform_attn.h is split into units of work, and the memory that they take turns with.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_SPLIT_H_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_SPLIT_H_

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "ms_deform_attn_plan.h"

namespace tfgeo::deform {

// ---- how a call is split ----

// The unit of work is (batch item, head, part of the queries). With many samples per pixel a unit works on its own
// copies of the head's maps; otherwise on the tensors themselves.
struct Split {
  bool packed;
  int64_t dim;    // channels of a packed pixel
  int64_t heads;  // N * M
  int64_t parts;

  int64_t Units() const { return heads * parts; }
};

// Corners of samples that meet in a pixel, on average.
inline int64_t Visits(const TfgeoMsDeformAttnShape& s) { return s.queries * s.levels * s.points * 4 / s.length; }

// Whole vectors, and no more than twice the channels.
inline int64_t PackedDim(const TfgeoMsDeformAttnShape& s) {
  int64_t dim = 1;
  while (dim < s.dim && dim < 16) dim *= 2;
  dim = (s.dim + dim - 1) / dim * dim;
  return s.length * dim < int64_t{1} << 31 ? dim : s.dim;
}

// The least number of parts that keeps the threads even.
inline int64_t Even(int64_t units, int64_t threads, int64_t most) {
  int64_t parts = 1;
  while (parts < most && units * parts % threads != 0 && units * parts < 4 * threads) ++parts;
  return parts;
}

// Copies pay from `visits` on.
inline Split ChooseSplit(const TfgeoMsDeformAttnShape& s, int64_t visits) {
  const int64_t dim = PackedDim(s);
  const bool packed = Visits(s) >= visits && s.length * dim <= int64_t{1} << 23;
  return {packed, dim, s.batch * s.heads, 1};
}

// Parts that are worth a copy of the maps each.
inline int64_t MostParts(const TfgeoMsDeformAttnShape& s) { return std::clamp<int64_t>(Visits(s) / 8, 1, s.queries); }

// ---- memory ----

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// Pieces of memory for the units at work, handed on from one to the next.
template <typename C>
class Pool {
 public:
  using Piece = std::unique_ptr<C[], Free>;

  explicit Pool(int64_t size) : size_(size) {}

  // Zeros, or what the last unit left.
  Piece Take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        Piece piece = std::move(free_.back());
        free_.pop_back();
        return piece;
      }
    }
    return New();
  }

  void Give(Piece piece) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(piece));
  }

 private:
  // Samples jump about in it: with small pages their addresses alone would fill a cache.
  Piece New() const {
    constexpr size_t kHugePage = size_t{1} << 21;
    const size_t bytes = static_cast<size_t>(size_) * sizeof(C), align = bytes < kHugePage / 2 ? 64 : kHugePage;
    const size_t whole = (bytes + align - 1) / align * align;
    void* memory = std::aligned_alloc(align, whole);
    if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (align == kHugePage) madvise(memory, whole, MADV_HUGEPAGE);  // where that is refused it is only slower
#endif
    std::memset(memory, 0, whole);
    return Piece(static_cast<C*>(memory));
  }

  int64_t size_;
  std::mutex mutex_;
  std::vector<Piece> free_;
};

// A unit's rows and where they come from.
struct Unit {
  int64_t item, head, part;
  Rows rows;

  Unit(const TfgeoMsDeformAttnShape& s, const Split& split, int64_t unit)
      : item(unit / split.parts / s.heads), head(unit / split.parts % s.heads), part(unit % split.parts) {
    const int64_t begin = part * s.queries / split.parts, end = (part + 1) * s.queries / split.parts;
    rows = {(item * s.queries + begin) * s.heads + head, s.heads, end - begin};
  }
};

}  // namespace tfgeo::deform

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_SPLIT_H_
