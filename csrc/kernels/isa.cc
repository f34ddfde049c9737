// SPDX-License-Identifier: Apache-2.0
#include "isa.h"

#include <cstdlib>
#include <cstring>

#include "fail.h"
#include "foreach_isa.h"

namespace tfgeo {
namespace {

struct Known {
  const char* name;
  Isa isa;
};

// From the least to the most.
#if defined(TFGEO_X86_ISAS)
constexpr Known kKnown[] = {{"portable", Isa::kPortable}, {"avx2", Isa::kAvx2}, {"avx512", Isa::kAvx512}};
#elif defined(__aarch64__)
constexpr Known kKnown[] = {{"neon", Isa::kPortable}};
#else
constexpr Known kKnown[] = {{"portable", Isa::kPortable}};
#endif

Isa Detect() {
#ifdef TFGEO_X86_ISAS
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) return Isa::kAvx512;
  if (avx2) return Isa::kAvx2;
#endif
  return Isa::kPortable;
}

struct Choice {
  Isa isa;
  bool refused;
  char wanted[32];  // what TFGEO_ISA said
};

Choice Choose() {
  const Isa best = Detect();
  Choice choice = {best, false, ""};
  const char* wanted = std::getenv("TFGEO_ISA");
  if (wanted == nullptr || wanted[0] == 0) return choice;
  std::strncpy(choice.wanted, wanted, sizeof(choice.wanted) - 1);
  for (const Known& known : kKnown) {
    if (std::strcmp(wanted, known.name) != 0 || known.isa > best) continue;
    choice.isa = known.isa;
    return choice;
  }
  choice.refused = true;
  return choice;
}

const Choice& Chosen() {
  static const Choice choice = Choose();
  return choice;
}

}  // namespace

Isa BestIsa() { return Chosen().isa; }

}  // namespace tfgeo

const char* tfgeo_cpu_isa() {
  const char* name = "";
  for (const auto& known : tfgeo::kKnown) {
    if (known.isa == tfgeo::BestIsa()) name = known.name;
  }
  return name;
}

TfgeoCode tfgeo_cpu_check_isa(TfgeoError error) {
  if (!tfgeo::Chosen().refused) return TFGEO_OK;
  char names[64] = "";
  const tfgeo::Isa best = tfgeo::Detect();
  for (const auto& known : tfgeo::kKnown) {
    if (known.isa > best) break;
    if (names[0] != 0) std::strcat(names, ", ");
    std::strcat(names, known.name);
  }
  return tfgeo::Fail(error, TFGEO_INVALID_ARGUMENT,
                     "expected one of %s for the environment variable TFGEO_ISA on this processor but received %s",
                     names, tfgeo::Chosen().wanted);
}
