// SPDX-License-Identifier: Apache-2.0
// Numbers of the types that the C interfaces take, for programs that compute in double.
#ifndef TFGEO_DEV_ELEMENT_TYPES_H_
#define TFGEO_DEV_ELEMENT_TYPES_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "../kernels/abi.h"
#include "cuda_shim/small_floats.h"

namespace tfgeo::dev {

inline const char* TypeName(TfgeoType type) {
  static const char* const names[] = {"float32", "float64", "float16", "bfloat16"};
  return names[type];
}

inline size_t TypeSize(TfgeoType type) { return type == TFGEO_FLOAT64 ? 8 : type == TFGEO_FLOAT32 ? 4 : 2; }

// What the samples of such values have.
inline TfgeoType SampleType(TfgeoType type) { return type == TFGEO_FLOAT64 ? TFGEO_FLOAT64 : TFGEO_FLOAT32; }

template <typename T>
void PutBits(T x, unsigned char* to) {
  std::memcpy(to, &x, sizeof(T));
}

template <typename T>
T GetBits(const unsigned char* from) {
  T x;
  std::memcpy(&x, from, sizeof(T));
  return x;
}

inline void Encode(TfgeoType type, double x, unsigned char* to) {
  if (type == TFGEO_FLOAT64) return PutBits(x, to);
  if (type == TFGEO_FLOAT32) return PutBits(static_cast<float>(x), to);
  PutBits(type == TFGEO_FLOAT16 ? shim::RoundTo16Bits<10>(x) : shim::RoundTo16Bits<7>(x), to);
}

inline double Decode(TfgeoType type, const unsigned char* from) {
  if (type == TFGEO_FLOAT64) return GetBits<double>(from);
  if (type == TFGEO_FLOAT32) return GetBits<float>(from);
  const auto bits = GetBits<uint16_t>(from);
  return type == TFGEO_FLOAT16 ? shim::From16Bits<10>(bits) : shim::From16Bits<7>(bits);
}

inline double RoundTo(TfgeoType type, double x) {
  unsigned char bytes[8];
  Encode(type, x, bytes);
  return Decode(type, bytes);
}

inline std::vector<unsigned char> EncodeAll(TfgeoType type, const std::vector<double>& values) {
  const size_t size = TypeSize(type);
  std::vector<unsigned char> bytes(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) Encode(type, values[i], bytes.data() + i * size);
  return bytes;
}

inline std::vector<double> DecodeAll(TfgeoType type, const std::vector<unsigned char>& bytes) {
  const size_t size = TypeSize(type);
  std::vector<double> values(bytes.size() / size);
  for (size_t i = 0; i < values.size(); ++i) values[i] = Decode(type, bytes.data() + i * size);
  return values;
}

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_ELEMENT_TYPES_H_
