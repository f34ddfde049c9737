// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { booleanMap, positiveMap, SLOTS, Tokenizer } from '../../src/models/text/index.js';
import type { DetectorOutput, LayerOutput, PaddedTargets, Span } from '../../src/models/types.js';
import type { CriterionOptions, LossContext, LossExtras } from '../../src/train/losses/index.js';
import {
  alignmentMaps,
  contrastiveAlignSums,
  countTargets,
  lossContrastive,
  match,
  matchingCosts,
  SetCriterion,
  stackLayers,
} from '../../src/train/losses/index.js';
import type { CaseContext } from './context.js';
import { matchedPairs } from './hungarian.js';

/** A caption and, for each of its objects, the spans that name it. */
type Caption = [text: string, objects: [number, number][][]];

/** Captions as the tokenizer sees them. */
interface Captions {
  objects: [number, number][][][];
  ids: number[][];
  offsets: (readonly Span[])[];
}

async function readCaptions(context: CaseContext): Promise<Captions> {
  const captions = context.config.captions as Caption[];
  const tokenizer = await Tokenizer.fromFile(context.fileLike('tokenizer.json'));
  const encodings = captions.map(([text]) => tokenizer.encode(text));
  return {
    objects: captions.map(([, objects]) => objects),
    ids: encodings.map(({ ids }) => ids),
    offsets: encodings.map(({ offsets }) => offsets),
  };
}

// ---- Positive map ----

export async function runPositiveMap(context: CaseContext): Promise<void> {
  const { objects, ids, offsets } = await readCaptions(context);
  const maps = objects.map((own, i) => {
    const storedIds = [...context.raw(`in/${i}.input_ids`).data].join();
    context.check(`${i}: token ids`, ids[i]!.join() === storedIds, 'other token ids');
    const storedOffsets = [...context.raw(`in/${i}.offsets`).data].join();
    context.check(`${i}: offsets`, offsets[i]!.flat().join() === storedOffsets, 'other offsets');
    const map = positiveMap(offsets[i]!, own);
    context.compare(`out/${i}.positive_map`, { shape: [own.length, SLOTS], data: map });
    return map;
  });
  const batched = maps.flatMap((map) => [...booleanMap(map)]);
  context.compare('out/batched_positive_map', { shape: [batched.length / SLOTS, SLOTS], data: batched });
}

// ---- Global contrastive loss ----

export function runContrastive(context: CaseContext): void {
  const names = ['in/pooled_text', 'in/pooled_image', 'in/tau'];
  const [text, image, tau] = names.map((name) => context.variable(name)) as [
    tf.Variable,
    tf.Variable,
    tf.Variable,
  ];
  const loss = () => lossContrastive(text as tf.Tensor2D, image as tf.Tensor2D, tau);
  context.compare('out/loss', context.compute(loss));
  context.gradients([text, image, tau], loss).forEach((gradient, i) => {
    context.compare(names[i]!.replace('in/', 'grad/'), gradient!);
  });
}

// ---- Criterion ----

interface CriterionConfig {
  tau?: number;
  eos_coef?: number;
  /** Weights of class, L1 and generalised IoU in the matcher. */
  cost?: [number, number, number];
  isfinal?: boolean;
  /** MDETR-G: whether the logarithm of the similarity scale is learned, or the scale fixed at 1 / 0.07. */
  mode?: 'learnable' | 'hardcoded';
  loss_weights: Record<string, number>;
}

export async function runCriterion(context: CaseContext): Promise<void> {
  const config = context.config as unknown as CriterionConfig;
  const leaves = new Map(
    context
      .names('in/')
      .filter((name) => /^in\/(pred_|proj_|tau|logit_scale)/.test(name))
      .map((name) => [name.slice(3), context.variable(name)]),
  );
  const targets = captionTargets(context);
  const extras = await readExtras(context, targets, leaves);
  const criterion = new SetCriterion(criterionOptions(config, leaves));
  const output = () => outputOf(leaves);
  const { total, parts, matching } = context.compute(() => criterion.compute(output(), targets, extras));
  for (const [name, value] of Object.entries(parts)) context.compare(`out/loss.${name}`, value);
  context.compare('out/total', total);
  compareMatching(context, output(), targets, criterion.options, matching.queries);
  const sums = () => alignSums(output(), targets, extras, criterion.options);
  if (context.expected(/^out\/align/).length > 0) {
    const { alignMap, boxToToken, tokenToBox } = context.compute(sums);
    context.compare('out/align_map', lastLayer(alignMap));
    context.compare('out/align_box_to_token', last(boxToToken));
    context.compare('out/align_token_to_box', last(tokenToBox));
  }
  compareGradients(context, leaves, (loss) => {
    if (loss === 'align_box_to_token') return last(sums().boxToToken);
    if (loss === 'align_token_to_box') return last(sums().tokenToBox);
    const result = criterion.compute(output(), targets, extras);
    return loss === 'total' ? result.total : (result.parts[loss] ?? null);
  });
}

