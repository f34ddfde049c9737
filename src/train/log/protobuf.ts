// SPDX-License-Identifier: Apache-2.0

/** A part of a protocol buffer message, ready to be joined. */
export type Encoded = Uint8Array;

function varint(value: number | bigint): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

/**
 * Fields of a protocol buffer message by their numbers
 * (https://protobuf.dev/programming-guides/encoding/). Only what TensorBoard's events need.
 */
export const field = {
  integer: (number: number, value: number | bigint): Encoded =>
    Uint8Array.from([...varint(number << 3), ...varint(value)]),

  float: (number: number, value: number): Encoded => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return Buffer.concat([Uint8Array.from(varint((number << 3) | 5)), bytes]);
  },

  double: (number: number, value: number): Encoded => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return Buffer.concat([Uint8Array.from(varint((number << 3) | 1)), bytes]);
  },

  bytes: (number: number, value: Uint8Array): Encoded =>
    Buffer.concat([Uint8Array.from([...varint((number << 3) | 2), ...varint(value.byteLength)]), value]),

  text: (number: number, value: string): Encoded => field.bytes(number, Buffer.from(value)),

  message: (number: number, ...parts: Encoded[]): Encoded => field.bytes(number, Buffer.concat(parts)),
};
