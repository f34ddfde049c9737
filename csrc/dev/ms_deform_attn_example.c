/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multi-scale deformable attention called from plain C, without TensorFlow and without Node:
 *
 *     g++ -std=c++17 -O3 -fPIC -shared csrc/kernels/ms_deform_attn*.cc csrc/kernels/isa.cc -o libtfgeo_kernels.so
 *     gcc csrc/dev/ms_deform_attn_example.c ./libtfgeo_kernels.so -o example && ./example
 */
#include <stdio.h>

#include "../kernels/ms_deform_attn.h"

enum { ITEMS = 1, QUERIES = 2, HEADS = 1, POINTS = 1, DIM = 2, LEVELS = 2, LENGTH = 2 * 2 + 1 * 1 };

/* A 2 x 2 map and then a 1 x 1 map, each pixel with two channels. */
static const int32_t spatial_shapes[LEVELS * 2] = {2, 2, 1, 1};
static const float value[ITEMS * LENGTH * HEADS * DIM] = {1, 10, 2, 20, 3, 30, 4, 40, 8, 80};

/* The first query looks at the middle of both maps, the second at the centre of the top left pixel, and outside. */
static const float locations[ITEMS * QUERIES * HEADS * LEVELS * POINTS * 2] = {0.5f,  0.5f,  0.5f, 0.5f,
                                                                               0.25f, 0.25f, 3.0f, 0.5f};
static const float weights[ITEMS * QUERIES * HEADS * LEVELS * POINTS] = {0.5f, 0.5f, 1.0f, 1.0f};

int main(void) {
  TfgeoMsDeformAttnShape shape = {ITEMS, LENGTH, HEADS, DIM, LEVELS, POINTS, QUERIES, 0, spatial_shapes};
  const TfgeoMsDeformAttnSamples samples = {NULL, locations, weights};
  float output[ITEMS * QUERIES * HEADS * DIM];
  char sentence[256];
  const TfgeoError error = {sentence, sizeof(sentence)};

  /* A null pointer in place of threads: on this thread. */
  if (tfgeo_ms_deform_attn(TFGEO_FLOAT32, &shape, value, &samples, output, NULL, error) != TFGEO_OK) {
    fprintf(stderr, "%s\n", sentence);
    return 1;
  }
  for (int q = 0; q < QUERIES; ++q) printf("query %d: %g %g\n", q, output[DIM * q], output[DIM * q + 1]);

  /* Gradients of the sum of the first channel over the queries; that of the locations is left out. */
  const float grad_output[ITEMS * QUERIES * HEADS * DIM] = {1, 0, 1, 0};
  float grad_value[ITEMS * LENGTH * HEADS * DIM], grad_weights[ITEMS * QUERIES * HEADS * LEVELS * POINTS];
  const TfgeoMsDeformAttnGrads grads = {grad_value, NULL, NULL, grad_weights};
  if (tfgeo_ms_deform_attn_grad(TFGEO_FLOAT32, &shape, grad_output, value, &samples, &grads, NULL, error) != TFGEO_OK) {
    fprintf(stderr, "%s\n", sentence);
    return 1;
  }
  printf("gradient of the weights: %g %g %g %g\n", grad_weights[0], grad_weights[1], grad_weights[2], grad_weights[3]);
  printf("gradient of the top left pixel: %g %g\n", grad_value[0], grad_value[1]);

  /* Sizes that contradict each other are refused in a sentence. */
  shape.length = LENGTH + 1;
  if (tfgeo_ms_deform_attn(TFGEO_FLOAT32, &shape, value, &samples, output, NULL, error) == TFGEO_OK) return 1;
  printf("%s\n", sentence);
  return 0;
}
