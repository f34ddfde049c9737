// SPDX-License-Identifier: Apache-2.0
// Rows of any type of the C interface as rows of numbers to compute with. Part of an ISA body, after vector.h: no
// include guard on purpose. Needs abi.h, half.h and, for x86 and ARM, the compiler's header of intrinsics.

namespace tfgeo::TFGEO_ISA {
namespace {

// ---- vectors ----

template <typename C, int W>
TFGEO_INLINE typename Vec<C, W>::type LoadAs(const C* p) {
  return Load<C, W>(p);
}

template <typename C, int W>
TFGEO_INLINE typename Vec<float, W>::type LoadAs(const Bfloat* p) {
  typedef typename Vec<uint32_t, W>::type U;
#if TFGEO_VECTOR_BYTES == 64
  // The compiler splits this conversion in two. Unmasked, GCC 12 warns about its own header.
  if constexpr (W == 16) {
    const __m256i half = Bits<__m256i>(Load<uint16_t, 16>(&p->bits));
    return Bits<typename Vec<float, 16>::type>(Bits<U>(_mm512_maskz_cvtepu16_epi32(0xffff, half)) << 16);
  }
#endif
  return Bits<typename Vec<float, W>::type>(__builtin_convertvector((Load<uint16_t, W>(&p->bits)), U) << 16);
}

// The exponent moves to its place by addition; numbers below 2^-14 get a leading 1 that is subtracted again.
template <int W>
TFGEO_INLINE typename Vec<float, W>::type FromHalf(typename Vec<uint16_t, W>::type half) {
  typedef typename Vec<uint32_t, W>::type U;
  typedef typename Vec<float, W>::type V;
  const U all = __builtin_convertvector(half, U);
  const U sign = (all & 0x8000u) << 16, rest = (all & 0x7fffu) << 13;
  const U shifted = rest + (112u << 23);
  const U special = rest + (224u << 23);
  const U tiny = Bits<U>(Bits<V>(rest + (113u << 23)) - Bits<V>(U{} + (113u << 23)));
  return Bits<V>(sign | (rest < (1u << 23) ? tiny : rest >= (31u << 23) ? special : shifted));
}

template <typename C, int W>
TFGEO_INLINE typename Vec<float, W>::type LoadAs(const Half* p) {
  const auto half = Load<uint16_t, W>(&p->bits);
#if TFGEO_VECTOR_BYTES == 64
  if constexpr (W == 16) return Bits<typename Vec<float, W>::type>(_mm512_maskz_cvtph_ps(0xffff, Bits<__m256i>(half)));
#endif
#if TFGEO_VECTOR_BYTES >= 32
  if constexpr (W == 8) return Bits<typename Vec<float, W>::type>(_mm256_cvtph_ps(Bits<__m128i>(half)));
#endif
#ifdef __aarch64__
  if constexpr (W == 4) return Bits<typename Vec<float, W>::type>(vcvt_f32_f16(Bits<float16x4_t>(half)));
#endif
  return FromHalf<W>(half);
}

template <typename C, int W>
TFGEO_INLINE void StoreAs(C* p, typename Vec<C, W>::type v) {
  Store<C, W>(p, v);
}

// To the nearest, ties to even; NaN keeps its sign and becomes quiet.
template <typename C, int W>
TFGEO_INLINE void StoreAs(Bfloat* p, typename Vec<float, W>::type v) {
  typedef typename Vec<uint32_t, W>::type U;
  typedef typename Vec<uint16_t, W>::type H;
  const U bits = Bits<U>(v);
  const U rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const U nan = (bits >> 16) | 0x40u;
  Store<uint16_t, W>(&p->bits, __builtin_convertvector((v == v ? rounded : nan), H));
}

// Below 2^-14 an addition rounds: 0.5 has the last bit where a half has it there.
template <typename C, int W>
TFGEO_INLINE void StoreAs(Half* p, typename Vec<float, W>::type v) {
  typedef typename Vec<uint32_t, W>::type U;
  typedef typename Vec<float, W>::type V;
  typedef typename Vec<uint16_t, W>::type H;
  const U bits = Bits<U>(v), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
  const U rounded = (rest - (112u << 23) + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  const U tiny = Bits<U>(Bits<V>(rest) + 0.5f) - (126u << 23);
  const U infinite = U{} + 0x7c00u, nan = U{} + 0x7e00u;
  const U large = rest > (255u << 23) ? nan : infinite;
  const U half = rest < (113u << 23) ? tiny : rest >= (143u << 23) ? large : rounded;
  Store<uint16_t, W>(&p->bits, __builtin_convertvector(sign | half, H));
}

// ---- rows ----

// In pieces as wide as they fit.
template <typename C, int W = TFGEO_VECTOR_BYTES / sizeof(C), typename S>
TFGEO_INLINE void Widen(const S* from, int64_t size, C* to) {
  int64_t i = 0;
  for (; i + W <= size; i += W) Store<C, W>(to + i, LoadAs<C, W>(from + i));
  if constexpr (W > 1) {
    if (i < size) Widen<C, W / 2>(from + i, size - i, to + i);
  }
}

template <typename C, int W = TFGEO_VECTOR_BYTES / sizeof(C), typename S>
TFGEO_INLINE void Narrow(const C* from, int64_t size, S* to) {
  int64_t i = 0;
  for (; i + W <= size; i += W) StoreAs<C, W>(to + i, Load<C, W>(from + i));
  if constexpr (W > 1) {
    if (i < size) Narrow<C, W / 2>(from + i, size - i, to + i);
  }
}

// Elements [at, at + size) of a tensor of this type; C is double for that, float for the others.
template <typename C>
TFGEO_INLINE void LoadRow(TfgeoType type, const void* tensor, int64_t at, int64_t size, C* to) {
  if constexpr (sizeof(C) == 4) {
    if (type == TFGEO_BFLOAT16) return Widen(static_cast<const Bfloat*>(tensor) + at, size, to);
    if (type == TFGEO_FLOAT16) return Widen(static_cast<const Half*>(tensor) + at, size, to);
  }
  Widen(static_cast<const C*>(tensor) + at, size, to);
}

TFGEO_INLINE void PrefetchRow(TfgeoType type, const void* tensor, int64_t at, int64_t size) {
  const int64_t bytes = type == TFGEO_FLOAT64 ? 8 : type == TFGEO_FLOAT32 ? 4 : 2;
  Prefetch<false>(static_cast<const char*>(tensor) + at * bytes, size * bytes);
}

template <typename C>
TFGEO_INLINE void StoreRow(TfgeoType type, const C* from, int64_t size, void* tensor, int64_t at) {
  if constexpr (sizeof(C) == 4) {
    if (type == TFGEO_BFLOAT16) return Narrow(from, size, static_cast<Bfloat*>(tensor) + at);
    if (type == TFGEO_FLOAT16) return Narrow(from, size, static_cast<Half*>(tensor) + at);
  }
  Narrow(from, size, static_cast<C*>(tensor) + at);
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
