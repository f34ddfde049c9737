// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';

export interface CommandResult {
  /** Exit status; null if the command could not be started or was killed. */
  status: number | null;
  stdout: string;
  stderr: string;
  /** True if there is no such command. */
  missing: boolean;
}

/** Runs a command to its end and never throws: what went wrong is in the result. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // spawn's own `timeout` keeps its timer, and so the process, when the command is missing.
    const timer =
      options.timeoutMs === undefined ? undefined : setTimeout(() => child.kill(), options.timeoutMs);
    const finish = (result: CommandResult) => {
      clearTimeout(timer);
      resolve(result);
    };
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', (error: NodeJS.ErrnoException) =>
      finish({ status: null, stdout, stderr: stderr || error.message, missing: error.code === 'ENOENT' }),
    );
    child.on('close', (status) => finish({ status, stdout, stderr, missing: false }));
  });
}

/** The last line of `text` that says something, for one-line messages. */
export function lastLine(text: string): string {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/notice\]|^WARNING/.test(line));
  return lines.at(-1) ?? '';
}
