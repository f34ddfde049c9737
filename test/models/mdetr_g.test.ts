// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { nativeBinding, ready } from '../../src/engine/index.js';
import { buildModel } from '../../src/models/build.js';
import type { MdetrG } from '../../src/models/mdetr_g.js';
import type { DetectorInput } from '../../src/models/types.js';
import { groupBias } from '../../src/train/grounding/denoising.js';
import { smallConfig } from './small_config.js';

const SIZE = 64;
const TOKENS = 6;

function makeInput(batch: number): DetectorInput & { wordMask: tf.Tensor2D } {
  const ids = Array.from({ length: batch }, (_, i) => [0, 5 + i, 9, 11 + 2 * i, 2, 1]);
  const textMask = ids.map((row) => row.map((id) => (id === 1 ? 0 : 1)));
  const wordMask = ids.map((row) => row.map((id) => (id > 2 ? 1 : 0)));
  return {
    pixels: tf.randomNormal([batch, SIZE, SIZE, 3], 0, 1, 'float32', 7) as tf.Tensor4D,
    pixelMask: null,
    inputIds: tf.tensor2d(ids, [batch, TOKENS], 'int32'),
    textMask: tf.tensor2d(textMask),
    wordMask: tf.tensor2d(wordMask),
  };
}

function picture(input: ReturnType<typeof makeInput>, i: number): ReturnType<typeof makeInput> {
  const row = <T extends tf.Tensor>(x: T) => tf.slice(x, [i], [1]) as T;
  return {
    pixels: row(input.pixels),
    pixelMask: input.pixelMask && row(input.pixelMask),
    inputIds: row(input.inputIds),
    textMask: row(input.textMask),
    wordMask: row(input.wordMask),
  };
}

const worst = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

beforeAll(async () => {
  await ready();
});

describe('predict', () => {
  it('is compiled from the second call of a size on, follows the weights, and frees what it traced', () => {
    const functions = () => nativeBinding().getNumOfFunctions();
    const before = functions();
    const model = buildModel(smallConfig('token-sigmoid'), 3);
    tf.tidy(() => {
      const input = makeInput(2);
      const check = () => {
        const expected = model.forward(input, input.wordMask);
        const predicted = model.predict(input, input.wordMask);
        expect(worst(predicted.pred_boxes, expected.pred_boxes)).toBeLessThan(1e-5);
        expect(worst(predicted.pred_logits, expected.pred_logits)).toBeLessThan(1e-4);
      };
      check();
      expect(functions()).toBe(before);
      check();
      expect(functions()).toBe(before + 1);
      for (const variable of model.trainableParameters().values()) variable.assign(tf.mul(variable, 0.9));
      check();
      expect(functions()).toBe(before + 1);
    });
    model.dispose();
    expect(functions()).toBe(before);
  });
});

