// SPDX-License-Identifier: Apache-2.0
import type { AlignedText, Rewrite } from './aligned_text.js';

const encoder = new TextEncoder();
// Invalid bytes become U+FFFD as in Rust's lossy conversion; a byte order mark is a character like any other.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Words of GPT-2: contractions, then letters, digits or other signs with one space before them, then white space. */
export const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The printable character that stands for each byte, GPT-2's choice. Source: Radford et al. 2019. */
export const BYTE_CHARS: readonly string[] = byteChars();
/** The character of the byte 0x20. */
export const SPACE_CHAR = BYTE_CHARS[0x20]!;
const CHAR_BYTES = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

function byteChars(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

/** The text with each byte of its UTF-8 form as one printable character, all of them aligned with their character. */
export function toByteChars(text: AlignedText): AlignedText {
  const rewrites: Rewrite[] = [];
  for (const char of text.chars) {
    let change = 0;
    for (const byte of encoder.encode(char)) {
      rewrites.push([BYTE_CHARS[byte]!, change]);
      change = 1;
    }
  }
  return text.rewrite(rewrites);
}

/** The text that tokens of printable byte characters stand for; a token with other characters stands for itself. */
export function fromByteChars(tokens: readonly string[]): string {
  const bytes: number[] = [];
  for (const token of tokens) {
    const own = [...token].map((char) => CHAR_BYTES.get(char));
    if (own.includes(undefined)) bytes.push(...encoder.encode(token));
    else bytes.push(...(own as number[]));
  }
  return decoder.decode(Uint8Array.from(bytes));
}
