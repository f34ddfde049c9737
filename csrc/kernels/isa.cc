// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>

#include "foreach_isa.h"

namespace tfgeo {
namespace {

Isa Detect() {
  Isa best = Isa::kBase;
#ifdef TFGEO_X86_ISAS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::kAvx2;
  if (best == Isa::kAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    best = Isa::kAvx512;
  }
#endif
  const char* wanted = std::getenv("TFGEO_ISA");
  if (wanted == nullptr) return best;
  if (std::strcmp(wanted, "base") == 0) return Isa::kBase;
  if (std::strcmp(wanted, "avx2") == 0 && best == Isa::kAvx512) return Isa::kAvx2;
  return best;
}

}  // namespace

Isa BestIsa() {
  static const Isa isa = Detect();
  return isa;
}

}  // namespace tfgeo
