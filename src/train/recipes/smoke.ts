// SPDX-License-Identifier: Apache-2.0
import type { Recipe } from './types.js';

/**
 * Is everything in place? A run of seconds that trains, evaluates, draws and saves once.
 *
 *     tfgeo-train train --recipe smoke
 *
 * Expect a falling loss and an AP50 near 0.
 */
export const smoke: Recipe = {
  about: 'A few steps with every part of a run, to see that all is in place',
  config: {
    steps: 20,
    batchSize: 2,
    trainSize: 40,
    warmup: 5,
    evalEvery: 10,
    evalLimit: 4,
    checkpointEvery: 10,
    sampleEvery: 20,
    logEvery: 1,
  },
};