function criterionOptions(
  config: CriterionConfig,
  leaves: ReadonlyMap<string, unknown>,
): Partial<CriterionOptions> {
  const [classCost, bbox, giou] = config.cost ?? [1, 5, 2];
  return {
    losses: [
      'soft_token',
      'boxes',
      'cardinality',
      ...(leaves.has('proj_queries') ? (['contrastive_align'] as const) : []),
      ...(config.isfinal ? (['isfinal'] as const) : []),
    ],
    weights: config.loss_weights,
    matcher: { classCost: 'softmax-token', class: classCost, bbox, giou },
    eosCoef: config.eos_coef ?? 0.1,
    maskPadding: config.mode !== undefined, // MDETR-G's criterion hides padding tokens, MDETR's does not
  };
}

/** Predictions by their names; `_N` marks auxiliary layer N. */
function outputOf(leaves: ReadonlyMap<string, tf.Variable>): DetectorOutput {
  const layer = (suffix: string): LayerOutput => {
    const proj = leaves.get(`proj_queries${suffix}`);
    const isfinal = leaves.get(`pred_isfinal${suffix}`);
    return {
      pred_logits: leaves.get(`pred_logits${suffix}`) as tf.Tensor as tf.Tensor3D,
      pred_boxes: leaves.get(`pred_boxes${suffix}`) as tf.Tensor as tf.Tensor3D,
      ...(proj ? { proj_queries: proj as tf.Tensor as tf.Tensor3D } : {}),
      ...(isfinal ? { pred_isfinal: isfinal as tf.Tensor as tf.Tensor3D } : {}),
    };
  };
  const aux = [...leaves.keys()].filter((name) => /^pred_logits_\d+$/.test(name)).length;
  const tokens = leaves.get('proj_tokens');
  return {
    ...layer(''),
    ...(tokens ? { proj_tokens: tokens as tf.Tensor as tf.Tensor3D } : {}),
    aux_outputs: Array.from({ length: aux }, (_, i) => layer(`_${i}`)),
  };
}

/** `in/boxesB` of each batch item, and its rows of `in/positive_map`, padded. */
function captionTargets(context: CaseContext): PaddedTargets {
  const batch = context.raw('in/pred_logits').shape[0]!;
  const boxes = Array.from({ length: batch }, (_, i) => context.raw(`in/boxes${i}`));
  const map = context.raw('in/positive_map');
  const slots = map.shape[1]!;
  const count = Math.max(1, ...boxes.map(({ shape }) => shape[0]!));
  const padded = {
    boxes: new Float32Array(batch * count * 4).fill(0.5),
    mask: new Float32Array(batch * count),
    map: new Float32Array(batch * count * slots),
  };
  let row = 0;
  boxes.forEach(({ shape, data }, i) => {
    const own = shape[0]!;
    padded.boxes.set(data as Float32Array, i * count * 4);
    padded.mask.fill(1, i * count, i * count + own);
    padded.map.set((map.data as Float32Array).subarray(row * slots, (row + own) * slots), i * count * slots);
    row += own;
  });
  return {
    boxes: tf.tensor3d(padded.boxes, [batch, count, 4]),
    mask: tf.tensor2d(padded.mask, [batch, count]),
    positiveMap: tf.tensor3d(padded.map, [batch, count, slots]),
  };
}

async function readExtras(
  context: CaseContext,
  targets: PaddedTargets,
  leaves: ReadonlyMap<string, tf.Variable>,
): Promise<LossExtras> {
  const extras: LossExtras = similarityScale(context.config as Partial<CriterionConfig>, leaves);
  if (leaves.has('proj_tokens')) extras.alignMap = await alignMapOf(context, targets);
  if (context.has('in/attention_mask')) extras.tokenMask = context.tensor('in/attention_mask', 'float32');
  if (context.config.isfinal) extras.isfinal = isfinalTargets(context, targets);
  return extras;
}

function similarityScale(
  { mode, tau }: Partial<CriterionConfig>,
  leaves: ReadonlyMap<string, tf.Variable>,
): LossExtras {
  const logitScale = leaves.get('logit_scale_align');
  if (mode === 'learnable' && logitScale) return { logitScale };
  if (mode === 'hardcoded') return { temperature: 0.07 };
  const temperature = leaves.get('tau') ?? tau;
  return temperature === undefined ? {} : { temperature };
}

