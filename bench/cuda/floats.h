// SPDX-License-Identifier: Apache-2.0
// 16-bit floats on the host: what the card is given, and what comes back.
#ifndef TFGEO_BENCH_CUDA_FLOATS_H_
#define TFGEO_BENCH_CUDA_FLOATS_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../../csrc/kernels/abi.h"

namespace tfgeo::bench {

inline const char* NameOf(TfgeoType type) {
  return type == TFGEO_FLOAT16 ? "float16" : type == TFGEO_BFLOAT16 ? "bfloat16" : "float32";
}
inline size_t SizeOf(TfgeoType type) { return type == TFGEO_FLOAT32 ? 4 : 2; }

inline uint32_t BitsOf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}
inline float FromBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// To the nearest, ties to even; finite numbers only.
inline uint16_t ToBfloat16(float x) {
  const uint32_t bits = BitsOf(x);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float FromBfloat16(uint16_t x) { return FromBits(static_cast<uint32_t>(x) << 16); }

// Adding a number whose last bit has the wanted weight lets the processor round; its bits then hold the result.
inline uint16_t ToFloat16(float x) {
  const uint32_t sign = BitsOf(x) >> 31 << 15;
  const float size = std::fabs(x);
  if (!(size < 65520.0f)) return static_cast<uint16_t>(sign | (size == size ? 0x7c00 : 0x7e00));
  int exponent;
  std::frexp(size, &exponent);
  if (size == 0 || exponent < -13) exponent = -13;  // below that, steps have one width
  const float magic = std::ldexp(1.5f, exponent + 12);
  volatile float sum = size + magic;
  const float rounded = sum - magic;
  const uint32_t steps = static_cast<uint32_t>(std::ldexp(rounded, 11 - exponent));
  // `steps` has its leading bit at 10 (or none), which carries into the exponent field.
  return static_cast<uint16_t>(sign | ((static_cast<uint32_t>(exponent + 13) << 10) + steps));
}
inline float FromFloat16(uint16_t x) {
  const int exponent = x >> 10 & 31;
  const float size = exponent == 31  ? ((x & 1023) ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp(static_cast<float>(x & 1023), -24)
                                     : std::ldexp(static_cast<float>((x & 1023) | 1024), exponent - 25);
  return x >> 15 ? -size : size;
}

// As the card holds them.
inline std::vector<unsigned char> Encode(TfgeoType type, const std::vector<float>& values) {
  std::vector<unsigned char> bytes(values.size() * SizeOf(type));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == TFGEO_FLOAT32) {
      std::memcpy(&bytes[4 * i], &values[i], 4);
    } else {
      const uint16_t bits = type == TFGEO_FLOAT16 ? ToFloat16(values[i]) : ToBfloat16(values[i]);
      std::memcpy(&bytes[2 * i], &bits, 2);
    }
  }
  return bytes;
}

inline std::vector<float> Decode(TfgeoType type, const std::vector<unsigned char>& bytes) {
  std::vector<float> values(bytes.size() / SizeOf(type));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == TFGEO_FLOAT32) {
      std::memcpy(&values[i], &bytes[4 * i], 4);
    } else {
      uint16_t bits;
      std::memcpy(&bits, &bytes[2 * i], 2);
      values[i] = type == TFGEO_FLOAT16 ? FromFloat16(bits) : FromBfloat16(bits);
    }
  }
  return values;
}

// To what the type holds.
inline void Round(TfgeoType type, std::vector<float>& values) {
  if (type != TFGEO_FLOAT32) values = Decode(type, Encode(type, values));
}

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_FLOATS_H_
