// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { disposeBatch } from '../../../src/models/preprocess.js';
import { Random } from '../../../src/random.js';
import type { Sample } from '../../../src/train/data/types.js';
import { buildTargets, disposeTargets } from '../../../src/train/grounding/batch.js';
import { boats, prepare, tokenizer } from './samples.js';

const SHAPES: [number, number][] = [
  [8, 8],
  [4, 4],
  [2, 2],
];

beforeAll(async () => {
  await ready();
});

/** Every target of one sample as plain numbers. */
function targetsOf(sample: Sample) {
  const input = prepare([sample]);
  const options = {
    tokenizer,
    prompt: { maxTokens: 64 },
    spatialShapes: SHAPES,
    queries: 3,
    denseTokens: 5,
    denoising: { groups: 2, noise: 0.4 },
  };
  const targets = buildTargets([sample], input, options, new Random(1));
  const values = (x: tf.Tensor) => Array.from(x.dataSync());
  const { referred, dense, denoising } = targets;
  const result = {
    referred: { boxes: values(referred.boxes), mask: values(referred.mask) },
    positive: values(referred.positiveMap),
    dense: { boxes: values(dense!.boxes), mask: values(dense!.boxMask), tokens: values(dense!.tokens) },
    denoising: {
      boxes: values(denoising!.boxes),
      mask: values(denoising!.boxMask),
      rows: values(denoising!.rowMask),
      references: values(denoising!.queries.references),
    },
  };
  disposeTargets(targets);
  disposeBatch(input);
  return result;
}

describe('buildTargets', () => {
  it('gives the named objects to the matcher and all objects to the dense and noised rows', () => {
    const { referred, positive, dense, denoising } = targetsOf(boats());
    expect(referred.mask).toEqual([1, 1, 0, 0, 0, 0, 0, 0]);
    const cxcywh = [12 / 64, 10 / 64, 16 / 64, 12 / 64];
    referred.boxes.slice(0, 4).forEach((v, i) => {
      expect(v).toBeCloseTo(cxcywh[i]!, 6);
    });
    expect(positive.reduce((sum, v) => sum + v, 0)).toBeGreaterThanOrEqual(4);
    expect(dense.mask.reduce((sum, v) => sum + v, 0)).toBeGreaterThan(10);
    // Near copies of three objects learn their boxes, far ones only that they are none.
    const [some, none] = [[1, 1, 1, 0, 0, 0, 0, 0], Array(8).fill(0)];
    expect(denoising.mask).toEqual([...some!, ...none!]);
    expect(denoising.rows).toEqual([...some!, ...some!]);
  });

  it('leaves crowds out of everything', () => {
    const plain = boats();
    const crowd = { box: [0, 30, 64, 64], category: 'boat', spans: plain.objects[0]!.spans, crowd: true };
    const crowded = { ...plain, objects: [crowd, ...plain.objects] } as Sample;
    expect(targetsOf(crowded)).toEqual(targetsOf(plain));
  });

  it('frees every tensor', () => {
    const before = tf.memory().numTensors;
    targetsOf(boats());
    expect(tf.memory().numTensors).toBe(before);
  });
});
