// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { currentEngine, ready } from '../../src/engine/index.js';
import type { OpLibraryInfo } from '../../src/engine/types.js';
import { packageRoot } from '../../src/package.js';

const folder = mkdtempSync(join(tmpdir(), 'tfgeo ops-'));
afterAll(() => rmSync(folder, { recursive: true }));

let own: OpLibraryInfo;
beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  own = currentEngine()!.tensorflow!.opLibrary as OpLibraryInfo;
});

/** What doctor says in a process of its own that is told to use this library. */
function doctorWith(library: string): {
  opLibrary: Record<string, unknown>;
  next: { command: string };
  said: string;
} {
  const code =
    "const { doctor } = await import('./src/engine/index.ts'); console.log(JSON.stringify(await doctor()));";
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', code],
    {
      cwd: packageRoot(),
      env: { ...process.env, NODE_OPTIONS: '', TFGEO_OP_LIBRARY: library },
      encoding: 'utf8',
    },
  );
  return { ...JSON.parse(stdout), said: stderr };
}

describe('TFGEO_OP_LIBRARY', () => {
  it('is loaded in place of the own build', () => {
    const path = join(folder, 'mine.so');
    copyFileSync(own.path, path);
    expect(doctorWith(path).opLibrary).toMatchObject({ path, from: 'TFGEO_OP_LIBRARY', ops: own.ops });
  });

  it.each([
    ['nowhere.so', () => {}, /TFGEO_OP_LIBRARY is .*nowhere\.so, and there is no such file/],
    [
      'text.so',
      (path: string) => writeFileSync(path, 'no library'),
      /text\.so, which TensorFlow 2\.\S+ cannot load: /,
    ],
  ])('is refused in a sentence: %s', (name, make, sentence) => {
    const path = join(folder, name);
    make(path);
    const { opLibrary, next, said } = doctorWith(path);
    expect(opLibrary).toMatchObject({ path: null, reason: expect.stringMatching(sentence) });
    expect(said).toMatch(/^tfgeo: running without the native operators: TFGEO_OP_LIBRARY/m);
    expect(next.command).toBe('unset TFGEO_OP_LIBRARY');
  });
});
