// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import type { StoredTensor } from '../../src/models/weights/safetensors.js';
import { readSafetensorsSync, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { compareTensor, ratio, within } from '../../tools/parity/compare.js';
import { kindOf } from '../../tools/parity/kinds.js';
import { readAreas } from '../../tools/parity/manifest.js';
import { parityTable, totalLine } from '../../tools/parity/report.js';
import { runAreas } from '../../tools/parity/runner.js';
import type { CaseResult, ParityCase } from '../../tools/parity/types.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-parity-'));
const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;

beforeAll(async () => {
  await ready();
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A copy of a case of the repository's vectors, changed, as the only case of a folder of its own. */
async function runChanged(
  area: string,
  name: string,
  change: (entry: ParityCase, tensors: Map<string, StoredTensor>) => void,
): Promise<CaseResult> {
  const source = readAreas(FIXTURES, [area])[0]!;
  const entry = structuredClone(source.cases.find((candidate) => candidate.name === name)!);
  const tensors = new Map(readSafetensorsSync(join(source.dir, entry.files[0]!)));
  change(entry, tensors);
  const dir = mkdtempSync(join(root, 'set-'));
  mkdirSync(join(dir, area));
  entry.files = ['case.safetensors'];
  writeSafetensors(join(dir, area, 'case.safetensors'), tensors);
  writeFileSync(join(dir, area, 'manifest.json'), JSON.stringify({ area, cases: [entry] }));
  return (await runAreas(readAreas(dir)))[0]!;
}

const stored = (dtype: StoredTensor['dtype'], data: StoredTensor['data']): StoredTensor => ({
  dtype,
  shape: [data.length],
  data,
});

describe('compareTensor', () => {
  const floats = stored('F32', Float32Array.of(1, Number.POSITIVE_INFINITY, -2));
  const compare = (data: number[], tol?: number, shape = [3]) =>
    compareTensor('x', { shape, data }, floats, tol);

  it('finds the largest difference', () => {
    const result = compare([1.5, Number.POSITIVE_INFINITY, -2.25], 1);
    expect(result.error).toBe(0.5);
    expect(within(result)).toBe(true);
    expect(ratio(result)).toBe(0.5);
  });

  it.each([
    ['NaN', [Number.NaN, Number.POSITIVE_INFINITY, -2]],
    ['infinity of the other sign', [1, Number.NEGATIVE_INFINITY, -2]],
    ['infinity where none is', [1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]],
    ['nothing infinite', [1, 5, -2]],
  ])('takes %s for an infinite error', (_name, data) => {
    expect(within(compare(data, 1e30))).toBe(false);
  });

  it('refuses another shape', () => {
    expect(within(compare([1, 2, 3], 1e30, [1, 3]))).toBe(false);
  });

  it('wants integers to be equal, and floats without tolerance nearly so', () => {
    const integers = stored('I32', Int32Array.of(1, 2));
    expect(within(compareTensor('x', { shape: [2], data: [1, 2.001] }, integers, undefined))).toBe(false);
    expect(within(compare([1, Number.POSITIVE_INFINITY, -2.000001]))).toBe(true);
    expect(within(compare([1, Number.POSITIVE_INFINITY, -2.0001]))).toBe(false);
  });

  it('skips what a mask hides', () => {
    const mask = [0, 0, 1];
    expect(compareTensor('x', { shape: [3], data: [9, 9, -2] }, floats, 0, mask).error).toBe(0);
  });
});

describe('runner', () => {
  it('passes an unchanged case', async () => {
    const result = await runChanged('hungarian', 'boxes_random', () => {});
    expect(result).toMatchObject({ passed: true, reason: '' });
    expect(result.compared).toBe(6);
  });

  it('fails a value that is off, and names it', async () => {
    const result = await runChanged('hungarian', 'boxes_random', (_entry, tensors) => {
      (tensors.get('grad/first')!.data as Float32Array)[3]! += 0.01;
    });
    expect(result).toMatchObject({ passed: false, worst: { tensor: 'grad/first' } });
  });

  it('fails a tensor that nobody compared', async () => {
    const result = await runChanged('hungarian', 'boxes_random', (entry, tensors) => {
      tensors.set('out/area', stored('F32', Float32Array.of(1)));
      entry.tensors!['out/area'] = { shape: [1], tol: 1 };
    });
    expect(result).toMatchObject({ passed: false, reason: 'not compared: out/area' });
  });

  it('fails a tensor of the manifest that is not in the file', async () => {
    const result = await runChanged('hungarian', 'boxes_random', (entry) => {
      entry.tensors!['out/more'] = { shape: [1], tol: 1 };
    });
    expect(result.reason).toBe('not compared: out/more');
  });

  it('fails a kind it does not know', async () => {
    const result = await runChanged('hungarian', 'boxes_random', (entry) => {
      entry.kind = 'polygons';
    });
    expect(result).toMatchObject({ passed: false, reason: 'unknown kind of case "polygons"' });
  });

  it('fails a matrix that was to be refused but is accepted', async () => {
    const result = await runChanged('hungarian', 'square_3', (entry) => {
      entry.error = 'cost matrix is infeasible';
      entry.tensors = { 'in/cost': { shape: [3, 3] } };
    });
    expect(result.passed).toBe(false);
  });

  it('fails a case whose file is missing, and goes on', async () => {
    const area = readAreas(FIXTURES, ['hungarian'])[0]!;
    const fine = area.cases.find(({ name }) => name === 'boxes_random')!;
    const gone = { ...fine, files: ['nowhere.safetensors'] };
    const results = await runAreas([{ ...area, cases: [gone, fine] }]);
    expect(results.map(({ passed }) => passed)).toEqual([false, true]);
    expect(totalLine(results, 'x')).toMatch(/^1 of 2 cases within tolerance, 1 FAILED/);
    const table = parityTable(results, [], 'x');
    expect(table).toContain('1 of 2 cases within tolerance');
    expect(table).toMatch(/\| hungarian \| boxes \| 2 \| 1 \| [0-9.]+ \| - \| - \| - \|/);
    expect(table).toContain('- **failed**: hungarian/boxes_random: ');
  });

  it('tells kinds the manifest does not name', () => {
    const base = { name: 'x', files: [], config: {} };
    expect(kindOf({ ...base, config: { groups: [], steps: 1 } })).toBe('optim');
    expect(kindOf({ ...base, tensors: { 'out/loss.loss_ce': { shape: [] } } })).toBe('criterion');
    expect(kindOf({ ...base, config: { d_model: 8 } })).toBe('model');
    expect(kindOf(base)).toBe('unknown');
  });
});

describe('readAreas', () => {
  it('suggests an area for a typing error', () => {
    expect(() => readAreas(FIXTURES, ['hungarain'])).toThrow(/no area "hungarain", did you mean "hungarian"/);
  });

  it('says when a folder holds nothing', () => {
    expect(() => readAreas(join(root, 'missing'))).toThrow(/no such folder/);
    expect(() => readAreas(mkdtempSync(join(root, 'empty-')))).toThrow(/no manifest\.json/);
  });

  it('says when a manifest is damaged', () => {
    const dir = mkdtempSync(join(root, 'damaged-'));
    writeFileSync(join(dir, 'manifest.json'), '{"cases": [');
    expect(() => readAreas(dir)).toThrow(/not readable as JSON/);
  });
});
