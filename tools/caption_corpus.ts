// SPDX-License-Identifier: Apache-2.0
/**
 * Prints the sentences that the small model's tokenizer is trained on: captions of made scenes, and what is asked of the
 * tree-crown pictures.
 *
 *   npx tsx tools/caption_corpus.ts [COUNT] > corpus.txt
 */
import { sampleCaptions } from '../src/train/data/scenes/index.js';

const CROWN_SENTENCES = [
  'trees',
  'tree crowns',
  'all trees',
  'all the trees',
  'every tree',
  'tree canopies',
  'crowns of trees',
  'dead trees',
  'the dead trees',
  'live trees',
  'living trees',
  'the live trees',
  'find every tree crown',
  'show me the trees in this picture',
];
/** Often enough that each of these words becomes few tokens. */
const REPEATS = 40;

const count = Number(process.argv[2] ?? 20000);
const lines = sampleCaptions(count, 7);
for (let i = 0; i < REPEATS; i++) lines.push(...CROWN_SENTENCES);
process.stdout.write(`${lines.join('\n')}\n`);
