// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Detector } from '../../src/detector.js';
import { compile, ready } from '../../src/engine/index.js';
import { exportModel } from '../../src/export/index.js';
import { buildModel } from '../../src/models/build.js';
import type { DeformableDetrConfig } from '../../src/models/config.js';
import { Random } from '../../src/random.js';
import { mergeConfig } from '../../src/train/config.js';
import type { Dataset } from '../../src/train/data/types.js';
import { buildClassLosses } from '../../src/train/detection/losses.js';
import { type DetectionInputs, DetectionTask } from '../../src/train/detection/task.js';
import { SMALL_BACKBONES, type SmallBackbone } from './backbones/small_backbones.js';
import { smallDetrConfig } from './small_config.js';

const SIDE = 64;
let root: string;
beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  root = mkdtempSync(join(tmpdir(), 'detr-backbones-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const data: Dataset = {
  name: 'one picture',
  length: 1,
  get: async () => ({
    id: 'a',
    image: { width: SIDE, height: SIDE, data: new Uint8Array(SIDE * SIDE * 3).map((_, i) => (i * 37) % 251) },
    caption: '',
    objects: [{ category: 'ship', box: [8, 8, 40, 24], spans: [] }],
    form: 'classes',
    metresPerPixel: 0.5,
  }),
};

function configOf({ family, settings }: SmallBackbone): DeformableDetrConfig {
  const drops = family === 'resnet' ? {} : { drop_path_rate: 0.2 };
  return { ...smallDetrConfig('refine'), backbone: { name: family, config: { ...settings, ...drops } } };
}

describe.each(SMALL_BACKBONES)('Deformable DETR with $name', (row) => {
  it('has a compiled training step that reaches every parameter of the backbone', async () => {
    const config = configOf(row);
    const settings = { ...mergeConfig({}), batchSize: 1 };
    const losses = buildClassLosses(config, settings);
    const train = [{ dataset: data, weight: 1 }];
    const model = buildModel(config, 3);
    const task = new DetectionTask({ model, config, train, evaluation: data, losses, settings });
    const batch = await task.batch(0, new Random(1));
    const variables = [...model.backbone.trainableParameters().values()];
    const step = compile((inputs: DetectionInputs) => {
      const { value, grads } = tf.variableGrads(() => task.loss(inputs).total, variables);
      return { value, moved: Object.values(grads).map((gradient) => tf.max(tf.abs(gradient))) };
    });
    tf.tidy(() => {
      const { value, moved } = step(task.inputs(batch));
      expect(Number.isFinite(value.dataSync()[0])).toBe(true);
      expect(moved.length).toBe(variables.length);
      const dead = moved.filter((largest) => !(largest.dataSync()[0]! > 0));
      // Dropped branches learn nothing in this step.
      expect(dead.length).toBeLessThan(variables.length / 2);
    });
    expect(step.compiled).toBe(true);
    step.dispose();
    task.disposeBatch(batch);
    task.dispose();
  });

  it('is exported, and the export agrees', async () => {
    const config = configOf(row);
    const detector = new Detector({ answers: 'classes', model: buildModel(config, 3), config });
    const { check } = await exportModel(detector, join(root, row.name), { size: SIDE, batch: 1 });
    expect(check!.largest).toBeLessThan(1e-4);
    detector.dispose();
  });
});
