// SPDX-License-Identifier: Apache-2.0
// CUDA's header of this name, for host compilers; see shim.h.
#ifndef TFGEO_CUDA_SHIM_CUDA_RUNTIME_H_
#define TFGEO_CUDA_SHIM_CUDA_RUNTIME_H_

#define TFGEO_CUDA_SHIM 1

#include "intrinsics.h"
#include "runtime_api.h"
#include "shim.h"
#include "vector_types.h"

#endif  // TFGEO_CUDA_SHIM_CUDA_RUNTIME_H_
