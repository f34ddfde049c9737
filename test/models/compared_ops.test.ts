// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { PRESETS, type TextDetectorConfig } from '../../src/models/config.js';
import { Random } from '../../src/random.js';
import { buildTask } from '../../src/train/build_task.js';
import { mergeConfig } from '../../src/train/config/check.js';
import type { RunConfig } from '../../src/train/config/schema.js';
import { Ema } from '../../src/train/ema.js';
import { defaultGroups } from '../../src/train/groups.js';
import { AdamW } from '../../src/train/optimizer.js';
import { Stepper } from '../../src/train/run/step.js';
import { COMPARED_OPS } from '../cases/compared_ops.js';
import { recordOps } from '../ops/recorded_ops.js';
import {
  smallConfig,
  smallDetrConfig,
  smallGroundingDinoConfig,
  smallMdetrConfig,
  smallUpstreamConfig,
} from './small_config.js';

// Whatever the detectors are made of, training steps and detecting, is compared with itself compiled. An operation that
// is new to them fails here until it has a case in test/cases/compiled.ts.

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

const {
  text: { config: text },
  ...small
} = smallConfig('token-sigmoid'); // prettier-ignore

/** A run of a published text detector, on the package's tokenizer. */
function textRun({ model_type, preset, backbone, text, transformer }: TextDetectorConfig) {
  const { vocab_size, ...encoder } = text.config;
  const parts = { backbone, text: { name: text.name, config: encoder }, transformer: { ...transformer } };
  return [model_type, { model: preset, modelOverrides: parts }] as const;
}

/** Runs that between them train every kind of detector, on few channels. */
const RUNS: readonly (readonly [modelType: string, run: Partial<RunConfig>])[] = [
  ...(['token-sigmoid', 'soft-token'] as const).map((head) => {
    const { transformer } = smallConfig(head);
    const { vocab_size, ...encoder } = text;
    const modelOverrides = {
      backbone: { config: { ...small.backbone.config, drop_path_rate: 0.2 } },
      text: { config: { ...encoder, hidden_dropout_prob: 0.1 } },
      transformer: { ...transformer },
    };
    return ['mdetr-g', { model: 'mdetr-g-tiny', modelOverrides }] as const;
  }),
  ...(['plain', 'refine', 'two-stage'] as const).flatMap((kind) => {
    const { backbone, transformer } = smallDetrConfig(kind);
    const model = `deformable-detr-r50${kind === 'plain' ? '' : `-${kind}`}`;
    return [
      ['deformable-detr', { model, modelOverrides: { backbone, transformer: { ...transformer } } }] as const,
    ];
  }),
  textRun(smallMdetrConfig()),
  ...(['deformable', 'vanilla'] as const).map((kind) => textRun(smallUpstreamConfig(kind))),
  ...(['dot', 'scaled'] as const).map((logits) => textRun(smallGroundingDinoConfig(logits))),
];

/** A training step, and an evaluation. */
async function useAll(run: Partial<RunConfig>): Promise<void> {
  const config = mergeConfig({
    ...run,
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

describe('operations of detectors', () => {
  it.each(RUNS)('%s', async (_, run) => {
    const used = await recordOps(() => useAll(run));
    expect(used.size).toBeGreaterThan(40);
    expect([...used].filter((name) => !COMPARED_OPS.includes(name))).toEqual([]);
  });

  it('are looked at for every kind there is', () => {
    const kinds = new Set(Object.values(PRESETS).map(({ model_type }) => model_type));
    expect(new Set(RUNS.map(([kind]) => kind))).toEqual(kinds);
  });
});
