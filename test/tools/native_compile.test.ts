// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { packageRoot } from '../../src/package.js';
import { type Command, provide, type Recipe } from '../../tools/native/compile.js';

const before = { ...process.env };
let folder: string;
let said: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tfgeo-compile-'));
  process.env = { ...before, XDG_CACHE_HOME: join(folder, 'cache') };
  writeFileSync(join(folder, 'source.txt'), 'one');
  said = [];
});

afterEach(() => {
  process.env = before;
  rmSync(folder, { recursive: true, force: true });
});

/** A "compiler" that copies the source, and leaves something behind. */
function recipe(second?: Command): Recipe {
  const source = join(folder, 'source.txt');
  return {
    name: 'sample',
    sources: [relative(packageRoot(), source)],
    settings: [],
    products: ['product'],
    stages: (out) => [
      [
        ['cp', source, join(out, 'part')],
        ['cp', source, join(out, 'other.part')],
      ],
      [second ?? ['mv', join(out, 'part'), join(out, 'product')]],
    ],
  };
}

const run = (what: Recipe) => provide(what, (line) => said.push(line));

it('compiles once for each state of the sources and keeps the products only', async () => {
  const first = await run(recipe());
  expect(await run(recipe())).toBe(first);
  expect(said).toEqual(['compiling sample (once) ...']);
  expect(readdirSync(first).sort()).toEqual(['product', 'tfgeo-manifest.json']);
  writeFileSync(join(folder, 'source.txt'), 'two');
  const second = await run(recipe());
  expect(readFileSync(join(second, 'product'), 'utf8')).toBe('two');
  expect(readFileSync(join(first, 'product'), 'utf8')).toBe('one');
});

it('compiles again what was damaged', async () => {
  const at = await run(recipe());
  writeFileSync(join(at, 'product'), 'cut off');
  expect(await run(recipe())).toBe(at);
  expect(readFileSync(join(at, 'product'), 'utf8')).toBe('one');
});

it('names a compiler that is missing and what a compiler complains of, and leaves nothing', async () => {
  await expect(run(recipe(['no-such-compiler-12']))).rejects.toThrow(
    'sample cannot be compiled because there is no no-such-compiler-12',
  );
  await expect(run(recipe(['sh', '-c', 'echo "a.cc:3: error: bad" >&2; exit 1']))).rejects.toThrow(
    'sample did not compile: a.cc:3: error: bad',
  );
  await expect(run(recipe(['true']))).rejects.toThrow(/compiling left no product/);
  const kept = join(folder, 'cache', 'tfgeo', 'native', 'dev', `sample-${process.platform}-${process.arch}`);
  expect(existsSync(dirname(kept)) && readdirSync(kept)).toEqual([]);
});
