// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import protobuf from 'protobufjs';
import { decode, encode, type MessageSpec } from '../../src/export/message.js';

interface Inner {
  text?: string;
}
const INNER: MessageSpec<Inner> = { text: { number: 1, of: 'text' } };

interface Everything {
  whole?: number;
  yes?: boolean;
  single?: number;
  double?: number;
  text?: string;
  bytes?: Uint8Array;
  wholes: number[];
  singles: number[];
  texts: string[];
  inner?: Inner;
  inners: Inner[];
  names: Map<string, string>;
  byName: Map<string, Inner>;
}
const EVERYTHING: MessageSpec<Everything> = {
  whole: { number: 1, of: 'int' },
  yes: { number: 2, of: 'bool' },
  single: { number: 3, of: 'float' },
  double: { number: 4, of: 'double' },
  text: { number: 5, of: 'text' },
  bytes: { number: 6, of: 'bytes' },
  wholes: { number: 7, of: 'int', count: 'many' },
  singles: { number: 8, of: 'float', count: 'many' },
  texts: { number: 9, of: 'text', count: 'many' },
  inner: { number: 10, of: () => INNER },
  inners: { number: 11, of: () => INNER, count: 'many' },
  names: { number: 12, of: 'text', count: 'map' },
  byName: { number: 1000, of: () => INNER, count: 'map' },
};

// The same for another implementation, which packs repeated numbers.
const REFERENCE = protobuf
  .parse(`
    syntax = "proto3";
    message Inner { string text = 1; }
    message Everything {
      int64 whole = 1; bool yes = 2; float single = 3; double double = 4; string text = 5; bytes bytes = 6;
      repeated int64 wholes = 7; repeated float singles = 8; repeated string texts = 9; Inner inner = 10;
      repeated Inner inners = 11; map<string, string> names = 12; map<string, Inner> byName = 1000;
    }
  `)
  .root.lookupType('Everything');

const VALUE: Everything = {
  whole: -1,
  yes: true,
  single: 0.5,
  double: 1e300,
  text: 'grüß',
  bytes: Uint8Array.of(0, 255, 10),
  wholes: [0, -7, 2 ** 40, Number.MAX_SAFE_INTEGER],
  singles: [1, -0.25],
  texts: ['', 'a'],
  inner: {},
  inners: [{ text: 'x' }, {}],
  names: new Map([['a', 'b']]),
  byName: new Map([['k', { text: 'v' }]]),
};

describe('messages', () => {
  it('come back as they were', () => {
    const back = decode(EVERYTHING, encode(EVERYTHING, VALUE));
    expect({ ...back, bytes: [...back.bytes!] }).toEqual({ ...VALUE, bytes: [...VALUE.bytes!] });
  });

  it('are read by another implementation', () => {
    const read = REFERENCE.toObject(REFERENCE.decode(encode(EVERYTHING, VALUE)), { longs: Number }) as object;
    expect(read).toMatchObject({
      whole: -1,
      text: 'grüß',
      wholes: VALUE.wholes,
      inners: [{ text: 'x' }, {}],
      names: { a: 'b' },
      byName: { k: { text: 'v' } },
    });
  });

  it('are read as another implementation writes them: packed, and with fields nobody knows', () => {
    const written = REFERENCE.encode(
      REFERENCE.fromObject({ whole: 3, wholes: VALUE.wholes, singles: [1, -0.25], names: { a: 'b' } }),
    ).finish();
    const more = Buffer.concat([written, Buffer.from([0xf8, 0x07, 1])]); // field 127: 1
    expect(decode(EVERYTHING, more)).toMatchObject({
      whole: 3,
      wholes: VALUE.wholes,
      singles: [1, -0.25],
      names: VALUE.names,
    });
  });

  it('that are cut short are refused at every place but between fields', () => {
    const bytes = encode(EVERYTHING, { ...VALUE, inner: { text: 'long enough' } });
    let refused = 0;
    for (let length = 1; length < bytes.length; length++) {
      try {
        decode(EVERYTHING, bytes.subarray(0, length));
      } catch (error) {
        expect((error as Error).message).toMatch(/cut short/);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(bytes.length * 0.7);
  });
});
