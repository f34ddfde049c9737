// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { topDetections } from '../../src/models/deformable_detr/index.js';
import { sineCounts, sinePosition } from '../../src/models/layers/position.js';
import type { DetectorOutput, PaddedTargets } from '../../src/models/types.js';
import {
  classCriterion,
  classTargets,
  type Matching,
  matchingCosts,
  stackLayers,
} from '../../src/train/losses/index.js';
import type { CaseContext } from './context.js';
import { matchedPairs, rowsOf } from './hungarian.js';

interface CriterionConfig {
  classes: number;
  /** Targets of each picture. */
  targets: number[];
  /** Weights of class, L1 and generalised IoU in the matcher. */
  cost: [number, number, number];
}

/** Deformable DETR's matcher, losses and post-processing. */
export function runDeformableCriterion(context: CaseContext): void {
  const config = context.config as unknown as CriterionConfig;
  const logits = context.variable('in/pred_logits');
  const boxes = context.variable('in/pred_boxes');
  const output = () =>
    ({ pred_logits: logits, pred_boxes: boxes, aux_outputs: [] }) as unknown as DetectorOutput;
  const targets = targetsOf(context, config);
  const [classCost, bbox, giou] = config.cost;
  const matcher = { classCost: 'focal-class', class: classCost, bbox, giou } as const;
  // The original counts what is not of the last class.
  const criterion = classCriterion({ matcher, cardinality: 'last-slot' });
  const { parts, matching } = context.compute(() => criterion.compute(output(), targets));
  for (const [name, value] of Object.entries(parts)) context.compare(`out/loss.${name}`, value);
  const costs = context.compute(() => matchingCosts(stackLayers(output()), targets, matcher));
  compareMatching(context, config, costs, matching);
  compareClassError(context, config, matching);
  for (const [loss, input, leaf] of [
    ['loss_ce', 'pred_logits', logits],
    ['loss_bbox', 'pred_boxes', boxes],
    ['loss_giou', 'pred_boxes', boxes],
  ] as const) {
    const [gradient] = context.gradients([leaf], () => criterion.compute(output(), targets).parts[loss]!);
    context.compare(`grad/${loss}.${input}`, gradient!);
  }
  comparePost(
    context,
    config.targets.length,
    context.compute(() => topDetections(output())),
  );
}

function targetsOf(context: CaseContext, { targets, classes }: CriterionConfig): PaddedTargets {
  const boxes = targets.map((_, i) => rowsOf(context, `in/boxes${i}`));
  const labels = targets.map((_, i) => Array.from(context.raw(`in/labels${i}`).data, Number));
  return classTargets(boxes, labels, classes);
}

function compareMatching(
  context: CaseContext,
  { targets }: CriterionConfig,
  costs: tf.Tensor4D,
  { queries }: Matching,
): void {
  targets.forEach((count, i) => {
    const own = tf.slice(costs, [i, 0, 0, 0], [1, 1, -1, count]);
    if (count > 0) context.compare(`out/cost${i}`, own.reshape([costs.shape[2], count]));
    const pairs = matchedPairs(tf.slice(queries, [i, 0, 0], [1, 1, count]));
    const both = [...pairs.map(([query]) => query), ...pairs.map(([, target]) => target)];
    context.compare(`out/indices${i}`, { shape: [2, pairs.length], data: both });
  });
}

/** Percentage of matched queries whose best class is another: logged by the original, and nothing more. */
function compareClassError(
  context: CaseContext,
  { targets, classes }: CriterionConfig,
  { queries }: Matching,
): void {
  const { data, shape } = context.raw('in/pred_logits');
  const found = queries.arraySync();
  let [right, matched] = [0, 0];
  targets.forEach((count, i) => {
    const labels = context.raw(`in/labels${i}`).data;
    for (let target = 0; target < count; target++) {
      const query = found[i]![0]![target]!;
      if (query < 0) continue; // more targets than queries
      matched++;
      const row = (i * shape[1]! + query) * classes;
      const own = Array.from(data.slice(row, row + classes) as Float32Array);
      if (own.indexOf(Math.max(...own)) === Number(labels[target])) right++;
    }
  });
  const none = 100; // without any match, none is right
  const error = matched > 0 ? 100 - (100 * right) / matched : none;
  context.compare('out/loss.class_error', { shape: [], data: [error] });
}

/** Sizes of the pictures are not stored: the boxes tell them. */
function comparePost(
  context: CaseContext,
  batch: number,
  { scores, labels, boxes }: ReturnType<typeof topDetections>,
): void {
  const values = boxes.arraySync();
  for (let i = 0; i < batch; i++) {
    const row = <T extends tf.Tensor>(x: T) => tf.squeeze(tf.slice(x, [i], [1]), [0]);
    context.compare(`out/post${i}.scores`, row(scores));
    context.compare(`out/post${i}.labels`, row(labels));
    const stored = context.raw(`out/post${i}.boxes`).data as Float32Array;
    const size = (axis: 0 | 1) =>
      Math.round((stored[2 + axis]! - stored[axis]!) / (values[i]![0]![2 + axis]! - values[i]![0]![axis]!));
    const sizes = [size(0), size(1), size(0), size(1)];
    context.compare(`out/post${i}.boxes`, tf.mul(row(boxes), tf.tensor1d(sizes)));
  }
}

/** Position embedding, counted from the pixels' centres. */
export function runSine(context: CaseContext): void {
  const mask = tf.sub(1, context.tensor('in/mask', 'float32')) as tf.Tensor3D;
  const { num_pos_feats: features } = context.config as { num_pos_feats: number };
  const sine = context.compute(() => sinePosition(mask, features, { offset: 0.5 }));
  context.compare('out/normalized', tf.transpose(sine, [0, 3, 1, 2]));
  const plain = context.compute(() => sineCounts(mask, features));
  context.compare('out/plain', tf.transpose(plain, [0, 3, 1, 2]));
}
