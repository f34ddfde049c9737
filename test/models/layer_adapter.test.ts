// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { SwinBackbone, swinConfig } from '../../src/models/backbones/index.js';
import { SwinBackboneLayer } from '../../src/models/tf_layers/backbone.js';

beforeAll(async () => {
  await ready();
});

const SETTINGS = {
  embed_dim: 8,
  depths: [1, 2],
  num_heads: [1, 2],
  window_size: 4,
  out_features: ['stage1', 'stage2'],
  drop_path_rate: 0.1,
};
const folder = mkdtempSync(join(tmpdir(), 'tfgeo layers-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A picture to one number, through both maps of a Swin backbone. */
function smallModel(): tf.LayersModel {
  const input = tf.input({ shape: [20, 24, 3] });
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 3 });
  const [fine, coarse] = new SwinBackboneLayer({ settings: SETTINGS }).apply(input) as tf.SymbolicTensor[];
  const head = tf.layers
    .conv2d({ filters: 3, kernelSize: 1, kernelInitializer })
    .apply(fine!) as tf.SymbolicTensor;
  const pooled = [head, coarse!].map((map) => tf.layers.globalAveragePooling2d({}).apply(map));
  const joined = tf.layers.concatenate().apply(pooled as tf.SymbolicTensor[]);
  return tf.model({
    inputs: input,
    outputs: tf.layers.dense({ units: 1, kernelInitializer }).apply(joined) as tf.SymbolicTensor,
  });
}

describe('SwinBackboneLayer', () => {
  it('tells shapes before it has seen a picture', () => {
    const layer = new SwinBackboneLayer({ settings: SETTINGS });
    expect(layer.computeOutputShape([null, 33, null, 3])).toEqual([
      [null, 9, null, 8],
      [null, 5, null, 16],
    ]);
    const single = new SwinBackboneLayer({ settings: { ...SETTINGS, out_features: ['stage2'] } });
    expect(single.computeOutputShape([2, 33, 20, 3])).toEqual([2, 5, 3, 16]);
  });

  it('is listed, trained, saved and loaded with a model, and answers the same', async () => {
    const model = smallModel();
    const lines: string[] = [];
    model.summary(100, undefined, (line) => lines.push(String(line)));
    const parameters = new SwinBackbone(swinConfig(SETTINGS)).parameterCount();
    expect(lines.join('\n')).toMatch(new RegExp(`swin_backbone.* ${parameters} `));
    model.compile({ optimizer: tf.train.adam(3e-3), loss: 'meanSquaredError' });
    const x = tf.randomNormal([6, 20, 24, 3], 0, 1, 'float32', 1);
    const y = tf.randomNormal([6, 1], 0, 1, 'float32', 2);
    const first = model.layers[1]!.getWeights()[0]!.arraySync();
    const { history } = await model.fit(x, y, { epochs: 12, shuffle: false, verbose: 0 });
    expect(history.loss!.at(-1) as number).toBeLessThan(0.5 * (history.loss![0] as number));
    expect(model.layers[1]!.getWeights()[0]!.arraySync()).not.toEqual(first);
    await model.save(`file://${folder}/model one`);
    expect(readdirSync(join(folder, 'model one')).sort()).toEqual(['model.json', 'weights.bin']);
    const wanted = [...(model.predict(x) as tf.Tensor).dataSync()];
    for (const place of ['model one/model.json', 'model one']) {
      const loaded = await tf.loadLayersModel(`file://${folder}/${place}`);
      expect([...(loaded.predict(x) as tf.Tensor).dataSync()]).toEqual(wanted);
      loaded.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
      await loaded.fit(x, y, { epochs: 1, verbose: 0 });
    }
  });

  it('survives getConfig and fromConfig', () => {
    const layer = new SwinBackboneLayer({ settings: SETTINGS, name: 'eyes', seed: 4 });
    const config = JSON.parse(JSON.stringify(layer.getConfig()));
    const again = SwinBackboneLayer.fromConfig(SwinBackboneLayer as never, config) as typeof layer;
    expect(again.getConfig()).toEqual(layer.getConfig());
    const [map] = again.apply(tf.zeros([1, 16, 16, 3])) as tf.Tensor[];
    expect(map!.shape).toEqual([1, 4, 4, 8]);
  });

  it('takes a module with its values, shares them, and frees them', () => {
    const module = new SwinBackbone(swinConfig(SETTINGS));
    const layer = new SwinBackboneLayer({ settings: SETTINGS, module });
    const x = tf.randomNormal([1, 16, 16, 3], 0, 1, 'float32', 1) as tf.Tensor4D;
    const [got] = layer.apply(x) as tf.Tensor[];
    expect(layer.module).toBe(module);
    expect([...got!.dataSync()]).toEqual([...module.forward(x).levels[0]!.dataSync()]);
    const variable = [...module.trainableParameters().values()][0]!;
    expect(layer.trainableWeights[0]!.read()).toBe(variable);
    layer.trainable = false;
    expect(layer.trainableWeights).toEqual([]);
    const before = tf.memory().numTensors;
    layer.dispose();
    expect(variable.isDisposed).toBe(true);
    expect(before - tf.memory().numTensors).toBeGreaterThanOrEqual(module.namedParameters().size);
  });
});

describe('damaged model files', () => {
  const load = (name: string) => tf.loadLayersModel(`file://${join(folder, name)}`);

  it('are refused in one line that names them', async () => {
    await smallModel().save(`file://${folder}/bad`);
    const weights = join(folder, 'bad', 'weights.bin');
    truncateSync(weights, 100);
    await expect(load('bad')).rejects.toThrow(/model\.json have 100 bytes where it lists \d+/);
    rmSync(weights);
    await expect(load('bad')).rejects.toThrow(/cannot read .*weights\.bin/);
    const json = join(folder, 'bad', 'model.json');
    writeFileSync(json, readFileSync(json, 'utf8').slice(0, 50));
    await expect(load('bad')).rejects.toThrow(/model\.json is not JSON/);
    writeFileSync(json, '{}');
    await expect(load('bad')).rejects.toThrow(/holds no model/);
    await expect(load('nowhere')).rejects.toThrow(/cannot read model .*nowhere/);
  });
});
