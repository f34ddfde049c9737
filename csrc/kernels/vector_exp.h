// SPDX-License-Identifier: Apache-2.0
// exp(-s) for s >= 0. Part of an ISA body, after vector.h: no include guard on purpose.

namespace tfgeo::TFGEO_ISA {
namespace {

// To about a unit of the last place; 0 beyond 87, NaN stays NaN. A polynomial on half a binary order, then the exponent
// bits.
template <int W>
TFGEO_INLINE typename Vec<float, W>::type ExpMinus(typename Vec<float, W>::type s) {
  typedef typename Vec<float, W>::type V;
  typedef typename Vec<int32_t, W>::type I;
  const V capped = s < 87.0f ? s : V{} + 87.0f;
  const I n = __builtin_convertvector(capped * 1.44269504f + 0.5f, I);
  const V order = __builtin_convertvector(n, V);
  const V r = (order * 0.693145752f - capped) + order * 1.42860677e-6f;  // ln 2 in two parts
  V p = r * 0.0013836742f + 0.0083748987f;
  p = p * r + 0.0416682325f;
  p = p * r + 0.1666641980f;
  p = p * r + 0.4999999106f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const V power = Bits<V>((127 - n) << 23);
  return s < 87.0f ? p * power : s >= 87.0f ? V{} : s;
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
