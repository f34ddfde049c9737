/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction set the CPU kernels use. */
#ifndef TFGEO_KERNELS_ISA_H_
#define TFGEO_KERNELS_ISA_H_

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * "avx512", "avx2" or "portable"; on aarch64 "neon". It is the best one of the processor, or the one that the
 * environment variable TFGEO_ISA names, which is read at the first call.
 */
TFGEO_EXPORT const char* tfgeo_cpu_isa(void);

/* TFGEO_OK, or TFGEO_INVALID_ARGUMENT where TFGEO_ISA names none that this processor has. */
TFGEO_EXPORT TfgeoCode tfgeo_cpu_check_isa(TfgeoError error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFGEO_KERNELS_ISA_H_ */
