// SPDX-License-Identifier: Apache-2.0
import type { JsonNode } from './json_node.js';

/** What the classes of Oniguruma (the regular expressions of tokenizer files) mean, as members of a JavaScript class. */
const CLASSES: Readonly<Record<string, string>> = {
  s: '\\p{White_Space}',
  S: '\\P{White_Space}',
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  w: '\\p{L}\\p{M}\\p{Nd}\\p{Pc}',
  h: '0-9a-fA-F',
};
const CONTROLS = new Set(['n', 'r', 't', 'f', 'v', 'b', 'B', 'p', 'P', 'u', 'x', 'k']);
const SYNTAX = /[\^$\\.*+?()[\]{}|/-]/;

/**
 * Pattern of a tokenizer file, `{String: "..."}` or `{Regex: "..."}`, as a global regular expression.
 *
 * @throws UserError for a pattern that JavaScript cannot express.
 */
export function readPattern(node: JsonNode): RegExp {
  const literal = node.optional('String');
  if (literal) {
    const text = literal.string();
    return text === '' ? /(?!)/gu : new RegExp(escapeLiteral(text), 'gu');
  }
  const regex = node.field('Regex');
  try {
    return new RegExp(translate(regex.string()), 'gu');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return regex.fail(`this regular expression cannot be used: ${error.message}`);
  }
}

/** `text` as a regular expression that matches exactly it. */
export function escapeLiteral(text: string): string {
  return text.replace(/[\^$\\.*+?()[\]{}|/]/g, '\\$&');
}

/** Oniguruma's syntax in JavaScript's, as far as tokenizers use it: classes, needless escapes, `(?i:...)`. */
export function translate(source: string): string {
  let result = '';
  let inClass = false;
  const depthsIgnoringCase: number[] = [];
  let depth = 0;
  for (let i = 0; i < source.length; i++) {
    const char = source[i]!;
    if (char === '\\') {
      i++;
      result += translateEscape(source[i] ?? '', inClass);
    } else if (!inClass && source.startsWith('(?i:', i)) {
      depthsIgnoringCase.push(++depth);
      result += '(?:';
      i += 3;
    } else {
      if (char === '[') inClass = true;
      else if (char === ']') inClass = false;
      else if (!inClass && char === '(') depth++;
      else if (!inClass && char === ')' && depthsIgnoringCase.at(-1) === depth--) depthsIgnoringCase.pop();
      // Here the two stand for the ends of lines, not of the text.
      if (!inClass && char === '^') result += '(?<![^\\n])';
      else if (!inClass && char === '$') result += '(?![^\\n])';
      else result += depthsIgnoringCase.length > 0 ? bothCases(char, inClass) : char;
    }
  }
  return result;
}

function translateEscape(char: string, inClass: boolean): string {
  const members = CLASSES[char];
  if (members !== undefined) return inClass ? members : `[${members}]`;
  if (char === 'W' && !inClass) return `[^${CLASSES.w}]`;
  if (char === 'A') return '^';
  if (char === 'z') return '$';
  if (CONTROLS.has(char) || /[0-9]/.test(char) || SYNTAX.test(char)) return `\\${char}`;
  return char;
}

function bothCases(char: string, inClass: boolean): string {
  const other = char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase();
  if (other === char) return char;
  return inClass ? char + other : `[${char}${other}]`;
}
