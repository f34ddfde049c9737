// SPDX-License-Identifier: Apache-2.0
// What launches and the runtime API share: the one device, its memory and its errors.
#ifndef TFGEO_CUDA_SHIM_DEVICE_STATE_H_
#define TFGEO_CUDA_SHIM_DEVICE_STATE_H_

#include <mutex>
#include <string>

#include "memory.h"
#include "runtime_api.h"

namespace tfgeo::shim {

constexpr size_t kSharedMemory = 48 << 10;        // of a block
constexpr size_t kSharedMemoryOptIn = 227 << 10;  // at most, where a kernel asked for it
constexpr int kMultiprocessors = 4;
constexpr int kThreadsOfMultiprocessor = 2048;

// Held by every call; one kernel runs at a time.
std::recursive_mutex& DeviceLock();

Memory& DeviceMemory();

// TFGEO_SHIM_NO_CODE: the card is one that the kernels were not compiled for.
bool NoCode();

// Largest dynamic shared memory that was set for a kernel; null = for any.
size_t SharedMemoryLimit(const void* function);

// Remembers an error for cudaGetLastError and gives it back. Sticky ones stay until the device is reset.
cudaError_t SetError(cudaError_t error);
// The sticky error, if there is one.
cudaError_t StickyError();
// What a kernel was stopped for: sticky, said on stderr, and from then on part of the text of the error.
void SetReport(cudaError_t error, std::string report);
void ClearErrors();

}  // namespace tfgeo::shim

#endif  // TFGEO_CUDA_SHIM_DEVICE_STATE_H_
