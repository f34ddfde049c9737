// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Detector } from '../../src/detector.js';
import { type EngineId, ready } from '../../src/engine/index.js';
import { buildModel } from '../../src/models/build.js';
import { checkModelConfig } from '../../src/models/config_check.js';
import { loadModelFolder } from '../../src/models/model_folder.js';
import { convertCheckpoint, inspectCheckpoint } from '../../src/models/published/index.js';
import { layAnchors, scaleMaeDetNames, suppress } from '../../src/models/scalemae_det/index.js';
import { ScaleMaeDetLayer } from '../../src/models/tf_layers/index.js';
import { writeSafetensors } from '../../src/models/weights/safetensors.js';
import { saveStateDict } from '../../src/models/weights/state_dict.js';
import { smallScaleMaeDetConfig } from './small_config.js';

let root: string;
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'tfgeo-scalemae-'));
});
afterAll(() => rmSync(root, { recursive: true }));

const KINDS = ['scalemae-det', 'scalemae-det-upstream', 'vitdet'] as const;
const picture = (batch: number) => tf.randomNormal([batch, 64, 96, 3], 0, 1, 'float32', 5) as tf.Tensor4D;
const worst = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

describe.each<EngineId>(['tensorflow', 'cpu'])('suppress on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });
  afterAll(async () => {
    await ready();
  });

  it('drops what overlaps a better box of its group, and fills up with zeros', () => {
    const boxes = tf.tensor4d([0, 0, 4, 4, 0, 0, 4, 5, 8, 8, 9, 9], [1, 3, 1, 4]);
    const scores = tf.tensor3d([0.5, -1, 0.6, 0.4, -1, 0.05], [1, 3, 2]);
    const kept = suppress(boxes, scores, { iou: 0.5, count: 5, above: 0.1 });
    expect([...kept.groups.dataSync()]).toEqual([0, 1, 0, 0, 0]);
    expect([...kept.mask.dataSync()]).toEqual([1, 1, 0, 0, 0]);
    [0.6, 0.4, 0, 0, 0].forEach((score, i) => {
      expect(kept.scores.dataSync()[i]).toBeCloseTo(score, 6);
    });
    expect([...kept.boxes.dataSync()].slice(0, 8)).toEqual([0, 0, 4, 5, 0, 0, 4, 5]);
  });
});

it('lays anchors around the first corner of each cell, wide before high', () => {
  const anchors = layAnchors([{ height: 1, width: 2, stride: 8 }], [[4, 8]], [0.25, 1]);
  expect(anchors.arraySync()).toEqual([
    [-4, -1, 4, 1],
    [-8, -2, 8, 2],
    [-2, -2, 2, 2],
    [-4, -4, 4, 4],
    [4, -1, 12, 1],
    [0, -2, 16, 2],
    [6, -2, 10, 2],
    [4, -4, 12, 4],
  ]);
});

describe.each(KINDS)('%s', (name) => {
  it('answers with at most so many boxes inside of the picture, compiled as computed', () => {
    const config = smallScaleMaeDetConfig(name);
    const model = buildModel({ ...config, detector: { ...config.detector, leastScore: 0.01 } }, 4);
    tf.tidy(() => {
      const input = { pixels: picture(2), pixelMask: null };
      const computed = model.detections(model.forward(input));
      const [first, second] = [model.predict(input), model.predict(input)];
      for (const key of ['scores', 'labels', 'boxes'] as const) {
        expect(worst(first[key], computed[key])).toBeLessThan(1e-4);
        expect(worst(second[key], computed[key])).toBeLessThan(1e-4);
      }
      expect(computed.boxes.shape).toEqual([2, 12, 4]);
      const corners = computed.boxes.dataSync();
      expect(Math.min(...corners)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...corners)).toBeLessThanOrEqual(1);
      expect(Math.max(...computed.scores.dataSync())).toBeGreaterThan(0);
    });
    model.dispose();
  });

  it('is saved under the original’s names, and read again', async () => {
    const config = smallScaleMaeDetConfig(name);
    const model = buildModel(config, 6);
    const folder = mkdtempSync(join(root, name));
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    writeSafetensors(join(folder, 'model.safetensors'), saveStateDict(model));
    const { model: found, fits } = await inspectCheckpoint(folder);
    expect(found?.title).toBe('ScaleMAE-Det, scalemae, 4 classes');
    expect(fits).toBe(true);
    await convertCheckpoint(folder, join(folder, 'original.safetensors'), { names: 'original' });
    const loaded = await loadModelFolder(folder);
    expect(loaded.config).toEqual(config);
    const names = scaleMaeDetNames()[0]!;
    expect(saveStateDict(loaded.model, { names })).toEqual(saveStateDict(model, { names }));
    model.dispose();
    loaded.model.dispose();
  });
});

