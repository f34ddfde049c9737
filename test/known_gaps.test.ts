// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { KNOWN_GAPS } from './known_gaps.js';

it('lists every test that may be left out, and nothing else', () => {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.test.ts'),
  );
  expect(files.length).toBeGreaterThan(40);
  const skipping = files.filter((name) =>
    /\b(it|test|describe)\s*\.\s*(skip|todo|only)\b|\bx(it|describe)\(/.test(
      readFileSync(join(folder, name), 'utf8'),
    ),
  );
  expect(skipping.map((name) => `test/${name}`).sort()).toEqual(KNOWN_GAPS.map(({ file }) => file).sort());
});
