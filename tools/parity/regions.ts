// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { resizeBilinear } from '../../src/models/layers/resize.js';
import { IMAGENET } from '../../src/models/preprocess.js';
import {
  decodeBoxes,
  encodeBoxes,
  layAnchors,
  mapOfBoxes,
  PROPOSAL_WEIGHTS,
  ProposalHead,
  type ProposalStage,
  propose,
  readBoxes,
  VitDetPyramid,
} from '../../src/models/scalemae_det/index.js';
import { readSafetensorsSync } from '../../src/models/weights/safetensors.js';
import { loadStateDict } from '../../src/models/weights/state_dict.js';
import type { RandomStream } from '../../src/ops/index.js';
import { roiAlign } from '../../src/ops/index.js';
import { anchorTargets, type DrawKeys, proposalLosses } from '../../src/train/detection/region_losses.js';
import type { CaseContext } from './context.js';
import { compareGradientsOf } from './gradients.js';
import { matchRows, takeRows } from './matched_rows.js';
import { runNetwork } from './network.js';

/** The samplers of the vectors take the first boxes. */
export const FIRST_BOXES: DrawKeys = ([batch, count]) => {
  const keys = Float32Array.from({ length: count }, (_, i) => (count - i) / count);
  return tf.tile(tf.tensor2d(keys, [1, count]), [batch, 1]);
};

/** Nothing is drawn where there is no drop path. */
export const NO_DRAWS = undefined as unknown as RandomStream;

/** Kind `pyramid`: ViTDet's maps. */
export function runPyramid(context: CaseContext): void {
  const { dim, out } = context.config as { dim: number; out: number };
  const pyramid = new VitDetPyramid(dim, out);
  const source = context.fileLike('weights.safetensors');
  loadStateDict(pyramid, readSafetensorsSync(source), { source });
  runNetwork(context, {
    module: pyramid,
    picture: 'features',
    run: (pixels) => new Map(pyramid.forward(pixels).map((map, i) => [`p${i + 2}`, map])),
    tapName: (tap) => `mid/${tap}`,
    ownName: (name) => name,
  });
}

interface RoiConfig {
  strides: number[];
  rois: number[];
  sampling: number;
}

/** Kind `roi_align`: on several maps, and on one with and without the half-pixel shift. */
export function runRoiAlign(context: CaseContext): void {
  const { strides, rois, sampling } = context.config as unknown as RoiConfig;
  const variables = strides.map((_, i) =>
    context.track(tf.tidy(() => tf.variable(tf.transpose(context.tensor(`in/feature${i}`), [0, 2, 3, 1])))),
  );
  const maps = () => variables as unknown as tf.Tensor4D[];
  const most = Math.max(...rois);
  const boxes = paddedBoxes(context, rois, most);
  const level = context.compute(() => mapOfBoxes(boxes, strides));
  context.compare('out/roi_levels', joined(rois, level, 1, []));
  const options = { sampling, path: context.path as 'native' | 'plain' };
  const pooled = () => readBoxes(maps(), strides, boxes, level, options);
  const pack = (x: tf.Tensor, h: number, w: number) => {
    const channels = x.shape[4]!;
    return joined(rois, tf.transpose(x, [0, 1, 4, 2, 3]), channels * h * w, [channels, h, w]);
  };
  context.compare('out/roi_features', pack(context.compute(pooled), 7, 7));
  for (const [name, aligned] of [
    ['single_plain', false],
    ['single_aligned', true],
  ] as const) {
    const [map] = maps() as [tf.Tensor4D];
    const [batch, height, width, channels] = map.shape;
    const single = context.compute(() =>
      roiAlign(
        tf.reshape(map, [batch, height * width, channels]),
        [{ height, width, scale: 1 / strides[0]! }],
        boxes,
        tf.zerosLike(level),
        { ...options, grid: [5, 3], aligned },
      ),
    );
    context.compare(`out/${name}`, pack(single, 5, 3));
  }
  const upstream = tf.transpose(context.tensor('in/upstream.roi_features'), [0, 2, 3, 1]);
  const gradients = context.gradients(variables, () => {
    const terms = rois.map((count, i) => {
      const before = rois.slice(0, i).reduce((sum, n) => sum + n, 0);
      const own = tf.squeeze(tf.slice(pooled(), [i, 0, 0, 0, 0], [1, count, -1, -1, -1]), [0]);
      return tf.sum(tf.mul(own, tf.slice(upstream, [before, 0, 0, 0], [count, -1, -1, -1])));
    });
    return tf.addN(terms) as tf.Scalar;
  });
  gradients.forEach((gradient, i) => {
    context.compare(`grad/feature${i}`, tf.transpose(gradient!, [0, 3, 1, 2]));
  });
}

