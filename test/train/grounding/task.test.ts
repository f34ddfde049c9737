// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { buildModel } from '../../../src/models/build.js';
import { overrideModelConfig } from '../../../src/models/config_override.js';
import type { HeadKind, MdetrG, MdetrGOutput } from '../../../src/models/mdetr_g.js';
import { Random } from '../../../src/random.js';
import { mergeConfig } from '../../../src/train/config/check.js';
import type { RunConfig } from '../../../src/train/config/schema.js';
import { buildLosses } from '../../../src/train/grounding/losses.js';
import { buildHeadLosses } from '../../../src/train/grounding/mdetr_g_losses.js';
import { type GroundingBatch, GroundingTask } from '../../../src/train/grounding/task.js';
import { smallConfig } from '../../models/small_config.js';
import { boats, datasetOf, TOKENIZER_JSON, tokenizer } from './samples.js';

const HEADS: HeadKind[] = ['token-sigmoid', 'soft-token'];

beforeAll(async () => {
  await ready();
});

/** A task on two made pictures, with the small model. */
function makeTask(head: HeadKind, run: Partial<RunConfig> = {}, changes: Record<string, unknown> = {}) {
  const base = smallConfig(head);
  base.text.config.vocab_size = tokenizer.vocabularySize;
  const config = overrideModelConfig(base, changes);
  const dataset = datasetOf([boats('one'), boats('three')]);
  const model = buildModel(config, 5);
  return new GroundingTask({
    model,
    config,
    tokenizer,
    tokenizerJson: TOKENIZER_JSON,
    train: [{ dataset, weight: 1 }],
    evaluation: dataset,
    batchSize: 2,
    losses: buildLosses(model, config, mergeConfig(run)),
  });
}

/** Runs `act` with a task and its first batch, and frees both. */
async function withBatch<T>(task: GroundingTask, act: (batch: GroundingBatch) => T | Promise<T>): Promise<T> {
  const batch = await task.batch(0, new Random(3));
  try {
    return await act(batch);
  } finally {
    task.disposeBatch(batch);
    task.dispose();
  }
}

const lossOf = (task: GroundingTask, batch: GroundingBatch) =>
  tf.tidy(() => task.loss(task.inputs(batch)).total.dataSync()[0]!);

const seed = (i: number) => tf.tensor1d([i, 1], 'int32');

/** Only the last decoder layer of an output. */
function lastLayer(output: MdetrGOutput): MdetrGOutput {
  const last = <T extends tf.Tensor | null>(x: T): T =>
    (x ? tf.slice(x, [0, x.shape[1]! - 1, 0, 0], [-1, 1, -1, -1]) : x) as T;
  return {
    ...output,
    stackedLogits: last(output.stackedLogits),
    stackedBoxes: last(output.stackedBoxes),
    stackedProjections: last(output.stackedProjections),
    aux_outputs: [],
  };
}

describe.each(HEADS)('losses of the %s head', (head) => {
  it('count earlier decoder layers as much as auxWeight says', async () => {
    const task = makeTask(head);
    await withBatch(task, (batch) => {
      tf.tidy(() => {
        const { input, targets } = batch;
        const options = { training: true, denoising: targets.denoising?.queries ?? null };
        const output = (task.model as MdetrG).forward(input, input.wordMask, options);
        const at = (auxWeight: number, of = output) =>
          buildHeadLosses(head, mergeConfig({ auxWeight })).compute(of, targets, input).total.dataSync()[0]!;
        expect(at(0)).toBeCloseTo(at(1, lastLayer(output)), 3);
        expect(at(0.5)).toBeCloseTo((at(0) + at(1)) / 2, 3);
        expect(at(1)).toBeGreaterThan(1.2 * at(0));
      });
    });
  });

  it('have the weights that lossWeights gives, and refuse others', async () => {
    const lossWeights = { giou: 0 };
    const [whole, without] = [makeTask(head), makeTask(head, { lossWeights })];
    const totals = await Promise.all(
      [whole, without].map((task) => withBatch(task, (batch) => lossOf(task, batch))),
    );
    expect(totals[1]).toBeLessThan(totals[0]!);
    expect(() => buildHeadLosses(head, mergeConfig({ lossWeights: { goiu: 1 } }))).toThrow(
      /the model has no loss "goiu", did you mean "giou"\?/,
    );
  });

  it('drop nothing by default', async () => {
    const task = makeTask(head);
    await withBatch(task, (batch) => {
      expect(lossOf(task, { ...batch, seed: seed(1) })).toBe(lossOf(task, { ...batch, seed: seed(2) }));
    });
  });

  it('drop what the model’s settings say, by the seed of the batch', async () => {
    const rates = { 'backbone.config.drop_path_rate': 0.4, 'text.config.hidden_dropout_prob': 0.2 };
    for (const [key, rate] of Object.entries(rates)) {
      const task = makeTask(head, {}, { [key]: rate });
      await withBatch(task, (batch) => {
        const seeds = Array.from({ length: 6 }, (_, i) => lossOf(task, { ...batch, seed: seed(i) }));
        expect(new Set(seeds).size).toBeGreaterThan(1);
        expect(lossOf(task, batch)).toBe(lossOf(task, batch));
      });
    }
  });
});

describe('targets of a run', () => {
  it.each([
    [{ denoisingGroups: 1 }, 8],
    [{ denoisingGroups: 2 }, 16],
    [{ denoisingGroups: 3 }, 24],
  ])('have the noised copies of %j', async (run, rows) => {
    const task = makeTask('token-sigmoid', run);
    await withBatch(task, (batch) => {
      const { denoising } = batch.targets;
      expect(denoising!.boxes.shape).toEqual([2, rows, 4]);
      expect(Number.isFinite(lossOf(task, batch))).toBe(true);
    });
  });

  it('have no noised copies where their weight is 0', async () => {
    await withBatch(makeTask('token-sigmoid', { denoisingWeight: 0 }), ({ targets }) => {
      expect(targets.denoising).toBeNull();
    });
  });

  it('give each object as many image tokens as denseTokens says', async () => {
    const taught = await Promise.all(
      [1, 6].map((denseTokens) =>
        withBatch(makeTask('token-sigmoid', { denseTokens }), ({ targets }) =>
          tf.tidy(() => tf.sum(targets.dense!.boxMask).dataSync()[0]!),
        ),
      ),
    );
    expect(taught[0]).toBe(6);
    expect(taught[1]).toBeGreaterThan(24);
  });
});

describe('GroundingTask', () => {
  it('leaves no tensor behind', async () => {
    const before = tf.memory().numTensors;
    const task = makeTask('token-sigmoid');
    await withBatch(task, async (batch) => {
      lossOf(task, batch);
      await task.evaluateBoth();
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('gives the same batch for the same step, seed of what is dropped included', async () => {
    const describeBatch = () =>
      withBatch(makeTask('token-sigmoid'), (batch) => ({
        ids: batch.samples.map(({ id }) => id),
        seed: Array.from(batch.seed.dataSync()),
        references: Array.from(batch.targets.denoising!.queries.references.dataSync()),
      }));
    expect(await describeBatch()).toEqual(await describeBatch());
  });
});
