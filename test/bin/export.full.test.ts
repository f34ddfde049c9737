// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { checkExamples } from '../../src/export/index.js';
import { smallConfig } from '../models/small_config.js';
import { writeUntrainedModel } from '../untrained_model.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-bin-export-'));
const at = (name: string) => join(root, name);
const program = fileURLToPath(new URL('../../bin/tfgeo-train.mjs', import.meta.url));

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  writeUntrainedModel(at('model'), 1, smallConfig('token-sigmoid'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  milliseconds: number;
  code: number | null;
}

/** Exports to `root/NAME/1`; a signal ends it after so long. */
async function exportFor(name: string, signal?: NodeJS.Signals, after = 0): Promise<Ended> {
  mkdirSync(at(name));
  const began = performance.now();
  const child = spawn(
    process.execPath,
    [program, 'export', at('model'), '-o', at(`${name}/1`), '--size', '64'],
    {
      stdio: 'ignore',
    },
  );
  const timer = signal ? setTimeout(() => child.kill(signal), after) : undefined;
  const [code] = (await once(child, 'exit')) as [number | null];
  clearTimeout(timer);
  return { milliseconds: performance.now() - began, code };
}

describe('an export that is ended at any moment', () => {
  it('leaves a whole model under its name, or nothing', async () => {
    const { milliseconds, code } = await exportFor('whole');
    expect(code).toBe(0);
    const moments = 12;
    for (let i = 1; i <= moments; i++) {
      const signal = i % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
      const name = `${signal}-${i}`;
      const ended = await exportFor(name, signal, (milliseconds * i) / moments);
      if (existsSync(at(`${name}/1`))) await checkExamples(at(`${name}/1`));
      else if (signal === 'SIGKILL') expect(ended.code).toBeNull();
      // Before the program has begun its work, the signal ends it in the system's own way.
      else expect([EXIT_CODES.interrupted, null]).toContain(ended.code);
      const rest = readdirSync(at(name)).filter((entry) => entry !== '1');
      if (signal === 'SIGTERM') expect(rest).toEqual([]);
      for (const entry of rest) expect(entry).toMatch(/^\.1\..*\.tmp$/);
    }
  });
});
