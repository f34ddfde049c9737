// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { type ModelConfig, preset } from '../../../src/models/config.js';
import { loadModelFolder } from '../../../src/models/model_folder.js';
import { writeSafetensors } from '../../../src/models/weights/safetensors.js';
import { saveStateDict } from '../../../src/models/weights/state_dict.js';
import { Random } from '../../../src/random.js';
import { mergeConfig } from '../../../src/train/config/check.js';
import type { RunConfig } from '../../../src/train/config/schema.js';
import { buildGroundingTask } from '../../../src/train/grounding/build_task.js';
import { smallConfig } from '../../models/small_config.js';
import { writeUntrainedModel } from '../../untrained_model.js';

const SMALL: Partial<RunConfig> = { batchSize: 1, trainSize: 2, evalLimit: 1 };

/** Changes of the preset that make a model which builds at once. */
const FEW_CHANNELS = {
  backbone: { config: smallConfig('token-sigmoid').backbone.config },
  text: { config: { hidden_size: 32, intermediate_size: 32 } },
  transformer: { dModel: 32, ffn: 32, heads: 4 },
};

let root = '';
let folder = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'build-task-'));
  folder = join(root, 'model');
  writeUntrainedModel(folder, 1, { ...smallConfig('token-sigmoid'), imageSize: 64 });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What a task that this configuration describes writes beside its weights, and the size of its pictures. */
async function describeTask(config: Partial<RunConfig>): Promise<{ model: ModelConfig; side: number }> {
  const task = await buildGroundingTask(mergeConfig({ ...SMALL, ...config }));
  const batch = await task.batch(0, new Random(1));
  const { 'config.json': json } = await task.describe();
  const side = batch.samples[0]!.image.width;
  task.disposeBatch(batch);
  task.dispose();
  return { model: JSON.parse(json!) as ModelConfig, side };
}

describe('buildGroundingTask', () => {
  it('trains on pictures of the model’s own size unless told otherwise, and says so in the model', async () => {
    const fresh = { modelOverrides: FEW_CHANNELS };
    expect(await describeTask(fresh)).toMatchObject({ model: { imageSize: 160 }, side: 160 });
    expect(await describeTask({ ...fresh, imageSize: 72 })).toMatchObject({
      model: { imageSize: 72 },
      side: 72,
    });
    expect(await describeTask({ load: folder })).toMatchObject({ model: { imageSize: 64 }, side: 64 });
    expect(await describeTask({ load: folder, imageSize: 72 })).toMatchObject({
      model: { imageSize: 72 },
      side: 72,
    });
  });

  it('changes a preset and a loaded model key by key', async () => {
    const changes = { modelOverrides: { ...FEW_CHANNELS, 'transformer.queries': 12 } };
    const fresh = await describeTask({ ...changes, imageSize: 72 });
    expect(fresh.model).toHaveProperty('transformer', {
      ...preset('mdetr-g-tiny').transformer,
      ...FEW_CHANNELS.transformer,
      queries: 12,
    });
    const loaded = await describeTask({ load: folder, modelOverrides: { threshold: 0.2 } });
    expect(loaded.model).toMatchObject({ threshold: 0.2, transformer: { queries: 7 } });
  });

  it('refuses unknown keys, and changes that the loaded weights cannot follow', async () => {
    const build = (config: Partial<RunConfig>) => buildGroundingTask(mergeConfig({ ...SMALL, ...config }));
    await expect(build({ modelOverrides: { 'transformer.querys': 60 } })).rejects.toThrow(
      'did you mean "transformer.queries"?',
    );
    await expect(build({ load: folder, modelOverrides: { 'transformer.ffn': 64 } })).rejects.toThrow(
      /linear1/,
    );
  });
});

describe('loadModelFolder', () => {
  it('takes the averaged weights of a checkpoint', async () => {
    const first = async () => {
      const { model } = await loadModelFolder(folder);
      const value = model.trainableParameters().get('query_embed')!.dataSync()[0]!;
      model.dispose();
      return value;
    };
    const own = await first();
    const { model } = await loadModelFolder(folder);
    const embedding = model.trainableParameters().get('query_embed')!;
    embedding.assign(tf.add(embedding, 1));
    const averages = join(folder, 'ema.safetensors');
    writeSafetensors(averages, saveStateDict(model));
    model.dispose();
    expect(await first()).toBeCloseTo(own + 1, 5);
    rmSync(averages);
    expect(await first()).toBe(own);
  });

  it('names file and key of a configuration that cannot be', async () => {
    const path = join(folder, 'config.json');
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, whole.replace('"queries": 7', '"queries": "seven"'));
    await expect(loadModelFolder(folder)).rejects.toThrow(
      `${path}: transformer.queries must be a whole number above 0, but it is "seven"`,
    );
    writeFileSync(path, whole.replace(/"vocab_size": \d+/, '"vocab_size": 10'));
    await expect(loadModelFolder(folder)).rejects.toThrow(/tokens, but the model has room for 10/);
    writeFileSync(path, whole);
    (await loadModelFolder(folder)).model.dispose();
  });
});
