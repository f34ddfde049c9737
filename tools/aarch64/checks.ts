// SPDX-License-Identifier: Apache-2.0
// What runs on aarch64 and what must come out of it. Where aarch64 is emulated, this machine's own figures are the measure.
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DoctorReport } from '../../src/engine/index.js';
import { packageRoot } from '../../src/engine/paths.js';
import { type CommandResult, lastLine } from '../../src/engine/process.js';
import { providePrograms } from './kernels.js';
import { hostMachine, type Machine, runOn } from './machine.js';

/** What a check has at hand. */
export interface Bench {
  machine: Machine;
  /** This machine, or null where it is `machine` itself. */
  reference: Machine | null;
  /** An empty folder. */
  scratch: string;
}

/** @returns a phrase on what was found; throws where it is not as it should be. */
type Check = (bench: Bench) => Promise<string>;

const TOOL = 'bin/tfgeo-train.ts';

/** The checks by name; those of `kernels` come from the folder of programs. */
export const CHECKS: Readonly<Record<string, Check>> = {
  doctor: checkDoctor,
  'train, 2 steps': checkTraining,
  detect: checkDetection,
  'parity msda': checkParity,
};

/** One check for each program of csrc/dev. */
export async function kernelChecks(
  machine: Machine,
  say: (line: string) => void,
): Promise<Record<string, Check>> {
  const programs = await providePrograms(machine.compiler, say);
  return Object.fromEntries(
    programs.map((program) => [
      `kernel ${basename(program)}`,
      async () => {
        const result = await runOn(machine, machine.nativeCommand(program, ['check']));
        const count = result.stdout.match(/^ok /gm)?.length ?? 0;
        const failed = result.stdout.split('\n').find((line) => line.startsWith('FAIL'));
        if (result.status !== 0 || count === 0) throw new Error(failed ?? whatFailed(result));
        return `${count} checks`;
      },
    ]),
  );
}

const whatFailed = ({ status, stderr, stdout }: CommandResult) =>
  `exit status ${status}: ${lastLine(stderr) || lastLine(stdout) || 'nothing was said'}`;

async function run(machine: Machine, script: string, args: readonly string[]): Promise<string> {
  const result = await runOn(machine, machine.commandOf(script, args), { cwd: packageRoot() });
  if (result.status !== 0) throw new Error(whatFailed(result));
  return result.stdout;
}

async function checkDoctor({ machine }: Bench): Promise<string> {
  const report = JSON.parse(await run(machine, TOOL, ['doctor', '--json'])) as DoctorReport;
  must(report.ok && report.engine === 'tensorflow', `engine ${report.engine}: ${report.reason}`);
  must(report.platform === 'linux-arm64', `it ran on ${report.platform}`);
  must(report.opLibrary.path !== null, 'there is no op library');
  const { builtFor, ops } = report.opLibrary as { builtFor: string; ops: string[] };
  must(builtFor.startsWith('aarch64'), `the operators are built for ${builtFor}`);
  must(report.cpuKernels === 'neon', `the kernels use ${report.cpuKernels}`);
  return `${ops.length} operators for ${builtFor}, with NEON`;
}

/** Small enough that an emulated step takes seconds. */
const TRAINING = [
  ...['train', '--recipe', 'smoke', '--engine', 'tensorflow', '--steps', '2', '--batch-size', '1'],
  ...['--image-size', '64', '--train-size', '4', '--eval-every', '0', '--eval-limit', '1'],
  ...['--sample-every', '0', '--tensorboard', 'false', '--augment', 'false'],
];
/** Sums in another order, and two steps that carry it on. */
const LOSS_TOLERANCE = 1e-4;

