// SPDX-License-Identifier: Apache-2.0
import type { Options, PositionalOptions } from 'yargs';

/** Parsed flags by name, as typed (`batch-size`) and in camel case. */
export type Flags = Readonly<Record<string, unknown>>;

/** One command of `tfgeo-train`. Commands parse, call the library and print; they compute nothing themselves. */
export interface Command {
  positionals?: Readonly<Record<string, PositionalOptions>>;
  options: Record<string, Options>;
  /** @returns exit code */
  run(flags: Flags): Promise<number>;
}

/** What the help text says of a command, and how to get the rest. */
export interface CommandRow {
  name: string;
  /** yargs' form: `detect <image>`. */
  usage: string;
  about: string;
  /** Loads the command's code and what it needs; the help text and other commands do without. */
  load(): Promise<Command>;
}

/** For every command that computes. */
export const THREADS_OPTION: Record<'threads', Options> = {
  threads: {
    describe: 'Threads to compute with; 0 = all cores',
    type: 'string',
    requiresArg: true,
    defaultDescription: '0',
    group: 'Machine:',
  },
};

/** Flags that choose the engine. */
export const ENGINE_OPTIONS: Record<string, Options> = {
  engine: {
    describe: 'What computes; auto = the best one present',
    choices: ['auto', 'tensorflow', 'wasm', 'cpu'],
    default: 'auto',
    group: 'Machine:',
  },
  ...THREADS_OPTION,
  eager: {
    describe: 'Run operation by operation instead of compiled: slower, for finding faults',
    type: 'boolean',
    default: false,
    group: 'Machine:',
  },
};
