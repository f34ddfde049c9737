// SPDX-License-Identifier: Apache-2.0
/**
 * Times msDeformAttn beside PyTorch's grid sampling on the same numbers, in turn, in one run, and fails where the two
 * disagree: `npm run bench -- ms_deform_attn`. Writes bench/results/ms_deform_attn.json and the tables of
 * docs/performance.md.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../src/engine/index.js';
import { packageRoot } from '../src/package.js';
import { BENCH_CASES, type BenchArrays, type BenchCase, benchArrays } from './ms_deform_attn_cases.js';
import { VARIANTS, type Variant, variantInputs } from './ms_deform_attn_variants.js';
import { benchOptions } from './options.js';
import { torchPython } from './python_peer.js';
import { machine, machineLine, markdownTable, quietLoad, writeDocument, writeResults } from './results.js';
import { median, printTable } from './timing.js';
import { TorchPeer } from './torch_peer.js';

/** What both sides give may differ by this much of the largest value of a tensor. */
const TOLERANCE = 1e-4;
/** Threads of the side that has just worked come to rest in this time. */
const REST_MS = 30;

type What = 'forward' | 'step';
type Times = Record<What, number[]>;
interface Measured {
  case: string;
  places: string;
  variant: string;
  milliseconds: { ours: Times; peer: Times | null };
  /** Largest difference of a tensor from the peer's, in units of the peer's largest value. */
  differences: Record<string, number> | null;
}

const options = benchOptions();
const load = quietLoad(options.anyway);
await ready({ engine: 'tensorflow', intraThreads: options.threads });
const script = join(packageRoot(), 'bench', 'ms_deform_attn_torch.py');
const peer = options.peer
  ? await TorchPeer.start(await torchPython(console.log), script, options.threads)
  : null;
const measured: Measured[] = [];
try {
  for (const entry of BENCH_CASES.filter(({ name, places }) => `${name}, ${places}`.includes(options.only))) {
    const arrays = benchArrays(entry);
    for (const variant of VARIANTS) measured.push(await measure(entry, variant, arrays));
  }
} finally {
  peer?.close();
}
report();

/** Times one variant of one case, both sides in turn; the first round of each is not counted. */
async function measure(entry: BenchCase, variant: Variant, arrays: BenchArrays): Promise<Measured> {
  const inputs = variantInputs(variant, entry, arrays);
  const upstream = tf.tensor3d(arrays.upstream, [entry.batch, entry.queries, entry.heads * entry.dim]);
  const gradients = tf.grads((...tensors) => variant.run(entry, tensors));
  const work: Record<What, () => tf.Tensor[]> = {
    forward: () => [variant.run(entry, inputs)],
    step: () => gradients(inputs, upstream),
  };
  const wanted = [
    ...variant.names.map((name) => [name, arrays[name]] as const),
    ['upstream', arrays.upstream],
  ];
  await peer?.load(entry, variant.form, Object.fromEntries(wanted));
  const ours: Times = { forward: [], step: [] };
  const theirs: Times = { forward: [], step: [] };
  for (let round = 0; round <= options.rounds; round++) {
    for (const what of ['forward', 'step'] as const) {
      await pause(REST_MS);
      const time = timed(work[what]);
      await pause(REST_MS);
      const [peerTime] = (await peer?.time(what)) ?? [];
      if (round === 0) continue;
      ours[what].push(time);
      if (peerTime !== undefined) theirs[what].push(peerTime);
    }
  }
  const differences = await compare(entry, variant, work);
  tf.dispose([...inputs, upstream]);
  console.log(`${entry.name}, ${entry.places}, ${variant.name}: done`);
  const milliseconds = { ours, peer: peer ? theirs : null };
  return { case: entry.name, places: entry.places, variant: variant.name, milliseconds, differences };
}

function timed(run: () => tf.Tensor[]): number {
  const before = performance.now();
  tf.tidy(() => {
    run(); // engine tensorflow computes at once
  });
  return performance.now() - before;
}

/** @throws Error where a tensor is further from the peer's than it may be */
async function compare(
  entry: BenchCase,
  variant: Variant,
  work: Record<What, () => tf.Tensor[]>,
): Promise<Record<string, number> | null> {
  if (!peer) return null;
  const names = ['output', ...variant.names.map((name) => `grad_${name}`)];
  const wanted = await peer.results(names);
  const tensors = tf.tidy(() => [...work.forward(), ...work.step()]);
  const differences: Record<string, number> = {};
  tensors.forEach((tensor, i) => {
    const name = names[i]!;
    differences[name] = difference(tensor.dataSync(), wanted[name]!);
    if (!(differences[name] <= (variant.tolerance ?? TOLERANCE)))
      throw new Error(
        `${entry.name}, ${entry.places}, ${variant.name}: ${name} differs from PyTorch's by ${differences[name]}`,
      );
  });
  tf.dispose(tensors);
  return differences;
}

function difference(got: ArrayLike<number>, wanted: Float32Array): number {
  if (got.length !== wanted.length) return Number.POSITIVE_INFINITY;
  let [largest, worst] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    largest = Math.max(largest, Math.abs(wanted[i]!));
    worst = Math.max(worst, Math.abs(got[i]! - wanted[i]!)); // NaN stays
  }
  return worst / largest;
}

/** Prints the table; writes it where everything was measured. */
function report(): void {
  const versions: Record<string, string> = peer ? { torch: peer.version } : {};
  const where = machine(load, options.threads, versions);
  const isa = process.env.TFGEO_ISA;
  if (isa) where.versions.TFGEO_ISA = isa;
  const head = ['case', 'samples', 'entry'];
  for (const what of ['forward', 'forward + backward'])
    head.push(`${what}, ms`, ...(peer ? ['PyTorch, ms', 'ratio'] : []));
  const rows = measured.map(({ case: name, places, variant, milliseconds: { ours, peer: theirs } }) => [
    name,
    places,
    variant,
    ...(['forward', 'step'] as const).flatMap((what) => [
      cell(ours[what]),
      ...(theirs ? [cell(theirs[what]), (median(theirs[what]) / median(ours[what])).toFixed(1)] : []),
    ]),
  ]);
  printTable('msDeformAttn', head, rows);
  if (options.only !== '' || !peer) {
    console.log('not everything was measured: nothing is written');
    return;
  }
  console.log(`wrote ${writeResults('ms_deform_attn', { machine: where, measured })}`);
  const body = `${machineLine(where)}\n\n${markdownTable(head, rows)}`;
  console.log(`wrote ${writeDocument('ms_deform_attn', body)}`);
}

/** Median and, in brackets, minimum. */
function cell(times: readonly number[]): string {
  return `${digits(median(times))} (${digits(Math.min(...times))})`;
}

function digits(time: number): string {
  return time >= 100 ? time.toFixed(0) : time >= 10 ? time.toFixed(1) : time.toFixed(2);
}
