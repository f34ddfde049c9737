// SPDX-License-Identifier: Apache-2.0
import { type Argument, OPCODES, type Opcode } from './opcodes.js';

/** Something is wrong with a pickle; the caller says in which file. */
export class PickleError extends Error {}

/** What stands behind an opcode: a number, bytes, or lines. */
export type ArgumentValue = number | Buffer | readonly string[] | null;

/** An opcode and what stands behind it. */
export interface Instruction extends Opcode {
  value: ArgumentValue;
  /** Byte at which it stands. */
  at: number;
}

/** The longest line of text that is looked for. */
const LONGEST_LINE = 4096;

/** Reads instructions from bytes; no length is believed that reaches beyond them. */
export class PickleInput {
  private readonly bytes: Buffer;

  constructor(
    bytes: Uint8Array,
    /** Next byte to be read. */
    public position = 0,
  ) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  next(): Instruction {
    const at = this.position;
    const code = this.take(1, 'an opcode')[0]!;
    const opcode = OPCODES.get(code);
    if (!opcode) {
      throw new PickleError(`byte 0x${code.toString(16).padStart(2, '0')} at ${at} is no opcode`);
    }
    return { ...opcode, at, value: this.argument(opcode.argument, opcode.name) };
  }

  private argument(kind: Argument, name: string): ArgumentValue {
    switch (kind) {
      case 'none':
        return null;
      case 'u1':
        return this.take(1, name)[0]!;
      case 'u2':
        return this.take(2, name).readUInt16LE();
      case 'u4':
        return this.take(4, name).readUInt32LE();
      case 'i4':
        return this.take(4, name).readInt32LE();
      case 'u8':
        return this.length8(name);
      case 'f8':
        return this.take(8, name).readDoubleBE();
      case 'line':
        return [this.line(name)];
      case 'lines':
        return [this.line(name), this.line(name)];
      case 'bytes1':
        return this.take(this.take(1, name)[0]!, name);
      case 'bytes4':
        return this.take(this.take(4, name).readUInt32LE(), name);
      case 'bytes8':
        return this.take(this.length8(name), name);
    }
  }

  private length8(name: string): number {
    const length = this.take(8, name).readBigUInt64LE();
    if (length > BigInt(this.bytes.length)) this.fail(name, `${length} bytes`);
    return Number(length);
  }

  private take(length: number, name: string): Buffer {
    const end = this.position + length;
    if (end > this.bytes.length) this.fail(name, `${length} bytes`);
    const part = this.bytes.subarray(this.position, end);
    this.position = end;
    return part;
  }

  private line(name: string): string {
    const end = this.bytes.indexOf(10, this.position);
    if (end < 0 || end - this.position > LONGEST_LINE) this.fail(name, 'a line');
    const text = this.bytes.toString('utf8', this.position, end).replace(/\r$/, '');
    this.position = end + 1;
    return text;
  }

  private fail(name: string, what: string): never {
    const left = this.bytes.length - this.position;
    throw new PickleError(`${name} at byte ${this.position} wants ${what}, ${left} are left (truncated?)`);
  }
}
