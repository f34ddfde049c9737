// SPDX-License-Identifier: Apache-2.0
// Variants of the operators that need settings from a process's beginning: they run as processes of their own.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { packageRoot } from '../../src/engine/paths.js';
import { type CommandResult, lastLine, runCommand } from '../../src/engine/process.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { kindOf, runnerFor } from './kinds.js';
import { kindNames } from './runner.js';
import type { CaseResult, ParityArea } from './types.js';

const SCRIPT = 'tools/parity.ts';

/** Starts this runner with other settings. */
type Start = (args: readonly string[]) => Promise<CommandResult>;

const here =
  (settings: () => Promise<Record<string, string>>): Start =>
  async (args) => {
    const tsx = createRequire(import.meta.url).resolve('tsx');
    const env = { ...process.env, NODE_OPTIONS: '', ...(await settings()) };
    const command = ['--import', tsx, join(packageRoot(), SCRIPT), ...args];
    return runCommand(process.execPath, command, { env });
  };

const withIsa = (name: string): Start => here(async () => ({ TFGEO_ISA: name }));

const withCuda = (device: 'gpu' | 'stand-in'): Start =>
  here(async () => (await import('../native/cuda.js')).provideCudaOps(device));

/** The variants by name. In their process each is path `native`. To add one: a row here, and in kinds.ts. */
const STARTS: Readonly<Record<string, Start>> = {
  portable: withIsa('portable'),
  avx2: withIsa('avx2'),
  avx512: withIsa('avx512'),
  neon: async (args) => {
    const { runEmulated } = await import('../aarch64/machine.js');
    return runEmulated(SCRIPT, args, { env: { TFGEO_ISA: 'neon' } });
  },
  'cuda-shim': withCuda('stand-in'),
  cuda: withCuda('gpu'),
};

/** The cases of the areas that can be run on a path, as arguments of `--kinds`. */
function kindsOf(areas: readonly ParityArea[], path: string, wanted?: readonly string[]): string[] {
  const names = areas.flatMap((area) =>
    area.cases
      .filter((entry) => runnerFor(area, kindOf(entry))?.processPaths?.includes(path))
      .map((entry) => kindNames(area, entry))
      .filter((own) => !wanted || own.some((name) => wanted.includes(name)))
      .map(([, withArea]) => withArea),
  );
  return [...new Set(names)];
}

export interface PathOptions {
  kinds?: readonly string[];
  compiled?: boolean;
  onResult?: (result: CaseResult) => void;
}

/**
 * Runs the cases of the areas in a process of its own.
 *
 * @param dir the folder that the areas were read from
 * @param path one of `PROCESS_PATHS`
 * @returns the results under the path's name; none where no kind has it
 * @throws UserError where the process could not do its work: no GPU, no compiler, ...
 */
export async function runInProcess(
  dir: string,
  areas: readonly ParityArea[],
  path: string,
  { kinds, compiled, onResult }: PathOptions = {},
): Promise<CaseResult[]> {
  const names = kindsOf(areas, path, kinds);
  if (names.length === 0) return [];
  const folder = mkdtempSync(join(tmpdir(), 'tfgeo-parity-'));
  try {
    const file = join(folder, 'results.json');
    const chosen = areas.filter(({ name }) => names.some((kind) => kind.startsWith(`${name}/`)));
    const result = await STARTS[path]!([
      ...[resolve(dir), ...chosen.map(({ dir: at }) => at.slice(at.lastIndexOf('/') + 1))],
      ...['--kinds', names.join(','), '--path', 'native', '--json', file],
      ...(compiled ? ['--compiled'] : []),
    ]);
    const results = resultsOf(result, file, path);
    const renamed = results.map((one) => ({ ...one, path: one.path.replace(/^native/, path) }));
    for (const one of renamed) onResult?.(one);
    return renamed;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function resultsOf({ status, stderr }: CommandResult, file: string, path: string): CaseResult[] {
  if (status === EXIT_CODES.ok || status === EXIT_CODES.internal) {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as CaseResult[];
    } catch {
      // It ended before it wrote any.
    }
  }
  const reason = lastLine(stderr) || `exit status ${status}`;
  throw new UserError(`--path ${path}: ${reason}`, status && status > 1 ? status : EXIT_CODES.internal);
}
