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
const REMEDY = 'set TFGEO_BENCH_PYTHON to a Python that has torch and numpy, or run with --no-peer';

/**
 * A Python with PyTorch: `TFGEO_BENCH_PYTHON`, or a virtual environment in the cache, made with the user's pip once.
 * @throws UserError in one line where it cannot be had
 */
export async function torchPython(say: (line: string) => void): Promise<string> {
  const given = process.env.TFGEO_BENCH_PYTHON;
  if (given) return given;
  const folder = join(cacheRoot(), `bench-torch-${TORCH}`);
  const [python, complete] = [join(folder, 'bin', 'python'), join(folder, 'complete')];
  if (existsSync(complete)) return python;
  return withLock(`${folder}.lock`, async () => {
    if (existsSync(complete)) return python;
    say(`getting PyTorch ${TORCH} with pip into ${folder} (once) ...`);
    rmSync(folder, { recursive: true, force: true });
    await must('python3', ['-m', 'venv', folder]);
    await must(python, ['-m', 'pip', 'install', '--quiet', `torch==${TORCH}`, 'numpy']);
    writeFileSync(complete, '');
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
  return new UserError(`no PyTorch to compare with: ${what}; ${REMEDY}`, EXIT_CODES.engine);
}

/** Sizes of a call, as the peer takes them. */
export interface PeerCase {
  batch: number;
  heads: number;
  dim: number;
  points: number;
  queries: number;
  levels: readonly (readonly [number, number])[];
}

/** The form of the samples: locations and weights, or what they are computed from. */
export type PeerForm = 'located' | 'composed';

/** A running `ms_deform_attn_torch.py`. Arrays travel through files in a folder of its own. */
export class TorchPeer {
  /** PyTorch's version as it names it. */
  version = '';
  private readonly folder = mkdtempSync(join(tmpdir(), 'tfgeo-bench-'));
  private readonly lines: string[] = [];
  private waiting: (() => void) | null = null;
  private ended = false;
  private errors = '';

  private constructor(private readonly process: ChildProcessWithoutNullStreams) {
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

  /** @throws UserError where PyTorch does not start */
  static async start(python: string, script: string, threads: number): Promise<TorchPeer> {
    const peer = new TorchPeer(spawn(python, [script, '--threads', String(threads)], { stdio: 'pipe' }));
    try {
      const [word, version] = (await peer.next()).split(' ');
      if (word !== 'ready') throw unusable(`it answered "${word} ${version}"`);
      peer.version = version!;
      return peer;
    } catch (error) {
      peer.close();
      throw error;
    }
  }

  /** Hands over a case: its arrays, each under the name the script gives it. */
  async load(entry: PeerCase, form: PeerForm, arrays: Readonly<Record<string, Float32Array>>): Promise<void> {
    for (const [name, values] of Object.entries(arrays))
      writeFileSync(join(this.folder, `${name}.f32`), new Uint8Array(values.buffer));
    const sizes = (['batch', 'heads', 'dim', 'points', 'queries'] as const).map(
      (key) => `${key}=${entry[key]}`,
    );
    const levels = entry.levels.map(([h, w]) => `${h}x${w}`).join(',');
    await this.ask(`load ${this.folder} ${sizes.join(' ')} levels=${levels} form=${form}`);
  }

  /** Milliseconds of `count` runs; a step is forward and backward. */
  async time(what: 'forward' | 'step', count = 1): Promise<number[]> {
    return (await this.ask(`time ${what} ${count}`)).split(' ').map(Number);
  }

  /** What one step gives: `output` and `grad_<input>`. */
  async results(names: readonly string[]): Promise<Record<string, Float32Array>> {
    await this.ask(`save ${this.folder}`);
    return Object.fromEntries(
      names.map((name) => {
        const bytes = readFileSync(join(this.folder, `${name}.f32`));
        return [
          name,
          new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
        ];
      }),
    );
  }

  close(): void {
    if (!this.ended) this.process.stdin.end('quit\n');
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async ask(command: string): Promise<string> {
    this.process.stdin.write(`${command}\n`);
    const [word, ...rest] = (await this.next()).split(' ');
    if (word !== 'ok') throw new Error(`PyTorch, asked to ${command.split(' ')[0]}: ${rest.join(' ')}`);
    return rest.join(' ');
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
