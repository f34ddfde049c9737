// SPDX-License-Identifier: Apache-2.0
#include "races.h"

#include <algorithm>

namespace tfgeo::shim {

void WarpClock::Meet(uint32_t mask) {
  const uint32_t now = ++time;
  if (mask == 0xffffffffu) {
    whole = now;
    return;
  }
  uint32_t together[32] = {};
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    for (uint32_t other = 0; other < 32; ++other) together[other] = std::max(together[other], known[lane][other]);
  }
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1) together[lane] = now;
  }
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1) std::copy(together, together + 32, known[lane]);
  }
}

namespace {

// The lanes of `touch` that no barrier parts from the thread at `here`.
uint32_t Unordered(const Touch& touch, const Position& here) {
  if (touch.lanes == 0) return 0;
  if (touch.block != here.block) return touch.lanes;
  if (touch.epoch < here.epoch) return 0;
  if (touch.warp != here.warp) return touch.lanes;
  if (touch.time < here.clock->whole) return 0;
  uint32_t lanes = touch.lanes & ~(1u << here.lane);
  for (uint32_t left = lanes; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    if (touch.time < here.clock->known[here.lane][lane]) lanes &= ~(1u << lane);
  }
  return lanes;
}

bool SameTime(const Touch& a, const Touch& b) {
  return a.block == b.block && a.epoch == b.epoch && a.warp == b.warp && a.time == b.time;
}

// Adds to a pair of touches of one kind, which do not disturb each other.
void Add(Touch (&pair)[2], const Touch& touch, const Position& here) {
  for (Touch& old : pair) {
    if (old.lanes != 0 && SameTime(old, touch)) {
      old.lanes |= touch.lanes;
      return;
    }
    if (Unordered(old, here) == 0) old.lanes = 0;
  }
  for (Touch& old : pair) {
    if (old.lanes == 0) {
      old = touch;
      return;
    }
  }
  // Nobody can be ordered after two blocks, nor after two warps without a barrier of the block.
  if (pair[0].block != pair[1].block) return;
  if (pair[0].block == touch.block && pair[0].warp != pair[1].warp) return;
  pair[0] = pair[1];
  pair[1] = touch;
}

Race Meeting(Access earlier, const Touch& touch, const Position& here) {
  const uint32_t lanes = Unordered(touch, here);
  Race race;
  if (lanes == 0) return race;
  race.found = true;
  race.earlier = earlier;
  race.block = touch.block;
  race.warp = touch.warp;
  race.lane = static_cast<uint32_t>(__builtin_ctz(lanes));
  return race;
}

}  // namespace

Race Shadow::RecordCell(Cell& cell, Access access, const Position& here) {
  const Touch touch{here.block, here.epoch, here.warp, here.clock->time, 1u << here.lane};
  if (const Race race = Meeting(Access::kWrite, cell.write, here); race.found) return race;
  if (access != Access::kRead) {
    for (const Touch& read : cell.reads) {
      if (const Race race = Meeting(Access::kRead, read, here); race.found) return race;
    }
  }
  if (access != Access::kAtomic) {
    for (const Touch& atomic : cell.atomics) {
      if (const Race race = Meeting(Access::kAtomic, atomic, here); race.found) return race;
    }
  }
  if (access == Access::kWrite) {
    cell = {};
    cell.write = touch;
  } else {
    Add(access == Access::kRead ? cell.reads : cell.atomics, touch, here);
  }
  return {};
}

void Shadow::Refine(Page& page, size_t grain) {
  std::vector<Cell> finer;
  finer.reserve(kPage / grain);
  for (const Cell& cell : page.cells) finer.insert(finer.end(), page.grain / grain, cell);
  page.cells = std::move(finer);
  page.grain = grain;
}

Race Shadow::Record(Access access, size_t offset, size_t bytes, uint64_t launch, const Position& here) {
  for (size_t begin = offset, end = offset + bytes; begin < end;) {
    auto& page = pages_[begin / kPage];
    const size_t first = begin % kPage, last = std::min(kPage, first + (end - begin));
    if (!page) page = std::make_unique<Page>();
    if (page->launch != launch) {
      page->launch = launch;
      page->cells.assign(kPage / page->grain, Cell{});
    }
    size_t grain = page->grain;
    while ((first | last) % grain != 0) grain /= 2;
    if (grain < page->grain) Refine(*page, grain);
    for (size_t at = first; at < last; at += grain) {
      Race race = RecordCell(page->cells[at / grain], access, here);
      if (race.found) {
        race.offset = begin + (at - first);
        return race;
      }
    }
    begin += last - first;
  }
  return {};
}

}  // namespace tfgeo::shim