/** Boxes of all pictures, `[pictures, most, 4]`. */
function paddedBoxes(context: CaseContext, counts: readonly number[], most: number): tf.Tensor3D {
  const all = counts.map((count, i) =>
    tf.pad(context.tensor(`in/rois${i}`), [
      [0, most - count],
      [0, 0],
    ]),
  );
  return tf.stack(all) as tf.Tensor3D;
}

/** Rows of all pictures below each other, without padding. */
function joined(counts: readonly number[], x: tf.Tensor, size: number, shape: number[]) {
  const [, most] = x.shape as [number, number];
  const rows = counts.flatMap((count, i) => Array.from({ length: count }, (_, row) => i * most + row));
  return { shape: [rows.length, ...shape], data: takeRows(x.dataSync(), size, rows) };
}

interface RpnConfig {
  channels: number;
  strides: number[];
  sizes: number[][];
  ratios: number[][];
  valid: [number, number][];
  targets: number[];
  pre: number;
  post: number;
  /** Anchors drawn of each picture. */
  batch_size: number;
}

/** Kind `rpn`: anchors, what the head says of them, proposals, targets and losses of the first stage. */
export function runProposals(context: CaseContext): void {
  const config = context.config as unknown as RpnConfig;
  const ratios = config.ratios[0]!;
  const head = new ProposalHead(config.channels, ratios.length * config.sizes[0]!.length);
  const source = context.fileLike('weights.safetensors');
  const own = new Map([...readSafetensorsSync(source)].map(([name, x]) => [name.replace(/^head\./, ''), x]));
  loadStateDict(head, own, { source });
  try {
    const variables = config.strides.map((_, i) =>
      context.track(tf.tidy(() => tf.variable(tf.transpose(context.tensor(`in/feature${i}`), [0, 2, 3, 1])))),
    );
    const sizes = tf.tensor2d(config.valid.map(([height, width]) => [width, height]));
    const stageOf = () => {
      const maps = variables as unknown as tf.Tensor4D[];
      const cells = maps.map(({ shape: [, height, width] }, i) => ({
        height,
        width,
        stride: config.strides[i]!,
      }));
      return { anchorOutput: head.forward(maps), anchors: layAnchors(cells, config.sizes, ratios) };
    };
    const { anchorOutput, anchors } = context.compute(stageOf);
    const [batch, count] = anchorOutput.objectness.shape;
    context.compare('out/anchors', anchors);
    context.compare('out/objectness', tf.reshape(anchorOutput.objectness, [batch * count, 1]));
    context.compare('out/deltas', tf.reshape(anchorOutput.deltas, [batch * count, 4]));
    const decode = () => decodeBoxes(anchorOutput.deltas, tf.expandDims(anchors, 0), PROPOSAL_WEIGHTS);
    context.compare('out/decoded', context.compute(decode));
    const kept = context.compute(() => propose(anchorOutput, anchors, sizes, config.pre, config.post));
    compareProposals(context, kept);
    const objects = objectsOfCase(context, config.targets);
    compareAnchorTargets(context, { anchors }, objects);
    const losses = () => proposalLosses(stageOf(), objects, FIRST_BOXES, config.batch_size);
    for (const [name, value] of Object.entries(context.compute(losses)))
      context.compare(`out/loss.${name}`, value);
    const maps = Object.fromEntries(variables.map((variable, i) => [`feature${i}`, variable]));
    for (const loss of ['loss_objectness', 'loss_rpn_box_reg'] as const) {
      const names = {
        origin: 'case',
        hallmark: /./,
        place: (name: string) => ({ name: `${loss}.head.${name}` }),
        dropped: [],
      };
      const prefixed = Object.fromEntries(
        Object.entries(maps).map(([name, variable]) => [`${loss}.${name}`, variable]),
      );
      compareGradientsOf(context, head, () => losses()[loss], { names, maps: prefixed });
    }
  } finally {
    head.dispose();
  }
}

/** Proposals of each picture, best first; returns which of ours is which of theirs. */
export function compareProposals(
  context: CaseContext,
  { boxes, scores, mask }: ProposalStage['proposals'],
): number[][] {
  const [batch, most] = mask.shape;
  const values = { boxes: boxes.dataSync(), scores: scores.dataSync(), mask: mask.dataSync() };
  return Array.from({ length: batch }, (_, i) => {
    const stored = context.raw(`out/proposals${i}`);
    const rows = Array.from({ length: most }, (_, k) => i * most + k).filter((row) => values.mask[row] === 1);
    context.check(`proposals ${i}`, rows.length === stored.shape[0], `there are ${rows.length}`);
    const own = takeRows(values.boxes, 4, rows);
    const order = matchRows({ data: Array.from(stored.data, Number), size: 4 }, { data: own, size: 4 });
    context.compare(`out/proposals${i}`, { shape: [order.length, 4], data: takeRows(own, 4, order) });
    const best = takeRows(values.scores, 1, rows);
    context.compare(`out/proposal_scores${i}`, { shape: [order.length], data: takeRows(best, 1, order) });
    return order.map((row) => (row < 0 ? row : rows[row]! - i * most));
  });
}

