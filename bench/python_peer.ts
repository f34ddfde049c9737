// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { withLock } from '../src/engine/cache.js';
import { lastLine, runCommand } from '../src/engine/process.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { cacheRoot } from '../src/package.js';

/** The PyTorch that the benches compare with. */
const TORCH = '2.13.0';
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
  const folder = join(cacheRoot(), `bench-torch-${TORCH}`);
  const python = join(folder, 'bin', 'python');
  const complete = join(folder, 'complete');
  const has = (packages: readonly string[]) => {
    if (!existsSync(complete)) return false;
    const there = readFileSync(complete, 'utf8').split('\n');
    return packages.every((name) => there.includes(name));
  };
  if (has(more)) return python;
  return withLock(`${folder}.lock`, async () => {
    if (!has([])) {
      say(`getting PyTorch ${TORCH} with pip into ${folder} (once) ...`);
      rmSync(folder, { recursive: true, force: true });
      await must('python3', ['-m', 'venv', folder]);
      await must(python, ['-m', 'pip', 'install', '--quiet', `torch==${TORCH}`, 'numpy']);
      writeFileSync(complete, '');
    }
    if (!has(more)) {
      say(`getting ${more.join(', ')} with pip into ${folder} (once) ...`);
      await must(python, ['-m', 'pip', 'install', '--quiet', `torch==${TORCH}`, ...more]);
      writeFileSync(complete, [readFileSync(complete, 'utf8'), ...more].join('\n'));
    }
    return python;
  });
}

async function must(command: string, args: string[]): Promise<void> {
  const { status, stdout, stderr, missing } = await runCommand(command, args);
  if (missing) throw unusable(`there is no ${command}`);
  if (status !== 0)
    throw unusable(lastLine(stderr) || lastLine(stdout) || `${command} exited with ${status}`);
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

  /** The process of a script. */
  protected static spawn(python: string, script: string, threads: number): ChildProcessWithoutNullStreams {
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
