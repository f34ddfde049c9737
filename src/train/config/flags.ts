// SPDX-License-Identifier: Apache-2.0
import { parse as parseYaml } from 'yaml';
import type { Options } from 'yargs';
import { UserError } from '../../errors.js';
import { checkValues, isConfigKey } from './check.js';
import { accepts, describeField, type Field } from './fields.js';
import { CONFIG_KEYS, type ConfigKey, fieldOf, type RunConfig } from './schema.js';

/** `batchSize` as a flag's name: `batch-size`. */
export function flagName(key: ConfigKey): string {
  return key.replace(/[A-Z0-9]+/g, (part) => (/^\d/.test(part) ? part : `-${part.toLowerCase()}`));
}

/**
 * Options for yargs, one for each key. No defaults are given to yargs, so that a flag that was not typed is absent and
 * does not override a file; all values arrive as text and are read by `configFromFlags`, which knows their types.
 */
export function toYargsOptions(): Record<string, Options> {
  return Object.fromEntries(
    CONFIG_KEYS.map((key): [string, Options] => {
      const field = fieldOf(key);
      const options: Options = {
        group: `${field.group}:`,
        describe: field.help,
        defaultDescription: textOf(field.default),
        ...(field.kind === 'boolean' ? { type: 'boolean' } : { type: 'string', requiresArg: true }),
      };
      return [flagName(key), field.choices ? { ...options, choices: field.choices } : options];
    }),
  );
}

/**
 * Configuration keys from parsed flags, given as `{ 'batch-size': '8' }` or `{ batchSize: '8' }`; what is not a key,
 * or undefined, is passed over.
 *
 * @throws UserError naming the flag and what it takes
 */
export function configFromFlags(flags: Readonly<Record<string, unknown>>): Partial<RunConfig> {
  const values: Record<string, unknown> = {};
  for (const key of CONFIG_KEYS) {
    const name = flagName(key);
    const given = flags[name] ?? flags[key];
    if (given === undefined) continue;
    const field = fieldOf(key);
    const value = typeof given === 'string' ? valueFromText(field, given) : given;
    if (!accepts(field, value)) {
      const got = Array.isArray(given) ? 'more than one' : JSON.stringify(given);
      throw new UserError(`--${name} must be ${describeField(field)}${example(field)}, but it is ${got}`);
    }
    values[key] = value;
  }
  return checkValues(values, (key) => (isConfigKey(key) ? `--${flagName(key)}` : key));
}

/** A flag's text as a value of the field's kind; what cannot be read is left as it is, to be refused. */
function valueFromText(field: Field<unknown>, given: string): unknown {
  if (field.nullable && (given === 'null' || given === 'none')) return null;
  switch (field.kind) {
    case 'integer':
    case 'number':
      return given.trim() === '' ? given : numberOf(given);
    case 'boolean':
      return given === 'true' ? true : given === 'false' ? false : given;
    case 'integers':
      return given.split(',').map((part) => numberOf(part));
    case 'record':
      return recordOf(field, given);
    default:
      return given;
  }
}

function numberOf(given: string): unknown {
  const value = Number(given);
  return Number.isNaN(value) ? given : value;
}

/** `a=1,b=2` or a JSON object. */
function recordOf(field: Field<unknown>, given: string): unknown {
  if (given.trim().startsWith('{')) {
    try {
      return JSON.parse(given);
    } catch {
      return given;
    }
  }
  const pairs = given.split(',').map((pair) => /^\s*([^=\s]+)\s*=(.*)$/s.exec(pair));
  if (pairs.includes(null)) return given;
  return Object.fromEntries(
    pairs.map((pair) => [pair![1]!, field.entries === 'number' ? numberOf(pair![2]!) : parseYaml(pair![2]!)]),
  );
}

function example(field: Field<unknown>): string {
  if (field.kind === 'record') return ' (such as a=1,b=2)';
  return field.kind === 'integers' ? ' (such as 100,200)' : '';
}

/** A value as a person would type it as a flag. */
export function textOf(value: unknown): string {
  if (value === null) return 'none';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(',');
  if (typeof value !== 'object') return String(value);
  const pairs = Object.entries(value).map(([name, entry]) => `${name}=${JSON.stringify(entry)}`);
  return pairs.length === 0 ? 'none' : pairs.join(',');
}
