/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multi-scale deformable attention: every query sums bilinear samples of several feature maps, weighted per head.
 * Source: Zhu et al. 2021, "Deformable DETR: Deformable Transformers for End-to-End Object Detection".
 *
 *   value   [N, S, M, D], the maps one after the other, each row-major; S is the sum of H * W
 *   output  [N, Q, M * D]
 *
 * Pixel coordinates are x * W - 0.5 and y * H - 0.5. A sample counts when both lie strictly between -1 and the size;
 * corners outside the map are zero. A sample outside adds nothing, whatever its weight; NaN as a location or weight
 * makes the outputs of its query and head NaN. Where a coordinate is an integer the gradient of the location is the
 * derivative to the right. An infinite number in value may make the sums that it enters NaN.
 *
 * `type` is the type of value and output and of their gradients. Samples and their gradients are float64 where that is
 * float64 and float32 otherwise; sums are taken in that type too.
 */
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_H_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_H_

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of a call: each at least 1, and every tensor with fewer than 2^31 elements, else TFGEO_INVALID_ARGUMENT. */
typedef struct {
  int64_t batch;                 /* N */
  int64_t length;                /* S */
  int64_t heads;                 /* M */
  int64_t dim;                   /* D, channels of a head */
  int64_t levels;                /* L */
  int64_t points;                /* P, samples per level */
  int64_t queries;               /* Q */
  int64_t reference_size;        /* R: 2 or 4 with raw samples, 0 otherwise */
  const int32_t* spatial_shapes; /* [L, 2] = (H, W), always in host memory */
} TfgeoMsDeformAttnShape;

/*
 * The samples, in one of two forms.
 * Located (reference_size 0): `locations` [N, Q, M, L, P, (x, y)] in [0, 1] and `weights` [N, Q, M, L, P].
 * Raw: `offsets` [N, Q, M, L, P, (x, y)], `logits` [N, Q, M, L * P] and `reference` [N, Q, L, R]; the weights are the
 * softmax of a head's logits, the locations are
 *   R = 2, reference (x, y):         x + offset / W, y + offset / H
 *   R = 4, reference (cx, cy, w, h): cx + offset / P * w * 0.5, cy + offset / P * h * 0.5
 */
typedef struct {
  const void* reference; /* null where located */
  const void* positions; /* locations or offsets */
  const void* scores;    /* weights or logits */
} TfgeoMsDeformAttnSamples;

/* Gradients of sum(output * grad_output); all elements are written. A null pointer leaves that gradient out. */
typedef struct {
  void* value;
  void* reference; /* null where located */
  void* positions;
  void* scores;
} TfgeoMsDeformAttnGrads;

/* The error of these sizes, as the calls below would give it; they check by themselves. */
TFGEO_EXPORT TfgeoCode tfgeo_ms_deform_attn_check(TfgeoType type, const TfgeoMsDeformAttnShape* shape,
                                                  TfgeoError error);

/* ---- CPU ---- */

TFGEO_EXPORT TfgeoCode tfgeo_ms_deform_attn(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                                            const TfgeoMsDeformAttnSamples* samples, void* output,
                                            const TfgeoThreads* threads, TfgeoError error);

/* The result depends on the number of threads only when there are more threads than batch * heads. */
TFGEO_EXPORT TfgeoCode tfgeo_ms_deform_attn_grad(TfgeoType type, const TfgeoMsDeformAttnShape* shape,
                                                 const void* grad_output, const void* value,
                                                 const TfgeoMsDeformAttnSamples* samples,
                                                 const TfgeoMsDeformAttnGrads* grads, const TfgeoThreads* threads,
                                                 TfgeoError error);

/* ---- CUDA: a library of its own, tfgeo_cuda.so, that needs nothing but the driver ---- */

/*
 * All pointers but spatial_shapes are to device memory of the current device, `stream` is a cudaStream_t; the calls
 * return when the work is queued. At most 64 levels. Positions must be aligned to a pair of numbers; value, output and
 * their gradients are read fastest where they are aligned to 16 bytes.
 */
TFGEO_EXPORT TfgeoCode tfgeo_cuda_ms_deform_attn(TfgeoType type, const TfgeoMsDeformAttnShape* shape,
                                                 const void* value, const TfgeoMsDeformAttnSamples* samples,
                                                 void* output, void* stream, TfgeoError error);

/* Bytes of scratch memory that the gradient needs: value gradients of 16-bit types are summed in float32. */
TFGEO_EXPORT size_t tfgeo_cuda_ms_deform_attn_grad_scratch(TfgeoType type, const TfgeoMsDeformAttnShape* shape);

/*
 * `scratch`: device memory of that many bytes, aligned to 256; null where that is 0. Value gradients are summed with
 * atomic additions, so their last bits differ from call to call.
 */
TFGEO_EXPORT TfgeoCode tfgeo_cuda_ms_deform_attn_grad(TfgeoType type, const TfgeoMsDeformAttnShape* shape,
                                                      const void* grad_output, const void* value,
                                                      const TfgeoMsDeformAttnSamples* samples,
                                                      const TfgeoMsDeformAttnGrads* grads, void* scratch,
                                                      void* stream, TfgeoError error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFGEO_KERNELS_MS_DEFORM_ATTN_H_ */
