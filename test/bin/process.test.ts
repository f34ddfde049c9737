// SPDX-License-Identifier: Apache-2.0
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { EXIT_CODES } from '../../src/errors.js';

const program = fileURLToPath(new URL('../../bin/tfgeo-train.mjs', import.meta.url));

/** The program as users run it, in a shell. */
function shell(line: string): SpawnSyncReturns<string> {
  const command = `'${process.execPath}' '${program}'`;
  return spawnSync('bash', ['-c', line.replaceAll('tfgeo-train', command)], { encoding: 'utf8' });
}

describe('the program', () => {
  it('ends with the exit code of what went wrong', () => {
    const { status, stdout, stderr } = shell('tfgeo-train detct');
    expect({ status, stdout }).toEqual({ status: EXIT_CODES.usage, stdout: '' });
    expect(stderr).toBe('tfgeo-train: unknown command "detct", did you mean "detect"?\n');
  });

  it('is quiet when nobody reads on', () => {
    // `true` is gone, and the pipe closed, long before the first line is written.
    const { stdout, stderr } = shell('tfgeo-train train --help | true');
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: '' });
  });
});
