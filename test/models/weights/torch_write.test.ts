// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { StoredTensor } from '../../../src/models/weights/safetensors.js';
import { readTorch } from '../../../src/models/weights/torch/read.js';
import { encodeTorch, plainValue, type TorchValue } from '../../../src/models/weights/torch/write.js';
import { readZipDirectory } from '../../../src/zip.js';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'torch-write-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(value: TorchValue): string {
  const path = join(root, 'x.pth');
  writeFileSync(path, Buffer.concat(encodeTorch(value)));
  return path;
}

describe('encodeTorch', () => {
  it('writes what readTorch reads', async () => {
    const weight: StoredTensor = { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    const model = new Map<string, StoredTensor>([
      ['weight', weight],
      ['tied', weight],
      ['scalar', { dtype: 'F64', shape: [], data: Float64Array.of(0.1) }],
      ['empty', { dtype: 'F32', shape: [0, 2], data: new Float32Array() }],
      ['long', { dtype: 'I64', shape: [1], data: BigInt64Array.of(-(2n ** 40n)) }],
    ]);
    const args = {
      lr: 1e-4,
      names: ['ä', 'b'],
      none: null,
      yes: true,
      large: 2 ** 40,
      less: -3,
      more: -(2 ** 40),
    };
    const read = await readTorch(write({ model, args }));
    expect(read.key).toBe('model');
    expect([...read.tensors]).toEqual([...model].map(([name, tensor]) => [name, tensor]));
    expect(read.args).toEqual(args);
  });

  it('keeps one copy of what is shared, and begins contents where they can be mapped', async () => {
    const data = new Float32Array(1000);
    const one = (shape: number[]): StoredTensor => ({ dtype: 'F32', shape, data });
    const path = write(
      new Map([
        ['a', one([1000])],
        ['b', one([10, 100])],
      ]),
    ); // prettier-ignore
    const entries = await readZipDirectory(path);
    expect(entries.map(({ name }) => name)).toEqual(
      ['data.pkl', 'byteorder', 'data/0', 'version'].map((name) => `archive/${name}`),
    );
    const content = readFileSync(path);
    for (const { headerOffset } of entries) {
      expect(content.readUInt32LE(headerOffset)).toBe(0x04034b50);
      const start =
        headerOffset + 30 + content.readUInt16LE(headerOffset + 26) + content.readUInt16LE(headerOffset + 28);
      expect(start % 64).toBe(0);
    }
  });

  it('refuses what PyTorch has no type for here', () => {
    const tensor: StoredTensor = { dtype: 'U64', shape: [1], data: new BigUint64Array(1) };
    expect(() => encodeTorch(new Map([['x', tensor]]))).toThrow(
      /expected floats or whole numbers but received BigUint64Array/,
    );
  });

  it('tells what can be written again', () => {
    expect(plainValue([1, 'a', [null]])).toEqual([1, 'a', [null]]);
    expect(plainValue([1, new Map()])).toBeUndefined();
    expect(plainValue(3n)).toBeUndefined();
  });
});
