// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { boxesInPixels, rankQueries, softTokenScores } from '../../src/models/mdetr/index.js';
import type { BoxXyxy } from '../../src/models/types.js';
import { type CocoAnnotation, cocoEvaluate } from '../../src/train/evaluators/coco.js';
import {
  type EntityPhrase,
  parseEntityBoxes,
  parseEntitySentences,
} from '../../src/train/evaluators/flickr_entities.js';
import { type PhraseRecall, phraseRecall } from '../../src/train/evaluators/phrase_recall.js';
import { referringPrecision } from '../../src/train/evaluators/referring.js';
import type { CaseContext } from './context.js';

interface Found {
  scores: number[];
  boxes: BoxXyxy[];
}

const rankedOf = ({ scores, boxes }: Found) => boxes.map((box, i) => ({ box, score: scores[i]! }));
const toleranceOf = (context: CaseContext): number =>
  (context.entry as { tolerance?: number }).tolerance ?? 1e-6;

interface ReferringFile {
  images: { id: number; dataset: string; target_xywh: [number, number, number, number] }[];
  predictions: Record<string, Found>;
  result: Record<string, number[]>;
}

/** Precision of referring expressions; the original gives the three numbers sorted. */
export function runReferring(context: CaseContext): void {
  const { images, predictions, result } = context.json<ReferringFile>(context.entry.files[0]!);
  const samples = images.map(({ id, dataset, target_xywh: [x, y, w, h] }) => ({
    id,
    dataset,
    target: [x, y, x + w, y + h] as BoxXyxy,
    predictions: rankedOf(predictions[id]!),
  }));
  const got = referringPrecision(samples, Object.keys(result));
  for (const [dataset, expected] of Object.entries(result)) {
    const values = Object.values(got[dataset]!).sort((a, b) => a - b);
    expected.forEach((value, i) => {
      context.compareNumber(`${dataset}[${i}]`, values[i]!, value, toleranceOf(context));
    });
  }
}

interface StoredPhrase {
  phrase: string;
  first_word_index: number;
  id: string;
  types: string[];
}

interface FlickrFile {
  annotations: Record<string, string>;
  sentences: Record<string, string>;
  /** null where no phrase of the sentence has a box. */
  phrases: Record<string, (StoredPhrase[] | null)[]>;
  predictions: { image_id: number; sentence_id: number; boxes: BoxXyxy[][] }[];
  result: Record<string, number>;
  result_merged: Record<string, number>;
}

/** Recall of phrase grounding, from the files of Flickr30k Entities to the numbers. */
export function runFlickr(context: CaseContext): void {
  const file = context.json<FlickrFile>(context.entry.files[0]!);
  const boxes = new Map(Object.entries(file.annotations).map(([id, xml]) => [id, parseEntityBoxes(xml, id)]));
  const phrases = new Map(
    Object.entries(file.sentences).map(([id, text]) => [
      id,
      parseEntitySentences(text, id).map((own) => own.filter((phrase) => boxes.get(id)!.has(phrase.id))),
    ]),
  );
  for (const [id, sentences] of Object.entries(file.phrases)) {
    const stored = sentences.map((own) => own ?? []);
    const got = phrases.get(id)!.map((own) => own.map(asStored));
    context.check(
      `phrases of ${id}`,
      JSON.stringify(got) === JSON.stringify(stored),
      `read ${JSON.stringify(got)}`,
    );
  }
  // Of several answers to a sentence the first counts.
  const sentences = file.predictions.map(({ image_id, sentence_id }) => `${image_id}/${sentence_id}`);
  const answered = file.predictions.filter((_, i) => sentences.indexOf(sentences[i]!) === i);
  const samples = answered.flatMap(({ image_id, sentence_id, boxes: found }) =>
    phrases.get(String(image_id))![sentence_id]!.map(({ id, types }, i) => ({
      id: `${image_id}/${sentence_id}/${id}`,
      types,
      truth: boxes.get(String(image_id))!.get(id)!,
      predictions: found[i]!,
    })),
  );
  compareRecall(context, 'result', phraseRecall(samples), file.result);
  compareRecall(context, 'result_merged', phraseRecall(samples, { merge: true }), file.result_merged);
}

const asStored = ({ phrase, firstWordIndex, id, types }: EntityPhrase): StoredPhrase => ({
  phrase,
  first_word_index: firstWordIndex,
  id,
  types,
});

function compareRecall(
  context: CaseContext,
  name: string,
  got: Readonly<Record<string, PhraseRecall>>,
  expected: Readonly<Record<string, number>>,
): void {
  for (const [key, value] of Object.entries(expected)) {
    const [, rank, type] = /^(?:Recall@(\d+)|Upper_bound)_(.*)$/.exec(key)!;
    const recall = got[type!];
    const own = rank === undefined ? recall?.upperBound : recall?.[Number(rank) as 1 | 5 | 10];
    context.compareNumber(`${name} ${key}`, own ?? Number.NaN, value, toleranceOf(context));
  }
}

interface AgnosticFile {
  gt: { images: { id: number }[]; annotations: CocoAnnotation[] };
  predictions: Record<string, Found>;
  stats: number[];
}

/** COCO's numbers with every truth and detection in one class. */
export function runClassAgnostic(context: CaseContext): void {
  const { gt, predictions, stats } = context.json<AgnosticFile>(context.entry.files[0]!);
  const results = Object.entries(predictions).flatMap(([id, found]) =>
    rankedOf(found).map(({ box: [x0, y0, x1, y1], score }) => ({
      image_id: Number(id),
      category_id: 1,
      bbox: [x0, y0, x1 - x0, y1 - y0] as [number, number, number, number],
      score,
    })),
  );
  const annotations = gt.annotations.map((annotation) => ({ ...annotation, category_id: 1 }));
  const got = cocoEvaluate({ images: gt.images, categories: [{ id: 1 }], annotations }, results);
  stats.forEach((expected, i) => {
    context.compareNumber(`stats[${i}]`, got.stats[i]!, expected, toleranceOf(context));
  });
}

/** From logits and boxes to scores, pixels and the order of boxes for each phrase. */
export function runAnswers(context: CaseContext): void {
  const logits = context.tensor<tf.Tensor3D>('in/pred_logits');
  const final = context.tensor<tf.Tensor3D>('in/pred_isfinal');
  const map = context.tensor<tf.Tensor2D>('in/positive_map');
  const counts = Array.from(context.raw('in/items').data as ArrayLike<number>);
  const got = context.compute(() => {
    const boxes = boxesInPixels(context.tensor('in/pred_boxes'), context.tensor('in/target_sizes'));
    return {
      boxes,
      scores: softTokenScores(logits),
      refexp: softTokenScores(logits, final),
      order: rankQueries(logits, map, counts),
    };
  });
  context.compare('out/boxes', got.boxes);
  context.compare('out/scores', got.scores);
  context.compare('out/scores_refexp', got.refexp);
  const pictures = counts.flatMap((count, i) => Array<number>(count).fill(i));
  pictures.forEach((picture, i) => {
    const own = tf.gather(got.boxes, [picture]).squeeze([0]);
    context.compare(
      `out/phrase${i}`,
      tf.gather(own, tf.gather(got.order, [i]).squeeze([0]).toInt() as tf.Tensor1D),
    );
  });
}
