// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  type DeformableDetr,
  type DeformableDetrOutput,
  loadHuggingFaceDetr,
  type PictureInput,
} from '../../src/models/deformable_detr/index.js';
import { readSafetensorsSync } from '../../src/models/weights/safetensors.js';
import { storeTensor } from '../../src/models/weights/state_dict.js';
import { defaultConfig } from '../../src/train/config/schema.js';
import { DetectionCriterion, type DetectionLosses } from '../../src/train/detection/criterion.js';
import { AdamW } from '../../src/train/optimizer.js';
import { Stepper } from '../../src/train/run/step.js';
import type { TrainTask } from '../../src/train/task.js';
import type { CaseContext } from './context.js';
import { compareGradientsOf } from './gradients.js';
import { labelledTargets, matchedPairs } from './hungarian.js';

interface DetectorConfig {
  proposal_loss?: boolean;
  targets: number[];
}

/** Facts of the manifest beside the tensors. */
interface DetectorFacts {
  steps: { loss: number[]; grad_norm: number[] };
  after: Record<string, [largest: number, relative: number]>;
  noise_limited: string[];
  no_gradient: string[];
}

/** What the cases were trained with; the rest are PyTorch's defaults. */
const OPTIMIZER = { lr: 1e-3, weightDecay: 1e-4, clipNorm: 0.1 };
const STEPS = 5;

/** A whole detector: values inside, predictions, matches, losses, gradients and five training steps. */
export async function runDetector(context: CaseContext): Promise<void> {
  const config = context.config as unknown as DetectorConfig;
  const folder = dirname(context.fileLike('config.json'));
  const { model } = await loadHuggingFaceDetr(folder);
  try {
    const criterion = criterionOf(context, config);
    const input = inputOf(context);
    const targets = labelledTargets(context, config.targets.length, model.options.classes);
    const forward = (some: PictureInput) =>
      context.compute(() => model.forward(some, { intermediates: true }));
    comparePredictions(context, forward(input));
    // Without padding the mask may be left out.
    if (context.raw('in/pixel_mask').data.every((value) => Number(value) === 1)) {
      comparePredictions(context, forward({ ...input, pixelMask: null }));
    }
    const compute = () => criterion.compute(model.forward(input, { training: true }), targets);
    compareLosses(context, context.compute(compute), config.targets);
    compareGradientsOf(context, model, () => compute().total);
    await compareTraining(context, model, compute);
  } finally {
    model.dispose();
  }
}

function criterionOf(context: CaseContext, config: DetectorConfig): DetectionCriterion {
  const settings = context.json<Record<string, number>>(
    context.entry.files.find((file) => file.endsWith('config.json'))!,
  );
  const focal = { alpha: settings.focal_alpha!, gamma: 2 };
  const options = {
    weights: {
      loss_ce: 1,
      loss_bbox: settings.bbox_loss_coefficient!,
      loss_giou: settings.giou_loss_coefficient!,
    },
    focal,
    matcher: {
      classCost: 'focal-class' as const,
      class: settings.class_cost!,
      bbox: settings.bbox_cost!,
      giou: settings.giou_cost!,
      // Transformers' matcher does not look at focal_alpha.
      focal: { alpha: 0.25, gamma: 2 },
    },
  };
  return new DetectionCriterion(options, config.proposal_loss ?? false);
}

function inputOf(context: CaseContext): PictureInput {
  return {
    pixels: tf.transpose(context.tensor<tf.Tensor4D>('in/pixel_values'), [0, 2, 3, 1]),
    pixelMask: context.tensor('in/pixel_mask', 'float32'),
  };
}

// ---- Predictions ----

function comparePredictions(context: CaseContext, output: DeformableDetrOutput): void {
  const { intermediates } = output;
  for (const [name, value] of Object.entries(intermediates)) {
    for (const place of ['mid', 'out']) {
      const full = `${place}/${name}`;
      if (context.has(full)) context.compare(full, asStored(context, name, value));
    }
  }
  [...output.aux_outputs, output].forEach(({ pred_logits, pred_boxes }, i) => {
    context.compare(`out/logits.${i}`, pred_logits);
    context.compare(`out/pred_boxes.${i}`, pred_boxes);
  });
}

/** Maps with channels in front; 0 for tokens of padding, whose values are rounding noise that nothing uses. */
function asStored(context: CaseContext, name: string, value: tf.Tensor): tf.Tensor {
  if (name.startsWith('feature.')) return tf.transpose(value, [0, 3, 1, 2]);
  if (!/^(position_embeddings|encoder_layer\.)/.test(name)) return value;
  return tf.mul(value, tf.expandDims(context.tensor('mid/mask', 'float32'), 2));
}

// ---- Losses ----

