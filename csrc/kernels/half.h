// SPDX-License-Identifier: Apache-2.0
// The types of 16 bits, as memory holds them.
#ifndef TFGEO_KERNELS_HALF_H_
#define TFGEO_KERNELS_HALF_H_

#include <cstdint>

namespace tfgeo {

// IEEE 754 binary16.
struct Half {
  uint16_t bits;
};

// The upper half of a float.
struct Bfloat {
  uint16_t bits;
};

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_HALF_H_
