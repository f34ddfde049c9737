// SPDX-License-Identifier: Apache-2.0
/**
 * Times Deformable DETR with ResNet-50 on one picture of 800 x 800, operation by operation and compiled, beside PyTorch
 * (transformers) and ONNX Runtime with the same weights, in turn, in one run, and fails where the predictions disagree:
 * `npm run bench -- detectors`. Writes bench/results/detectors.json.
 */
import { setTimeout as pause } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import { compile, ready } from '../src/engine/index.js';
import { buildModel } from '../src/models/build.js';
import { preset } from '../src/models/config.js';
import type { DeformableDetr } from '../src/models/deformable_detr/index.js';
import { countFlops } from '../src/ops/index.js';
import { disturbVectors } from '../src/profile_model.js';
import { Random } from '../src/random.js';
import { defaultConfig } from '../src/train/config.js';
import { buildDetectionLosses } from '../src/train/detection/losses.js';
import { DetectionTask } from '../src/train/detection/task.js';
import { AdamW } from '../src/train/optimizer.js';
import { Stepper } from '../src/train/run/step.js';
import { DetectorPeer } from './detectors_peer.js';
import { benchOptions } from './options.js';
import { machine, machineLine, markdownTable, quietLoad, writeDocument, writeResults } from './results.js';
import { median, printTable, type Taken, timed } from './timing.js';

const PRESET = 'deformable-detr-r50';
const SIZE = 800;
const BOXES = 10;
/** Logits and boxes may differ by this much from PyTorch's. */
const TOLERANCE = 2e-3;
/** Threads of the side that has just worked come to rest in this time. */
const REST_MS = 100;
/** Side of the matrices whose product gives the machine's peak. */
const GEMM = 2048;

const options = benchOptions();
const load = quietLoad(options.anyway);
await ready({ engine: 'tensorflow', intraThreads: options.threads });
const config = preset(PRESET);
const model = freshModel();
// Training changes weights, and what is compiled with frozen weights would be compiled anew before each forward pass.
const trained = freshModel();
const random = new Random(1);
const picture = Float32Array.from({ length: SIZE * SIZE * 3 }, () => random.normal());
const boxes = Array.from({ length: BOXES }, () => [
  random.range(0.3, 0.7),
  random.range(0.3, 0.7),
  random.range(0.1, 0.4),
  random.range(0.1, 0.4),
]);
const pixels = tf.tensor4d(picture, [1, SIZE, SIZE, 3]);

/** What is timed, in turn. Names are the rows of the table. */
type Work = Record<string, () => Promise<Taken>>;

const peer = options.peer ? await DetectorPeer.start(options.threads) : null;
await peer?.load({ model, config, pixels, boxes, size: SIZE });
if (peer) await compare(peer);
const steps = [steppers(false), steppers(true)] as const;
const [compiled, product] = [compiledForward(), gemm()];
const work: Work = {
  'forward, eager': () => timed(() => tf.dispose(tf.tidy(() => forward(pixels)))),
  'forward, compiled': () => timed(compiled),
  ...(peer ? { 'forward, PyTorch': () => peer.time('forward') } : {}),
  ...(peer ? { 'forward, ONNX Runtime': () => peer.time('onnx') } : {}),
  'training step, eager': () => timed(steps[0]),
  'training step, compiled': () => timed(steps[1]),
  ...(peer ? { 'training step, PyTorch': () => peer.time('step') } : {}),
  [`product of ${GEMM} x ${GEMM}`]: () => timed(product),
};
const times: Record<string, Taken[]> = {};
for (let round = 0; round <= options.rounds; round++) {
  for (const [name, run] of Object.entries(work).filter(([key]) => key.includes(options.only))) {
    await pause(REST_MS);
    const taken = await run();
    if (round > 0) times[name] = [...(times[name] ?? []), taken];
    const counted = round > 0 ? `round ${round} of ${options.rounds}` : 'not counted';
    console.log(
      `${counted}: ${name} ${taken.wall.toFixed(0)} ms, processor ${taken.processor.toFixed(0)} ms`,
    );
  }
}
peer?.close();
report();

function freshModel(): DeformableDetr {
  const made = buildModel(config, 0);
  disturbVectors(made);
  return made;
}

function forward(x: tf.Tensor4D): tf.Tensor[] {
  const { pred_logits, pred_boxes } = model.forward({ pixels: x, pixelMask: null });
  return [pred_logits, pred_boxes];
}

/** As models detect. */
function compiledForward(): () => void {
  const compiled = compile(forward, { name: 'forward', frozen: true });
  return () => tf.dispose(compiled(pixels));
}

function gemm(): () => void {
  const [a, b] = [tf.randomNormal([GEMM, GEMM]), tf.randomNormal([GEMM, GEMM])] as [tf.Tensor2D, tf.Tensor2D];
  return () => tf.matMul(a, b).dispose();
}

