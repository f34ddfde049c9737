// SPDX-License-Identifier: Apache-2.0
// Somebody else's kernels in a library of their own, see reference.h.
#ifndef TFGEO_BENCH_CUDA_REFERENCE_LIBRARY_H_
#define TFGEO_BENCH_CUDA_REFERENCE_LIBRARY_H_

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "reference.h"

namespace tfgeo::bench {

class ReferenceLibrary {
 public:
  explicit ReferenceLibrary(const std::string& path) : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (!handle_) throw std::runtime_error(dlerror());
    Find(&name_, "tfgeo_reference_name");
    Find(&supports, "tfgeo_reference_supports");
    Find(&forward, "tfgeo_reference_forward");
    Find(&backward, "tfgeo_reference_backward");
  }

  std::string Name() const { return name_(); }
  void Check(const char* fault) const {
    if (fault) throw std::runtime_error(Name() + ": " + fault);
  }

  decltype(&tfgeo_reference_supports) supports = nullptr;
  decltype(&tfgeo_reference_forward) forward = nullptr;
  decltype(&tfgeo_reference_backward) backward = nullptr;

 private:
  template <typename F>
  void Find(F* into, const char* symbol) {
    *into = reinterpret_cast<F>(dlsym(handle_, symbol));
    if (!*into) throw std::runtime_error(dlerror());
  }

  void* handle_;  // stays open to the end of the program
  decltype(&tfgeo_reference_name) name_ = nullptr;
};

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_REFERENCE_LIBRARY_H_
