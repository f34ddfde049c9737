// SPDX-License-Identifier: Apache-2.0
// Memory that JavaScript and TensorFlow may both hold: aligned buffers made for JavaScript, used as tensors in
// place. A block is freed when its last holder lets go, on whichever thread that is.
//
// The other direction, tensor data handed to JavaScript in place, was tried and left: Node frees such buffers only
// between turns of the event loop, so a loop that reads tensors would grow without bound.
#ifndef TFGEO_NODE_BLOCKS_H_
#define TFGEO_NODE_BLOCKS_H_

#include <cstddef>

namespace tfgeo {

class Block;

/** What TensorFlow wants of memory it uses in place. */
constexpr size_t kAlignment = 64;

/** Uninitialised memory of `bytes` bytes, aligned to kAlignment; one reference, the caller's. */
Block* AllocateBlock(size_t bytes);

void* BlockData(Block* block);

void ReleaseBlock(Block* block);

/** The block that holds [data, data + bytes), with one more reference, or null if the memory is not ours. */
Block* HoldBlock(const void* data, size_t bytes);

}  // namespace tfgeo

#endif  // TFGEO_NODE_BLOCKS_H_
