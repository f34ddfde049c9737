// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { BUNDLED_TOKENIZER } from '../../../src/models/bundled.js';
import { preset } from '../../../src/models/config.js';
import { prepareBatch } from '../../../src/models/preprocess.js';
import { Tokenizer } from '../../../src/models/text/index.js';
import { Random } from '../../../src/random.js';
import type { Dataset, GroundedObject, Sample } from '../../../src/train/data/types.js';

export const SIDE = 64;

export const TOKENIZER_JSON = readFileSync(BUNDLED_TOKENIZER, 'utf8');

export const tokenizer = Tokenizer.fromJson(JSON.parse(TOKENIZER_JSON), BUNDLED_TOKENIZER);

/** Code points of `words` in `caption`. */
export function spanOf(caption: string, words: string): [number, number] {
  const begin = caption.indexOf(words);
  return [begin, begin + words.length];
}

/** A noisy square picture with these objects. */
export function makeSample(caption: string, objects: GroundedObject[], id = 'one'): Sample {
  const random = new Random(id.length);
  const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, () => random.integer(256));
  return { id, image: { width: SIDE, height: SIDE, data }, caption, objects, form: 'kind' };
}

/** Two boats that the caption names and a car that it does not. */
export function boats(id = 'boats'): Sample {
  const caption = 'the red boats';
  const spans = [spanOf(caption, 'red boats')];
  return makeSample(
    caption,
    [
      { box: [4, 4, 20, 16], category: 'boat', spans },
      { box: [30, 40, 60, 52], category: 'boat', spans },
      { box: [40, 8, 48, 20], category: 'car', spans: [] },
    ],
    id,
  );
}

/** A data set of just these samples. */
export function datasetOf(samples: readonly Sample[]): Dataset {
  return { name: 'made', length: samples.length, get: async (index) => samples[index]! };
}

/** Samples as a batch of the tiny model's. */
export function prepare(samples: readonly Sample[]) {
  return prepareBatch(
    samples.map(({ image }) => image),
    samples.map(({ caption }) => caption),
    tokenizer,
    { maxTokens: 64 },
    preset('mdetr-g-tiny').preprocess,
  );
}
