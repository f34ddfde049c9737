// SPDX-License-Identifier: Apache-2.0
import { jest } from '@jest/globals';
import { runCommandLine } from '../../bin/command_line.js';

/** What a command printed and how it ended. */
export interface CommandResult {
  code: number;
  out: string;
  err: string;
}

/** Runs `tfgeo-train` with these arguments inside this process. */
export async function runCommand(...args: string[]): Promise<CommandResult> {
  const result = { code: -1, out: '', err: '' };
  const capture = (stream: NodeJS.WriteStream, key: 'out' | 'err') =>
    jest.spyOn(stream, 'write').mockImplementation((text) => {
      result[key] += String(text);
      return true;
    });
  const log = jest.spyOn(console, 'log').mockImplementation((...words) => {
    result.out += `${words.join(' ')}\n`;
  });
  const spies = [capture(process.stdout, 'out'), capture(process.stderr, 'err')];
  try {
    result.code = await runCommandLine(args);
  } finally {
    for (const spy of [...spies, log]) spy.mockRestore();
  }
  return result;
}
