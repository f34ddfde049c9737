// SPDX-License-Identifier: Apache-2.0
import { AlignedText, type Rewrite } from './aligned_text.js';
import type { JsonNode } from './json_node.js';
import { readPattern } from './pattern.js';
import {
  CONTROL,
  HAN,
  MARK,
  NONSPACING_MARK,
  type NormalForm,
  normaliseForm,
  WHITE_SPACE,
} from './unicode.js';

/** Rewrites a text before it is split into words. */
export type Normalizer = (text: AlignedText) => AlignedText;

/** Normalizers by their `type` in `tokenizer.json`. */
const NORMALIZERS: Readonly<Record<string, (node: JsonNode) => Normalizer>> = {
  NFC: () => toForm('NFC'),
  NFD: () => toForm('NFD'),
  NFKC: () => toForm('NFKC'),
  NFKD: () => toForm('NFKD'),
  Lowercase: () => lowercase,
  StripAccents: () => (text) => text.filter((char) => !MARK.test(char)),
  Strip: (node) => {
    const left = node.field('strip_left').boolean(true);
    const right = node.field('strip_right').boolean(true);
    return (text) => strip(text, left, right);
  },
  Prepend: (node) => {
    const content = node.field('prepend').string();
    return (text) => text.prepend(content);
  },
  Replace: (node) => {
    const pattern = readPattern(node.field('pattern'));
    const content = node.field('content').string();
    return (text) => text.replace(pattern, content);
  },
  BertNormalizer: bertNormalizer,
  Sequence: (node) => {
    const all = node.field('normalizers').items().map(readNormalizer);
    return (text) => all.reduce((result, normalizer) => normalizer(result), text);
  },
};

/** @throws UserError for a type that is not in the table above. */
export function readNormalizer(node: JsonNode): Normalizer {
  return node.choose(NORMALIZERS, 'normalizer')(node);
}

/** `normalizer` on a plain string. */
export function normaliseString(text: string, normalizer: Normalizer | null): string {
  return normalizer ? normalizer(AlignedText.of(text)).text : text;
}

function toForm(form: NormalForm): Normalizer {
  return (text) => normaliseForm(text, form);
}

/** Lower case character by character: context (a final sigma) is not looked at, lengths may change. */
export function lowercase(text: AlignedText): AlignedText {
  if (text.text.toLowerCase() === text.text) return text;
  const rewrites: Rewrite[] = [];
  for (const char of text.chars) {
    let change = 0;
    for (const lower of char.toLowerCase()) {
      rewrites.push([lower, change]);
      change = 1;
    }
  }
  return text.rewrite(rewrites);
}

function strip(text: AlignedText, left: boolean, right: boolean): AlignedText {
  const solid = text.chars.map((char) => !WHITE_SPACE.test(char));
  const first = left ? solid.indexOf(true) : 0;
  const last = right ? solid.lastIndexOf(true) : text.length - 1;
  return text.filter((_, i) => first >= 0 && i >= first && i <= last);
}

/** BERT's cleaning, spaces around Han characters, accents, case. Source: google-research/bert, Hugging Face tokenizers. */
function bertNormalizer(node: JsonNode): Normalizer {
  const cleans = node.field('clean_text').boolean(true);
  const spacesHan = node.field('handle_chinese_chars').boolean(true);
  const lowers = node.field('lowercase').boolean(true);
  const stripsAccents = node.field('strip_accents').boolean(lowers);
  return (text) => {
    let result = text;
    if (cleans) {
      result = result
        .filter((char) => char !== '\0' && !CONTROL.test(char))
        .map((char) => (WHITE_SPACE.test(char) ? ' ' : char));
    }
    if (spacesHan && HAN.test(result.text)) result = spaceHan(result);
    if (stripsAccents) result = normaliseForm(result, 'NFD').filter((char) => !NONSPACING_MARK.test(char));
    return lowers ? lowercase(result) : result;
  };
}

function spaceHan(text: AlignedText): AlignedText {
  return text.rewrite(
    text.chars.flatMap((char): Rewrite[] =>
      HAN.test(char)
        ? [
            [' ', 0],
            [char, 1],
            [' ', 1],
          ]
        : [[char, 0]],
    ),
  );
}
