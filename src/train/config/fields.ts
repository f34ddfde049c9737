// SPDX-License-Identifier: Apache-2.0
import { isRecord } from '../../models/config_tree.js';

/** What a key of the configuration can hold. `null` is allowed where `nullable` says so. */
export interface Field<T> {
  readonly kind: 'integer' | 'number' | 'boolean' | 'text' | 'choice' | 'integers' | 'record';
  readonly default: T;
  /** Heading under which help and documentation list the key. */
  readonly group: string;
  /** One sentence, without a full stop. */
  readonly help: string;
  readonly nullable: boolean;
  /** Bounds of a number, or of every entry of `integers` and of a numeric record. */
  readonly min?: number;
  readonly max?: number;
  /** `min` itself is not allowed. */
  readonly above?: boolean;
  readonly choices?: readonly string[];
  /** Entries of a record: numbers, or any JSON value. */
  readonly entries?: 'number' | 'any';
}

interface Common<T> {
  default: T;
  group: string;
  help: string;
}

interface Bounds {
  min?: number;
  max?: number;
  above?: boolean;
}

const required = { nullable: false } as const;

export const integer = (spec: Common<number> & Bounds): Field<number> => ({
  kind: 'integer',
  ...required,
  ...spec,
});

export const number = (spec: Common<number> & Bounds): Field<number> => ({
  kind: 'number',
  ...required,
  ...spec,
});

export const optionalInteger = (spec: Common<number | null> & Bounds): Field<number | null> => ({
  kind: 'integer',
  nullable: true,
  ...spec,
});

export const boolean = (spec: Common<boolean>): Field<boolean> => ({ kind: 'boolean', ...required, ...spec });

export const text = (spec: Common<string>): Field<string> => ({ kind: 'text', ...required, ...spec });

export const optionalText = (spec: Common<string | null>): Field<string | null> => ({
  kind: 'text',
  nullable: true,
  ...spec,
});

export const choice = <C extends string>(spec: Common<C> & { choices: readonly C[] }): Field<C> => ({
  kind: 'choice',
  ...required,
  ...spec,
});

export const integers = (spec: Common<readonly number[]> & Bounds): Field<readonly number[]> => ({
  kind: 'integers',
  ...required,
  ...spec,
});

export const numbersByName = (
  spec: Common<Readonly<Record<string, number>>> & Bounds,
): Field<Readonly<Record<string, number>>> => ({ kind: 'record', entries: 'number', ...required, ...spec });

export const anyByName = (
  spec: Common<Readonly<Record<string, unknown>>>,
): Field<Readonly<Record<string, unknown>>> => ({ kind: 'record', entries: 'any', ...required, ...spec });

/** What a field takes, in words: `a whole number from 1 to 4096`. */
export function describeField(field: Field<unknown>): string {
  const what = KIND_WORDS[field.kind](field);
  return field.nullable ? `${what}, or null` : what;
}

const KIND_WORDS: Record<Field<unknown>['kind'], (field: Field<unknown>) => string> = {
  integer: (field) => `a whole number${range(field)}`,
  number: (field) => `a number${range(field)}`,
  boolean: () => 'true or false',
  text: () => 'text',
  choice: (field) => `one of ${field.choices!.join(', ')}`,
  integers: (field) => `a list of whole numbers${range(field)}`,
  record: (field) => (field.entries === 'number' ? `names with numbers${range(field)}` : 'names with values'),
};

function range({ min, max, above }: Field<unknown>): string {
  if (min === undefined) return max === undefined ? '' : ` up to ${max}`;
  const from = above ? ` above ${min}` : ` from ${min}`;
  if (max === undefined) return above ? from : `${from} up`;
  return `${from}${above ? ' up' : ''} to ${max}`;
}

/** Whether a field can hold `value`. */
export function accepts(field: Field<unknown>, value: unknown): boolean {
  if (value === null) return field.nullable;
  return KIND_CHECKS[field.kind](field, value);
}

const KIND_CHECKS: Record<Field<unknown>['kind'], (field: Field<unknown>, value: unknown) => boolean> = {
  integer: (field, value) => Number.isSafeInteger(value) && inRange(field, value as number),
  number: (field, value) => Number.isFinite(value) && inRange(field, value as number),
  boolean: (_, value) => typeof value === 'boolean',
  text: (_, value) => typeof value === 'string' && value !== '',
  choice: (field, value) => field.choices!.includes(value as string),
  integers: (field, value) =>
    Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && inRange(field, entry)),
  record: (field, value) =>
    isRecord(value) &&
    (field.entries === 'any' ||
      Object.values(value).every((entry) => Number.isFinite(entry) && inRange(field, entry as number))),
};

function inRange({ min, max, above }: Field<unknown>, value: number): boolean {
  if (min !== undefined && (above ? value <= min : value < min)) return false;
  return max === undefined || value <= max;
}
