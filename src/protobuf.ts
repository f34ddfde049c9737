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

/** Fields of a protocol buffer message by their numbers (https://protobuf.dev/programming-guides/encoding/). */
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

/** One field of a message as it was read. */
export interface ReadField {
  number: number;
  /** 0 = integer, 1 = eight bytes, 2 = bytes of any length, 5 = four bytes. */
  wire: number;
  /** The integer; 0 for the other kinds. */
  integer: bigint;
  /** The contents, a view of the message; empty for integers. */
  bytes: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

/**
 * The fields of a message in order.
 * @throws Error if the message is cut short or holds what is no field
 */
export function* readFields(message: Uint8Array): Generator<ReadField> {
  const reader = new FieldReader(message);
  while (!reader.atEnd) {
    const tag = Number(reader.varint());
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === 0) yield { number, wire, integer: reader.varint(), bytes: NO_BYTES };
    else yield { number, wire, integer: 0n, bytes: reader.take(reader.lengthOf(wire)) };
  }
}

/** The integers of a packed field. */
export function readPacked(bytes: Uint8Array): bigint[] {
  const reader = new FieldReader(bytes);
  const values: bigint[] = [];
  while (!reader.atEnd) values.push(reader.varint());
  return values;
}

class FieldReader {
  private at = 0;

  constructor(private readonly message: Uint8Array) {}

  get atEnd(): boolean {
    return this.at >= this.message.length;
  }

  varint(): bigint {
    let low = 0;
    let scale = 1;
    // Seven bytes hold 49 bits, which a number holds exactly; what is longer goes on as a bigint.
    for (let i = 0; i < 7; i++, scale *= 128) {
      const byte = this.byte();
      low += (byte & 127) * scale;
      if (byte < 128) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new Error('a message of protocol buffers has a number that does not end');
  }

  lengthOf(wire: number): number {
    if (wire === 1) return 8;
    if (wire === 5) return 4;
    if (wire === 2) return Number(this.varint());
    throw new Error(`a message of protocol buffers has a field of unknown kind ${wire}`);
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.message.length) throw new Error('a message of protocol buffers is cut short');
    this.at += length;
    return this.message.subarray(this.at - length, this.at);
  }

  private byte(): number {
    const byte = this.message[this.at++];
    if (byte === undefined) throw new Error('a message of protocol buffers is cut short');
    return byte;
  }
}
