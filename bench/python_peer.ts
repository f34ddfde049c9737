// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { lastLine } from '../src/engine/process.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { packageRoot } from '../src/package.js';
import { pythonWithTorch } from '../tools/python_environment.js';
import type { Taken } from './timing.js';

const REMEDY = 'set TFGEO_BENCH_PYTHON to a Python that has what is needed, or run with --no-peer';

/**
 * A Python with PyTorch and numpy: `TFGEO_BENCH_PYTHON`, or a virtual environment in the cache, made with the user's pip once.
 * @param more further packages, with versions
 * @throws UserError in one line where it cannot be had
 */
export async function torchPython(
  say: (line: string) => void,
  more: readonly string[] = [],
): Promise<string> {
  const given = process.env.TFGEO_BENCH_PYTHON;
  if (given) return given;
  try {
    return await pythonWithTorch(more, say);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${error.message}; ${REMEDY}`, error.exitCode);
  }
}

function unusable(what: string): UserError {
  return new UserError(`nothing to compare with: ${what}; ${REMEDY}`, EXIT_CODES.engine);
}

/**
 * A running script of Python that answers a line with a line: `ready VERSION` at first, then `ok ...` or `error ...`.
 * Arrays travel through files in a folder of its own.
 */
export class PythonPeer {
  /** What the script says it compares with. */
  version = '';
  protected readonly folder = mkdtempSync(join(tmpdir(), 'tfgeo-bench-'));
  private readonly lines: string[] = [];
  private waiting: (() => void) | null = null;
  private ended = false;
  private errors = '';

  protected constructor(private readonly process: ChildProcessWithoutNullStreams) {
    createInterface(process.stdout).on('line', (line) => {
      this.lines.push(line);
      this.waiting?.();
    });
    process.stderr.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    process.stdin.on('error', () => undefined); // it ended early; `close` below says so
    const end = () => {
      this.ended = true;
      this.waiting?.();
    };
    process.on('error', end);
    process.on('close', end);
  }

  /** The process of a script of this folder. */
  protected static spawn(python: string, name: string, threads: number): ChildProcessWithoutNullStreams {
    const script = join(packageRoot(), 'bench', name);
    return spawn(python, [script, '--threads', String(threads)], { stdio: 'pipe' });
  }

  /** Waits for its first words. @throws UserError where it does not start */
  protected async begin(): Promise<this> {
    try {
      const [word, ...version] = (await this.next()).split(' ');
      if (word !== 'ready') throw unusable(`it answered "${[word, ...version].join(' ')}"`);
      this.version = version.join(' ');
      return this;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    if (!this.ended) this.process.stdin.end('quit\n');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** What follows `ok` in its answer. @throws Error with what it says went wrong */
  protected async ask(command: string): Promise<string> {
    this.process.stdin.write(`${command}\n`);
    const [word, ...rest] = (await this.next()).split(' ');
    if (word !== 'ok') throw new Error(`the peer, asked to ${command.split(' ')[0]}: ${rest.join(' ')}`);
    return rest.join(' ');
  }

  /** One run of what a command times. */
  protected async taken(command: string): Promise<Taken> {
    const [wall, processor] = (await this.ask(command)).split(' ').map(Number) as [number, number];
    return { wall, processor };
  }

  protected write(name: string, values: Float32Array): void {
    writeFileSync(
      join(this.folder, `${name}.f32`),
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    );
  }

  protected read(name: string): Float32Array {
    const bytes = readFileSync(join(this.folder, `${name}.f32`));
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  }

  private async next(): Promise<string> {
    while (this.lines.length === 0) {
      if (this.ended) throw unusable(lastLine(this.errors) || 'its process ended');
      await new Promise<void>((resolve) => {
        this.waiting = resolve;
      });
    }
    return this.lines.shift()!;
  }
}
