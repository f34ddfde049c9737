// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { iouXyxy } from '../../models/nms.js';
import type { BoxXyxy } from '../../models/types.js';

/** A phrase of a sentence: its boxes in the picture, and those that were found for it, best first. */
export interface GroundedPhrase {
  /** Named in messages. */
  id: string;
  /** Categories it is counted in, beside `all`. */
  types: readonly string[];
  truth: readonly BoxXyxy[];
  predictions: readonly BoxXyxy[];
}

/** Recall at each rank of one category of phrases. */
export interface PhraseRecall {
  1: number;
  5: number;
  10: number;
  /** Phrases met by a prediction of any rank. */
  upperBound: number;
  /** Phrases counted. */
  count: number;
}

/** Least overlap of a hit. */
const HIT = 0.5;

/**
 * Recall at 1, 5 and 10 of phrase grounding by category (Flickr30k Entities): share of phrases of which one of the k best
 * predictions overlaps a true box by at least 0.5.
 *
 * Source: MDETR (Kamath et al. 2021), its two protocols.
 * @param options.merge the boxes of a phrase count as one that encloses them all (the `merged-boxes` protocol); else any is
 * enough (`any-box`)
 * @returns by category, `all` first
 * @throws UserError for a phrase without true boxes
 */
export function phraseRecall(
  phrases: readonly GroundedPhrase[],
  options: { merge?: boolean } = {},
): Record<string, PhraseRecall> {
  const ranked = phrases.map((phrase) => ({
    types: phrase.types,
    rank: firstHit(phrase, options.merge ?? false),
  }));
  const types = [...new Set(phrases.flatMap((phrase) => phrase.types))].sort();
  const recall = (own: readonly { rank: number }[]): PhraseRecall => {
    const share = (k: number) =>
      own.length === 0 ? 0 : own.filter(({ rank }) => rank < k).length / own.length;
    return {
      1: share(1),
      5: share(5),
      10: share(10),
      upperBound: share(Number.POSITIVE_INFINITY),
      count: own.length,
    };
  };
  return Object.fromEntries([
    ['all', recall(ranked)],
    ...types.map((type) => [type, recall(ranked.filter((phrase) => phrase.types.includes(type)))] as const),
  ]);
}

/** Rank of the first prediction that is right, from 0; infinite if none is. */
function firstHit({ id, truth, predictions }: GroundedPhrase, merge: boolean): number {
  if (truth.length === 0) {
    throw new UserError(`phrase ${id} has no true box; leave such phrases out`, EXIT_CODES.data);
  }
  const targets = merge ? [enclosing(truth)] : truth;
  const rank = predictions.findIndex((box) => targets.some((target) => iouXyxy(box, target) >= HIT));
  return rank < 0 ? Number.POSITIVE_INFINITY : rank;
}

function enclosing(boxes: readonly BoxXyxy[]): BoxXyxy {
  const side = (axis: 0 | 1 | 2 | 3) => boxes.map((box) => box[axis]);
  return [Math.min(...side(0)), Math.min(...side(1)), Math.max(...side(2)), Math.max(...side(3))];
}
