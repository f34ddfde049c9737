// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import {
  ContrastiveAlignHeadLayer,
  DeformableDetrLayer,
  MdetrGLayer,
  ResNetBackboneLayer,
  SoftTokenHeadLayer,
  TokenSigmoidHeadLayer,
} from '../../../src/models/tf_layers/index.js';
import { smallConfig, smallDetrConfig } from '../small_config.js';

let folder: string;
beforeAll(async () => {
  await ready();
  folder = mkdtempSync(join(tmpdir(), 'tfgeo-detector-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const symbolic = (x: unknown) => x as tf.SymbolicTensor[];

async function saveAndLoad(model: tf.LayersModel, x: tf.Tensor[], name: string): Promise<void> {
  await model.save(`file://${folder}/${name}`);
  const loaded = await tf.loadLayersModel(`file://${folder}/${name}/model.json`);
  const [before, after] = [model, loaded].map((m) =>
    [m.predict(x)].flat().map((output) => [...(output as tf.Tensor).dataSync()]),
  );
  expect(after).toEqual(before);
}

describe('detector as a layer', () => {
  it('is fitted, saved and loaded with its outputs', async () => {
    const pixels = tf.input({ shape: [64, 64, 3] });
    const ids = tf.input({ shape: [5] });
    const masks = [tf.input({ shape: [5] }), tf.input({ shape: [5] })];
    const settings = { ...smallConfig('token-sigmoid') };
    const [, boxes] = symbolic(new MdetrGLayer({ settings }).apply([pixels, ids, ...masks]));
    expect(boxes!.shape).toEqual([null, 7, 4]);
    const model = tf.model({ inputs: [pixels, ids, ...masks], outputs: boxes! });
    const x = [
      tf.randomNormal([2, 64, 64, 3], 0, 1, 'float32', 1),
      tf.tensor2d([
        [0, 7, 8, 9, 2],
        [0, 9, 3, 4, 2],
      ]),
      tf.ones([2, 5]),
      tf.tensor2d([
        [0, 1, 1, 1, 0],
        [0, 1, 1, 1, 0],
      ]),
    ];
    model.compile({ optimizer: tf.train.adam(2e-3), loss: 'meanSquaredError' });
    const { history } = await model.fit(x, tf.fill([2, 7, 4], 0.3), { epochs: 12, verbose: 0 });
    expect(history.loss!.at(-1) as number).toBeLessThan(0.8 * (history.loss![0] as number));
    await saveAndLoad(model, x, 'detector');
  });
});

describe('heads as layers', () => {
  it('know their shapes and survive a file', async () => {
    const queries = tf.input({ shape: [4, 16] });
    const tokens = tf.input({ shape: [6, 16] });
    const pair = new TokenSigmoidHeadLayer({ settings: { dModel: 16, hdim: 8 } }).apply([queries, tokens]);
    const soft = new SoftTokenHeadLayer({ settings: { dModel: 16, slots: 12, learnScale: true } }).apply(
      queries,
    );
    const align = symbolic(
      new ContrastiveAlignHeadLayer({ settings: { dModel: 16, hdim: 8 } }).apply([queries, tokens]),
    );
    const model = tf.model({
      inputs: [queries, tokens],
      outputs: [pair, soft, ...align] as tf.SymbolicTensor[],
    });
    expect(model.outputs.map(({ shape }) => shape)).toEqual([
      [null, 4, 6],
      [null, 4, 12],
      [null, 4, 8],
      [null, 6, 8],
    ]);
    const x = [
      tf.randomNormal([2, 4, 16], 0, 1, 'float32', 1),
      tf.randomNormal([2, 6, 16], 0, 1, 'float32', 2),
    ];
    const unit = (model.predict(x) as tf.Tensor[])[2]!;
    for (const length of tf.norm(unit, 2, -1).dataSync()) expect(length).toBeCloseTo(1, 5);
    await saveAndLoad(model, x, 'heads');
  });
});

describe('a detector of classes as a layer', () => {
  it('is saved and loaded with its outputs', async () => {
    const pixels = tf.input({ shape: [64, 64, 3] });
    const settings = { ...smallDetrConfig('two-stage') };
    const outputs = symbolic(new DeformableDetrLayer({ settings }).apply(pixels));
    expect(outputs.map(({ shape }) => shape)).toEqual([
      [null, 9, 4],
      [null, 9, 4],
    ]);
    const model = tf.model({ inputs: pixels, outputs });
    await saveAndLoad(model, [tf.randomNormal([2, 64, 64, 3], 0, 1, 'float32', 1)], 'detr');
  });

  it('has a backbone that is one too', async () => {
    const pixels = tf.input({ shape: [50, 64, 3] });
    const { config } = smallDetrConfig('plain').backbone;
    const settings = { ...config, out_features: ['stage1', 'stage3'] };
    const maps = symbolic(new ResNetBackboneLayer({ settings }).apply(pixels));
    expect(maps.map(({ shape }) => shape)).toEqual([
      [null, 13, 16, 8],
      [null, 4, 4, 24],
    ]);
    const model = tf.model({ inputs: pixels, outputs: maps });
    const values = model.predict(tf.zeros([1, 50, 64, 3])) as tf.Tensor[];
    expect(values.map(({ shape }) => shape.slice(1))).toEqual(maps.map(({ shape }) => shape.slice(1)));
    await saveAndLoad(model, [tf.randomNormal([1, 50, 64, 3], 0, 1, 'float32', 1)], 'resnet');
  });
});