describe('ScaleMaeDet', () => {
  it('sees how large a pixel is, unless it follows the published code', () => {
    const gsd = (metres: number) => tf.tensor1d([metres]);
    for (const [name, differs] of [
      ['scalemae-det', true],
      ['scalemae-det-upstream', false],
    ] as const) {
      const model = buildModel(smallScaleMaeDetConfig(name), 4);
      tf.tidy(() => {
        const input = { pixels: picture(1), pixelMask: null };
        const [near, far] = [0.1, 5].map((metres) => {
          return model.forward({ ...input, gsd: gsd(metres) }).stage.anchorOutput.objectness;
        }) as [tf.Tensor, tf.Tensor];
        expect(worst(near, far) > 1e-6).toBe(differs);
      });
      model.dispose();
    }
  });

  it('reads nothing in boxes where it follows the published code', () => {
    for (const [name, reads] of [
      ['scalemae-det', true],
      ['scalemae-det-upstream', false],
    ] as const) {
      const model = buildModel(smallScaleMaeDetConfig(name), 4);
      tf.tidy(() => {
        const stage = model.propose({ pixels: picture(1), pixelMask: null });
        const { cells } = model.read(stage, stage.proposals.boxes);
        expect(tf.max(tf.abs(cells)).dataSync()[0]! > 0).toBe(reads);
      });
      model.dispose();
    }
  });

  it('finds nothing in padding', () => {
    const model = buildModel(smallScaleMaeDetConfig(), 4);
    tf.tidy(() => {
      const mask = tf.pad(tf.ones([1, 40, 64]), [
        [0, 0],
        [0, 24],
        [0, 32],
      ]) as tf.Tensor3D;
      const { sizes, proposals } = model.propose({ pixels: picture(1), pixelMask: mask });
      expect([...sizes.dataSync()]).toEqual([64, 40]);
      const [, , right, bottom] = tf.unstack(tf.max(proposals.boxes, 1), 1).map((x) => x.dataSync()[0]!);
      expect(right).toBeLessThanOrEqual(64);
      expect(bottom).toBeLessThanOrEqual(40);
    });
    model.dispose();
  });

  it('is a detector of classes like any other', async () => {
    const config = smallScaleMaeDetConfig();
    const model = buildModel({ ...config, detector: { ...config.detector, leastScore: 0.01 } }, 4);
    const detector = new Detector({ answers: 'classes', model, config });
    const image = tf.randomUniform([70, 100, 3], 0, 255, 'int32', 3) as unknown as tf.Tensor3D;
    const options = { threshold: 0, metresPerPixel: 0.2 };
    const { scores, set } = await detector.detect(image, ['ship', 'car'], options);
    expect(scores.length).toBeGreaterThan(0);
    const kinds = new Set(set.detections.map(({ category }) => category));
    expect([...kinds].every((kind) => kind === 'ship' || kind === 'car')).toBe(true);
    await expect(detector.detect(image, [], { metresPerPixel: 0 })).rejects.toThrow(
      /metres per pixel above 0/,
    );
    detector.dispose();
    const blind = {
      ...config,
      backbone: { ...config.backbone, config: { ...config.backbone.config, default_gsd: null } },
    };
    const other = new Detector({ answers: 'classes', model: buildModel(blind), config: blind });
    await expect(other.detect(image, [])).rejects.toThrow(/how large a pixel is on the ground/);
    other.dispose();
  });

  it('is a layer of TensorFlow.js', async () => {
    const settings = { ...smallScaleMaeDetConfig() };
    const [pixels, metres] = [tf.input({ shape: [64, 96, 3] }), tf.input({ shape: [1] })];
    const outputs = new ScaleMaeDetLayer({ settings }).apply([pixels, metres]) as tf.SymbolicTensor[];
    expect(outputs.map(({ shape }) => shape)).toEqual([
      [null, 30, 5],
      [null, 30, 5, 4],
      [null, 30, 4],
    ]);
    const model = tf.model({ inputs: [pixels, metres], outputs });
    await model.save(`file://${root}/layer`);
    const loaded = await tf.loadLayersModel(`file://${root}/layer/model.json`);
    const x = [picture(2), tf.tensor2d([[0.3], [2]])];
    const [before, after] = [model, loaded].map((m) => m.predict(x) as tf.Tensor[]);
    before!.forEach((value, i) => {
      expect(worst(value, after![i]!)).toBe(0);
    });
  });
});

it.each([
  [{ anchorSizes: [[8]] }, 'detector.anchorSizes must have 4 lists with detector.pyramid "scalemae"'],
  [{ anchorSizes: [[8], [8, 16], [8], [8]] }, 'detector.anchorSizes must be a list of as many numbers'],
  [{ parity: 'original' }, 'detector.parity must be one of fixed, upstream'],
  [{ proposal: 3 }, 'unknown key "detector.proposal", did you mean "detector.proposals"?'],
])('refuses %j', (changes, message) => {
  const config = smallScaleMaeDetConfig();
  const wrong = { ...config, detector: { ...config.detector, ...changes } };
  expect(() => checkModelConfig(wrong, { name: 'here', remedy: 'change it', exitCode: 2 })).toThrow(
    `here: ${message}`,
  );
});
