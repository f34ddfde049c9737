// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { EXIT_CODES } from '../../../src/errors.js';
import { buildModel } from '../../../src/models/build.js';
import type { DeformableDetrConfig } from '../../../src/models/config.js';
import type { Detection } from '../../../src/models/types.js';
import { Random } from '../../../src/random.js';
import { buildTask } from '../../../src/train/build_task.js';
import { mergeConfig } from '../../../src/train/config/check.js';
import type { RunConfig } from '../../../src/train/config/schema.js';
import type { Dataset, Sample } from '../../../src/train/data/types.js';
import { buildDetectionTask } from '../../../src/train/detection/build_task.js';
import { detectionFigures, evaluateDetections } from '../../../src/train/detection/evaluate.js';
import { buildDetectionLosses } from '../../../src/train/detection/losses.js';
import { detectionTargets } from '../../../src/train/detection/targets.js';
import { DetectionTask } from '../../../src/train/detection/task.js';
import { AdamW, lossAndGradients } from '../../../src/train/optimizer.js';
import { runTraining } from '../../../src/train/run.js';
import { type DetrKind, smallDetrConfig } from '../../models/small_config.js';

const SIZE = 64;

function sample(id: string, objects: Sample['objects'], width = SIZE): Sample {
  const image = { width, height: SIZE, data: new Uint8Array(width * SIZE * 3).fill(80) };
  for (const { box } of objects) {
    for (let y = box[1]; y < box[3]; y++) {
      image.data.fill(240, (y * width + box[0]) * 3, (y * width + box[2]) * 3);
    }
  }
  return { id, image, caption: '', objects, form: 'classes' };
}

const object = (category: string, box: [number, number, number, number], crowd = false) => ({
  category,
  box,
  spans: [],
  ...(crowd ? { crowd } : {}),
});

const SAMPLES = [
  sample('a', [object('ship', [8, 8, 24, 40]), object('car', [40, 40, 56, 56])]),
  sample('b', [object('plane', [16, 24, 48, 48])], 48),
  sample('c', []),
];

const dataset: Dataset = {
  name: 'three pictures',
  length: SAMPLES.length,
  get: async (index) => SAMPLES[index]!,
};

/** Keys of a run that make the preset small. */
function small(kind: DetrKind, changes: Partial<RunConfig> = {}): RunConfig {
  const { backbone, transformer } = smallDetrConfig(kind);
  return mergeConfig({
    model: kind === 'plain' ? 'deformable-detr-r50' : `deformable-detr-r50-${kind}`,
    modelOverrides: { backbone, transformer: { ...transformer } },
    imageSize: SIZE,
    batchSize: 2,
    trainSize: 4,
    evalLimit: 2,
    ...changes,
  });
}

function taskOf(
  kind: DetrKind,
  transformer: Partial<DeformableDetrConfig['transformer']> = {},
): DetectionTask {
  const base = smallDetrConfig(kind);
  const config = { ...base, transformer: { ...base.transformer, ...transformer } };
  return new DetectionTask({
    model: buildModel(config, 3),
    config,
    train: [{ dataset, weight: 1 }],
    evaluation: dataset,
    losses: buildDetectionLosses({ lossWeights: {}, auxWeight: 1 }),
    settings: { batchSize: 3, backboneLrMultiplier: 0.5, weightDecay: 1e-4 },
  });
}

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'detection-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('detectionTargets', () => {
  it('measures boxes by their own picture, and leaves crowds out', () => {
    tf.tidy(() => {
      const wide = sample('d', [object('car', [12, 16, 36, 48]), object('car', [0, 0, 9, 9], true)], 48);
      const { boxes, mask, positiveMap } = detectionTargets([SAMPLES[0]!, wide], ['ship', 'plane', 'car']);
      expect(boxes.shape).toEqual([2, 8, 4]);
      expect([...mask.dataSync()]).toEqual([1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
      expect([...tf.slice(boxes, [1, 0, 0], [1, 1, 4]).dataSync()]).toEqual([0.5, 0.5, 0.5, 0.5]);
      expect([...tf.slice(positiveMap, [0, 0, 0], [1, 3, 3]).dataSync()]).toEqual([
        1, 0, 0, 0, 0, 1, 0, 0, 0,
      ]);
    });
  });

  it('names the picture with an object of another class', () => {
    const act = () => detectionTargets([SAMPLES[1]!], ['ship']);
    expect(act).toThrow('b: has an object of class "plane", which the model does not know');
  });
});

