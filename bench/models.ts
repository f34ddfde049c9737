// SPDX-License-Identifier: Apache-2.0
/**
 * Times a forward pass of published models, compiled, beside PyTorch with the same weights, in turn, in one run, and fails
 * where the outputs disagree: `npm run bench -- models [--only TEXT]`. The cases are data: models_cases.ts. Writes
 * bench/results/models.json.
 */
import { setTimeout as pause } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import { compile, ready } from '../src/engine/index.js';
import { type BuiltCase, MODEL_CASES, type ModelCase } from './models_cases.js';
import { ModelPeer } from './models_peer.js';
import { benchOptions } from './options.js';
import { machine, machineLine, markdownTable, quietLoad, writeDocument, writeResults } from './results.js';
import { median, printTable, type Taken, timed } from './timing.js';

/** Threads of the side that has just worked come to rest in this time. */
const REST_MS = 100;

/** What a case took, round by round. */
interface Times {
  name: string;
  goal: number;
  own: Taken[];
  torch: Taken[];
}

const options = benchOptions();
const load = quietLoad(options.anyway);
await ready({ engine: 'tensorflow', intraThreads: options.threads });
const peer = options.peer ? await ModelPeer.start(options.threads) : null;
const all: Times[] = [];
for (const entry of MODEL_CASES.filter(({ name }) => name.includes(options.only)))
  all.push(await measure(entry));
peer?.close();
report();

async function measure({ name, goal, build }: ModelCase): Promise<Times> {
  const built = build();
  const run = compile(built.forward, { name: 'forward', frozen: true });
  try {
    await peer?.load(built);
    if (peer) await compare(peer, built, run);
    const times: Times = { name, goal, own: [], torch: [] };
    // The first round is not counted: graphs are optimised, memory is taken.
    for (let round = 0; round <= options.rounds; round++) {
      await pause(REST_MS);
      const own = await timed(() => tf.dispose(run(built.inputs)));
      await pause(REST_MS);
      const torch = peer ? await peer.time() : null;
      const beside = torch ? `, PyTorch ${torch.wall.toFixed(0)} ms` : '';
      console.log(`${name}, round ${round}: ${own.wall.toFixed(0)} ms${beside}`);
      if (round === 0) continue;
      times.own.push(own);
      if (torch) times.torch.push(torch);
    }
    return times;
  } finally {
    run.dispose();
    built.module.dispose();
    tf.dispose(built.inputs);
  }
}

/** @throws Error where more of an output is further from PyTorch's than may be */
async function compare(
  other: ModelPeer,
  { inputs, peer: { tolerance, strays = 0 } }: BuiltCase,
  run: (inputs: Record<string, tf.Tensor>) => Record<string, tf.Tensor>,
): Promise<void> {
  const wanted = await other.outputs();
  const got = run(inputs);
  for (const [name, values] of Object.entries(wanted)) {
    const own = got[name]!.dataSync();
    if (own.length !== values.length)
      throw new Error(`${name} has ${own.length} values, PyTorch's ${values.length}`);
    const most = values.reduce((max, x) => (Number.isFinite(x) ? Math.max(max, Math.abs(x)) : max), 0);
    const errors = values.map((value, i) => (value === own[i] ? 0 : Math.abs(value - own[i]!))).sort();
    const worst = errors[Math.ceil((1 - strays) * errors.length) - 1]!;
    const share = strays > 0 ? `${100 * (1 - strays)}% of ` : '';
    console.log(
      `${name}: ${share}it at most ${worst.toExponential(1)} from PyTorch's, of ${most.toPrecision(3)}`,
    );
    if (!(worst <= tolerance * Math.max(most, 1)))
      throw new Error(`${name} differ from PyTorch's by ${worst}`);
  }
  tf.dispose(got);
}

/** Prints the table; writes it where everything was measured. */
function report(): void {
  const rows = all.map(({ name, goal, own, torch }) => {
    const [ours, theirs] = [own, torch].map((taken) => median(taken.map(({ wall }) => wall))) as [
      number,
      number,
    ];
    return [
      name,
      ours.toFixed(0),
      Math.min(...own.map(({ wall }) => wall)).toFixed(0),
      torch.length > 0 ? theirs.toFixed(0) : '-',
      torch.length > 0 ? (ours / theirs).toFixed(2) : '-',
      goal.toFixed(2),
    ];
  });
  const head = ['forward pass, compiled', 'median, ms', 'least, ms', 'PyTorch, ms', 'share of it', 'goal'];
  printTable('Models beside PyTorch', head, rows);
  if (options.only !== '' || !peer) return;
  const [torch, , transformers] = peer.version.split(' ');
  const where = machine(load, options.threads, { torch: torch!, transformers: transformers! });
  const path = writeResults('models', { machine: where, times: all });
  const body = [machineLine(where), markdownTable(head, rows)].join('\n\n');
  console.log(`written: ${path}, ${writeDocument('models', body)}`);
}
