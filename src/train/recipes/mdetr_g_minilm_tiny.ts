// SPDX-License-Identifier: Apache-2.0
import { mdetrGTiny, mdetrGTinyEncoder } from './mdetr_g_tiny.js';
import type { Recipe } from './types.js';

/** The small model's data in more words, so that words near to them are understood too. */
const DATA = {
  model: 'mdetr-g-minilm-tiny',
  mix: { 'scenes-seen-words': 0.4, 'scenes-hard-seen-words': 0.52, neon: 0.08 },
  evalData: 'scenes-seen-words',
} as const;

/**
 * First half: the encoder alone, as in `mdetr-g-tiny-encoder`. MiniLM stays as it is; needs its weights.
 *
 *     tfgeo-train setup --text minilm
 *     tfgeo-train train --recipe mdetr-g-minilm-tiny-encoder --out runs/mdetr-g-minilm-tiny-encoder
 *
 * Four minutes on two cores; there is nothing to evaluate yet.
 */
export const mdetrGMinilmTinyEncoder: Recipe = {
  about: 'The small model over MiniLM, first half: its encoder alone',
  config: { ...mdetrGTinyEncoder.config, ...DATA },
};

/**
 * Second half: the whole model, from the first half's weights.
 *
 *     tfgeo-train train --recipe mdetr-g-minilm-tiny --out runs/mdetr-g-minilm-tiny
 *     tfgeo-train eval runs/mdetr-g-minilm-tiny/model --data scenes-unseen-words
 *     npx tsx tools/ship_model.ts runs/mdetr-g-minilm-tiny/model
 *
 * As long as `mdetr-g-tiny`. Time and result are in `models/mdetr-g-minilm-tiny/README.md` once it is shipped.
 */
export const mdetrGMinilmTiny: Recipe = {
  about: 'The small model over MiniLM, second half: from runs/mdetr-g-minilm-tiny-encoder',
  config: { ...mdetrGTiny.config, ...DATA, load: 'runs/mdetr-g-minilm-tiny-encoder/model' },
};
