// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { nativeBinding, ready, type TraceReport } from '../../../src/engine/index.js';
import { buildModel } from '../../../src/models/build.js';
import { overrideModelConfig } from '../../../src/models/config_override.js';
import type { HeadKind } from '../../../src/models/mdetr_g.js';
import { mergeConfig } from '../../../src/train/config/check.js';
import { stepRandom } from '../../../src/train/data_order.js';
import { Ema } from '../../../src/train/ema.js';
import { buildLosses } from '../../../src/train/grounding/losses.js';
import { GroundingTask } from '../../../src/train/grounding/task.js';
import { defaultGroups } from '../../../src/train/groups.js';
import { AdamW } from '../../../src/train/optimizer.js';
import { Stepper, type StepResult } from '../../../src/train/run/step.js';
import { smallConfig } from '../../models/small_config.js';
import { boats, datasetOf, TOKENIZER_JSON, tokenizer } from './samples.js';

const STEPS = 4;
const CONFIG = mergeConfig({ lr: 1e-3, clipNorm: 1, ema: 0.9 });

beforeAll(async () => {
  await ready();
});

/** Steps of a small model that drops branches and words. */
async function train(head: HeadKind, compiled: boolean) {
  const base = smallConfig(head);
  base.text.config.vocab_size = tokenizer.vocabularySize;
  const config = overrideModelConfig(base, {
    'backbone.config.drop_path_rate': 0.4,
    'text.config.hidden_dropout_prob': 0.2,
  });
  const dataset = datasetOf([boats('one'), boats('three')]);
  const model = buildModel(config, 5);
  const task = new GroundingTask({
    ...{ model, config, tokenizer, tokenizerJson: TOKENIZER_JSON },
    ...{ train: [{ dataset, weight: 1 }], evaluation: dataset, batchSize: 2 },
    losses: buildLosses(model, config, CONFIG),
  });
  const groups = defaultGroups(CONFIG);
  const optimizer = new AdamW(task.parameters(), { lr: CONFIG.lr, clipNorm: CONFIG.clipNorm, groups });
  const ema = new Ema(optimizer.store, CONFIG.ema);
  const traces: TraceReport[] = [];
  const parts = { task, optimizer, config: CONFIG, ema, total: 100 };
  const stepper = new Stepper(parts, compiled, (report) => traces.push(report));
  const results: StepResult[] = [];
  const tensors: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const batch = await task.batch(step, stepRandom(1, step));
    results.push(await stepper.take(step, batch, true));
    task.disposeBatch(batch);
    tensors.push(tf.memory().numTensors + nativeBinding().getNumOfTensors());
  }
  const parameters = [...task.parameters()].map(([name, x]) => [name, Array.from(x.dataSync())] as const);
  const averages = [...(await ema.state())].map(([name, { data }]) => [name, Array.from(data)] as const);
  stepper.dispose();
  optimizer.dispose();
  task.dispose();
  return { results, traces, tensors, parameters, averages };
}

/**
 * Values that have a gradient at all. Scores are the same whatever is added to all keys, so biases of keys only move by
 * rounding, which AdamW makes as large as any step.
 */
function learned(name: string, values: readonly number[]): readonly number[] {
  if (name.endsWith('key.bias')) return [];
  const third = values.length / 3;
  return name.endsWith('in_proj_bias') ? values.filter((_, i) => Math.floor(i / third) !== 1) : values;
}

/** Largest difference relative to the largest value. */
function furthest(a: readonly number[], b: readonly number[]): number {
  const size = Math.max(1e-3, ...b.map(Math.abs));
  return Math.max(0, ...a.map((value, i) => Math.abs(value - b[i]!))) / size;
}

describe.each<HeadKind>(['token-sigmoid', 'soft-token'])('training steps of the %s head', (head) => {
  it('compiled equal those operation by operation, random parts included, and keep nothing', async () => {
    const eager = await train(head, false);
    const compiled = await train(head, true);
    expect(eager.traces).toHaveLength(0);
    expect(compiled.traces.length).toBeGreaterThanOrEqual(1);
    expect(compiled.traces[0]!.nodes).toBeGreaterThan(1000);
    compiled.results.forEach(({ loss, gradNorm, parts, lr }, i) => {
      const other = eager.results[i]!;
      expect(furthest([loss, gradNorm], [other.loss, other.gradNorm])).toBeLessThan(1e-4);
      expect(Object.keys(parts!)).toEqual(Object.keys(other.parts!));
      expect(furthest(Object.values(parts!), Object.values(other.parts!))).toBeLessThan(1e-4);
      expect(lr).toEqual(other.lr);
    });
    for (const what of ['parameters', 'averages'] as const) {
      compiled[what].forEach(([name, values], i) => {
        const [otherName, others] = eager[what][i]!;
        expect(name).toBe(otherName);
        const close = furthest(learned(name, values), learned(name, others)) < 2e-3;
        expect([name, close]).toEqual([name, true]);
      });
    }
    // The first step forms the optimizer's vectors; tables for new sizes may come with it.
    expect(new Set(compiled.tensors.slice(1)).size).toBe(1);
  });
});
