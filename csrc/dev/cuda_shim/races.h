// SPDX-License-Identifier: Apache-2.0
// Who touched which bytes of an allocation during a launch, and who had no barrier between them.
//
// For every few bytes the last write is kept, and of the reads and of the atomic accesses since then as many as decide
// whether the next access meets one of them: threads of two blocks, or of two warps since the block's last barrier, or
// two groups of lanes of one warp. What all later accesses are ordered after is dropped.
#ifndef TFGEO_CUDA_SHIM_RACES_H_
#define TFGEO_CUDA_SHIM_RACES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tfgeo::shim {

enum class Access : uint8_t { kRead, kWrite, kAtomic };

// What the lanes of a warp know of each other. Time is the number of barriers so far that lanes of the warp had.
struct WarpClock {
  uint32_t time = 0;
  uint32_t whole = 0;            // before this time, every lane is known to every other
  uint32_t known[32][32] = {};   // [lane][other]: before this time, `other` is known to `lane`

  // The lanes of `mask` have a barrier.
  void Meet(uint32_t mask);
};

// Where the running thread stands.
struct Position {
  uint32_t block = 0;  // of the grid
  uint32_t epoch = 0;  // barriers of the block so far
  uint32_t warp = 0;
  uint32_t lane = 0;
  const WarpClock* clock = nullptr;
};

// Lanes of a warp that touched the same bytes at the same time; lanes == 0: nobody.
struct Touch {
  uint32_t block = 0, epoch = 0, warp = 0, time = 0, lanes = 0;
};

// Two accesses that no barrier parts.
struct Race {
  bool found = false;
  Access earlier = Access::kRead;
  uint32_t block = 0, warp = 0, lane = 0;  // who was there before
  size_t offset = 0;                       // first byte where they meet
};

class Shadow {
 public:
  explicit Shadow(size_t bytes) : pages_(bytes / kPage + 1) {}

  // Bytes [offset, offset + bytes) are touched by the thread at `here`. What was recorded under another `launch` counts
  // no more.
  Race Record(Access access, size_t offset, size_t bytes, uint64_t launch, const Position& here);

 private:
  static constexpr size_t kPage = 1024, kCoarsest = 16;

  struct Cell {
    Touch write;
    Touch reads[2], atomics[2];
  };
  // Bytes that were always touched together share a cell.
  struct Page {
    uint64_t launch = 0;
    size_t grain = kCoarsest;
    std::vector<Cell> cells;
  };

  static void Refine(Page& page, size_t grain);
  static Race RecordCell(Cell& cell, Access access, const Position& here);

  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace tfgeo::shim

#endif  // TFGEO_CUDA_SHIM_RACES_H_