/** A training step on the picture, as the trainer does it. */
function steppers(compiled: boolean): () => Promise<void> {
  const settings = {
    ...defaultConfig(),
    batchSize: 1,
    clipNorm: 0.1,
    schedule: 'constant' as const,
    warmup: 0,
  };
  const image = { width: SIZE, height: SIZE, data: new Uint8Array(SIZE * SIZE * 3) };
  const objects = boxes.map(([cx, cy, w, h], i) => ({
    box: [cx! - w! / 2, cy! - h! / 2, cx! + w! / 2, cy! + h! / 2].map((v) => v * SIZE) as [
      number,
      number,
      number,
      number,
    ],
    category: config.labels[(i % 80) + 1]!,
    spans: [],
  }));
  const dataset = {
    name: 'one picture',
    length: 1,
    get: async () => ({ id: '0', image, caption: '', objects, form: '' }),
  };
  const task = new DetectionTask({
    model: trained,
    config,
    train: [{ dataset, weight: 1 }],
    evaluation: dataset,
    losses: buildDetectionLosses(settings),
    settings,
  });
  const optimizer = new AdamW(task.parameters(), { lr: 1e-6, clipNorm: 0.1, groups: task.parameterGroups() });
  const stepper = new Stepper({ task, optimizer, config: settings, ema: null, total: 1000 }, compiled);
  let batch: Awaited<ReturnType<typeof task.batch>> | null = null;
  const prepared = task.batch(0, random).then((made) => {
    batch = { ...made, input: { pixels, pixelMask: null } };
  });
  return async () => {
    await prepared;
    await stepper.take(0, batch, false);
  };
}

/** @throws Error where predictions are further from PyTorch's than they may be */
async function compare(other: DetectorPeer): Promise<void> {
  const wanted = await other.predictions();
  const got = tf.tidy(() => forward(pixels));
  for (const [i, name] of (['logits', 'boxes'] as const).entries()) {
    const values = got[i]!.dataSync();
    const worst = wanted[name].reduce((most, value, k) => Math.max(most, Math.abs(value - values[k]!)), 0);
    console.log(`${name}: at most ${worst.toExponential(1)} from PyTorch's`);
    if (!(worst <= TOLERANCE)) throw new Error(`${name} differ from PyTorch's by ${worst}`);
  }
  tf.dispose(got);
}

/** Operations of a forward pass on one picture. */
function forwardFlops(): number {
  return tf.tidy(() => {
    const pixels = tf.zeros([1, SIZE, SIZE, 3]) as tf.Tensor4D;
    const forward = (x: tf.Tensor4D) => {
      const { pred_logits, pred_boxes } = model.forward({ pixels: x, pixelMask: null });
      return [pred_logits, pred_boxes];
    };
    return countFlops(forward, [pixels]).total;
  });
}

/** Prints the table; writes it where everything was measured. */
function report(): void {
  const each = (name: string, key: keyof Taken) => (times[name] ?? []).map((taken) => taken[key]);
  const middle = (name: string) => median(each(name, 'wall'));
  const product = middle(`product of ${GEMM} x ${GEMM}`);
  const peak = (2 * GEMM ** 3) / product / 1e6;
  const flops = forwardFlops();
  // A step multiplies three times as much where everything is trained.
  const share = (name: string, factor: number) => (100 * factor * flops) / middle(name) / 1e6 / peak;
  const rows = Object.keys(times).map((name) => {
    const own = name.startsWith('forward') ? 1 : name.startsWith('training') ? 3 : null;
    return [
      name,
      middle(name).toFixed(0),
      Math.min(...each(name, 'wall')).toFixed(0),
      median(each(name, 'processor')).toFixed(0),
      own === null ? '-' : share(name, own).toFixed(0),
    ];
  });
  const head = [
    'Deformable DETR R50, 800 x 800',
    'median, ms',
    'least, ms',
    'processor, ms',
    '% of the GEMM peak',
  ];
  const rates = `Peak ${peak.toFixed(0)} GFLOP/s; a forward pass is ${(flops / 1e9).toFixed(0)} GFLOP.`;
  printTable(rates, head, rows);
  const shares = [
    ['forward', 'ONNX Runtime'],
    ['forward', 'PyTorch'],
    ['training step', 'PyTorch'],
  ].map(([what, other]) => {
    const part = middle(`${what}, compiled`) / middle(`${what}, ${other}`);
    return `${what} ${part.toFixed(2)} of ${other}'s`;
  });
  const ratios = `Compiled: ${shares.join(', ')}.`;
  console.log(ratios);
  if (options.only !== '' || !peer) return;
  const where = machine(load, options.threads, peerVersions(peer.version));
  const path = writeResults('detectors', { machine: where, flops, peak, times });
  const body = [machineLine(where), `${rates} ${ratios}`, markdownTable(head, rows)].join('\n\n');
  console.log(`written: ${path}, ${writeDocument('detectors', body)}`);
}

/** `torch`, and the names and versions behind it. */
function peerVersions(words: string): Record<string, string> {
  const [torch, ...others] = words.split(' ');
  const pairs = others.flatMap((name, i) => (i % 2 === 0 ? [[name, others[i + 1]!] as const] : []));
  return { torch: torch!, ...Object.fromEntries(pairs) };
}
