// SPDX-License-Identifier: Apache-2.0
// CUDA's small vectors.
#ifndef TFGEO_CUDA_SHIM_VECTOR_TYPES_H_
#define TFGEO_CUDA_SHIM_VECTOR_TYPES_H_

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1) : x(x_size), y(y_size), z(z_size) {}
};

#define TFGEO_SHIM_VECTORS(type, name)                                                          \
  struct alignas(2 * sizeof(type)) name##2 {                                                    \
    type x, y;                                                                                  \
  };                                                                                            \
  struct alignas(sizeof(type) < 8 ? 4 * sizeof(type) : 16) name##4 {                            \
    type x, y, z, w;                                                                            \
  };                                                                                            \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                              \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

TFGEO_SHIM_VECTORS(float, float)
TFGEO_SHIM_VECTORS(double, double)
TFGEO_SHIM_VECTORS(int, int)
TFGEO_SHIM_VECTORS(unsigned, uint)
#undef TFGEO_SHIM_VECTORS

#endif  // TFGEO_CUDA_SHIM_VECTOR_TYPES_H_
