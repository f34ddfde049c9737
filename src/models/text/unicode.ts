// SPDX-License-Identifier: Apache-2.0
import type { AlignedText, Rewrite } from './aligned_text.js';

/** Unicode's White_Space; JavaScript's `\s` lacks U+0085 and has U+FEFF instead. */
export const WHITE_SPACE = /\p{White_Space}/u;
/** ASCII punctuation, symbols among it, and Unicode's punctuation. */
export const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;
/** Control, format and private characters, the replacement character; tab and line ends are white space here. */
export const CONTROL = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/u;
export const NONSPACING_MARK = /\p{Mn}/u;
export const MARK = /\p{M}/u;

/** Blocks of Han characters as BERT splits them (the gap after U+2B81F is in the reference too). */
export const HAN =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/u;

export type NormalForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** Unicode normalisation that keeps track of where characters came from. */
export function normaliseForm(text: AlignedText, form: NormalForm): AlignedText {
  const target = text.text.normalize(form);
  if (target === text.text) return text;
  const decomposed = decompose(text, form.includes('K') ? 'NFKD' : 'NFD');
  return text.rewrite(form.endsWith('C') ? compose(decomposed) : decomposed);
}

/** Full decomposition in canonical order. */
function decompose(text: AlignedText, form: 'NFD' | 'NFKD'): Rewrite[] {
  const parts: Rewrite[] = [];
  for (const char of text.chars) {
    let change = 0;
    for (const part of char.normalize(form)) {
      parts.push([part, change]);
      change = 1;
    }
  }
  // Canonical order only sorts runs of marks, and stably: equal characters keep their order, so each character of the
  // sorted text is the first unused equal one.
  const used = new Uint8Array(parts.length);
  let first = 0;
  const sorted: Rewrite[] = [];
  for (const char of text.text.normalize(form)) {
    while (used[first]) first++;
    let i = first;
    while (used[i] || parts[i]![0] !== char) i++;
    used[i] = 1;
    sorted.push(parts[i]!);
  }
  return sorted;
}

/** Canonical composition of a decomposed text (Unicode Standard Annex 15). */
function compose(parts: readonly Rewrite[]): Rewrite[] {
  const result: Rewrite[] = [];
  let starter: Rewrite | null = null;
  let blocked: Rewrite[] = [];
  const flush = () => {
    if (starter) result.push(starter);
    result.push(...blocked);
    starter = null;
    blocked = [];
  };
  for (const part of parts) {
    const mark = isReorderable(part[0]);
    if (!starter) {
      if (mark) result.push(part);
      else starter = part;
      continue;
    }
    const last: Rewrite | undefined = blocked.at(-1);
    const joined: string | null = last && !comesBefore(last[0], part[0]) ? null : pair(starter[0], part[0]);
    if (joined !== null) {
      starter = [joined, starter[1] + part[1] - 1];
    } else if (mark) {
      blocked.push(part);
    } else {
      flush();
      starter = part;
    }
  }
  flush();
  return result;
}

/** The one character that `a` and `b` compose to, or null. */
function pair(a: string, b: string): string | null {
  const joined = (a + b).normalize('NFC');
  return joined.length > 0 && joined.length === String.fromCodePoint(joined.codePointAt(0)!).length
    ? joined
    : null;
}

/** U+0345 has the highest combining class (240), so every mark with another class moves before it. */
const HIGHEST = '\u0345';

/** Whether the combining class of a decomposed character is not zero. */
function isReorderable(char: string): boolean {
  return char === HIGHEST || (HIGHEST + char).normalize('NFD') !== HIGHEST + char;
}

/** Whether the combining class of mark `a` is smaller than that of `b`: exactly then `b a` is put in the order `a b`. */
function comesBefore(a: string, b: string): boolean {
  return isReorderable(b) && a !== b && (b + a).normalize('NFD') === a + b;
}
