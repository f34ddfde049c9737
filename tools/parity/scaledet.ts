// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { VitBackbone, vitConfig } from '../../src/models/backbones/index.js';
import type { PictureInput } from '../../src/models/deformable_detr/index.js';
import {
  ScaleMaeDet,
  type ScaleMaeDetOutput,
  scaleMaeDetNames,
} from '../../src/models/scalemae_det/index.js';
import { readSafetensorsSync } from '../../src/models/weights/safetensors.js';
import { loadStateDict } from '../../src/models/weights/state_dict.js';
import {
  boxLosses,
  objectsOf,
  proposalLosses,
  type TaughtBoxes,
  teachBoxes,
} from '../../src/train/detection/region_losses.js';
import { classTargets } from '../../src/train/losses/index.js';
import type { CaseContext } from './context.js';
import { compareGradientsOf } from './gradients.js';
import { matchRows, takeRows } from './matched_rows.js';
import { compareProposals, FIRST_BOXES, paddedBatch, resizedPicture } from './regions.js';

interface DetConfig {
  dim: number;
  depth: number;
  heads: number;
  /** Channels of the maps. */
  out: number;
  /** Slots of the class scores. */
  classes: number;
  hidden: number;
  /** Side that pictures are resized to. */
  size: number;
  /** Anchors of each map. */
  sizes: number[][];
  order: 'own' | 'fine_first';
  post: number;
  thresh: number;
  images: [number, number][];
  gsd: number;
}

/** Kind `scaledet`: the whole of ScaleMAE-Det. */
export function runScaleDet(context: CaseContext): void {
  const config = context.config as unknown as DetConfig;
  const model = build(config);
  try {
    const source = context.fileLike('weights.safetensors');
    loadStateDict(model, readSafetensorsSync(source), { names: scaleMaeDetNames()[0]!, source });
    const { input, sizes } = inputOf(context, config);
    context.compare('out/image_sizes', { shape: [sizes.length, 2], data: sizes.flat() });
    context.compare('out/batch', tf.transpose(input.pixels, [0, 3, 1, 2]));
    compareForward(context, config, model, input);
    compareTraining(context, config, model, input);
  } finally {
    model.dispose();
  }
}

function build({ dim, depth, heads, gsd, ...config }: DetConfig): ScaleMaeDet {
  const settings = { embed_dim: dim, depth, num_heads: heads, default_gsd: gsd, class_token: false };
  const parity = config.order === 'own' ? 'upstream' : 'fixed';
  return new ScaleMaeDet(new VitBackbone(vitConfig(settings)), {
    channels: config.out,
    pyramid: 'scalemae',
    anchorSizes: config.sizes,
    anchorRatios: [0.5, 1, 2],
    candidates: 1000,
    proposals: config.post,
    trainingCandidates: 2000,
    trainingProposals: config.post,
    hidden: config.hidden,
    leastScore: config.thresh,
    detections: DETECTIONS,
    classes: parity === 'fixed' ? config.classes - 1 : config.classes,
    parity,
  });
}

/** Detections of a picture in the vectors. */
const DETECTIONS = 20;
/** More than there are anchors: these cases draw all of them. */
const ANCHORS_DRAWN = 100000;

function inputOf(context: CaseContext, { images, size }: DetConfig) {
  const pictures = images.map((_, i) => resizedPicture(context, `in/image${i}`, size, size));
  const { pixels, sizes } = paddedBatch(pictures);
  const [, height, width] = pixels.shape;
  const masks = sizes.map(([h, w]) =>
    tf.pad(tf.ones([h, w]), [
      [0, height - h],
      [0, width - w],
    ]),
  );
  const input: PictureInput = { pixels, pixelMask: tf.stack(masks) as tf.Tensor3D };
  return { input, sizes };
}

function compareForward(
  context: CaseContext,
  config: DetConfig,
  model: ScaleMaeDet,
  input: PictureInput,
): void {
  const { output, tokens, cells, level, found } = context.compute(() => {
    const taps = new Map<string, tf.Tensor>();
    model.backbone.forward(input.pixels, { taps });
    const stage = model.propose(input);
    const read = model.read(stage, stage.proposals.boxes);
    const whole: ScaleMaeDetOutput = { ...model.classify(read.cells), stage, intermediates: {} };
    return { output: plain(whole), tokens: taps.get('tokens')!, ...read, found: model.detections(whole) };
  });
  const { maps, anchors, objectness, deltas } = output;
  context.compare('out/tokens', tokens);
  maps.forEach((map, i) => {
    context.compare(`out/fpn${i}`, tf.transpose(map, [0, 3, 1, 2]));
  });
  context.compare('out/anchors', anchors);
  const [batch, count] = objectness.shape as [number, number];
  context.compare('out/objectness', tf.reshape(objectness, [batch * count, 1]));
  context.compare('out/deltas', tf.reshape(deltas, [batch * count, 4]));
  const order = compareProposals(context, output.proposals);
  const most = config.post;
  const rows = order.flatMap((own, i) => own.map((row) => (row < 0 ? row : i * most + row)));
  const packed = (name: string, x: tf.Tensor, shape: number[]) => {
    const size = shape.reduce((product, n) => product * n, 1);
    context.compare(`out/${name}`, {
      shape: [rows.length, ...shape],
      data: takeRows(x.dataSync(), size, rows),
    });
  };
  packed('roi_levels', level, []);
  packed('roi_features', tf.transpose(cells, [0, 1, 4, 2, 3]), [config.out, 7, 7]);
  packed('class_logits', output.classLogits, [config.classes]);
  packed('box_regression', output.boxDeltas, [config.classes * 4]);
  compareDetections(context, config, found);
}

