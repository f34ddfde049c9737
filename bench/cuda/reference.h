/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a library with somebody else's kernels offers to the benchmark. It takes locations and weights in the type of the
 * values, and the shapes of the maps in device memory, as the public kernels do.
 */
#ifndef TFGEO_BENCH_CUDA_REFERENCE_H_
#define TFGEO_BENCH_CUDA_REFERENCE_H_

#include "../../csrc/kernels/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int batch, length, heads, dim, levels, points, queries;
  const int64_t* shapes; /* [L, 2] = (H, W), device memory */
  const int64_t* starts; /* [L], device memory */
  void* stream;
} TfgeoReferenceCall;

TFGEO_EXPORT const char* tfgeo_reference_name(void);

/* Whether there are kernels for values of this type. */
TFGEO_EXPORT int tfgeo_reference_supports(TfgeoType type);

/* Null, or what went wrong. */
TFGEO_EXPORT const char* tfgeo_reference_forward(TfgeoType type, const TfgeoReferenceCall* call, const void* value,
                                                 const void* locations, const void* weights, void* output);

/* The gradients hold zeros before; the kernels may add to them. */
TFGEO_EXPORT const char* tfgeo_reference_backward(TfgeoType type, const TfgeoReferenceCall* call,
                                                  const void* grad_output, const void* value, const void* locations,
                                                  const void* weights, void* grad_value, void* grad_locations,
                                                  void* grad_weights);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFGEO_BENCH_CUDA_REFERENCE_H_ */
