// SPDX-License-Identifier: Apache-2.0
// Floating-point numbers of 16 bits: to the nearest, ties to even, as the cards round.
#ifndef TFGEO_CUDA_SHIM_SMALL_FLOATS_H_
#define TFGEO_CUDA_SHIM_SMALL_FLOATS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace tfgeo::shim {

// kMantissa bits after the point, 15 - kMantissa bits of exponent; every NaN becomes 0x7fff.
template <int kMantissa>
uint16_t RoundTo16Bits(double x) {
  constexpr int kBias = (1 << (14 - kMantissa)) - 1;
  constexpr uint32_t kInfinity = 0x7fffu >> kMantissa << kMantissa;
  if (std::isnan(x)) return 0x7fff;
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double size = std::fabs(x);
  if (std::isinf(size)) return static_cast<uint16_t>(sign | kInfinity);
  if (size == 0) return sign;
  int exponent = 0;
  std::frexp(size, &exponent);
  exponent = std::max(exponent - 1, 1 - kBias);
  if (exponent > kBias) return static_cast<uint16_t>(sign | kInfinity);
  // Whole steps of the last bit; with subnormals the leading one is missing from the sum, as it should.
  const auto steps = static_cast<uint32_t>(std::nearbyint(std::ldexp(size, kMantissa - exponent)));
  const uint32_t bits = (static_cast<uint32_t>(exponent + kBias - 1) << kMantissa) + steps;
  return static_cast<uint16_t>(sign | (bits < kInfinity ? bits : kInfinity));
}

template <int kMantissa>
float From16Bits(uint16_t bits) {
  constexpr int kBias = (1 << (14 - kMantissa)) - 1;
  const int exponent = (bits & 0x7fff) >> kMantissa, fraction = bits & ((1 << kMantissa) - 1);
  float size = 0;
  if (exponent == 2 * kBias + 1) {
    size = fraction ? NAN : INFINITY;
  } else if (exponent == 0) {
    size = std::ldexp(static_cast<float>(fraction), 1 - kBias - kMantissa);
  } else {
    const uint32_t single = static_cast<uint32_t>(exponent - kBias + 127) << 23 | static_cast<uint32_t>(fraction)
                                                                                        << (23 - kMantissa);
    std::memcpy(&size, &single, sizeof(size));
  }
  return bits & 0x8000 ? -size : size;
}

// The common part of __half and __nv_bfloat16.
template <int kMantissa>
struct SmallFloat {
  uint16_t bits;

  SmallFloat() = default;
  SmallFloat(float x) : bits(RoundTo16Bits<kMantissa>(x)) {}
  SmallFloat(double x) : bits(RoundTo16Bits<kMantissa>(x)) {}
  SmallFloat(int x) : bits(RoundTo16Bits<kMantissa>(x)) {}
  operator float() const { return From16Bits<kMantissa>(bits); }
};

template <typename T>
struct alignas(4) SmallFloatPair {
  T x, y;
};

}  // namespace tfgeo::shim

#endif  // TFGEO_CUDA_SHIM_SMALL_FLOATS_H_
