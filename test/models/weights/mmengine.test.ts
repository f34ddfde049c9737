// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readTorch } from '../../../src/models/weights/torch/read.js';
import { bytes, floats, global, pickle, stateDict, text, torchZip, tuple } from './torch_files.js';

// A checkpoint that mmengine wrote: tools/fixtures/mmengine_checkpoint.py.
const FILE = 'test/fixtures/torch/mmengine.pth';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'mmengine-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a checkpoint of mmengine', () => {
  it('gives its weights, and says what lies beside them', async () => {
    const { key, tensors, others, skipped } = await readTorch(FILE);
    expect(key).toBe('state_dict');
    expect(Object.keys(Object.fromEntries(tensors))).toEqual(['0.weight']);
    expect(skipped.size).toBe(0);
    expect(Object.fromEntries(others)).toEqual({
      meta: expect.stringMatching(/"epoch": 1, "iter": 3, .*"seed": 7, .*\("ship", "plane"\)/),
      ema_state_dict: expect.stringContaining('"module.0.weight": tensor F32 [2,3]'),
      message_hub: expect.stringMatching(/"train\/loss": HistoryBuffer\(max_length=1000000, .*ndarray/),
      optimizer: expect.stringContaining('"exp_avg": tensor'),
      param_schedulers: expect.stringContaining('"milestones": {2: 1}'),
    });
  });

  it('gives the other of its two states, without the counter of averages', async () => {
    const { tensors, skipped } = await readTorch(FILE, { key: 'ema_state_dict' });
    expect([...tensors].map(([name, { data }]) => [name, [...data]])).toEqual([
      ['0.weight', [10, 11, 12, 13, 14, 15]],
    ]);
    expect([...skipped]).toEqual([['steps', 'counter of averages: tensor I64 []']]);
  });
});

describe('its way of naming functions', () => {
  const weights = stateDict([{}]);
  const named = (owner: Buffer, name: string) =>
    bytes('}(', text('model'), weights, text('history'), global('__builtin__', 'getattr'), [
      tuple(owner, text(name)),
      'R',
      'u',
    ]);
  const read = (content: Buffer) => {
    const path = join(root, 'named.pth');
    writeFileSync(path, torchZip(pickle(content), { 0: floats(1, 2, 3, 4) }));
    return readTorch(path);
  };
  const history = global('mmengine.logging.history_buffer', 'HistoryBuffer');

  it('names those of its records of losses, and runs none', async () => {
    const { others } = await read(named(history, 'mean'));
    expect(others.get('history')).toBe('mean()');
    const called = bytes('}(', text('model'), weights, text('history'), [
      global('__builtin__', 'getattr'),
      tuple(history, text('mean')),
      'R',
      tuple(),
      'R',
      'u',
    ]);
    await expect(read(called)).rejects.toThrow(/cannot be called/);
  });

  it.each([
    ['another class', global('collections', 'OrderedDict'), 'mean'],
    ['a text', text('x'), 'join'],
    ['something inside', history, '__init__.__globals__'],
  ])('is refused for %s', async (_, owner, name) => {
    await expect(read(named(owner, name))).rejects.toThrow(/calls (__builtin__|builtins)\.getattr: asks for/);
  });
});
