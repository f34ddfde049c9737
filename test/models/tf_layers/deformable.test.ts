// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import {
  DeformableDecoderLayer,
  DeformableEncoderLayer,
  MSDeformAttnLayer,
  SwinBackboneLayer,
} from '../../../src/models/tf_layers/index.js';
import { relativeError, valuesOf } from '../../cases/close.js';

const SWIN = {
  embed_dim: 8,
  depths: [2, 2],
  num_heads: [1, 2],
  window_size: 4,
  out_features: ['stage1', 'stage2'],
};
const ATTENTION = { dModel: 16, heads: 4, levels: 2, points: 2 };

const seeded = () => tf.initializers.glorotUniform({ seed: 3 });

let folder: string;
beforeAll(async () => {
  await ready();
  folder = mkdtempSync(join(tmpdir(), 'tfgeo-deformable-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Maps of a small Swin backbone, all brought to 16 channels. */
function maps(pixels: tf.SymbolicTensor): tf.SymbolicTensor[] {
  const levels = new SwinBackboneLayer({ settings: SWIN }).apply(pixels) as tf.SymbolicTensor[];
  return levels.map(
    (level) =>
      tf.layers
        .conv2d({ filters: 16, kernelSize: 1, kernelInitializer: seeded() })
        .apply(level) as tf.SymbolicTensor,
  );
}

/** Trains a model for a few steps, saves it, loads it, and compares every output. */
async function expectToSurvive(
  model: tf.LayersModel,
  x: tf.Tensor[],
  y: tf.Tensor[],
  name: string,
): Promise<void> {
  model.compile({ optimizer: tf.train.adam(5e-3), loss: 'meanSquaredError' });
  const { history } = await model.fit(x, y, { epochs: 15, shuffle: false, verbose: 0 });
  expect(history.loss!.at(-1) as number).toBeLessThan(0.9 * (history.loss![0] as number));
  await model.save(`file://${folder}/${name}`);
  const loaded = await tf.loadLayersModel(`file://${folder}/${name}/model.json`);
  const [got, wanted] = [loaded, model].map((m) =>
    [m.predict(x)].flat().map((output) => [...(output as tf.Tensor).dataSync()]),
  );
  expect(got).toEqual(wanted);
}

const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);

describe('layers of the deformable transformer', () => {
  it('a model with a Swin backbone and MSDeformAttn in it is fitted, saved and loaded', async () => {
    const pixels = tf.input({ shape: [24, 20, 3] });
    const attended = new MSDeformAttnLayer({ settings: ATTENTION }).apply(maps(pixels)) as tf.SymbolicTensor;
    expect(attended.shape).toEqual([null, 6 * 5 + 3 * 3, 16]);
    const pooled = tf.layers.globalAveragePooling1d({}).apply(attended) as tf.SymbolicTensor;
    const answer = tf.layers
      .dense({ units: 2, kernelInitializer: seeded() })
      .apply(pooled) as tf.SymbolicTensor;
    const model = tf.model({ inputs: pixels, outputs: answer });
    const lines: string[] = [];
    model.summary(120, undefined, (line) => lines.push(String(line)));
    expect(lines.join('\n')).toMatch(/MSDeformAttn/);
    await expectToSurvive(model, [normal([4, 24, 20, 3], 1)], [normal([4, 2], 2)], 'attention');
  });

  it('MSDeformAttn takes queries and reference points of points or boxes', async () => {
    const level = [tf.input({ shape: [4, 6, 16] }), tf.input({ shape: [2, 3, 16] })];
    const query = tf.input({ shape: [5, 16] });
    const reference = tf.input({ shape: [5, 2, 4] });
    const layer = new MSDeformAttnLayer({ settings: ATTENTION });
    const answer = layer.apply([query, reference, ...level]) as tf.SymbolicTensor;
    expect(answer.shape).toEqual([null, 5, 16]);
    const model = tf.model({ inputs: [query, reference, ...level], outputs: answer });
    const x = [
      normal([3, 5, 16], 1),
      tf.randomUniform([3, 5, 2, 4], 0.2, 0.8, 'float32', 2),
      normal([3, 4, 6, 16], 3),
      normal([3, 2, 3, 16], 4),
    ];
    await expectToSurvive(model, x, [tf.mul(normal([3, 5, 16], 5), 0.1)], 'queries');
  });

  it('MSDeformAttn with masks does as if there were no padding', () => {
    const layer = new MSDeformAttnLayer({ settings: ATTENTION });
    const sizes = [
      { real: [4, 6], padded: [6, 9] },
      { real: [2, 2], padded: [3, 3] },
    ] as const;
    const small = sizes.map(({ real }, i) => normal([2, ...real, 16], i));
    const pad = (tensor: tf.Tensor, { real, padded }: (typeof sizes)[number], value: number) => {
      const rest = tensor.shape.slice(3).map(() => [0, 0] as [number, number]);
      const sides = real.map((size, axis) => [0, padded[axis]! - size] as [number, number]);
      return tf.pad(tensor, [[0, 0], ...sides, ...rest], value);
    };
    const large = small.map((map, i) => pad(map, sizes[i]!, 7));
    const masks = sizes.map((size) => pad(tf.ones([2, ...size.real]), size, 0));
    const wanted = layer.apply(small) as tf.Tensor;
    const all = layer.apply([...large, ...masks]) as tf.Tensor;
    expect(all.shape).toEqual([2, 6 * 9 + 3 * 3, 16]);
    let start = 0;
    const got = sizes.map(({ real, padded: [h, w] }) => {
      const map = tf.slice(all, [0, start, 0], [-1, h * w, -1]).reshape([2, h, w, 16]);
      start += h * w;
      return tf.slice(map, [0, 0, 0, 0], [-1, real[0], real[1], -1]).reshape([2, real[0] * real[1], 16]);
    });
    expect(relativeError(valuesOf(tf.concat(got, 1)), valuesOf(wanted))).toBeLessThan(1e-5);
    const noMasks = valuesOf(layer.apply(large) as tf.Tensor);
    expect(relativeError(valuesOf(all), noMasks)).toBeGreaterThan(1e-2);
    const nothing = sizes.map(({ padded }) => tf.zeros([2, ...padded]));
    const empty = valuesOf(layer.apply([...large, ...nothing]) as tf.Tensor);
    expect(new Set(empty)).toEqual(new Set([0]));
  });

  it('MSDeformAttn with queries, points and masks is fitted, saved and loaded', async () => {
    const level = [tf.input({ shape: [4, 6, 16] }), tf.input({ shape: [2, 3, 16] })];
    const masks = [tf.input({ shape: [4, 6] }), tf.input({ shape: [2, 3] })];
    const query = tf.input({ shape: [5, 16] });
    const reference = tf.input({ shape: [5, 2, 2] });
    const inputs = [query, reference, ...level, ...masks];
    const answer = new MSDeformAttnLayer({ settings: ATTENTION }).apply(inputs) as tf.SymbolicTensor;
    expect(answer.shape).toEqual([null, 5, 16]);
    const model = tf.model({ inputs, outputs: answer });
    const x = [
      normal([3, 5, 16], 1),
      tf.randomUniform([3, 5, 2, 2], 0.2, 0.8, 'float32', 2),
      normal([3, 4, 6, 16], 3),
      normal([3, 2, 3, 16], 4),
      tf.concat([tf.ones([3, 4, 4]), tf.zeros([3, 4, 2])], 2),
      tf.ones([3, 2, 3]),
    ];
    const before = valuesOf(model.predict(x) as tf.Tensor);
    const changed = [...x];
    changed[2] = tf.concat([x[2]!.slice([0, 0, 0, 0], [-1, -1, 4, -1]), normal([3, 4, 2, 16], 9)], 2);
    expect([...valuesOf(model.predict(changed) as tf.Tensor)]).toEqual([...before]);
    await expectToSurvive(model, x, [tf.mul(normal([3, 5, 16], 5), 0.1)], 'masks');
  });

  it('MSDeformAttn says which inputs it takes', () => {
    const layer = new MSDeformAttnLayer({ settings: ATTENTION });
    const map = [null, 4, 6, 16];
    const shapes = [
      [[null, 5, 16]],
      [map],
      [map, map, [null, 4, 6]],
      [[null, 5, 16], map, map],
      [[null, 5, 16], [null, 5, 2], map, map],
      [map, map, map],
    ];
    for (const wrong of shapes) {
      expect(() => layer.computeOutputShape(wrong)).toThrow(
        /^\[MSDeformAttn\] expected 2 maps .* but received \[any, /,
      );
    }
    const mask = () => layer.computeOutputShape([map, map, [null, 4, 6], [null, 6, 4]]);
    expect(mask).toThrow('expected shape [any, 4, 6] as its map has for mask 1 but received [any, 6, 4]');
  });

  it('encoder and decoder join words, maps and boxes', async () => {
    const pixels = tf.input({ shape: [16, 16, 3] });
    const words = tf.input({ shape: [3, 16] });
    const mask = tf.input({ shape: [3] });
    const content = tf.input({ shape: [4, 16] });
    const boxes = tf.input({ shape: [4, 4] });
    const settings = { ...ATTENTION, ffn: 16, layers: 1, textToImage: true, imageToText: true };
    const level = maps(pixels);
    const [image, text] = new DeformableEncoderLayer({ settings }).apply([
      words,
      mask,
      ...level,
    ]) as tf.SymbolicTensor[];
    expect([image!.shape, text!.shape]).toEqual([
      [null, 16 + 4, 16],
      [null, 3, 16],
    ]);
    const [hidden, refined] = new DeformableDecoderLayer({ settings: { ...settings, layers: 2 } }).apply([
      content,
      boxes,
      text!,
      mask,
      ...level,
    ]) as tf.SymbolicTensor[];
    const model = tf.model({ inputs: [pixels, words, mask, content, boxes], outputs: [hidden!, refined!] });
    const x = [
      normal([2, 16, 16, 3], 1),
      normal([2, 3, 16], 2),
      tf.tensor2d([1, 1, 1, 1, 1, 0], [2, 3]),
      normal([2, 4, 16], 3),
      tf.randomUniform([2, 4, 4], 0.2, 0.8, 'float32', 4),
    ];
    const y = [tf.zeros([2, 4, 16]), tf.fill([2, 4, 4], 0.5)];
    await expectToSurvive(model, x, y, 'transformer');
  });
});
