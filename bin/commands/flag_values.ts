// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../../src/errors.js';
import type { Flags } from './command.js';

export interface NumberLimits {
  min?: number;
  max?: number;
  whole?: boolean;
}

/**
 * The number given for `--name`, or undefined if the flag was not typed. Number flags are declared as text, because
 * yargs makes NaN of what it cannot read.
 * @throws UserError saying what the flag takes
 */
export function numberFlag(flags: Flags, name: string, limits: NumberLimits = {}): number | undefined {
  const given = textFlag(flags, name);
  if (given === undefined) return undefined;
  const { min = -Infinity, max = Infinity, whole = false } = limits;
  const value = given.trim() === '' ? Number.NaN : Number(given);
  if (value >= min && value <= max && Number.isFinite(value) && (!whole || Number.isInteger(value)))
    return value;
  const kind = whole ? 'a whole number' : 'a number';
  const from = Number.isFinite(min) ? ` from ${min}` : '';
  const to = Number.isFinite(max) ? ` to ${max}` : from === '' ? '' : ' up';
  throw new UserError(`--${name} must be ${kind}${from}${to}, but it is "${given}"`);
}

/** The text given for `--name`, or undefined if the flag was not typed. */
export function textFlag(flags: Flags, name: string): string | undefined {
  const given = flags[name];
  return given === undefined ? undefined : String(given);
}