/** An output in plain objects of tensors, as compiled functions give them. */
function plain({ stage, classLogits, deltas }: ScaleMaeDetOutput) {
  const { maps, anchors, anchorOutput, proposals } = stage;
  const { objectness } = anchorOutput;
  return {
    maps,
    anchors,
    objectness,
    deltas: anchorOutput.deltas,
    proposals,
    classLogits,
    boxDeltas: deltas,
  };
}

/** Detections are matched by label and box, in pixels of the original picture. */
function compareDetections(
  context: CaseContext,
  { images, order }: DetConfig,
  { boxes, scores, labels }: ReturnType<ScaleMaeDet['detections']>,
): void {
  const most = scores.shape[1];
  const [corners, values, classes] = [boxes.dataSync(), scores.dataSync(), labels.dataSync()];
  const shift = order === 'own' ? 0 : 1;
  images.forEach(([height, width], i) => {
    const stored = context.raw(`out/scores${i}`);
    const rows = Array.from({ length: most }, (_, k) => i * most + k).filter((row) => values[row]! > 0);
    context.check(`detections ${i}`, rows.length === stored.shape[0], `there are ${rows.length}`);
    const own = takeRows(corners, 4, rows).map((x, at) => x * (at % 2 === 0 ? width : height));
    const ownScores = takeRows(values, 1, rows);
    if (!context.has(`out/boxes${i}`)) {
      // Where all boxes are alike, only scores are stored.
      context.compare(`out/scores${i}`, { shape: [rows.length], data: ownScores });
      return;
    }
    const wantedLabels = context.raw(`out/labels${i}`).data;
    const same = (wanted: number, got: number) =>
      Number(wantedLabels[wanted]) === classes[rows[got]!]! + shift;
    const matched = matchRows(
      { data: Array.from(context.raw(`out/boxes${i}`).data, Number), size: 4 },
      { data: own, size: 4 },
      same,
    );
    context.compare(`out/boxes${i}`, { shape: [matched.length, 4], data: takeRows(own, 4, matched) });
    context.compare(`out/scores${i}`, { shape: [matched.length], data: takeRows(ownScores, 1, matched) });
    const found = matched.map((row) => (row < 0 ? -1 : classes[rows[row]!]! + shift));
    context.compare(`out/labels${i}`, { shape: [found.length], data: found });
  });
}

function compareTraining(
  context: CaseContext,
  config: DetConfig,
  model: ScaleMaeDet,
  input: PictureInput,
): void {
  const shift = config.order === 'own' ? 0 : 1;
  const boxes = config.images.map(([height, width], i) => {
    const { data } = context.raw(`in/boxes${i}`);
    const corner = (k: number, side: number) => Number(data[4 * k + side]);
    return Array.from({ length: data.length / 4 }, (_, k) => {
      const [x0, y0, x1, y1] = [corner(k, 0), corner(k, 1), corner(k, 2), corner(k, 3)];
      return [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height];
    });
  });
  const labels = config.images.map((_, i) =>
    Array.from(context.raw(`in/labels${i}`).data as ArrayLike<number>, (label) => Number(label) - shift),
  );
  const targets = classTargets(boxes, labels, model.options.classes);
  const pass = () => {
    const stage = model.propose(input, { training: true });
    const objects = objectsOf(targets, stage.sizes, shift);
    const taught = teachBoxes(stage, objects, FIRST_BOXES);
    const output = model.classify(model.read(stage, taught.boxes).cells);
    return {
      taught,
      losses: { ...proposalLosses(stage, objects, FIRST_BOXES, ANCHORS_DRAWN), ...boxLosses(output, taught) },
    };
  };
  const { taught, losses } = context.compute(pass);
  for (const [name, value] of Object.entries(losses)) context.compare(`out/loss.${name}`, value);
  compareTaught(context, config, taught);
  compareGradientsOf(context, model, () => tf.addN(Object.values(pass().losses)) as tf.Scalar);
}

/** All boxes are drawn, in another order. */
function compareTaught(context: CaseContext, { images }: DetConfig, taught: TaughtBoxes): void {
  const [batch, count] = taught.valid.shape;
  const values = {
    valid: taught.valid.dataSync(),
    index: taught.indices.dataSync(),
    boxes: taught.boxes.dataSync(),
    labels: taught.labels.dataSync(),
    deltas: taught.deltas.dataSync(),
  };
  context.check('pictures', batch === images.length, `${batch}`);
  const rows = Array.from({ length: batch }, (_, i) =>
    Array.from({ length: count }, (_, k) => i * count + k)
      .filter((row) => values.valid[row] === 1)
      .sort((a, b) => values.index[a]! - values.index[b]!),
  ).flat();
  const own = takeRows(values.boxes, 4, rows);
  const stored = context.raw('out/train_rois');
  const order = matchRows({ data: Array.from(stored.data, Number), size: 4 }, { data: own, size: 4 }).map(
    (row) => (row < 0 ? row : rows[row]!),
  );
  const shape = [order.length, 4];
  context.compare('out/train_rois', { shape, data: takeRows(values.boxes, 4, order) });
  const labels = takeRows(values.labels, 1, order);
  context.compare('out/train_roi_labels', { shape: [order.length], data: labels });
  // Theirs are 0 for the background.
  const deltas = takeRows(values.deltas, 4, order).map((x, i) => (labels[Math.floor(i / 4)]! > 0 ? x : 0));
  context.compare('out/train_roi_targets', { shape, data: deltas });
}
