// SPDX-License-Identifier: Apache-2.0
import type { Span } from '../../models/types.js';

/** Stretch of each token of a caption, in code points. */
type Offsets = readonly Span[];

/**
 * The token map of MDETR's contrastive alignment, ones and zeros: tokens from the one at a span's first character to the
 * one at its last. It equals the positive map but for a slip of the published code, kept for parity: where a span begins
 * or ends on a space, the next characters are looked up in the first caption of the batch, whatever the caption.
 *
 * Source: Kamath et al. 2021, public code. Training of one's own should use the positive map (the default of the loss).
 *
 * @param objects of each caption, the spans of each object, in code points
 * @param offsets of each caption's tokens
 * @param tokens columns
 * @returns for each caption row-major `[objects, tokens]`
 */
export function alignmentMaps(
  objects: readonly (readonly (readonly Span[])[])[],
  offsets: readonly Offsets[],
  tokens: number,
): Float32Array[] {
  return objects.map((own, i) => {
    const map = new Float32Array(own.length * tokens);
    own.forEach((spans, row) => {
      for (const [begin, end] of spans) {
        const first = findToken(offsets[i]!, begin, offsets[0]!, [begin + 1, begin + 2]);
        const last = findToken(offsets[i]!, end - 1, offsets[0]!, [end - 2, end - 3]);
        if (first < 0 || last < first) continue;
        map.fill(1, row * tokens + Math.min(first, tokens), row * tokens + Math.min(last + 1, tokens));
      }
    });
    return map;
  });
}

/** Token at a character, else the first one found at `others` of another caption, else -1. */
function findToken(own: Offsets, character: number, other: Offsets, others: readonly number[]): number {
  const found = tokenAt(own, character);
  return found >= 0 ? found : (others.map((at) => tokenAt(other, at)).find((token) => token >= 0) ?? -1);
}

function tokenAt(offsets: Offsets, character: number): number {
  return offsets.findIndex(([begin, end]) => character >= begin && character < end);
}
