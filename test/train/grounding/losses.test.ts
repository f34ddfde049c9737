// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { buildModel } from '../../../src/models/build.js';
import type { TextDetectorConfig } from '../../../src/models/config.js';
import { mergeConfig } from '../../../src/train/config/check.js';
import type { RunConfig } from '../../../src/train/config/schema.js';
import { stepRandom } from '../../../src/train/data_order.js';
import { buildLosses } from '../../../src/train/grounding/losses.js';
import { GroundingTask } from '../../../src/train/grounding/task.js';
import { AdamW } from '../../../src/train/optimizer.js';
import { Stepper } from '../../../src/train/run/step.js';
import {
  smallGroundingDinoConfig,
  smallMdetrConfig,
  smallUpstreamConfig,
} from '../../models/small_config.js';
import { boats, datasetOf, TOKENIZER_JSON, tokenizer } from './samples.js';

beforeAll(async () => {
  await ready();
});

const CONFIGS: [string, TextDetectorConfig][] = [
  ['grounding-dino', smallGroundingDinoConfig()],
  ['mdetr', smallMdetrConfig()],
  ['mdetr-g-upstream', smallUpstreamConfig('deformable')],
];

function makeTask(config: TextDetectorConfig, run: Partial<RunConfig> = {}): GroundingTask {
  config.text.config.vocab_size = tokenizer.vocabularySize;
  config.text.config.pad_token_id = tokenizer.padding.id;
  const model = buildModel(config, 5);
  const dataset = datasetOf([boats('one'), boats('three')]);
  return new GroundingTask({
    ...{ model, config, tokenizer, tokenizerJson: TOKENIZER_JSON },
    ...{ train: [{ dataset, weight: 1 }], evaluation: dataset, batchSize: 2 },
    losses: buildLosses(model, config, mergeConfig(run)),
  });
}

describe.each(CONFIGS)('training of %s', (_, config) => {
  it('learns its batch in compiled steps', async () => {
    const task = makeTask(config);
    const run = mergeConfig({ lr: 1e-3, clipNorm: 1, warmup: 0 });
    const optimizer = new AdamW(task.parameters(), { lr: run.lr, clipNorm: run.clipNorm });
    const stepper = new Stepper({ task, optimizer, config: run, ema: null, total: 100 }, true);
    const batch = await task.batch(0, stepRandom(1, 0));
    const losses: number[] = [];
    for (let step = 0; step < 12; step++) losses.push((await stepper.take(step, batch, false)).loss);
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!);
    stepper.dispose();
    optimizer.dispose();
    task.disposeBatch(batch);
    task.dispose();
  });

  it('weighs its losses as told, and refuses those that it does not have', async () => {
    const lossWeights = { giou: 0 };
    const totals = await Promise.all(
      [{}, { lossWeights }].map(async (changes) => {
        const task = makeTask(config, changes);
        const batch = await task.batch(0, stepRandom(1, 0));
        const total = tf.tidy(() => task.loss(task.inputs(batch)).total.dataSync()[0]!);
        task.disposeBatch(batch);
        task.dispose();
        return total;
      }),
    );
    expect(totals[1]).toBeLessThan(totals[0]!);
    expect(() => makeTask(config, { lossWeights: { goiu: 1 } })).toThrow(
      /no loss "goiu", did you mean "giou"/,
    );
  });
});
