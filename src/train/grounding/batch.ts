// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { DenoisingQueries } from '../../models/mdetr_g.js';
import type { PreparedBatch } from '../../models/preprocess.js';
import { type Encoding, type PromptOptions, type Tokenizer, tokensOfSpans } from '../../models/text/index.js';
import type { PaddedTargets } from '../../models/types.js';
import type { Random } from '../../random.js';
import type { GroundedObject, Sample } from '../data/types.js';
import { paddedCount } from '../padding.js';
import { type DenoisingOptions, groupBias, isNear, noiseBoxes } from './denoising.js';
import { assignDense } from './dense_targets.js';
import { type LabelTargets, labelTargets } from './label_targets.js';

/** What image tokens should propose: `[batch, S, tokens]`, `[batch, S, 4]`, `[batch, S]`. */
export interface RowTargets {
  tokens: tf.Tensor3D;
  boxes: tf.Tensor3D;
  /** 1 where a row has a box to learn. */
  boxMask: tf.Tensor2D;
  /** 1 where a row's tokens are learned at all. */
  rowMask: tf.Tensor2D;
}

/** Everything the losses compare with. */
export interface GroundingTargets {
  /** The objects the sentence refers to. */
  referred: PaddedTargets;
  /** Every object, named or not: `[batch, objects, 4]`, (cx, cy, w, h), and 1 = real. */
  objects: { boxes: tf.Tensor3D; mask: tf.Tensor2D };
  /** What image tokens should propose; null where that is not learned. */
  dense: RowTargets | null;
  denoising: (RowTargets & { queries: DenoisingQueries }) | null;
  /** Words that are true of objects whatever the sentence says; null where no object has any. */
  labels: LabelTargets | null;
}

export interface TargetOptions {
  tokenizer: Tokenizer;
  /** How the model wants its texts. */
  prompt: PromptOptions;
  /** (H, W) of the levels whose tokens propose; null where none are taught. */
  spatialShapes: [number, number][] | null;
  /** Queries beside the denoising ones. */
  queries: number;
  /** Image tokens that each object teaches. */
  denseTokens: number;
  /** How boxes are noised; null = no denoising. */
  denoising: DenoisingOptions | null;
}

/** Places for objects at least. */
const LEAST_OBJECTS = 8;

/** Stands where there is no box: harmless to every box loss. */
export const EMPTY_BOX = [0.5, 0.5, 0.1, 0.1] as const;

/** Targets of a batch as padded tensors. `random` gives the noise of the denoising boxes. */
export function buildTargets(
  samples: readonly Sample[],
  prepared: PreparedBatch,
  options: TargetOptions,
  random: Random,
): GroundingTargets {
  const tokens = prepared.inputIds.shape[1];
  const items = samples.map((sample, i) => describe(sample, prepared.encodings[i]!, tokens));
  const slots = paddedCount(Math.max(...items.map((item) => item.boxes.length / 4)), LEAST_OBJECTS);
  const { spatialShapes, tokenizer, prompt } = options;
  const assigned = spatialShapes
    ? items.map((item) => assignDense(item.boxes, spatialShapes, options.denseTokens).object)
    : null;
  const objects = items.map((item) => item.objects);
  return {
    referred: referredTargets(items, tokens),
    objects: allObjects(items, slots),
    dense: assigned && rowTargets(items, tokens, assigned[0]!.length, (i, r) => assigned[i]![r]!),
    labels: assigned && labelTargets(objects, assigned, tokenizer, prompt),
    denoising: options.denoising
      ? denoisingTargets(items, tokens, slots, options.queries, options.denoising, random)
      : null,
  };
}

/** Frees the tensors of `buildTargets`. */
export function disposeTargets(targets: GroundingTargets): void {
  tf.dispose([targets.referred, targets.objects] as unknown as tf.TensorContainer);
  if (targets.dense) tf.dispose(targets.dense as unknown as tf.TensorContainer);
  if (targets.labels) tf.dispose(targets.labels as unknown as tf.TensorContainer);
  if (targets.denoising) tf.dispose(targets.denoising as unknown as tf.TensorContainer);
}

interface Item {
  /** Those that count: no crowds. */
  objects: readonly GroundedObject[];
  /** `[objects * 4]`, (cx, cy, w, h) in [0, 1]. */
  boxes: Float32Array;
  /** `[objects * tokens]`, 1 where a token names the object. */
  positive: Float32Array;
  referred: number[];
}

