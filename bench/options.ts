// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';
import { UserError } from '../src/errors.js';

/** What `npm run bench -- ...` was told. */
export interface BenchOptions {
  /** Benches to run; empty = all. */
  names: string[];
  /** Runs other people's implementations beside ours. */
  peer: boolean;
  /** Writes results although the machine is busy. */
  anyway: boolean;
  /** Threads of each side. */
  threads: number;
  /** How often each measurement is repeated. */
  rounds: number;
  /** Only cases with this in their name. */
  only: string;
}

/**
 * Reads the arguments of the benches.
 * @throws UserError for an unknown flag or a number that is none
 */
export function benchOptions(args: string[] = process.argv.slice(2)): BenchOptions {
  const { values, positionals } = parse(args);
  return {
    names: positionals,
    peer: !values['no-peer'],
    anyway: values.anyway,
    threads: positive('threads', values.threads),
    rounds: positive('rounds', values.rounds),
    only: values.only,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        'no-peer': { type: 'boolean', default: false },
        anyway: { type: 'boolean', default: false },
        threads: { type: 'string', default: '2' },
        rounds: { type: 'string', default: '7' },
        only: { type: 'string', default: '' },
      },
    });
  } catch (error) {
    throw new UserError(`bench: ${(error as Error).message}`);
  }
}

function positive(flag: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new UserError(`bench: --${flag} takes a whole number of at least 1, not ${text}`);
  return number;
}
