// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace tfgeo {

class Block {
 public:
  uintptr_t begin = 0;
  size_t bytes = 0;
  int references = 1;  // guarded by the registry's mutex
};

namespace {

struct Registry {
  std::mutex mutex;
  std::map<uintptr_t, Block*> by_address;
};

Registry& TheRegistry() {
  // Never destroyed: TensorFlow may let go of a block while the process exits.
  static Registry* registry = new Registry();
  return *registry;
}

}  // namespace

Block* AllocateBlock(size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes > 0 ? bytes : 1) != 0) throw std::bad_alloc();
  Block* block = new Block();
  block->begin = reinterpret_cast<uintptr_t>(memory);
  block->bytes = bytes;
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  registry.by_address.emplace(block->begin, block);
  return block;
}

void* BlockData(Block* block) { return reinterpret_cast<void*>(block->begin); }

void ReleaseBlock(Block* block) {
  {
    Registry& registry = TheRegistry();
    std::lock_guard<std::mutex> lock(registry.mutex);
    if (--block->references > 0) return;
    registry.by_address.erase(block->begin);
  }
  free(reinterpret_cast<void*>(block->begin));
  delete block;
}

Block* HoldBlock(const void* data, size_t bytes) {
  Registry& registry = TheRegistry();
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data);
  std::lock_guard<std::mutex> lock(registry.mutex);
  auto it = registry.by_address.upper_bound(begin);
  if (it == registry.by_address.begin()) return nullptr;
  Block* block = (--it)->second;
  if (begin + bytes > block->begin + block->bytes) return nullptr;
  block->references++;
  return block;
}

}  // namespace tfgeo
