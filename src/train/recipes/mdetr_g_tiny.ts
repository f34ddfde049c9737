// SPDX-License-Identifier: Apache-2.0
import type { Recipe } from './types.js';

/** Made scenes, half of them with the sentences that are harder to learn, and now and then a picture of real tree crowns. */
const DATA = {
  model: 'mdetr-g-tiny',
  mix: { scenes: 0.4, 'scenes-hard': 0.52, neon: 0.08 },
  evalData: 'scenes',
  evalSplit: 'val',
  evalLimit: 100,
  batchSize: 8,
  warmup: 60,
  weightDecay: 1e-4,
  clipNorm: 1,
} as const;

/**
 * First half of the small model: its encoder alone learns boxes, kinds and colours on every object of a picture, so that
 * the decoder starts from features that know the words. Learning both at once took several times as long.
 *
 *     tfgeo-train train --recipe mdetr-g-tiny-encoder --out runs/mdetr-g-tiny-encoder
 *
 * Three minutes on two cores. Expect `loss_labels` near 0.13; there is nothing to evaluate yet.
 */
export const mdetrGTinyEncoder: Recipe = {
  about: 'The small model of the package, first half: its encoder alone',
  config: {
    ...DATA,
    lr: 5e-4,
    schedule: 'constant',
    steps: 700,
    ema: 0.99,
    denoisingWeight: 0,
    lossWeights: { labels: 8, queries: 0 },
    checkpointEvery: 350,
    evalEvery: 0,
    sampleEvery: 0,
  },
};

/**
 * Second half: the whole model, from the first half's weights.
 *
 *     tfgeo-train train --recipe mdetr-g-tiny --out runs/mdetr-g-tiny
 *
 * Time and result are in `models/mdetr-g-tiny/README.md`.
 */
export const mdetrGTiny: Recipe = {
  about: 'The small model of the package, second half: from runs/mdetr-g-tiny-encoder',
  config: {
    ...DATA,
    load: 'runs/mdetr-g-tiny-encoder/model',
    lr: 6e-4,
    warmup: 100,
    schedule: 'cosine',
    steps: 9000,
    ema: 0.998,
    lossWeights: { labels: 6 },
    checkpointEvery: 500,
    evalEvery: 500,
    sampleEvery: 3000,
  },
};