describe('evaluateDetections', () => {
  it('is COCO’s, by class', () => {
    const labels = ['ship', 'plane', 'car', 'tank'];
    const found: Detection[][] = SAMPLES.map(({ objects }) =>
      objects.map(({ box, category }) => ({ box, category, phrase: category, spans: [], score: 0.9 })),
    );
    const perfect = detectionFigures(evaluateDetections(SAMPLES, found, labels), labels);
    expect(
      Object.fromEntries(Object.entries(perfect).map(([key, value]) => [key, Number(value.toFixed(9))])),
    ).toEqual({
      AP: 1,
      AP50: 1,
      AP75: 1,
      AR: 1,
      'class/ship/AP50': 1,
      'class/plane/AP50': 1,
      'class/car/AP50': 1,
    });
    const wrong = found.map((list) => list.map((detection) => ({ ...detection, category: 'ship' })));
    const figures = detectionFigures(evaluateDetections(SAMPLES, wrong, labels), labels);
    expect(figures['class/plane/AP50']).toBe(0);
    expect(figures['class/ship/AP50']).toBeGreaterThan(0.3);
  });
});

describe.each(['plain', 'refine', 'two-stage'] as const)('DetectionTask, %s', (kind) => {
  it('learns three pictures, and frees all it makes', async () => {
    const task = taskOf(kind);
    const optimizer = new AdamW(task.parameters(), {
      lr: 2e-3,
      clipNorm: 0.1,
      groups: task.parameterGroups(),
    });
    const losses: number[] = [];
    let tensors = 0;
    for (let step = 0; step < 30; step++) {
      const batch = await task.batch(step, new Random(step % 4));
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
    expect(Math.min(...losses.slice(-4))).toBeLessThan(0.75 * losses[0]!);
    const figures = await task.evaluate();
    expect(Object.keys(figures)).toEqual(expect.arrayContaining(['AP', 'AP50', 'class/ship/AP50']));
    expect(tf.memory().numTensors).toBe(tensors);
    const pictures = await task.samples(join(root, kind), 30);
    expect(pictures.every(existsSync)).toBe(true);
    optimizer.dispose();
    task.dispose();
  });

  it('says which parameters learn how fast', () => {
    const task = taskOf(kind);
    const optimizer = new AdamW(task.parameters(), { lr: 1, groups: task.parameterGroups() });
    expect(optimizer.learningRates()).toEqual({ backbone: 0.5, places: 0.1, main: 1 });
    optimizer.dispose();
    task.dispose();
  });
});

it.each(['plain', 'refine', 'two-stage'] as const)('a decoder of one layer learns: %s', async (kind) => {
  const task = taskOf(kind, { encoderLayers: 1, decoderLayers: 1 });
  const batch = await task.batch(0, new Random(1));
  const { value, gradients } = lossAndGradients(task.parameters(), () => task.loss(task.inputs(batch)).total);
  expect(Number.isFinite(value.dataSync()[0]!)).toBe(true);
  expect(gradients.size).toBeGreaterThan(40);
  tf.dispose([value, ...gradients.values()]);
  task.disposeBatch(batch);
  task.dispose();
});

describe('buildDetectionTask', () => {
  const labelsOf = async (config: RunConfig) => {
    const task = await buildDetectionTask(config);
    const { 'config.json': json } = await task.describe();
    task.dispose();
    return (JSON.parse(json!) as DeformableDetrConfig).labels;
  };

  it('learns the classes of its data, or those that are asked for', async () => {
    expect(await labelsOf(small('plain'))).toEqual(
      expect.arrayContaining(['ship', 'plane', 'tank', 'container']),
    );
    const { modelOverrides } = small('plain');
    const labels = ['ship', 'plane'];
    await expect(labelsOf(small('plain', { modelOverrides: { ...modelOverrides, labels } }))).rejects.toThrow(
      /scenes-train: has the class "helicopter", which the model does not know \(it knows ship, plane\)/,
    );
  });

  it('refuses what is not there', async () => {
    await expect(buildDetectionTask(small('plain', { lossWeights: { boxes: 1 } }))).rejects.toThrow(
      'lossWeights: the model has no loss "boxes"',
    );
    await expect(buildDetectionTask(mergeConfig({}))).rejects.toThrow('answers sentences');
    const wrong = { 'transformer.twoStage': true };
    const { modelOverrides } = small('plain');
    await expect(
      buildDetectionTask(small('plain', { modelOverrides: { ...modelOverrides, ...wrong } })),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/transformer.twoStage needs transformer.boxRefine/),
      exitCode: EXIT_CODES.usage,
    });
  });

  it('trains, saves and goes on, as the command does', async () => {
    const out = join(root, 'run');
    const config = small('two-stage', {
      out,
      steps: 2,
      warmup: 1,
      evalEvery: 2,
      sampleEvery: 0,
      checkpointEvery: 2,
      logEvery: 1,
    });
    const silent = { write: () => true };
    const options = { makeTask: buildTask, signals: false, output: silent as never };
    const result = await runTraining(config, options);
    expect(result.figures).toMatchObject({ AP50: expect.any(Number) });
    expect(existsSync(join(result.model!, 'tokenizer.json'))).toBe(false);
    const saved = JSON.parse(
      readFileSync(join(result.model!, 'config.json'), 'utf8'),
    ) as DeformableDetrConfig;
    expect(saved.model_type).toBe('deformable-detr');
    const again = await buildTask(small('two-stage', { load: result.model!, modelOverrides: {} }));
    expect(again).toBeInstanceOf(DetectionTask);
    again.dispose();
  });
});
