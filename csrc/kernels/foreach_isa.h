// SPDX-License-Identifier: Apache-2.0
// Compiles one body file once per instruction set, so that one library runs well on every processor.
//
// Use: in a .cc file, after all other includes,
//     #define TFGEO_ISA_BODY "my_op_body.h"
//     #include "foreach_isa.h"
// The body puts its code into an unnamed namespace in `tfgeo::TFGEO_ISA` and uses vectors of TFGEO_VECTOR_BYTES bytes.
// It must include nothing but other bodies: inline functions of the standard library compiled for a newer processor
// could be picked by the linker for all callers. `TFGEO_DISPATCH(f)` then gives the best `f` for the processor at hand.
#ifndef TFGEO_KERNELS_FOREACH_ISA_H_
#define TFGEO_KERNELS_FOREACH_ISA_H_

#if defined(__x86_64__) && defined(__GNUC__)
#define TFGEO_X86_ISAS 1
#endif

#define TFGEO_INLINE inline __attribute__((always_inline))

namespace tfgeo {

// From the least to the most. The portable code, in vectors of 16 bytes, is NEON code on aarch64.
enum class Isa { kPortable, kAvx2, kAvx512 };

// The one in use, see isa.h.
Isa BestIsa();

}  // namespace tfgeo

#ifdef TFGEO_X86_ISAS
#define TFGEO_DISPATCH(...)                                        \
  (::tfgeo::BestIsa() == ::tfgeo::Isa::kAvx512 ? avx512::__VA_ARGS__ \
   : ::tfgeo::BestIsa() == ::tfgeo::Isa::kAvx2 ? avx2::__VA_ARGS__   \
                                               : portable::__VA_ARGS__)
#else
#define TFGEO_DISPATCH(...) portable::__VA_ARGS__
#endif

#endif  // TFGEO_KERNELS_FOREACH_ISA_H_

#ifdef TFGEO_ISA_BODY

#define TFGEO_ISA portable
#define TFGEO_VECTOR_BYTES 16
#include TFGEO_ISA_BODY
#undef TFGEO_ISA
#undef TFGEO_VECTOR_BYTES

#ifdef TFGEO_X86_ISAS

#define TFGEO_ISA avx2
#define TFGEO_VECTOR_BYTES 32
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#include TFGEO_ISA_BODY
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef TFGEO_ISA
#undef TFGEO_VECTOR_BYTES

#define TFGEO_ISA avx512
#define TFGEO_VECTOR_BYTES 64
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#endif
#include TFGEO_ISA_BODY
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef TFGEO_ISA
#undef TFGEO_VECTOR_BYTES

#endif  // TFGEO_X86_ISAS
#undef TFGEO_ISA_BODY
#endif  // TFGEO_ISA_BODY
