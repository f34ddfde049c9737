// SPDX-License-Identifier: Apache-2.0
import { isRecord } from './config_tree.js';

/** What a key may hold. */
export interface Rule {
  /** The key may be left out. */
  optional?: true;
  /** In words: `a whole number above 0`. */
  what: string;
  accepts(value: unknown): boolean;
}

export const count: Rule = {
  what: 'a whole number above 0',
  accepts: (value) => Number.isSafeInteger(value) && (value as number) > 0,
};
export const flag: Rule = { what: 'true or false', accepts: (value) => typeof value === 'boolean' };
export const text: Rule = { what: 'text', accepts: (value) => typeof value === 'string' && value !== '' };
export const share: Rule = {
  what: 'a number from 0 to 1',
  accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1,
};
/** How far from both ends of [0, 1]. */
export const margin: Rule = {
  what: 'a number above 0 and below 0.5',
  accepts: (value) => typeof value === 'number' && value > 0 && value < 0.5,
  optional: true,
};
export const object: Rule = { what: 'an object', accepts: isRecord };
export const oneOf = (values: readonly string[]): Rule => ({
  what: `one of ${values.join(', ')}`,
  accepts: (value) => values.includes(value as string),
});
export const perChannel = (what: string, fits: (value: number) => boolean): Rule => ({
  what,
  accepts: (value) => Array.isArray(value) && value.length === 3 && value.every((v) => fits(v)),
});

export const names: Rule = {
  what: 'a list of names',
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((name) => text.accepts(name)),
};

export const multipleOf = (n: number): Rule => ({
  what: `a multiple of ${n}`,
  accepts: (value) => count.accepts(value) && Number(value) % n === 0,
});
