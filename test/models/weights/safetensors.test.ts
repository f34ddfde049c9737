// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EXIT_CODES, UserError } from '../../../src/errors.js';
import { float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../../../src/models/weights/half.js';
import {
  encodeSafetensors,
  parseSafetensors,
  readSafetensors,
  readSafetensorsSync,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/models/weights/safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'tfgeo-safetensors-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with this header and data, whatever they claim. */
function fileOf(header: string | object, data = new Uint8Array()): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.byteLength));
  return Buffer.concat([length, text, data]);
}

function f32(begin: number, end: number, shape = [(end - begin) / 4]): object {
  return { dtype: 'F32', shape, data_offsets: [begin, end] };
}

const SAMPLES: [string, TensorToWrite][] = [
  ['a.weight', { shape: [2, 3], data: new Float32Array([1, -2, 0.5, 3, 4, 5]) }],
  ['scalar', { shape: [], data: new Float64Array([Math.PI]) }],
  ['empty', { shape: [0, 4], data: new Float32Array() }],
  ['ids', { shape: [2], data: new Int32Array([-1, 7]) }],
  ['long', { shape: [1], data: new BigInt64Array([-(2n ** 40n)]) }],
  ['mask', { shape: [3], data: new Uint8Array([1, 0, 1]), dtype: 'BOOL' }],
  ['10', { shape: [1], data: new Int16Array([-300]) }],
];

describe('safetensors round trip', () => {
  it('gives back every type, shape and text', async () => {
    const path = join(folder, 'all.safetensors');
    writeSafetensors(path, SAMPLES, { metadata: { format: 'pt', note: 'ä "quoted"' } });
    for (const file of [await readSafetensors(path), readSafetensorsSync(path)]) {
      expect(file.metadata).toEqual({ format: 'pt', note: 'ä "quoted"' });
      expect(file.size).toBe(SAMPLES.length);
      for (const [name, { shape, data }] of SAMPLES) expect(file.get(name)).toMatchObject({ shape, data });
      expect(file.get('mask')!.dtype).toBe('BOOL');
    }
  });

  it('writes the bytes that the reference writes', () => {
    const path = 'test/fixtures/swin/w4/model.safetensors';
    const file = readSafetensorsSync(path);
    const written = Buffer.concat(encodeSafetensors(file, { metadata: file.metadata }));
    expect(written.equals(readFileSync(path))).toBe(true);
  });

  it('replaces a file whole and leaves nothing else behind', () => {
    const own = mkdtempSync(join(folder, 'own-'));
    const path = join(own, 'deep', 'w.safetensors');
    writeSafetensors(path, SAMPLES);
    writeSafetensors(path, SAMPLES.slice(0, 1));
    expect([...readSafetensorsSync(path).keys()]).toEqual(['a.weight']);
    expect(readdirSync(join(own, 'deep'))).toEqual(['w.safetensors']);
  });

  it('keeps the earlier file if writing fails', () => {
    const path = join(folder, 'kept.safetensors');
    writeSafetensors(path, SAMPLES);
    const large: [string, TensorToWrite][] = [['x', { shape: [1], data: new Float32Array([1e6]) }]];
    expect(() => writeSafetensors(path, large, { dtype: 'F16' })).toThrow(/x holds 1000000, beyond half/);
    expect(readSafetensorsSync(path).size).toBe(SAMPLES.length);
  });

  it('refuses data that does not fill its shape, and names used twice', () => {
    const short: [string, TensorToWrite][] = [['x', { shape: [2], data: new Float32Array(1) }]];
    expect(() => encodeSafetensors(short)).toThrow('expected 2 values for x');
    expect(() => encodeSafetensors([SAMPLES[0]!, SAMPLES[0]!])).toThrow('distinct');
  });
});

