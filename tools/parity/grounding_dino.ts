// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { buildModel } from '../../src/models/build.js';
import { loadDetectorWeights } from '../../src/models/detector_weights.js';
import {
  type GroundingDino,
  type GroundingDinoOutput,
  readGroundingDinoConfig,
} from '../../src/models/grounding_dino/index.js';
import type { DetectorInput, DetectorOutput, PaddedTargets } from '../../src/models/types.js';
import { readHuggingFace } from '../../src/models/weights/huggingface.js';
import { type Matching, padTargets, SetCriterion } from '../../src/train/losses/index.js';
import type { CaseContext } from './context.js';
import { compareGradientsOf } from './gradients.js';
import { matchedPairs } from './hungarian.js';

interface DetectorConfig {
  /** Objects of each picture; null = a case without losses. */
  targets: number[] | null;
}

/** A whole Grounding DINO: values inside, predictions, losses, gradients. */
export async function runGroundingDino(context: CaseContext): Promise<void> {
  const { targets: counts } = context.config as unknown as DetectorConfig;
  const folder = dirname(context.fileLike('config.json'));
  const { config: given, tensors } = await readHuggingFace(folder);
  const config = readGroundingDinoConfig(given, folder);
  const model = buildModel(config);
  try {
    loadDetectorWeights(model, tensors, config, folder);
    const input = inputOf(context);
    comparePredictions(
      context,
      model,
      context.compute(() => model.forward(input, null, { intermediates: true })),
    );
    if (counts) {
      const loss = lossOf(context, model, input, given);
      compareLosses(context, context.compute(loss), counts);
      compareGradientsOf(context, model, () => loss().total);
    } else {
      const upstream = context.tensor('in/upstream');
      compareGradientsOf(
        context,
        model,
        () => tf.sum(tf.mul(model.forward(input).pred_boxes, upstream)) as tf.Scalar,
      );
    }
  } finally {
    model.dispose();
  }
}

function inputOf(context: CaseContext): DetectorInput {
  return {
    pixels: tf.transpose(context.tensor<tf.Tensor4D>('in/pixel_values'), [0, 2, 3, 1]),
    pixelMask: context.tensor('in/pixel_mask', 'float32'),
    inputIds: context.tensor('in/input_ids', 'int32'),
    textMask: context.tensor('in/attention_mask', 'float32'),
  };
}

// ---- Predictions ----

function comparePredictions(context: CaseContext, model: GroundingDino, output: GroundingDinoOutput): void {
  const { textTokens } = model.options;
  for (const [name, value] of Object.entries(output.intermediates)) {
    for (const place of ['mid', 'out']) {
      const full = `${place}/${name}`;
      if (context.has(full)) context.compare(full, asStored(context, name, value, textTokens));
    }
  }
  [...output.aux_outputs, output].forEach(({ pred_logits, pred_boxes }, i) => {
    context.compare(`out/logits.${i}`, padTokens(pred_logits, textTokens));
    context.compare(`out/pred_boxes.${i}`, pred_boxes);
  });
}

/** Minus infinity for tokens that the text doesn't have. */
function padTokens(logits: tf.Tensor3D, tokens: number): tf.Tensor {
  const after = tokens - logits.shape[2];
  return tf.concat([logits, tf.fill([...logits.shape.slice(0, 2), after], Number.NEGATIVE_INFINITY)], 2);
}

/** Maps with channels in front; 0 for image tokens of padding, whose values are rounding noise that nothing uses. */
function asStored(context: CaseContext, name: string, value: tf.Tensor, tokens: number): tf.Tensor {
  if (name === 'enc_outputs_class' || name === 'encoder_logits')
    return padTokens(value as tf.Tensor3D, tokens);
  if (name.startsWith('feature.')) return tf.transpose(value, [0, 3, 1, 2]);
  if (!/^(encoder_input|position_embeddings|encoder\.\d+\.(fusion_)?vision)$/.test(name)) return value;
  return tf.mul(value, tf.expandDims(context.tensor('mid/mask', 'float32'), 2));
}

// ---- Losses ----

/** Losses with the matchings that they were taken on. */
interface Losses {
  total: tf.Scalar;
  parts: Record<string, tf.Scalar>;
  matching: Matching;
  proposals: Matching;
}

