/* SPDX-License-Identifier: Apache-2.0 */
/* What tfgeo_cuda.so says of itself. */
#ifndef TFGEO_KERNELS_CUDA_LIBRARY_H_
#define TFGEO_KERNELS_CUDA_LIBRARY_H_

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The GPU code inside, as in "sm_90 sm_120 sm_121 compute_121"; the compute_ ones serve newer cards too. */
TFGEO_EXPORT const char* tfgeo_cuda_targets(void);

/* TFGEO_OK when the current device can run the kernels; TFGEO_NO_GPU_CODE names its architecture and the targets. */
TFGEO_EXPORT TfgeoCode tfgeo_cuda_check_device(TfgeoError error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFGEO_KERNELS_CUDA_LIBRARY_H_ */
