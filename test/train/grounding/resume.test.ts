// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../../src/engine/index.js';
import { buildTask } from '../../../src/train/build_task.js';
import { mergeConfig } from '../../../src/train/config/check.js';
import type { RunConfig } from '../../../src/train/config/schema.js';
import { readRecords } from '../../../src/train/log.js';
import { runTraining } from '../../../src/train/run.js';
import { smallConfig } from '../../models/small_config.js';

// A model that drops words and branches trains as a compiled function. What is dropped follows from the run's seed, which
// is in the checkpoint, and from the step.

const STEPS = 4;

let root = '';
beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  root = mkdtempSync(join(tmpdir(), 'resume-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function runOf(name: string, changes: Partial<RunConfig> = {}): RunConfig {
  const { backbone, text, transformer } = smallConfig('token-sigmoid');
  const { vocab_size, ...encoder } = text.config;
  return mergeConfig({
    model: 'mdetr-g-tiny',
    modelOverrides: {
      backbone: { config: { ...backbone.config, drop_path_rate: 0.4 } },
      text: { config: { ...encoder, hidden_dropout_prob: 0.3 } },
      transformer: { ...transformer },
    },
    imageSize: 64,
    batchSize: 1,
    trainSize: 4,
    evalLimit: 1,
    evalEvery: 0,
    sampleEvery: 0,
    checkpointEvery: 0,
    tensorboard: false,
    logEvery: 1,
    ema: 0.9,
    steps: STEPS,
    lr: 1e-3,
    warmup: 0,
    out: join(root, name),
    ...changes,
  });
}

async function train(config: RunConfig, stopAt = 0) {
  const lines: string[] = [];
  const { run } = await runTraining(config, {
    makeTask: buildTask,
    output: { write: (text) => lines.push(text) },
    signals: false,
    ...(stopAt > 0 ? { shouldStop: (step: number) => step === stopAt } : {}),
  });
  const losses = readRecords(run).flatMap((record) => (record.kind === 'train' ? [record.loss] : []));
  const weights = readFileSync(join(run, 'checkpoints', 'last', 'model.safetensors'));
  return { run, losses, weights, text: lines.join('') };
}

describe('a compiled run with dropout and stochastic depth', () => {
  it('continues bit for bit, is repeated by its seed, and says when and why it compiled', async () => {
    const straight = await train(runOf('straight'));
    expect(straight.losses).toHaveLength(STEPS);
    expect(straight.text).toMatch(/compiled the training step in [\d.]+ s \(first step\)/);
    const half = await train(runOf('half'), 2);
    expect(half.losses).toEqual(straight.losses.slice(0, 2));
    const rest = await train({ ...runOf('half'), out: null, resume: half.run });
    expect(rest.losses).toEqual(straight.losses);
    expect(rest.weights.equals(straight.weights)).toBe(true);
    // Another seed draws other scenes, words and branches.
    const other = await train(runOf('other', { seed: 5 }));
    expect(other.losses).not.toEqual(straight.losses);
  });
});
