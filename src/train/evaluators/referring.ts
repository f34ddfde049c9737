// SPDX-License-Identifier: Apache-2.0
import { giouXyxy } from '../../models/nms.js';
import type { BoxXyxy } from '../../models/types.js';
import { checkRanked, type RankedBox } from './ranked.js';

/** Ranks at which precision is measured. */
export const PRECISION_AT = [1, 5, 10] as const;

/** One referring expression: the box it means, and what was found for it. */
export interface ReferringSample {
  id: string | number;
  /** Precision is given for each dataset. */
  dataset: string;
  target: BoxXyxy;
  predictions: readonly RankedBox[];
}

/** Share of expressions whose box is met by one of the k best predictions, by k. */
export type PrecisionAt = Record<(typeof PRECISION_AT)[number], number>;

/** Least overlap of a hit. */
const HIT = 0.5;

/**
 * Precision at 1, 5 and 10 of referring expressions (RefCOCO, RefCOCO+, RefCOCOg), as MDETR's evaluator counts: a hit has a
 * *generalised* IoU of at least 0.5 with the target; predictions are ranked by score, equal ones by their box's coordinates.
 *
 * Source: Kamath et al. 2021 and their repository; generalised IoU: Rezatofighi et al. 2019.
 * @param datasets those to report; one without samples has 0; default: those of the samples
 * @throws UserError for a score or box that is not finite, naming the sample
 */
export function referringPrecision(
  samples: readonly ReferringSample[],
  datasets: readonly string[] = [...new Set(samples.map(({ dataset }) => dataset))],
): Record<string, PrecisionAt> {
  const hits = samples.map(({ id, dataset, target, predictions }) => ({
    dataset,
    rank: firstHit(id, target, predictions),
  }));
  const of = (dataset: string): PrecisionAt => {
    const own = hits.filter((hit) => hit.dataset === dataset);
    const at = (k: number) => (own.length === 0 ? 0 : own.filter(({ rank }) => rank < k).length / own.length);
    return { 1: at(1), 5: at(5), 10: at(10) };
  };
  return Object.fromEntries(datasets.map((dataset) => [dataset, of(dataset)]));
}

/** Rank of the best prediction that meets the target, from 0; infinite if none does. */
function firstHit(id: string | number, target: BoxXyxy, predictions: readonly RankedBox[]): number {
  checkRanked(`referring expression ${id}`, predictions);
  const ranked = [...predictions].sort((a, b) => b.score - a.score || compareBoxes(b.box, a.box));
  const rank = ranked.findIndex(({ box }) => giouXyxy(box, target) >= HIT);
  return rank < 0 ? Number.POSITIVE_INFINITY : rank;
}

/** Order by the first coordinate that differs. */
function compareBoxes(a: BoxXyxy, b: BoxXyxy): number {
  for (let i = 0; i < 4; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
