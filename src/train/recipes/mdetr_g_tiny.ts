// SPDX-License-Identifier: Apache-2.0
import type { Recipe } from './types.js';

/**
 * The checkpoint that comes with the package, from nothing, on made scenes and the training part of the NEON crowns.
 *
 *     tfgeo-train train --recipe mdetr-g-tiny --out runs/mdetr-g-tiny
 *
 * Time and result are in `models/mdetr-g-tiny/README.md`.
 */
export const mdetrGTiny: Recipe = {
  about: 'The small model of the package: made scenes and NEON tree crowns, from nothing',
  config: {
    model: 'mdetr-g-tiny',
    mix: { scenes: 0.94, neon: 0.06 },
    evalData: 'scenes',
    evalSplit: 'val',
    evalLimit: 100,
    evalEvery: 500,
    steps: 4000,
    batchSize: 8,
    lr: 6e-4,
    warmup: 150,
    schedule: 'cosine',
    weightDecay: 1e-4,
    clipNorm: 1,
    ema: 0.998,
    checkpointEvery: 250,
    sampleEvery: 500,
  },
};