describe('fineLevels', () => {
  it('gives the finest map to the decoder alone', () => {
    const model = buildModel(smallConfig('token-sigmoid'), 3);
    expect(model.spatialShapes(SIZE, SIZE)).toEqual([
      [8, 8],
      [4, 4],
      [2, 2],
    ]);
    const projection = model.trainableParameters().get('fine_proj.0.0.weight')!;
    tf.tidy(() => {
      const input = makeInput(1);
      const run = () => model.forward(input, input.wordMask, { intermediates: true });
      const before = run();
      expect(before.intermediates.memory!.shape[1]).toBe(64 + 16 + 4);
      projection.assign(tf.mul(projection, -1));
      const after = run();
      expect(worst(after.intermediates.memory!, before.intermediates.memory!)).toBe(0);
      expect(worst(after.stackedLogits, before.stackedLogits)).toBeGreaterThan(1e-4);
    });
    model.dispose();
  });

  it('must leave the encoder a level', () => {
    const config = smallConfig('token-sigmoid');
    config.transformer.fineLevels = 4;
    expect(() => buildModel(config)).toThrow(/fewer fineLevels than the backbone's 4 levels but received 4/);
  });
});

describe.each(['token-sigmoid', 'soft-token'] as const)('MdetrG with the %s head', (head) => {
  let model: MdetrG;
  beforeAll(() => {
    model = buildModel(smallConfig(head), 3);
  });
  afterAll(() => model.dispose());

  it('predicts logits and boxes of every decoder layer', () => {
    tf.tidy(() => {
      const input = makeInput(2);
      const output = model.forward(input, input.wordMask);
      const slots = head === 'soft-token' ? 24 : TOKENS;
      expect(output.pred_logits.shape).toEqual([2, 7, slots]);
      expect(output.pred_boxes.shape).toEqual([2, 7, 4]);
      expect(output.aux_outputs).toHaveLength(1);
      const boxes = output.stackedBoxes.dataSync();
      expect(Math.min(...boxes)).toBeGreaterThan(0);
      expect(Math.max(...boxes)).toBeLessThan(1);
    });
  });

  it('gives a picture the same answer alone and in a batch', () => {
    tf.tidy(() => {
      const input = makeInput(2);
      const both = model.forward(input, input.wordMask);
      for (const i of [0, 1]) {
        const one = picture(input, i);
        const alone = model.forward(one, one.wordMask);
        expect(worst(tf.slice(both.pred_boxes, [i], [1]), alone.pred_boxes)).toBeLessThan(1e-4);
        expect(worst(tf.slice(both.pred_logits, [i], [1]), alone.pred_logits)).toBeLessThan(1e-3);
      }
    });
  });

  it('lets the words reach boxes and logits', () => {
    tf.tidy(() => {
      const input = makeInput(1);
      const other = { ...input, inputIds: tf.tensor2d([[0, 30, 31, 32, 2, 1]], [1, TOKENS], 'int32') };
      const a = model.forward(input, input.wordMask);
      const b = model.forward(other, input.wordMask);
      expect(worst(a.pred_logits, b.pred_logits)).toBeGreaterThan(1e-3);
      // Fresh box heads give every decoder layer its first box; where the text chooses that, it moves at once.
      if (head === 'token-sigmoid')
        expect(worst(a.proposals!.logits, b.proposals!.logits)).toBeGreaterThan(1e-3);
    });
  });

  it('trains every parameter but those it does not use', () => {
    const input = makeInput(2);
    const parameters = model.trainableParameters();
    const { value, grads } = tf.variableGrads(() => {
      const output = model.forward(input, input.wordMask, { training: true });
      const terms: tf.Tensor[] = [tf.mean(tf.square(output.stackedLogits)), tf.mean(output.stackedBoxes)];
      if (output.proposals)
        terms.push(tf.mean(output.proposals.boxes), tf.mean(tf.square(output.proposals.logits)));
      if (output.stackedProjections) {
        terms.push(tf.div(tf.mean(tf.square(tf.sub(output.stackedProjections, 0.3))), output.tau));
        terms.push(tf.mean(tf.square(tf.sub(output.proj_tokens!, 0.3))));
      }
      return tf.addN(terms) as tf.Scalar;
    }, [...parameters.values()]);
    const without = [...parameters].filter(([, variable]) => !grads[variable.name]).map(([name]) => name);
    // The pooler is not part of detection, and neither noised queries nor labels were given.
    const unused = without.filter((name) => !/pooler|denoising_embed|label_head/.test(name));
    expect(unused).toEqual([]);
    expect(value.dataSync()[0]).toBeGreaterThan(0);
    tf.dispose(grads);
  });
});

it('keeps noised queries from changing what the others predict', () => {
  const model = buildModel(smallConfig('token-sigmoid'), 3);
  tf.tidy(() => {
    const input = makeInput(2);
    const plain = model.forward(input, input.wordMask);
    const slots = 3;
    const total = 7 + 2 * slots;
    const denoising = {
      references: tf.fill([2, 2 * slots, 4], 0.4) as tf.Tensor3D,
      bias: tf.tensor4d(groupBias(7, slots, 2), [1, 1, total, total]),
    };
    const noised = model.forward(input, input.wordMask, { denoising });
    expect(noised.stackedBoxes.shape).toEqual([2, 2, total, 4]);
    const own = tf.slice(noised.stackedBoxes, [0, 0, 0, 0], [-1, -1, 7, -1]);
    expect(worst(own, plain.stackedBoxes)).toBeLessThan(1e-5);
  });
  model.dispose();
});

it('places boxes in the real part of a padded picture', () => {
  const model = buildModel(smallConfig('token-sigmoid'), 3);
  tf.tidy(() => {
    const input = makeInput(1);
    const mask = tf.ones([1, SIZE, SIZE]) as tf.Tensor3D;
    const plain = model.forward(input, input.wordMask);
    const masked = model.forward({ ...input, pixelMask: mask }, input.wordMask);
    // A mask without padding changes nothing.
    expect(worst(plain.pred_boxes, masked.pred_boxes)).toBeLessThan(1e-4);
    const half = tf.concat([tf.ones([1, SIZE, SIZE / 2]), tf.zeros([1, SIZE, SIZE / 2])], 2) as tf.Tensor3D;
    const padded = model.forward({ ...input, pixelMask: half }, input.wordMask, { intermediates: true });
    expect(worst(plain.pred_boxes, padded.pred_boxes)).toBeGreaterThan(1e-3);
    // First boxes are measured in the real part: none lies in the padding.
    const centres = tf.slice(padded.intermediates.references!, [0, 0, 0], [-1, -1, 1]).dataSync();
    expect(Math.max(...centres)).toBeLessThan(1);
  });
  model.dispose();
});
