// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** What a script of Python says of one model. */
export interface Answer {
  name: string;
  passed: boolean;
  detail: string;
}

/**
 * Has a script of this folder look at models; an answer for each, named as its folder.
 * @param script its file name
 * @param flags before the folders
 * @param beside a folder with further packages
 */
export async function askPython(
  python: string,
  script: string,
  folders: readonly string[],
  flags: readonly string[] = [],
  beside?: string,
): Promise<Answer[]> {
  const args = [join(dirname(fileURLToPath(import.meta.url)), script), ...flags, ...folders];
  const env = beside === undefined ? process.env : { ...process.env, PYTHONPATH: beside };
  const { stdout } = await promisify(execFile)(python, args, { maxBuffer: 1 << 26, env });
  return stdout
    .trim()
    .split('\n')
    .slice(-folders.length)
    .map((line) => JSON.parse(line) as Answer)
    .map((answer) => ({ ...answer, name: basename(answer.name) }));
}
