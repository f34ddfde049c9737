// SPDX-License-Identifier: Apache-2.0
import type { BoxXyxy } from '../../models/types.js';
import { cocoEvaluate } from './coco.js';

/** One picture with one sentence: what the sentence refers to, and what the model found. */
export interface GroundedSample {
  id: string;
  /** Form of the sentence (`colour+kind`, `relation`, `absent`, ...). */
  form: string;
  width: number;
  height: number;
  /** Boxes the sentence refers to; empty when it names something absent. */
  truth: readonly BoxXyxy[];
  /** Boxes around many of what the sentence refers to: what is found there counts neither for nor against. */
  crowds?: readonly BoxXyxy[];
  predictions: readonly { box: BoxXyxy; score: number }[];
}

export interface GroundedFigures {
  AP: number;
  AP50: number;
  AP75: number;
  /** Truths found among the k best predictions at overlap 0.5, as a share of all truths. */
  recallAt: Record<1 | 5 | 10, number>;
  /** By form of sentence; AP50 is -1 for a form without truths. `topScore` is the mean of the best score. */
  byForm: Record<string, { AP50: number; count: number; topScore: number }>;
}

const RECALL_AT = [1, 5, 10] as const;

/**
 * Class-agnostic box AP of referring sentences by COCO's rules (crowds too), each sample its own image, and by form of sentence.
 * Samples without truths count too: whatever is found there is a miss.
 */
export function evaluateGrounded(samples: readonly GroundedSample[]): GroundedFigures {
  const all = agnostic(samples);
  const forms = [...new Set(samples.map(({ form }) => form))].sort();
  const byForm = forms.map((form) => {
    const of = samples.filter((sample) => sample.form === form);
    const topScore =
      of.reduce((sum, { predictions }) => sum + Math.max(0, ...predictions.map(({ score }) => score)), 0) /
      of.length;
    return [form, { AP50: agnostic(of).ap({ iou: 0.5 }), count: of.length, topScore }] as const;
  });
  const recalls = RECALL_AT.map((k) => [k, all.ar({ iou: 0.5, maxDet: k })] as const);
  return {
    AP: all.ap(),
    AP50: all.ap({ iou: 0.5 }),
    AP75: all.ap({ iou: 0.75 }),
    recallAt: Object.fromEntries(recalls) as GroundedFigures['recallAt'],
    byForm: Object.fromEntries(byForm),
  };
}

function agnostic(samples: readonly GroundedSample[]) {
  const corners = ([x0, y0, x1, y1]: BoxXyxy) => [x0, y0, x1 - x0, y1 - y0];
  const truth = {
    images: samples.map((_, id) => ({ id })),
    categories: [{ id: 1 }],
    annotations: samples.flatMap(({ truth, crowds = [] }, image_id) => [
      ...truth.map((box) => ({ image_id, category_id: 1, bbox: corners(box) })),
      ...crowds.map((box) => ({ image_id, category_id: 1, bbox: corners(box), iscrowd: 1 as const })),
    ]),
  };
  const results = samples.flatMap((sample, image_id) =>
    sample.predictions.map(({ box, score }) => ({ image_id, category_id: 1, bbox: corners(box), score })),
  );
  return cocoEvaluate(truth, results, { maxDets: [...RECALL_AT, 100] });
}

/** The figures as lines of text: the totals, then a row for each form. */
export function groundedTable(figures: GroundedFigures): string {
  const number = (value: number) => (value < 0 ? '    -' : value.toFixed(3));
  const { AP, AP50, AP75, recallAt, byForm } = figures;
  const width = Math.max(8, ...Object.keys(byForm).map((form) => form.length));
  return [
    `AP ${number(AP)}   AP50 ${number(AP50)}   AP75 ${number(AP75)}   ` +
      RECALL_AT.map((k) => `R@${k} ${number(recallAt[k])}`).join('   '),
    `${'form'.padEnd(width)}  sentences   AP50  top score`,
    ...Object.entries(byForm).map(
      ([form, row]) =>
        `${form.padEnd(width)}  ${String(row.count).padStart(9)}  ${number(row.AP50)}  ${number(row.topScore).padStart(9)}`,
    ),
  ].join('\n');
}
