// SPDX-License-Identifier: Apache-2.0
// Memory of a CUDA device, or of its stand-in, that frees itself. Host code only: any compiler will do.
#ifndef TFGEO_DEV_DEVICE_ARRAY_H_
#define TFGEO_DEV_DEVICE_ARRAY_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

namespace tfgeo::dev {

// Keeps the first error: what comes after it does nothing.
class DeviceErrors {
 public:
  void Note(cudaError_t status, const char* what) {
    if (status == cudaSuccess || !text_.empty()) return;
    text_ = std::string(what) + ": " + cudaGetErrorString(status);
    cudaGetLastError();
  }
  // Empty: none.
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class DeviceArray {
 public:
  // `shift` bytes into an allocation that is aligned.
  DeviceArray(size_t bytes, DeviceErrors* errors, size_t shift = 0) : bytes_(bytes), shift_(shift), errors_(errors) {
    if (bytes > 0) errors->Note(cudaMalloc(&memory_, bytes + shift), "cudaMalloc");
  }
  ~DeviceArray() {
    if (memory_ != nullptr) cudaFree(memory_);
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  // Null where there is nothing to hold.
  void* get() const { return memory_ == nullptr ? nullptr : static_cast<char*>(memory_) + shift_; }

  void Upload(const void* from) { Copy(get(), from, cudaMemcpyHostToDevice); }
  void Download(void* to) const { Copy(to, get(), cudaMemcpyDeviceToHost); }
  // Fills it with NaN of every type.
  void Poison() {
    if (memory_ != nullptr) errors_->Note(cudaMemset(get(), 0xff, bytes_), "cudaMemset");
  }

 private:
  void Copy(void* to, const void* from, cudaMemcpyKind kind) const {
    if (memory_ != nullptr) errors_->Note(cudaMemcpy(to, from, bytes_, kind), "cudaMemcpy");
  }

  void* memory_ = nullptr;
  size_t bytes_, shift_;
  DeviceErrors* errors_;
};

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_DEVICE_ARRAY_H_