describe('half precision', () => {
  it('widens and narrows all binary16 values without change', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((h) => (h & 0x7fff) <= 0x7c00);
    expect(float32ToFloat16(float16ToFloat32(all))).toEqual(all);
  });

  it('takes the nearest binary16 value, the even one of two', () => {
    fc.assert(
      fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (x) => {
        const value = Math.fround(x);
        const bits = float32ToFloat16(new Float32Array([value]))[0]!;
        const [below, at, above] = float16ToFloat32(
          new Uint16Array([Math.max(0, (bits & 0x7fff) - 1), bits & 0x7fff, (bits & 0x7fff) + 1]),
        );
        const error = Math.abs(Math.abs(value) - at!);
        const others = [below!, above!].filter((other) => Number.isFinite(other) && other !== at);
        return others.every((other) => {
          const distance = Math.abs(Math.abs(value) - other);
          return error < distance || (error === distance && (bits & 1) === 0);
        });
      }),
    );
    // Half way between two: 1 + 2^-11 goes down to 1, 1 + 3 * 2^-11 goes up to 1 + 2^-9.
    const ties = float32ToFloat16(new Float32Array([1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25]));
    expect([...float16ToFloat32(ties)]).toEqual([1, 1 + 2 ** -9, 0, 2 ** -23]);
  });

  it('rounds bfloat16 to nearest, ties to even, and keeps NaN', () => {
    const bits = float32ToBfloat16(new Float32Array([1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN, -0, 3.4e38]));
    expect([...bits].map((b) => b.toString(16))).toEqual(['3f80', '3f82', '7fc0', '8000', '7f80']);
  });

  it('reads back what it stored, to half precision', () => {
    const data = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i) * 10 ** (i % 5));
    for (const [dtype, relative] of [
      ['F16', 2 ** -11],
      ['BF16', 2 ** -8],
    ] as const) {
      const bytes = Buffer.concat(encodeSafetensors([['x', { shape: [100], data }]], { dtype }));
      const got = parseSafetensors(bytes, 'x').get('x')!;
      expect(got.dtype).toBe(dtype);
      expect(got.data).toBeInstanceOf(Float32Array);
      got.data.forEach((value, i) => {
        expect(Math.abs(Number(value) - data[i]!)).toBeLessThanOrEqual(relative * Math.abs(data[i]!));
      });
    }
  });
});

describe('damaged safetensors', () => {
  const good = Buffer.concat(encodeSafetensors(SAMPLES));
  const cases: [string, Uint8Array, RegExp][] = [
    ['0 bytes', new Uint8Array(), /m\.safetensors .*empty \(0 bytes\)/],
    ['a few bytes', new Uint8Array(9), /only 9 bytes/],
    ['a picture', Buffer.from('\x89PNG\r\n\x1a\nmore and more'), /does not begin with a header/],
    ['a cut header', good.subarray(0, 60), /claims \d+ bytes, but the file has 60/],
    ['cut data', good.subarray(0, good.byteLength - 3), /there are only \d+ \(truncated/],
    ['more data', Buffer.concat([good, Buffer.alloc(5)]), /5 bytes follow the last tensor/],
    ['a long header', fileOf('{"a":1}').fill(0xff, 0, 7), /header claims/],
    ['no JSON', fileOf('{nothing}'), /not JSON/],
    ['no UTF-8', fileOf('{"a": 1}').fill(0xff, 12, 13), /not UTF-8/],
    ['a name twice', fileOf('{"a":{"dtype":"F32"},"b":{"a":1},"\\u0061":1,"a":{}}'), /"a" stands twice/],
    ['no description', fileOf({ a: 3 }), /tensor a has no description/],
    [
      'an unknown type',
      fileOf({ a: { dtype: 'F8_E5M2', shape: [1], data_offsets: [0, 1] } }),
      /a has the type F8_E5M2/,
    ],
    ['a negative shape', fileOf({ a: f32(0, 4, [-1]) }, Buffer.alloc(4)), /tensor a has the shape \[-1\]/],
    [
      'reversed offsets',
      fileOf({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }),
      /tensor a has the data offsets/,
    ],
    [
      'wrong byte count',
      fileOf({ a: f32(0, 8, [3]) }, Buffer.alloc(8)),
      /a \(F32 \[3\]\) needs 12 bytes but its offsets span 8/,
    ],
    ['an overlap', fileOf({ a: f32(0, 8), b: f32(4, 12) }, Buffer.alloc(12)), /tensor b overlaps/],
    ['a gap', fileOf({ a: f32(0, 4), b: f32(8, 12) }, Buffer.alloc(12)), /4 unused bytes precede tensor b/],
    ['odd metadata', fileOf({ __metadata__: { a: 1 } }), /metadata/],
  ];

  it.each(cases)('refuses %s, naming file and place', (_, bytes, message) => {
    const path = join(folder, 'm.safetensors');
    writeFileSync(path, bytes);
    let caught: unknown;
    try {
      readSafetensorsSync(path);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(UserError);
    expect((caught as UserError).exitCode).toBe(EXIT_CODES.checkpoint);
    expect((caught as UserError).message).toMatch(message);
    expect((caught as UserError).message).toContain('m.safetensors');
  });

  it('says that a file is missing', async () => {
    const path = join(folder, 'nowhere.safetensors');
    expect(() => readSafetensorsSync(path)).toThrow(/nowhere\.safetensors: there is no such file/);
    await expect(readSafetensors(path)).rejects.toThrow(UserError);
  });

  it('never fails in another way, whatever is changed', () => {
    fc.assert(
      fc.property(fc.nat(good.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Buffer.from(good);
        bytes[at]! ^= change;
        try {
          parseSafetensors(bytes, 'changed');
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
