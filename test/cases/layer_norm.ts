// SPDX-License-Identifier: Apache-2.0

/** Shapes of x; the last axis is normalised. */
export const LAYER_NORM_CASES: readonly { shape: number[]; eps: number }[] = [
  { shape: [1], eps: 1e-5 },
  { shape: [5, 2], eps: 1e-2 },
  { shape: [3, 7], eps: 1e-5 },
  { shape: [2, 3, 16], eps: 1e-12 },
  { shape: [2, 9, 30], eps: 1e-5 },
  { shape: [1, 1, 71], eps: 1e-6 },
  { shape: [2, 3, 4, 96], eps: 1e-5 },
  { shape: [130, 256], eps: 1e-5 },
];

/** As a Swin stage and an encoder have them. */
export const LAYER_NORM_TIMINGS: readonly { shape: number[]; eps: number }[] = [
  { shape: [8, 1600, 48], eps: 1e-5 },
  { shape: [8, 2100, 128], eps: 1e-5 },
  { shape: [1, 13294, 256], eps: 1e-5 },
];