async function alignMapOf(context: CaseContext, targets: PaddedTargets): Promise<tf.Tensor3D> {
  const { objects, ids, offsets } = await readCaptions(context);
  const [batch, count] = targets.mask.shape;
  const { shape, data } = context.raw('in/input_ids');
  const tokens = shape[1]!;
  const padded = new Float32Array(batch * count * tokens);
  alignmentMaps(objects, offsets, tokens).forEach((map, i) => {
    const same = ids[i]!.every((id, k) => id === Number(data[i * tokens + k]));
    context.check(`${i}: token ids`, same, 'the tokenizer gives other ids than in/input_ids');
    padded.set(map, i * count * tokens);
  });
  return tf.tensor3d(padded, [batch, count, tokens]);
}

/**
 * Which targets are final is not stored. The gradient of the loss tells it: p - 1 < 0 at the query of a final target,
 * p > 0 at that of any other. Value, size of the gradient and accuracy are still compared.
 */
function isfinalTargets(context: CaseContext, targets: PaddedTargets): tf.Tensor2D {
  const [batch, count] = targets.mask.shape;
  const { shape, data } = context.raw('grad/loss_isfinal.pred_isfinal');
  const wanted = new Float32Array(batch * count);
  for (let i = 0; i < batch; i++) {
    const { shape: pairs, data: indices } = context.raw(`out/indices${i}`);
    const matched = pairs[1]!;
    for (let k = 0; k < matched; k++) {
      const gradient = Number(data[i * shape[1]! + Number(indices[k])]);
      wanted[i * count + Number(indices[matched + k])] = gradient < 0 ? 1 : 0;
    }
  }
  return tf.tensor2d(wanted, [batch, count]);
}

/** Costs and pairs of the last layer. */
function compareMatching(
  context: CaseContext,
  output: DetectorOutput,
  targets: PaddedTargets,
  options: CriterionOptions,
  found: tf.Tensor3D,
): void {
  const costs = context.compute(() =>
    lastLayer(matchingCosts(stackLayers(output), targets, options.matcher)),
  );
  const lastFound = lastLayer(found);
  const queries = costs.shape[1]!;
  for (let i = 0; i < targets.mask.shape[0]; i++) {
    const count = context.raw(`in/boxes${i}`).shape[0]!;
    context.compare(
      `out/cost${i}`,
      tf.reshape(tf.slice(costs, [i, 0, 0], [1, queries, count]), [queries, count]),
    );
    const pairs = matchedPairs(tf.slice(lastFound, [i, 0], [1, count]));
    const both = [...pairs.map(([query]) => query), ...pairs.map(([, target]) => target)];
    context.compare(`out/indices${i}`, { shape: [2, pairs.length], data: both });
  }
}

function alignSums(
  output: DetectorOutput,
  targets: PaddedTargets,
  extras: LossExtras,
  options: CriterionOptions,
) {
  const outputs = stackLayers(output);
  const matching = match(outputs, targets, options.matcher);
  const context: LossContext = { outputs, targets, matching, numBoxes: countTargets(targets), extras };
  return contrastiveAlignSums(context, { maskPadding: options.maskPadding });
}

/** `grad/LOSS.X`: gradients of each loss by each stored input. */
function compareGradients(
  context: CaseContext,
  leaves: ReadonlyMap<string, tf.Variable>,
  lossOf: (name: string) => tf.Scalar | null,
): void {
  const wanted = context.expected(/^grad\//).map((name) => /^grad\/([^.]+)\.(.+)$/.exec(name)!);
  for (const loss of new Set(wanted.map((parts) => parts[1]!))) {
    const inputs = wanted.filter((parts) => parts[1] === loss && leaves.has(parts[2]!));
    const variables = inputs.map((parts) => leaves.get(parts[2]!)!);
    const gradients = context.gradients(variables, () => {
      const value = lossOf(loss);
      if (!value) throw new Error(`the criterion has no ${loss}`);
      return value;
    });
    inputs.forEach((parts, i) => {
      context.compare(parts[0], gradients[i] ?? tf.zerosLike(variables[i]!));
    });
  }
}

/** `[batch, layers, ...]` at the last layer. */
function lastLayer(x: tf.Tensor): tf.Tensor {
  const layers = tf.unstack(x, 1);
  return layers.at(-1)!;
}

function last(x: tf.Tensor1D): tf.Scalar {
  return tf.squeeze(tf.slice(x, x.size - 1, 1)) as tf.Scalar;
}
