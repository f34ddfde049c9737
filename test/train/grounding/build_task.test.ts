// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../../src/engine/index.js';
import type { ModelConfig } from '../../../src/models/config.js';
import { loadModelFolder } from '../../../src/models/model_folder.js';
import { Random } from '../../../src/random.js';
import { mergeConfig } from '../../../src/train/config/check.js';
import type { RunConfig } from '../../../src/train/config/schema.js';
import { buildGroundingTask } from '../../../src/train/grounding/build_task.js';
import { writeUntrainedModel } from '../../untrained_model.js';

const SMALL: Partial<RunConfig> = { batchSize: 1, trainSize: 2, evalLimit: 1 };

let root = '';
let folder = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'build-task-'));
  folder = join(root, 'model');
  writeUntrainedModel(folder);
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
    expect(await describeTask({})).toMatchObject({ model: { imageSize: 160 }, side: 160 });
    expect(await describeTask({ imageSize: 96 })).toMatchObject({ model: { imageSize: 96 }, side: 96 });
    expect(await describeTask({ imageSize: 96, load: folder })).toMatchObject({
      model: { imageSize: 96 },
      side: 96,
    });
  });

  it('changes a preset and a loaded model key by key', async () => {
    const fresh = await describeTask({ modelOverrides: { transformer: { queries: 12 } } });
    expect(fresh.model.transformer).toMatchObject({ queries: 12, dModel: 128 });
    const loaded = await describeTask({ load: folder, modelOverrides: { threshold: 0.2 } });
    expect(loaded.model).toMatchObject({ threshold: 0.2, transformer: { queries: 40 } });
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
  it('names file and key of a configuration that cannot be', async () => {
    const path = join(folder, 'config.json');
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, whole.replace('"queries": 40', '"queries": "forty"'));
    await expect(loadModelFolder(folder)).rejects.toThrow(
      `${path}: transformer.queries must be a whole number above 0, but it is "forty"`,
    );
    writeFileSync(path, whole.replace(/"vocab_size": \d+/, '"vocab_size": 10'));
    await expect(loadModelFolder(folder)).rejects.toThrow(/tokens, but the model has room for 10/);
    writeFileSync(path, whole);
    (await loadModelFolder(folder)).model.dispose();
  });
});