/** Transformers' criterion: that of all decoder layers, and again of what stands for the proposals. */
function lossOf(
  context: CaseContext,
  model: GroundingDino,
  input: DetectorInput,
  settings: Readonly<Record<string, unknown>>,
): () => Losses {
  const number = (key: string) => Number(settings[key]);
  const focal = { alpha: number('focal_alpha'), gamma: 2 };
  const criterion = new SetCriterion({
    losses: ['token_focal', 'boxes', 'cardinality'],
    weights: {
      loss_ce: 2,
      loss_bbox: number('bbox_loss_coefficient'),
      loss_giou: number('giou_loss_coefficient'),
    },
    matcher: {
      classCost: 'focal-token',
      class: number('class_cost'),
      bbox: number('bbox_cost'),
      giou: number('giou_cost'),
      focal: { alpha: 0.25, gamma: 2 },
    },
    focal,
    cardinality: 'sigmoid',
  });
  const { targets, taughtMap } = phraseTargets(context, input.inputIds, model.options.delimiters);
  const extras = { tokenMask: input.textMask, taughtMap };
  return () => {
    const output = model.forward(input, null, { training: true, intermediates: true });
    const result = criterion.compute(output, targets, extras);
    const { encoder_logits, encoder_pred_boxes } = output.intermediates;
    const first = { pred_logits: encoder_logits, pred_boxes: encoder_pred_boxes, aux_outputs: [] };
    const proposals = criterion.compute(first as unknown as DetectorOutput, targets, extras);
    const parts = Object.entries(proposals.parts).map(([key, value]) => [`${key}_enc`, value] as const);
    return {
      total: tf.add(result.total, proposals.total) as tf.Scalar,
      parts: { ...result.parts, ...Object.fromEntries(parts) },
      matching: result.matching,
      proposals: proposals.matching,
    };
  };
}

/**
 * A label is the number of a phrase in its picture's text: the tokens between two delimiters.
 *
 * `taughtMap` holds the tokens that transformers' class loss takes for a target, unlike its matcher: it numbers the phrases of all
 * texts on end, but moves a picture's labels by that picture's phrases instead of those before it. The same if all texts of two
 * have as many phrases.
 */
function phraseTargets(
  context: CaseContext,
  ids: tf.Tensor2D,
  delimiters: readonly number[],
): { targets: PaddedTargets; taughtMap: tf.Tensor3D } {
  const rows = ids.arraySync();
  const boxes = rows.map((_, i) => {
    const { data } = context.raw(`in/boxes.${i}`);
    return Array.from({ length: data.length / 4 }, (_, k) =>
      Array.from(data.slice(4 * k, 4 * k + 4) as Float32Array),
    );
  });
  const labels = rows.map((_, i) => Array.from(context.raw(`in/labels.${i}`).data as Int32Array));
  const phrases = rows.map((row) => phraseTokens(row, [...delimiters, 0]));
  const positives = labels.map((own, i) => own.map((label) => phrases[i]![label]!));
  const all = phrases.flat();
  const taught = labels.map((own, i) => own.map((label) => all[label + (i > 0 ? phrases[i]!.length : 0)]!));
  const targets = padTargets(boxes, positives, ids.shape[1]);
  return { targets, taughtMap: padTargets(boxes, taught, ids.shape[1]).positiveMap };
}

function phraseTokens(row: readonly number[], delimiters: readonly number[]): number[][] {
  const phrases: number[][] = [];
  row.forEach((id, t) => {
    if (delimiters.includes(id)) return;
    const last = phrases.at(-1);
    if (last?.at(-1) === t - 1) last.push(t);
    else phrases.push([t]);
  });
  return phrases;
}

function compareLosses(context: CaseContext, losses: Losses, counts: readonly number[]): void {
  context.compare('out/loss', losses.total);
  for (const [key, value] of Object.entries(losses.parts)) context.compare(`out/loss.${key}`, value);
  const layers = losses.matching.queries.shape[1];
  for (let layer = 0; layer < layers; layer++) {
    compareMatches(context, String(layer), losses.matching.queries, layer, counts);
  }
  compareMatches(context, 'enc', losses.proposals.queries, 0, counts);
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
