// SPDX-License-Identifier: Apache-2.0
import { accumulateCategory, emptyArrays } from './coco/accumulate.js';
import { type ImageRecords, matchCategory } from './coco/match.js';
import { checkRecords, resolveParams } from './coco/params.js';
import { meanOf, type Selection, summaryStats, summaryTable } from './coco/summary.js';
import type { CocoArrays, CocoParams, CocoResult, CocoTruth, ResolvedParams } from './coco/types.js';

export { IOU_THRESHOLDS, RECALL_THRESHOLDS } from './coco/params.js';
export type { Selection } from './coco/summary.js';
export type {
  CocoAnnotation,
  CocoArrays,
  CocoParams,
  CocoResult,
  CocoTruth,
  ResolvedParams,
} from './coco/types.js';

/** A finished evaluation. */
export interface CocoEvaluation extends CocoArrays {
  /** The twelve numbers of pycocotools' summary, see `summaryStats`. */
  stats: number[];
  /** Mean precision over what `selection` leaves, e.g. `ap({ iou: 0.5 })`; -1 = no truths there. */
  ap(selection?: Selection): number;
  /** Mean recall, likewise. */
  ar(selection?: Selection): number;
  /** AP, AP50, AP75 and AR of every category id at the largest `maxDets`. */
  perCategory(): Map<number, { ap: number; ap50: number; ap75: number; ar: number }>;
  /** The table pycocotools prints. */
  table(): string;
}

/**
 * Box AP and AR as pycocotools 2.0 computes them: greedy matching by score with stable order among equal scores,
 * crowds and other size classes ignored, precision made monotone and read at 101 recalls. One departure: a truth whose
 * id is 0 can be found (pycocotools takes that id for "not found").
 *
 * Results of categories outside `catIds` are left out, as there.
 *
 * @throws UserError for a box or score that is not finite, and for a result whose image the truth does not have.
 */
export function cocoEvaluate(
  truth: CocoTruth,
  results: readonly CocoResult[],
  params: CocoParams = {},
): CocoEvaluation {
  checkRecords(truth, results);
  const resolved = resolveParams(truth, params);
  const groups = groupRecords(truth, results, resolved);
  const arrays = emptyArrays(resolved, groups.length);
  groups.forEach((images, k) => {
    accumulateCategory(arrays, k, matchCategory(images, resolved));
  });
  return {
    ...arrays,
    stats: summaryStats(arrays),
    ap: (selection) => meanOf('precision', arrays, selection),
    ar: (selection) => meanOf('recall', arrays, selection),
    table: () => summaryTable(arrays),
    perCategory: () =>
      new Map(
        (resolved.useCats ? resolved.catIds : [-1]).map((id, category) => [
          id,
          {
            ap: meanOf('precision', arrays, { category }),
            ap50: meanOf('precision', arrays, { category, iou: 0.5 }),
            ap75: meanOf('precision', arrays, { category, iou: 0.75 }),
            ar: meanOf('recall', arrays, { category }),
          },
        ]),
      ),
  };
}

/** Records by category (one group without categories), then by image in ascending id; results sorted and capped. */
function groupRecords(
  truth: CocoTruth,
  results: readonly CocoResult[],
  { imgIds, catIds, maxDets, useCats }: ResolvedParams,
): ImageRecords[][] {
  const imageAt = new Map(imgIds.map((id, i) => [id, i]));
  const categoryAt = new Map(catIds.map((id, k) => [id, k]));
  const cells = catIds.map(() => imgIds.map((): ImageRecords => ({ truths: [], results: [] })));
  const cellOf = (record: { image_id: number; category_id: number }) => {
    const image = imageAt.get(record.image_id);
    const category = categoryAt.get(record.category_id);
    return image === undefined || category === undefined ? undefined : cells[category]![image]!;
  };
  for (const annotation of truth.annotations) cellOf(annotation)?.truths.push(annotation);
  for (const result of results) cellOf(result)?.results.push(result);
  const groups = useCats ? cells : [imgIds.map((_, i) => merged(cells.map((row) => row[i]!)))];
  for (const { results: list } of groups.flat()) {
    list.sort((a, b) => b.score - a.score);
    list.length = Math.min(list.length, maxDets.at(-1)!);
  }
  return groups;
}

/** Several categories of one image as one, category after category (the order decides among equal scores). */
function merged(cells: readonly ImageRecords[]): ImageRecords {
  return {
    truths: cells.flatMap(({ truths }) => truths),
    results: cells.flatMap(({ results }) => results),
  };
}
