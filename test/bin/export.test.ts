// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { smallConfig } from '../models/small_config.js';
import { writeUntrainedModel } from '../untrained_model.js';
import { runCommand } from './run_command.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-bin-export-'));
const at = (name: string) => join(root, name);

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  writeUntrainedModel(at('model'), 1, smallConfig('token-sigmoid'));
  mkdirSync(at('taken'));
  writeFileSync(at('taken/mine'), '');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('export, then check', () => {
  it('writes a model with the phrases that were typed, and finds it equal', async () => {
    const flags = [
      '--size',
      '96x64',
      '--batch',
      '2',
      '--prompt',
      'white ships',
      '--prompt',
      'planes',
      '--no-check',
    ];
    const { out, err, code } = await runCommand('export', at('model'), '-o', at('made/1'), ...flags);
    expect({ err, code }).toEqual({ err: '', code: 0 });
    expect(out).toMatch(
      /^written: .*made\/1 \(96 x 64 pixels, \d+ operations, \d+ variables\), not checked$/m,
    );
    expect(readFileSync(at('made/1/assets/labels.txt'), 'utf8')).toBe('white ships\nplanes\n');
    const checked = await runCommand('check', at('made/1'));
    expect(checked).toMatchObject({ err: '', code: 0 });
    expect(checked.out).toMatch(/^2 examples, \d+ values: the largest difference is \d/);
    const { out: json } = await runCommand('check', at('made/1'), '--json');
    expect(JSON.parse(json)).toMatchObject({ examples: 2 });
    expect(await runCommand('check', at('made/1'), '--tolerance', '0')).toMatchObject({
      code: EXIT_CODES.internal,
    });
  });

  it('that is interrupted leaves nothing behind', async () => {
    const program = fileURLToPath(new URL('../../bin/tfgeo-train.mjs', import.meta.url));
    mkdirSync(at('broken-off'));
    const child = spawn(process.execPath, [program, 'export', at('model'), '-o', at('broken-off/1')], {
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    // It is written under another name, then checked.
    while (child.exitCode === null && readdirSync(at('broken-off')).length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(existsSync(at('broken-off/1'))).toBe(false);
    child.kill('SIGINT');
    expect(await ended).toEqual([EXIT_CODES.interrupted, null]);
    expect(readdirSync(at('broken-off'))).toEqual([]);
  });
});

describe('mistakes', () => {
  const { usage, data, checkpoint } = EXIT_CODES;
  it.each<[string, string[], number, RegExp]>([
    ['no place', ['export', at('model')], usage, /--output must be given/],
    ['no model', ['export', at('nowhere'), '-o', at('x')], checkpoint, /nowhere/],
    ['a place that is taken', ['export', at('model'), '-o', at('taken')], data, /not empty/],
    ['a bad size', ['export', at('model'), '-o', at('x'), '--size', 'big'], usage, /--size must be/],
    ['a bad batch', ['export', at('model'), '-o', at('x'), '--batch', 'some'], usage, /--batch must be/],
    [
      'a bad kind of operations',
      ['export', at('model'), '-o', at('x'), '--ops', 'fast'],
      usage,
      /portable, native/,
    ],
    ['nothing to check', ['check', at('taken')], checkpoint, /saved_model.pb is missing/],
    ['nothing to serve', ['serve', at('taken')], checkpoint, /no SavedModel/],
    ['a bad port', ['serve', at('taken'), '--port', '70000'], usage, /--port/],
  ])('%s', async (_, args, code, says) => {
    const result = await runCommand(...args);
    expect(result.code).toBe(code);
    expect(result.err).toMatch(says);
    expect(result.err.trim().split('\n')).toHaveLength(1);
    expect(existsSync(at('x'))).toBe(false);
  });
});