async function checkTraining({ machine, reference, scratch }: Bench): Promise<string> {
  const losses = async (on: Machine, name: string) => {
    const out = join(scratch, name);
    await run(on, TOOL, [...TRAINING, '--out', out]);
    return readFileSync(join(out, 'log.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"kind":"train"'))
      .map((line) => (JSON.parse(line) as { loss: number }).loss);
  };
  const got = await losses(machine, 'run-aarch64');
  must(got.length === 2 && got.every(Number.isFinite), `the losses are ${got.join(', ') || 'missing'}`);
  must(got[1]! < got[0]!, `the loss rose from ${got[0]} to ${got[1]}`);
  if (reference === null) return `loss ${got.map((loss) => loss.toFixed(3)).join(' -> ')}`;
  const want = await losses(reference, 'run-here');
  const worst = Math.max(...got.map((loss, i) => Math.abs(loss / want[i]! - 1)));
  must(worst <= LOSS_TOLERANCE, `the losses are ${got.join(', ')} and here ${want.join(', ')}`);
  return `loss ${got.map((loss) => loss.toFixed(3)).join(' -> ')}, off by ${worst.toExponential(0)}`;
}

interface CocoFile {
  annotations: { bbox: [number, number, number, number]; score: number; phrase: string }[];
}

const PIXEL_TOLERANCE = 0.05;
const SCORE_TOLERANCE = 1e-3;
/** The least score that is looked at; the sentence's objects are far above. */
const LEAST_SCORE = 0.2;

async function checkDetection({ machine, reference, scratch }: Bench): Promise<string> {
  const scenes = join(scratch, 'scenes');
  await run(reference ?? machine, TOOL, ['scenes', scenes, '--count', '1']);
  const [name, , prompt] = readFileSync(join(scenes, 'captions.txt'), 'utf8').split('\n')[0]!.split(/\t+/);
  const found = async (on: Machine, file: string) => {
    const output = join(scratch, file);
    const limits = ['--threshold', String(LEAST_SCORE), '--engine', 'tensorflow'];
    await run(on, TOOL, ['detect', join(scenes, name!), '--prompt', prompt!, '-o', output, ...limits]);
    return (JSON.parse(readFileSync(output, 'utf8')) as CocoFile).annotations;
  };
  const got = await found(machine, 'aarch64.json');
  must(got.length > 0, `nothing was found for "${prompt}"`);
  if (reference === null) return `${got.length} boxes for "${prompt}"`;
  const want = await found(reference, 'here.json');
  must(got.length === want.length, `${got.length} boxes were found, and here ${want.length}`);
  let worst = 0;
  got.forEach(({ bbox, score, phrase }, i) => {
    const other = want[i]!;
    const off = Math.max(...bbox.map((side, k) => Math.abs(side - other.bbox[k]!)));
    worst = Math.max(worst, off);
    must(phrase === other.phrase, `box ${i} is for "${phrase}", and here for "${other.phrase}"`);
    must(off <= PIXEL_TOLERANCE, `box ${i} is ${bbox.join(', ')}, and here ${other.bbox.join(', ')}`);
    must(Math.abs(score - other.score) <= SCORE_TOLERANCE, `score ${i} is ${score}, and here ${other.score}`);
  });
  return `${got.length} boxes, off by ${worst.toExponential(0)} pixels`;
}

/** The command that people type, which starts the machine by itself. */
async function checkParity({ scratch }: Bench): Promise<string> {
  const root = packageRoot();
  const beside = join(root, '..', 'shared', 'fixtures');
  const fixtures = existsSync(join(beside, 'msda')) ? beside : join(root, 'test', 'fixtures');
  const file = join(scratch, 'parity.json');
  const options = ['msda', '--path', 'neon', '--json', file];
  await run(hostMachine(), 'tools/parity.ts', [fixtures, ...options]);
  const results = JSON.parse(readFileSync(file, 'utf8')) as { passed: boolean }[];
  must(results.length > 0 && results.every(({ passed }) => passed), 'a case is out of tolerance');
  return `${results.length} cases within tolerance`;
}

function must(holds: boolean, sentence: string): void {
  if (!holds) throw new Error(sentence);
}
