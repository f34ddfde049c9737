// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { buildModel } from '../../../src/models/build.js';
import { Random } from '../../../src/random.js';
import { mergeConfig } from '../../../src/train/config.js';
import type { Dataset } from '../../../src/train/data/types.js';
import { bestTargets, drawBoxes } from '../../../src/train/detection/assign.js';
import { buildDetectionTask } from '../../../src/train/detection/build_task.js';
import { buildClassLosses } from '../../../src/train/detection/losses.js';
import { DetectionTask } from '../../../src/train/detection/task.js';
import { AdamW, lossAndGradients } from '../../../src/train/optimizer.js';
import { smallScaleMaeDetConfig } from '../../models/small_config.js';

beforeAll(async () => {
  await ready();
});

describe('bestTargets', () => {
  it('finds the target that a box overlaps most, and the boxes closest to a target', () => {
    const boxes = tf.tensor3d([
      [
        [0, 0, 4, 4],
        [0, 0, 4, 2],
        [9, 9, 10, 10],
      ],
    ]);
    const many = Array.from({ length: 9 }, (_, i) => [20 + i, 20, 22 + i, 22]);
    const targets = tf.tensor3d([[...many, [0, 0, 4, 3], [0, 0, 5, 5]]]);
    const mask = tf.tensor2d([[...many.map(() => 1), 1, 0]]);
    const { index, iou, closest } = bestTargets(boxes, targets, mask);
    expect([...index.dataSync()].slice(0, 2)).toEqual([9, 9]);
    [0.75, 2 / 3, 0].forEach((value, i) => {
      expect(iou.dataSync()[i]).toBeCloseTo(value, 6);
    });
    expect([...closest.dataSync()]).toEqual([1, 0, 0]);
  });

  it('has none where no target is real', () => {
    const { iou, closest } = bestTargets(tf.ones([1, 2, 4]), tf.ones([1, 1, 4]), tf.zeros([1, 1]));
    expect([...iou.dataSync(), ...closest.dataSync()]).toEqual([-1, -1, 0, 0]);
  });
});

describe('drawBoxes', () => {
  const flags = (text: string) =>
    tf.tensor2d(
      [...text].map((x) => (x === 'x' ? 1 : 0)),
      [1, text.length],
      'bool',
    );

  it('takes so many of the first kind at most, and fills up with the second', () => {
    const keys = tf.tensor2d([[0.1, 0.9, 0.5, 0.8, 0.7, 0.2]]);
    const drawn = drawBoxes(flags('xxx...'), flags('...xx.'), keys, 4, 2);
    expect([...drawn.indices.dataSync()]).toEqual([1, 2, 3, 4]);
    expect([...drawn.positive.dataSync()]).toEqual([1, 1, 0, 0]);
    expect([...drawn.valid.dataSync()]).toEqual([1, 1, 1, 1]);
  });

  it('leaves places empty where there are too few', () => {
    const drawn = drawBoxes(flags('x...'), flags('...x'), tf.fill([1, 4], 0.5), 4, 2);
    expect([...drawn.valid.dataSync()]).toEqual([1, 1, 0, 0]);
  });
});

const SIZE = 64;
const SAMPLES = [
  { category: 'ship', box: [8, 8, 40, 24] as [number, number, number, number], shade: 250 },
  { category: 'car', box: [32, 32, 56, 56] as [number, number, number, number], shade: 10 },
].map(({ category, box, shade }, i) => {
  const data = new Uint8Array(SIZE * SIZE * 3).fill(120);
  for (let y = box[1]; y < box[3]; y++) data.fill(shade, (y * SIZE + box[0]) * 3, (y * SIZE + box[2]) * 3);
  const image = { width: SIZE, height: SIZE, data };
  return {
    id: `${i}`,
    image,
    caption: '',
    objects: [{ category, box, spans: [] }],
    form: 'classes',
    metresPerPixel: 0.3,
  };
});
const dataset: Dataset = { name: 'two pictures', length: 2, get: async (index) => SAMPLES[index]! };

describe('DetectionTask with ScaleMAE-Det', () => {
  it('learns two pictures, compiled, and frees all it makes', async () => {
    const config = smallScaleMaeDetConfig();
    const settings = { ...mergeConfig({}), batchSize: 2 };
    const task = new DetectionTask({
      model: buildModel(config, 3),
      config,
      train: [{ dataset, weight: 1 }],
      evaluation: dataset,
      losses: buildClassLosses(config, settings),
      settings,
    });
    const optimizer = new AdamW(task.parameters(), { lr: 2e-3, clipNorm: 1, groups: task.parameterGroups() });
    let tensors = 0;
    const losses: number[] = [];
    for (let step = 0; step < 60; step++) {
      const batch = await task.batch(step, new Random(step));
      const { value, gradients } = lossAndGradients(
        task.parameters(),
        () => task.loss(task.inputs(batch)).total,
      );
      losses.push(value.dataSync()[0]!);
      optimizer.step(gradients);
      tf.dispose([value, ...gradients.values()]);
      task.disposeBatch(batch);
      if (step === 5) tensors = tf.memory().numTensors;
    }
    expect(tf.memory().numTensors).toBe(tensors);
    expect(Math.min(...losses.slice(-5))).toBeLessThan(0.6 * losses[0]!);
    const { AP50 } = await task.evaluate();
    expect(AP50).toBeGreaterThan(0.3);
    optimizer.dispose();
    task.dispose();
  });

  it('is built of a run’s configuration', async () => {
    const { backbone, detector } = smallScaleMaeDetConfig();
    const config = mergeConfig({
      model: 'scalemae-det',
      modelOverrides: { backbone, detector: { ...detector } },
      imageSize: SIZE,
      batchSize: 1,
      trainSize: 2,
      evalLimit: 1,
    });
    const task = await buildDetectionTask(config);
    const batch = await task.batch(0, new Random(1));
    const { parts } = task.loss(task.inputs(batch));
    expect(Object.keys(parts).sort()).toEqual([
      'loss_box_reg',
      'loss_classifier',
      'loss_objectness',
      'loss_rpn_box_reg',
    ]);
    for (const part of Object.values(parts)) expect(Number.isFinite(part.dataSync()[0])).toBe(true);
    task.disposeBatch(batch);
    task.dispose();
    await expect(buildDetectionTask({ ...config, lossWeights: { giou: 1 } })).rejects.toThrow(
      'lossWeights: the model has no loss "giou"',
    );
  });
});