/** Targets in pixels, padded; classes are 1 where the case does not say. */
function objectsOfCase(context: CaseContext, counts: readonly number[]) {
  const most = Math.max(...counts);
  const boxes = counts.map((count, i) =>
    tf.pad(context.tensor(`in/boxes${i}`), [
      [0, most - count],
      [0, 0],
    ]),
  );
  const mask = counts.map((count) => Array.from({ length: most }, (_, i) => (i < count ? 1 : 0)));
  return {
    boxes: tf.stack(boxes) as tf.Tensor3D,
    mask: tf.tensor2d(mask),
    slots: tf.ones([counts.length, most], 'int32') as tf.Tensor2D,
  };
}

function compareAnchorTargets(
  context: CaseContext,
  stage: Pick<ProposalStage, 'anchors'>,
  objects: ReturnType<typeof objectsOfCase>,
): void {
  const { labels, deltas } = context.compute(() => {
    const { index, object, background } = anchorTargets(stage, objects);
    // 1 = object, 0 = background, -1 = neither. What is no object has the first target's numbers.
    const two = tf.scalar(2, 'int32');
    const bit = (x: tf.Tensor) => tf.cast(x, 'int32');
    const named = tf.sub(tf.add(tf.mul(bit(object), two), bit(background)), tf.scalar(1, 'int32'));
    const chosen = tf.mul(index, tf.cast(object, 'int32')) as tf.Tensor2D;
    return {
      labels: named,
      deltas: encodeBoxes(
        tf.gather(objects.boxes, chosen, 1, 1),
        tf.expandDims(stage.anchors, 0),
        PROPOSAL_WEIGHTS,
      ),
    };
  });
  context.compare('out/rpn_labels', labels);
  context.compare('out/rpn_targets', deltas);
}

/**
 * A picture as the detectors of the vectors take it: normalised, resized so that its short side has `least` pixels unless
 * the long one would have more than `most`. @param name of a picture `[3, H, W]` with values from 0 to 1
 */
export function resizedPicture(context: CaseContext, name: string, least: number, most: number): tf.Tensor4D {
  const picture = tf.expandDims(tf.transpose(context.tensor(name), [1, 2, 0]), 0) as tf.Tensor4D;
  const normal = tf.div(tf.sub(picture, [...IMAGENET.mean]), [...IMAGENET.std]) as tf.Tensor4D;
  const [, height, width] = normal.shape;
  const scale = Math.min(least / Math.min(height, width), most / Math.max(height, width));
  return resizeBilinear(normal, [Math.floor(height * scale), Math.floor(width * scale)]);
}

/** Pictures as one batch, zeros behind them up to a multiple of 32. */
export function paddedBatch(pictures: readonly tf.Tensor4D[]): {
  pixels: tf.Tensor4D;
  sizes: [number, number][];
} {
  const sizes = pictures.map(({ shape: [, height, width] }): [number, number] => [height, width]);
  const [height, width] = [0, 1].map(
    (axis) => Math.ceil(Math.max(...sizes.map((size) => size[axis as 0 | 1])) / 32) * 32,
  ) as [number, number];
  const padded = pictures.map((picture, i) =>
    tf.pad(picture, [
      [0, 0],
      [0, height - sizes[i]![0]],
      [0, width - sizes[i]![1]],
      [0, 0],
    ]),
  );
  return { pixels: tf.concat(padded, 0) as tf.Tensor4D, sizes };
}

/** Kind `transform`: pictures resized and normalised, boxes with them. */
export function runTransform(context: CaseContext): void {
  const { images, min_size, max_size } = context.config as {
    images: [number, number][];
    min_size: number;
    max_size: number;
  };
  const batch = context.compute(
    () =>
      paddedBatch(images.map((_, i) => resizedPicture(context, `in/image${i}`, min_size, max_size))).pixels,
  );
  const { sizes } = paddedBatch(
    images.map((_, i) => resizedPicture(context, `in/image${i}`, min_size, max_size)),
  );
  context.compare('out/batch', tf.transpose(batch, [0, 3, 1, 2]));
  context.compare('out/image_sizes', { shape: [sizes.length, 2], data: sizes.flat() });
  images.forEach(([height, width], i) => {
    const [newHeight, newWidth] = sizes[i]!;
    const ratio = [newWidth / width, newHeight / height];
    context.compare(`out/boxes${i}`, tf.mul(context.tensor(`in/boxes${i}`), [...ratio, ...ratio]));
  });
}
