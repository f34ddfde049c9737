// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { seedInitialisers } from '../../src/models/init.js';
import { readSafetensorsSync } from '../../src/models/weights/safetensors.js';
import { mergeConfig, type RunConfig, readConfig, resolveConfig } from '../../src/train/config.js';
import { readRecords, type TrainRecord } from '../../src/train/log.js';
import { type RunOptions, runTraining } from '../../src/train/run.js';
import { ToyTask } from './toy_task.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-run-'));
let folders = 0;
const newFolder = () => join(root, String(folders++));

beforeAll(async () => {
  await ready();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function toyConfig(overrides: Partial<RunConfig> = {}): RunConfig {
  return mergeConfig({
    model: 'toy',
    steps: 10,
    batchSize: 3,
    lr: 0.02,
    warmup: 2,
    logEvery: 1,
    evalEvery: 4,
    checkpointEvery: 5,
    sampleEvery: 0,
    ema: 0.9,
    out: newFolder(),
    ...overrides,
  });
}

async function train(config: RunConfig, options: Partial<RunOptions> & { poisoned?: number } = {}) {
  let task: ToyTask | undefined;
  const lines: string[] = [];
  const result = await runTraining(config, {
    makeTask: async ({ seed, batchSize }) => {
      seedInitialisers(seed);
      task = new ToyTask(seed, batchSize, options.poisoned);
      return task;
    },
    output: { write: (text) => lines.push(text) },
    signals: false,
    ...options,
  });
  return { ...result, task: task!, lines };
}

const losses = (run: string) =>
  readRecords(run).flatMap((record) => (record.kind === 'train' ? [[record.step, record.loss]] : []));

describe('runTraining', () => {
  it('leaves a folder that explains itself', async () => {
    const config = toyConfig({ sampleEvery: 5 });
    const { run, model, task, figures, best, step } = await train(config);
    expect(step).toBe(10);
    expect(figures).toMatchObject({ pictures: 200 });
    expect(best?.figure).toBe('AP50');
    expect(readdirSync(run).sort()).toEqual([
      'checkpoints',
      'config.yaml',
      'curves.png',
      'curves.svg',
      'log.jsonl',
      'model',
      'samples',
      'tensorboard',
      'versions.json',
    ]);
    expect(await readConfig(join(run, 'config.yaml'))).toEqual({ ...config, out: null });
    expect(JSON.parse(readFileSync(join(run, 'versions.json'), 'utf8'))).toMatchObject({
      node: process.versions.node,
    });
    expect(readdirSync(join(run, 'samples'))).toEqual(['step-00000005', 'step-00000010']);
    expect(readdirSync(model!).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(readFileSync(join(run, 'curves.svg'), 'utf8')).toContain('>Evaluation<');
    const records = readRecords(run);
    expect(records.filter(({ kind }) => kind === 'eval').map(({ step: at }) => at)).toEqual([4, 8, 10]);
    expect(task.evaluations).toBe(3);
    expect(Object.keys((records.find(({ kind }) => kind === 'train') as TrainRecord).parts)).toEqual([
      'square',
      'absolute',
    ]);
    expect(task.disposed).toBe(true);
    expect(task.liveBatches).toBe(0);
  });

  it('evaluates before the first step where asked to', async () => {
    const { run } = await train(toyConfig({ steps: 3, evalEvery: 2, evalAtStart: true }));
    const evaluated = readRecords(run).flatMap((record) => (record.kind === 'eval' ? [record.step] : []));
    expect(evaluated).toEqual([0, 2, 3]);
  });

  it('exports the averaged weights, not the last ones', async () => {
    const { run, model } = await train(toyConfig());
    const name = 'second.weight';
    const read = (file: string) => Array.from(readSafetensorsSync(file).get(name)!.data as Float32Array);
    const last = join(run, 'checkpoints', 'last');
    expect(read(join(model!, 'model.safetensors'))).toEqual(read(join(last, 'ema.safetensors')));
    expect(read(join(model!, 'model.safetensors'))).not.toEqual(read(join(last, 'model.safetensors')));
  });

  it('continues to the same losses and weights, bit for bit', async () => {
    const straight = await train(toyConfig());
    const config = toyConfig();
    const half = await train(config, { shouldStop: (step) => step === 5 });
    expect(half).toMatchObject({ interrupted: true, step: 5, model: null });
    expect(losses(half.run)).toHaveLength(5);
    const rest = await train({ ...config, out: null, resume: half.run });
    expect(rest.run).toBe(half.run);
    expect(rest.task.seenBatches).toEqual(straight.task.seenBatches.slice(5));
    expect(losses(rest.run)).toEqual(losses(straight.run));
    for (const file of ['model', 'ema', 'optimizer']) {
      const bytes = (run: string) => readFileSync(join(run, 'checkpoints', 'last', `${file}.safetensors`));
      expect([file, bytes(rest.run).equals(bytes(straight.run))]).toEqual([file, true]);
    }
    expect(rest.best).toEqual(straight.best);
  });

  it('runs compiled, and says so, or operation by operation to the same losses', async () => {
    const compiled = await train(toyConfig());
    const eager = await train(toyConfig({ eager: true }));
    losses(compiled.run).forEach(([step, loss], i) => {
      const [otherStep, otherLoss] = losses(eager.run)[i]!;
      expect(step).toBe(otherStep);
      expect(loss).toBeCloseTo(otherLoss!, 5);
    });
    const said = (run: string) =>
      readRecords(run).filter((record) => record.kind === 'event' && record.event === 'compiled').length;
    expect(said(compiled.run)).toBeGreaterThanOrEqual(1);
    expect(said(eager.run)).toBe(0);
  });

  it('may go on for longer, with the configuration of the checkpoint', async () => {
    const { run } = await train(toyConfig({ schedule: 'constant' }));
    const config = await resolveConfig({ flags: { resume: run, steps: '12' } });
    expect(config).toMatchObject({ model: 'toy', steps: 12, lr: 0.02, batchSize: 3 });
    const longer = await train(config);
    const straight = await train(toyConfig({ schedule: 'constant', steps: 12 }));
    expect(losses(run)).toEqual(losses(straight.run));
    expect(longer.lines.join('')).toContain('(changed: steps 10 -> 12)');
  });

  it('resumes automatically only where there is something to resume', async () => {
    const config = toyConfig({ resume: 'auto' });
    const first = await train(config, { shouldStop: (step) => step === 3 });
    expect(first.step).toBe(3);
    const second = await train(config);
    expect(second.task.seenBatches).toHaveLength(7);
    await expect(train({ ...config, out: null })).rejects.toThrow('resume "auto" needs out');
  });

  it('saves and stops on Ctrl-C', async () => {
    const config = toyConfig({ checkpointEvery: 0 });
    const press = (step: number) => {
      if (step === 3) process.emit('SIGINT');
      return false;
    };
    const { interrupted, step, lines, run } = await train(config, { signals: true, shouldStop: press });
    expect([interrupted, step]).toEqual([true, 4]);
    expect(lines.join('')).toContain('stopping: finishing and saving this step');
    expect(lines.join('')).toContain(`stopped after step 4; go on with --resume ${run}`);
    expect((await train({ ...config, out: null, resume: run })).step).toBe(10);
  });

  it('drops the log of steps that come again', async () => {
    const { run } = await train(toyConfig());
    const before = losses(run);
    const again = await train(toyConfig({ out: null, resume: join(run, 'checkpoints', 'step-00000005') }));
    expect(again.run).toBe(run);
    expect(losses(run)).toEqual(before);
  });

  it('starts from weights alone', async () => {
    const { model } = await train(toyConfig());
    const { lines, task } = await train(toyConfig({ load: model, steps: 1 }));
    expect(lines.join('')).toContain(`from ${join(model!, 'model.safetensors')}`);
    expect(task.seenBatches).toHaveLength(1);
  });

  it('refuses to write into another run, or to resume nothing', async () => {
    const { run } = await train(toyConfig({ steps: 1 }));
    await expect(train(toyConfig({ out: run }))).rejects.toThrow(
      `${run} already holds a run; continue it with --resume`,
    );
    rmSync(join(run, 'checkpoints'), { recursive: true });
    await expect(train(toyConfig({ out: run }))).rejects.toThrow(
      'already holds a run; it has no checkpoint, so delete it',
    );
    const again = await train(toyConfig({ out: run, resume: 'auto', steps: 2 }));
    expect(losses(again.run).map(([step]) => step)).toEqual([1, 2]);
    await expect(train(toyConfig({ resume: root }))).rejects.toThrow(
      `resume ${root}: there is no checkpoint there`,
    );
  });

  it('stops where the loss is not a number, names step, part and samples, and keeps the last checkpoint', async () => {
    const config = toyConfig({ checkpointEvery: 2 });
    const attempt = train(config, { poisoned: 6 });
    await expect(attempt).rejects.toMatchObject({ exitCode: 6 });
    await expect(attempt).rejects.toThrow(
      /^step 7: the loss is NaN \(square NaN, absolute NaN\) on samples toy-\d+, /,
    );
    expect(readRecords(config.out!).at(-1)).toMatchObject({ kind: 'event', event: 'failed', step: 6 });
    const resumed = await train({ ...config, resume: config.out });
    expect(resumed.task.seenBatches).toHaveLength(4);
  });

  it('keeps the newest checkpoints and the best one', async () => {
    const { run, best } = await train(
      toyConfig({ steps: 12, checkpointEvery: 1, evalEvery: 1, keepCheckpoints: 2 }),
    );
    const kept = readdirSync(join(run, 'checkpoints'), { withFileTypes: true });
    const names = kept.filter((entry) => entry.isDirectory()).map(({ name }) => Number(name.slice(5)));
    expect(names.slice(-2)).toEqual([11, 12]);
    expect(names).toContain(best!.step);
    expect(names.length).toBeLessThanOrEqual(3);
    expect(existsSync(join(run, 'checkpoints', 'best', 'state.json'))).toBe(true);
  });

  it('holds the number of tensors over many steps', async () => {
    const before = tf.memory().numTensors;
    const { run } = await train(toyConfig({ steps: 60, evalEvery: 20, checkpointEvery: 15 }));
    const counts = readRecords(run).flatMap((record) => (record.kind === 'train' ? [record.tensors] : []));
    expect(counts).toHaveLength(60);
    // The first step forms the vectors; the last has no batch ahead.
    expect(new Set(counts.slice(1, -1)).size).toBe(1);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('writes plain lines where there is no terminal', async () => {
    const { lines } = await train(toyConfig({ steps: 2 }));
    expect(lines.join('')).toMatch(
      /^step 1\/2 {2}loss \S+ {2}grad \S+ {2}lr \S+ {2}\S+ s\/step {2}\d+ tensors {2}\d+ MiB {2}ETA/m,
    );
    expect(lines.join('')).toContain('evaluated after step 2: AP50 ');
  });
});
