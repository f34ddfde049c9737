// SPDX-License-Identifier: Apache-2.0
import type { CocoAnnotation, CocoResult, ResolvedParams } from './types.js';

/** Overlaps of results (rows) with truths (columns); a crowd's is the share of the result inside it. */
function boxOverlaps(results: readonly CocoResult[], truths: readonly CocoAnnotation[]): Float64Array {
  const overlaps = new Float64Array(results.length * truths.length);
  results.forEach(({ bbox: [x, y, w, h] }, d) => {
    truths.forEach(({ bbox: [tx, ty, tw, th], iscrowd }, g) => {
      const width = Math.min(x! + w!, tx! + tw!) - Math.max(x!, tx!);
      const height = Math.min(y! + h!, ty! + th!) - Math.max(y!, ty!);
      if (width <= 0 || height <= 0) return;
      const shared = width * height;
      const whole = iscrowd ? w! * h! : w! * h! + tw! * th! - shared;
      overlaps[d * truths.length + g] = shared / whole;
    });
  });
  return overlaps;
}

/** Verdicts on the results of one category over all images; the flags are `[areas, iouThrs, results]`. */
export interface CategoryMatches {
  scores: Float64Array;
  /** Place of a result in its own image by score, from 0. */
  ranks: Int32Array;
  /** 1 = found a truth. */
  matched: Uint8Array;
  /** 1 = counts neither for nor against: its truth is a crowd or of another size, or it is unmatched and of another size. */
  ignored: Uint8Array;
  /** Truths that must be found, by area. */
  truthCounts: number[];
}

/** Truths and results of one category in one image; results by falling score, at most the largest of `maxDets`. */
export interface ImageRecords {
  truths: CocoAnnotation[];
  results: CocoResult[];
}

/** Matches results to truths greedily by score, image by image, for every size class and overlap. */
export function matchCategory(images: readonly ImageRecords[], params: ResolvedParams): CategoryMatches {
  const total = images.reduce((sum, { results }) => sum + results.length, 0);
  const flags = params.areaRng.length * params.iouThrs.length * total;
  const all: CategoryMatches = {
    scores: new Float64Array(total),
    ranks: new Int32Array(total),
    matched: new Uint8Array(flags),
    ignored: new Uint8Array(flags),
    truthCounts: params.areaRng.map(() => 0),
  };
  let first = 0;
  for (const image of images) {
    image.results.forEach(({ score }, rank) => {
      all.scores[first + rank] = score;
      all.ranks[first + rank] = rank;
    });
    matchImage(image, params, all, first);
    first += image.results.length;
  }
  return all;
}

/** Writes the verdicts on one image's results, which begin at `first` of the category's. */
function matchImage(image: ImageRecords, params: ResolvedParams, all: CategoryMatches, first: number): void {
  const { truths, results } = image;
  const total = all.scores.length;
  const overlaps = boxOverlaps(results, truths);
  const least = Math.min(...params.iouThrs, 1 - 1e-10);
  // Most results overlap one or two truths: only those are looked at below.
  const near = results.map((_, d) => {
    const row = d * truths.length;
    return truths.flatMap((_, g) => (overlaps[row + g]! >= least ? [g] : []));
  });
  const crowd = truths.map(({ iscrowd }) => Boolean(iscrowd));
  params.areaRng.forEach(([low, high], a) => {
    const outside = (area: number) => area < low || area > high;
    const skipped = truths.map(({ area, bbox }, g) => crowd[g]! || outside(area ?? bbox[2]! * bbox[3]!));
    all.truthCounts[a]! += skipped.filter((skip) => !skip).length;
    const resultOutside = results.map(({ bbox }) => outside(bbox[2]! * bbox[3]!));
    params.iouThrs.forEach((threshold, t) => {
      const taken = new Uint8Array(truths.length);
      const base = (a * params.iouThrs.length + t) * total + first;
      for (let d = 0; d < results.length; d++) {
        const row = d * truths.length;
        let best = -1;
        let reach = Math.min(threshold, 1 - 1e-10);
        // Truths that count come first; those to be skipped are a last resort.
        for (const wanted of [false, true]) {
          if (best >= 0) break;
          for (const g of near[d]!) {
            if (skipped[g] !== wanted || (taken[g] && !crowd[g]) || overlaps[row + g]! < reach) continue;
            reach = overlaps[row + g]!;
            best = g;
          }
        }
        if (best >= 0) {
          taken[best] = 1;
          all.matched[base + d] = 1;
          all.ignored[base + d] = skipped[best] ? 1 : 0;
        } else if (resultOutside[d]) all.ignored[base + d] = 1;
      }
    });
  });
}
