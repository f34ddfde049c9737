/* SPDX-License-Identifier: Apache-2.0 */
/* What the C interfaces of the kernels share. Plain C, so that any runtime can call them. */
#ifndef TFGEO_KERNELS_ABI_H_
#define TFGEO_KERNELS_ABI_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TFGEO_EXPORT __attribute__((visibility("default")))
#else
#define TFGEO_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { TFGEO_FLOAT32 = 0, TFGEO_FLOAT64 = 1, TFGEO_FLOAT16 = 2, TFGEO_BFLOAT16 = 3 } TfgeoType;

/* 0 = done. Everything else comes with a sentence in the caller's buffer. */
typedef enum {
  TFGEO_OK = 0,
  TFGEO_INVALID_ARGUMENT = 1, /* sizes or types that contradict each other or are not supported */
  TFGEO_NO_GPU_CODE = 2,      /* the library holds no code for this card */
  TFGEO_GPU_ERROR = 3,        /* the CUDA runtime refused a launch */
  TFGEO_OUT_OF_MEMORY = 4
} TfgeoCode;

/* Where a call puts its error sentence (always ended by 0; cut where it does not fit); may be {0, 0}. */
typedef struct {
  char* text;
  size_t size;
} TfgeoError;

/*
 * The caller's threads. `run` splits [0, total) into blocks of `block` units (the last may be smaller), calls
 * fn(context, begin, end) for each, in any order and on any thread, and returns when all are done. A null pointer in
 * place of the structure means: on the calling thread.
 */
typedef struct {
  int threads; /* that may run at once, the caller's included; at least 1 */
  void* pool;  /* handed to `run` */
  void (*run)(void* pool, int64_t total, int64_t block, void (*fn)(void* context, int64_t begin, int64_t end),
              void* context);
} TfgeoThreads;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TFGEO_KERNELS_ABI_H_ */