function describe(sample: Sample, encoding: Encoding, tokens: number): Item {
  const { width, height } = sample.image;
  // A crowd's box teaches no size and no place.
  const objects = sample.objects.filter(({ crowd }) => crowd !== true);
  const boxes = new Float32Array(objects.length * 4);
  const positive = new Float32Array(objects.length * tokens);
  const referred: number[] = [];
  objects.forEach((object, o) => {
    const [x0, y0, x1, y1] = object.box;
    boxes.set([(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height], 4 * o);
    if (object.spans.length > 0) referred.push(o);
    for (const t of tokensOfSpans(encoding, object.spans)) if (t < tokens) positive[o * tokens + t] = 1;
  });
  return { objects, boxes, positive, referred };
}

function referredTargets(items: Item[], tokens: number): PaddedTargets {
  const count = paddedCount(Math.max(...items.map((item) => item.referred.length)), LEAST_OBJECTS);
  const boxes = new Float32Array(items.length * count * 4);
  const mask = new Float32Array(items.length * count);
  const positive = new Float32Array(items.length * count * tokens);
  items.forEach((item, i) => {
    for (let t = 0; t < count; t++) {
      const row = i * count + t;
      const object = item.referred[t];
      boxes.set(object === undefined ? EMPTY_BOX : item.boxes.subarray(4 * object, 4 * object + 4), 4 * row);
      if (object === undefined) continue;
      mask[row] = 1;
      positive.set(item.positive.subarray(object * tokens, (object + 1) * tokens), row * tokens);
    }
  });
  return {
    boxes: tf.tensor3d(boxes, [items.length, count, 4]),
    mask: tf.tensor2d(mask, [items.length, count]),
    positiveMap: tf.tensor3d(positive, [items.length, count, tokens]),
  };
}

function allObjects(items: Item[], slots: number): GroundingTargets['objects'] {
  const boxes = new Float32Array(items.length * slots * 4);
  const mask = new Float32Array(items.length * slots);
  items.forEach((item, i) => {
    boxes.set(item.boxes, i * slots * 4);
    mask.fill(1, i * slots, i * slots + item.boxes.length / 4);
  });
  return {
    boxes: tf.tensor3d(boxes, [items.length, slots, 4]),
    mask: tf.tensor2d(mask, [items.length, slots]),
  };
}

/** Row targets from the object (or -1) that each row answers for. */
function rowTargets(
  items: Item[],
  tokens: number,
  rows: number,
  objectOf: (item: number, row: number) => number,
): RowTargets {
  const targets = new Float32Array(items.length * rows * tokens);
  const boxes = new Float32Array(items.length * rows * 4);
  const mask = new Float32Array(items.length * rows);
  items.forEach((item, i) => {
    for (let r = 0; r < rows; r++) {
      const row = i * rows + r;
      const object = objectOf(i, r);
      boxes.set(object < 0 ? EMPTY_BOX : item.boxes.subarray(4 * object, 4 * object + 4), 4 * row);
      if (object < 0) continue;
      mask[row] = 1;
      targets.set(item.positive.subarray(object * tokens, (object + 1) * tokens), row * tokens);
    }
  });
  return {
    tokens: tf.tensor3d(targets, [items.length, rows, tokens]),
    boxes: tf.tensor3d(boxes, [items.length, rows, 4]),
    boxMask: tf.tensor2d(mask, [items.length, rows]),
    rowMask: tf.ones([items.length, rows]),
  };
}

function denoisingTargets(
  items: Item[],
  tokens: number,
  slots: number,
  queries: number,
  options: DenoisingOptions,
  random: Random,
): RowTargets & { queries: DenoisingQueries } {
  const { groups } = options;
  const rows = groups * slots;
  const targets = rowTargets(items, tokens, rows, (i, r) => {
    const object = r % slots;
    return isNear(Math.floor(r / slots)) && object < items[i]!.boxes.length / 4 ? object : -1;
  });
  const references = new Float32Array(items.length * rows * 4);
  const used = new Float32Array(items.length * rows);
  items.forEach((item, i) => {
    references.set(noiseBoxes(item.boxes, slots, options, random), i * rows * 4);
    const objects = item.boxes.length / 4;
    for (let group = 0; group < groups; group++) {
      const first = i * rows + group * slots;
      used.fill(1, first, first + objects);
    }
  });
  targets.rowMask.dispose();
  const total = queries + rows;
  return {
    ...targets,
    rowMask: tf.tensor2d(used, [items.length, rows]),
    queries: {
      references: tf.tensor3d(references, [items.length, rows, 4]),
      bias: tf.tensor4d(groupBias(queries, slots, groups), [1, 1, total, total]),
    },
  };
}