function compareLosses(context: CaseContext, losses: DetectionLosses, counts: readonly number[]): void {
  context.compare('out/loss', losses.total);
  for (const [key, value] of Object.entries(losses.parts)) context.compare(`out/loss.${key}`, value);
  const layers = losses.matching.queries.shape[1];
  for (let layer = 0; layer < layers; layer++) {
    compareMatches(context, String(layer), losses.matching.queries, layer, counts);
  }
  if (losses.proposals) compareMatches(context, 'enc', losses.proposals.queries, 0, counts);
}

/** @param found int32 `[batch, layers, targets]` */
function compareMatches(
  context: CaseContext,
  name: string,
  found: tf.Tensor3D,
  layer: number,
  counts: readonly number[],
): void {
  counts.forEach((count, i) => {
    const pairs = matchedPairs(tf.slice(found, [i, layer, 0], [1, 1, count]));
    const column = (at: 0 | 1) => ({ shape: [pairs.length], data: pairs.map((pair) => pair[at]) });
    context.compare(`out/queries.${name}.${i}`, column(0));
    context.compare(`out/targets.${name}.${i}`, column(1));
  });
}

// ---- Gradients and training ----

async function compareTraining(
  context: CaseContext,
  model: DeformableDetr,
  compute: () => DetectionLosses,
): Promise<void> {
  const { steps, after, no_gradient } = context.entry as unknown as DetectorFacts;
  const start = valuesOf(model);
  // What the reference trained: `train_backbone` names a rule, and the rule takes what it finds by its names.
  const trained = new Set([...Object.keys(after), ...no_gradient]);
  const parameters = new Map([...model.trainableParameters()].filter(([name]) => trained.has(name)));
  const optimizer = new AdamW(parameters, OPTIMIZER);
  const task = stepTask(model, parameters, compute);
  const config = { ...defaultConfig(), schedule: 'constant' as const, warmup: 0 };
  const stepper = new Stepper({ task, optimizer, config, ema: null, total: STEPS }, context.compiled);
  const relative = (what: string, got: number, expected: number, tolerance: number) =>
    context.compareNumber(what, got, expected, tolerance * Math.abs(expected));
  for (let i = 0; i < STEPS; i++) {
    const { loss, gradNorm } = await stepper.take(i, null, false);
    relative(`loss before step ${i}`, loss, steps.loss[i]!, 1e-4);
    relative(`gradient norm of step ${i}`, gradNorm, steps.grad_norm[i]!, 1e-3);
  }
  relative('loss after the steps', compute().total.dataSync()[0]!, steps.loss[STEPS]!, 1e-4);
  stepper.dispose();
  optimizer.dispose();
  compareChange(context, start, valuesOf(model));
}

/** Training as the trainer sees it, on the one batch of the case. */
function stepTask(
  model: DeformableDetr,
  parameters: Map<string, tf.Variable>,
  compute: () => DetectionLosses,
): TrainTask {
  const never = () => {
    throw new Error('a case has one batch and no evaluation');
  };
  return {
    model,
    stepsPerEpoch: 1,
    bestFigure: '',
    parameters: () => parameters,
    inputs: () => null,
    loss: () => {
      const { total, parts } = compute();
      return { total, parts };
    },
    sampleIds: () => [],
    batch: never,
    disposeBatch: never,
    evaluate: never,
    samples: never,
    describe: never,
    dispose: never,
  };
}

function valuesOf(model: DeformableDetr): Map<string, Float32Array> {
  return new Map(
    [...model.namedParameters()].map(([name, { variable, layout }]) => [
      name,
      Float32Array.from(storeTensor(variable, layout).data as Float32Array),
    ]),
  );
}

/** Parameters after training, by the length of what changed. */
function compareChange(
  context: CaseContext,
  start: ReadonlyMap<string, Float32Array>,
  end: ReadonlyMap<string, Float32Array>,
): void {
  const { after, noise_limited, no_gradient } = context.entry as unknown as DetectorFacts;
  const stored = readSafetensorsSync(context.fileLike('after.safetensors'));
  for (const [name, { data }] of stored) {
    if (noise_limited.includes(name)) continue;
    const [from, to] = [start.get(name), end.get(name)];
    if (!from || !to) {
      context.check(`after ${name}`, false, 'the model has no such parameter');
      continue;
    }
    const expected = data as Float32Array;
    const error = distance(to, expected) / Math.max(distance(expected, from), 1e-12);
    context.compareNumber(`after ${name}`, error, 0, Math.max(5e-3, 10 * after[name]![1]));
  }
  for (const name of no_gradient) {
    const [from, to] = [start.get(name), end.get(name)];
    // Parameters of the reference that nothing uses are not kept here.
    if (from && to) context.compareNumber(`after ${name}`, distance(from, to), 0, 0);
  }
}

function distance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return a.length === b.length ? Math.sqrt(sum) : Number.POSITIVE_INFINITY;
}
