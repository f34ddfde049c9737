// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { writeSavedModel } from '../../src/export/index.js';
import { affineModel, disposeContent } from '../export/affine_model.js';
import { ask } from './http.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-serve-process-'));
const program = fileURLToPath(new URL('../../bin/tfgeo-train.mjs', import.meta.url));

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  const content = affineModel('process');
  await writeSavedModel(join(root, 'affine'), content);
  disposeContent(content);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Starts the command and waits for its line. */
async function start(...flags: string[]): Promise<{ child: ChildProcess; url: string }> {
  const args = [program, 'serve', join(root, 'affine'), '--port', '0', ...flags];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.resume();
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, url: /http:\/\/\S+/.exec(line)![0] };
}

describe('tfgeo-train serve', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'on %s answers what is under way, then ends with 0',
    async (signal) => {
      const { child, url } = await start('--batch-wait', '500');
      const ended = once(child, 'exit');
      const answer = ask(`${url}:predict`, 'POST', '{"instances": [[1, 0, 2]]}');
      await new Promise((resolve) => setTimeout(resolve, 200));
      child.kill(signal);
      expect(await answer).toMatchObject({ status: 200, json: { predictions: [[11.5, 13.5]] } });
      expect(await ended).toEqual([0, null]);
    },
  );
});
