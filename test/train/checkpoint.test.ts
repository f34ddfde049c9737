// SPDX-License-Identifier: Apache-2.0
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { seedInitialisers } from '../../src/models/init.js';
import { Linear } from '../../src/models/layers/basic.js';
import { readSafetensorsSync } from '../../src/models/weights/safetensors.js';
import { pointedAt, writeFolderAtomic } from '../../src/train/checkpoint/folder.js';
import {
  findCheckpoint,
  loadCheckpoint,
  loadWeights,
  readState,
  saveCheckpoint,
  saveModelFolder,
} from '../../src/train/checkpoint.js';
import { defaultConfig } from '../../src/train/config.js';
import { Ema } from '../../src/train/ema.js';
import { AdamW } from '../../src/train/optimizer.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-checkpoint-'));
let run = '';

beforeAll(async () => {
  await ready();
});
beforeEach(() => {
  run = mkdtempSync(join(root, 'run-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function build(seed: number, inputs = 3) {
  seedInitialisers(seed);
  const model = new Linear(inputs, 2);
  const optimizer = new AdamW(model.trainableParameters(), { lr: 0.1 });
  return { model, optimizer, ema: new Ema(optimizer.store, 0.5) };
}

function advance({ model, optimizer, ema }: ReturnType<typeof build>): void {
  const gradients = [...model.trainableParameters()].map(
    ([name, variable]) => [name, tf.onesLike(variable)] as const,
  );
  optimizer.step(new Map(gradients));
  ema.update();
}

function save(parts: ReturnType<typeof build>, step: number, best = false, keep = 9) {
  const state = { step, epoch: 0, seed: 1, config: defaultConfig(), best: null, versions: { tfgeo: 'x' } };
  return saveCheckpoint(run, parts, state, { best, keep, extraFiles: { 'config.json': '{}' } });
}

const weights = ({ model }: ReturnType<typeof build>) =>
  [...model.namedParameters().values()].flatMap(({ variable }) => [...variable.dataSync()]);

describe('checkpoints', () => {
  it('hold everything and put everything back', async () => {
    const first = build(1);
    advance(first);
    const folder = await save(first, 7);
    expect(readdirSync(folder).sort()).toEqual([
      'config.json',
      'ema.safetensors',
      'model.safetensors',
      'optimizer.safetensors',
      'state.json',
    ]);
    const second = build(2);
    expect(weights(second)).not.toEqual(weights(first));
    expect(loadCheckpoint(run, second).step).toBe(7);
    expect(weights(second)).toEqual(weights(first));
    advance(first);
    advance(second);
    expect(weights(second)).toEqual(weights(first));
    expect(await second.ema.state()).toEqual(await first.ema.state());
  });

  it('are found from the run folder, from their own, and when the link is broken', async () => {
    expect(findCheckpoint(run)).toBeNull();
    const parts = build(1);
    const first = await save(parts, 5);
    const second = await save(parts, 10, true);
    const links = join(run, 'checkpoints');
    expect([pointedAt(join(links, 'last')), pointedAt(join(links, 'best'))]).toEqual([
      'step-00000010',
      'step-00000010',
    ]);
    expect(findCheckpoint(first)).toBe(first);
    expect(readState(findCheckpoint(run)!).step).toBe(10);
    unlinkSync(join(links, 'last'));
    expect(findCheckpoint(run)).toBe(second);
    rmSync(second, { recursive: true });
    expect(findCheckpoint(run)).toBe(first);
  });

  it('never replace one another, and leave what `best` points at', async () => {
    const parts = build(1);
    await save(parts, 1, true, 2);
    for (const step of [2, 3, 3]) await save(parts, step, false, 2);
    const names = readdirSync(join(run, 'checkpoints')).sort();
    expect(names).toEqual(['best', 'last', 'step-00000001', 'step-00000003', 'step-00000003-2']);
    expect(pointedAt(join(run, 'checkpoints', 'last'))).toBe('step-00000003-2');
  });

  it.each(['model.safetensors', 'ema.safetensors', 'optimizer.safetensors', 'config.json', 'state.json'])(
    'refuse a %s that is cut short, empty, changed or missing, by its name',
    async (file) => {
      const folder = await save(build(1), 1);
      const path = join(folder, file);
      const whole = readFileSync(path);
      const refused = (damage: () => void) => {
        damage();
        const fresh = build(2);
        const before = weights(fresh);
        expect(() => loadCheckpoint(folder, fresh)).toThrow(expect.objectContaining({ exitCode: 4 }));
        expect(() => loadCheckpoint(folder, fresh)).toThrow(file === 'state.json' ? 'checkpoint' : path);
        expect(weights(fresh)).toEqual(before);
        writeFileSync(path, whole);
      };
      refused(() => truncateSync(path, whole.length - 2));
      refused(() => truncateSync(path, 0));
      refused(() => unlinkSync(path));
      if (file === 'state.json') return;
      refused(() => writeFileSync(path, Buffer.concat([whole.subarray(1), whole.subarray(0, 1)])));
      loadCheckpoint(folder, build(2));
    },
  );

  it('refuse a model of another shape, by the tensor', async () => {
    const folder = await save(build(1), 1);
    expect(() => loadCheckpoint(folder, build(1, 4))).toThrow(
      /safetensors does not fit the model.*weight is \[2,3\]/,
    );
  });

  it('of a format to come say so', async () => {
    const folder = await save(build(1), 1);
    const path = join(folder, 'state.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"formatVersion": 1', '"formatVersion": 2'));
    expect(() => readState(folder)).toThrow('checkpoint format 2, this tfgeo reads format 1');
    writeFileSync(path, '{"format": "other"}');
    expect(() => readState(folder)).toThrow('this is not the state of a tfgeo checkpoint');
  });

  it('cannot be loaded from nowhere', () => {
    expect(() => loadCheckpoint(join(run, 'none'), build(1))).toThrow('there is no such folder');
    expect(() => loadCheckpoint(run, build(1))).toThrow('there is no checkpoint in it');
  });

  it('survive an interruption at any file: the one before stays the last', async () => {
    const parts = build(1);
    await save(parts, 1);
    // What a process leaves behind that is killed while writing: a temporary folder, and a whole one without a link.
    const checkpoints = join(run, 'checkpoints');
    mkdirSync(join(checkpoints, '.tmp-1-step-00000002'));
    cpSync(join(checkpoints, 'step-00000001'), join(checkpoints, 'step-00000002'), { recursive: true });
    unlinkSync(join(checkpoints, 'step-00000002', 'state.json'));
    expect(loadCheckpoint(run, build(2)).step).toBe(1);
    await save(parts, 3);
    expect(existsSync(join(checkpoints, '.tmp-1-step-00000002'))).toBe(false);
  });
});

describe('loadWeights', () => {
  it('takes averages of a checkpoint, and the weights of a model folder or file', async () => {
    const parts = build(1);
    advance(parts);
    const folder = await save(parts, 1);
    const averages = await parts.ema.during(async () => weights(parts));
    const from = (path: string) => {
      const fresh = build(2);
      loadWeights(path, fresh.model);
      return weights(fresh);
    };
    expect(from(run)).toEqual(averages);
    expect(from(join(folder, 'model.safetensors'))).toEqual(weights(parts));
    saveModelFolder(join(run, 'model'), parts.model, { 'config.json': '{}' });
    expect(from(join(run, 'model'))).toEqual(weights(parts));
  });
});

describe('saveModelFolder', () => {
  it('stores half precision and replaces what was there', () => {
    const { model } = build(1);
    const folder = join(run, 'model');
    saveModelFolder(folder, model, { 'old.txt': 'old' });
    saveModelFolder(folder, model, { 'config.json': '{}' }, { dtype: 'F16' });
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
    const stored = readSafetensorsSync(join(folder, 'model.safetensors')).get('weight')!;
    expect(stored.dtype).toBe('F16');
    expect(readdirSync(run)).toEqual(['model']);
  });

  it('leaves the old folder when writing the new one fails', () => {
    const folder = join(run, 'model');
    writeFolderAtomic(folder, (temporary) => writeFileSync(join(temporary, 'a'), 'old'));
    const failing = () =>
      writeFolderAtomic(folder, (temporary) => {
        writeFileSync(join(temporary, 'a'), 'new');
        throw new Error('disk on fire');
      });
    expect(failing).toThrow('disk on fire');
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old');
    expect(readdirSync(run)).toEqual(['model']);
  });
});
