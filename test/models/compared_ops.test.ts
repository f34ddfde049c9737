// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile, ready } from '../../src/engine/index.js';
import { backboneFamilies, buildBackbone } from '../../src/models/backbones/index.js';
import { answersText, type ModelConfig, PRESETS } from '../../src/models/config.js';
import { RandomStream } from '../../src/ops/index.js';
import { Random } from '../../src/random.js';
import { buildTask } from '../../src/train/build_task.js';
import { mergeConfig } from '../../src/train/config/check.js';
import { KIND_NAMES } from '../../src/train/data/scenes/index.js';
import { Ema } from '../../src/train/ema.js';
import { defaultGroups } from '../../src/train/groups.js';
import { AdamW } from '../../src/train/optimizer.js';
import { Stepper } from '../../src/train/run/step.js';
import { COMPARED_OPS } from '../cases/compared_ops.js';
import { recordOps } from '../ops/recorded_ops.js';
import { writeUntrained } from '../untrained_model.js';
import { allMaps, SMALL_BACKBONES, type SmallBackbone } from './backbones/small_backbones.js';
import { SMALL_DETECTORS } from './small_config.js';

// Whatever the detectors are made of, training steps and detecting, is compared with itself compiled. An operation that
// is new to them fails here until it has a case in test/cases/compiled.ts.

let root = '';
beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  root = mkdtempSync(join(tmpdir(), 'compared-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** With all that is drawn in training. */
function dropping(config: ModelConfig): ModelConfig {
  const copy = structuredClone(config);
  const rate = copy.backbone.name === 'swin' ? { drop_path_rate: 0.2 } : {};
  copy.backbone.config = { ...copy.backbone.config, ...rate };
  if (answersText(copy)) copy.text.config.hidden_dropout_prob = 0.1;
  else copy.labels = [...KIND_NAMES];
  return copy;
}

/** A training step, and an evaluation. */
async function useAll(load: string): Promise<void> {
  const config = mergeConfig({
    load,
    imageSize: 64,
    batchSize: 1,
    trainSize: 2,
    evalLimit: 1,
    clipNorm: 0.1,
  });
  const task = await buildTask(config);
  const optimizer = new AdamW(task.parameters(), { lr: 1e-4, clipNorm: 0.1, groups: defaultGroups(config) });
  const ema = new Ema(optimizer.store, 0.9);
  const stepper = new Stepper({ task, optimizer, config, ema, total: 2 }, true);
  const batch = await task.batch(0, new Random(1));
  await stepper.take(0, batch, true);
  task.disposeBatch(batch);
  await task.evaluate(1);
  stepper.dispose();
  optimizer.dispose();
  task.dispose();
}

/** Gradients of every parameter, compiled, with branches dropped where that is done. */
function trainBackbone(row: SmallBackbone): void {
  const settings = allMaps(row);
  const backbone = buildBackbone(
    row.family,
    row.family === 'resnet' ? settings : { ...settings, drop_path_rate: 0.3 },
  );
  const variables = [...backbone.trainableParameters().values()];
  const step = compile((pixels: tf.Tensor4D, seed: tf.Tensor1D) => {
    const random = new RandomStream(seed);
    const loss = () =>
      tf.addN(
        backbone.forward(pixels, { training: true, random }).levels.map((level) => tf.sum(tf.square(level))),
      );
    return tf.variableGrads(loss as () => tf.Scalar, variables);
  });
  tf.tidy(() => void step(tf.ones([2, ...row.sizes[1]!, 3]), tf.tensor1d([3, 4], 'int32')));
  expect(step.compiled).toBe(true);
  step.dispose();
  backbone.dispose();
}

describe('operations of detectors', () => {
  it.each(SMALL_DETECTORS)('%s', async (name, config) => {
    const folder = join(root, name);
    writeUntrained(folder, dropping(config));
    const used = await recordOps(() => useAll(folder));
    expect(used.size).toBeGreaterThan(40);
    expect([...used].filter((op) => !COMPARED_OPS.includes(op))).toEqual([]);
  });

  it('are looked at for every type there is', () => {
    const types = new Set(SMALL_DETECTORS.map(([, { model_type }]) => model_type));
    for (const { model_type } of Object.values(PRESETS)) expect(types).toContain(model_type);
  });
});

describe('operations of backbones', () => {
  it.each(SMALL_BACKBONES)('$name', async (row) => {
    const used = await recordOps(() => trainBackbone(row));
    expect(used.size).toBeGreaterThan(10);
    expect([...used].filter((op) => !COMPARED_OPS.includes(op))).toEqual([]);
  });

  it('are looked at for every family there is', () => {
    expect(new Set(SMALL_BACKBONES.map(({ family }) => family))).toEqual(new Set(backboneFamilies()));
  });
});
