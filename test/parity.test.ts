// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../src/engine/index.js';
import { KNOWN_AREAS, kindOf, runnerFor } from '../tools/parity/kinds.js';
import { readAreas } from '../tools/parity/manifest.js';
import { caseLine } from '../tools/parity/report.js';
import { runAreas } from '../tools/parity/runner.js';
import type { ParityArea } from '../tools/parity/types.js';

/** The small set; `npm run parity -- DIR` takes any other. */
const folder = fileURLToPath(new URL('fixtures', import.meta.url));

beforeAll(async () => {
  await ready();
});

describe('golden vectors in the repository', () => {
  const present = KNOWN_AREAS.filter((area) => existsSync(`${folder}/${area}/manifest.json`));

  it('cover every area the runner knows', () => {
    expect(present).toEqual(KNOWN_AREAS);
  });

  describe.each(readAreas(folder, present))('$name', (area: ParityArea) => {
    const known = area.cases.filter((entry) => runnerFor(area, kindOf(entry)) !== null);

    it.each(known)('$name', async (entry) => {
      const results = await runAreas([{ ...area, cases: [entry] }]);
      expect(results.length).toBeGreaterThan(0);
      for (const result of results) expect(result.passed ? '' : caseLine(result)).toBe('');
    });

    const compiles = known.filter((entry) => runnerFor(area, kindOf(entry))?.compiles);
    if (compiles.length === 0) return;
    it.each(compiles)('$name, compiled', async (entry) => {
      const results = await runAreas([{ ...area, cases: [entry] }], { compiled: true });
      expect(results.length).toBeGreaterThan(0);
      for (const result of results) expect(result.passed ? '' : caseLine(result)).toBe('');
    });
  });
});
