// SPDX-License-Identifier: Apache-2.0
import type { CategoryMatches } from './match.js';
import type { CocoArrays, ResolvedParams } from './types.js';

/** Arrays of -1, to be filled category by category with `accumulateCategory`. */
export function emptyArrays(params: ResolvedParams, categories: number): CocoArrays {
  const counts = {
    iou: params.iouThrs.length,
    recall: params.recThrs.length,
    category: categories,
    area: params.areaRng.length,
    maxDet: params.maxDets.length,
  };
  const cells = counts.iou * counts.category * counts.area * counts.maxDet;
  return {
    params,
    counts,
    precision: new Float64Array(cells * counts.recall).fill(-1),
    recall: new Float64Array(cells).fill(-1),
  };
}

/** Writes precision at every recall, and the recall reached, of category number `k`. */
export function accumulateCategory(arrays: CocoArrays, k: number, matches: CategoryMatches): void {
  const { params, counts } = arrays;
  const { scores, ranks } = matches;
  const order = Array.from(scores.keys()).sort((i, j) => scores[j]! - scores[i]! || i - j);
  params.maxDets.forEach((most, m) => {
    const kept = Int32Array.from(order.filter((i) => ranks[i]! < most));
    for (let a = 0; a < counts.area; a++) {
      const truths = matches.truthCounts[a]!;
      if (truths === 0) continue;
      for (let t = 0; t < counts.iou; t++) {
        const base = (a * counts.iou + t) * scores.length;
        const curve = precisionCurve(matches, base, kept, truths);
        arrays.recall[((t * counts.category + k) * counts.area + a) * counts.maxDet + m] =
          curve.recalls[kept.length - 1] ?? 0;
        let at = 0;
        params.recThrs.forEach((wanted, r) => {
          while (at < kept.length && curve.recalls[at]! < wanted) at++;
          const cell =
            (((t * counts.recall + r) * counts.category + k) * counts.area + a) * counts.maxDet + m;
          arrays.precision[cell] = curve.precisions[at] ?? 0;
        });
      }
    }
  });
}

/** Recall and best precision from there on, after each of the results `kept` (indices by falling score). */
function precisionCurve(
  { matched, ignored }: CategoryMatches,
  base: number,
  kept: Int32Array,
  truths: number,
): { recalls: Float64Array; precisions: Float64Array } {
  const recalls = new Float64Array(kept.length);
  const precisions = new Float64Array(kept.length);
  let hits = 0;
  let misses = 0;
  for (let i = 0; i < kept.length; i++) {
    const at = base + kept[i]!;
    if (!ignored[at]) {
      if (matched[at]) hits++;
      else misses++;
    }
    recalls[i] = hits / truths;
    precisions[i] = hits / (misses + hits + Number.EPSILON);
  }
  for (let i = kept.length - 2; i >= 0; i--) {
    if (precisions[i + 1]! > precisions[i]!) precisions[i] = precisions[i + 1]!;
  }
  return { recalls, precisions };
}
