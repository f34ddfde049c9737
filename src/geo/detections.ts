// SPDX-License-Identifier: Apache-2.0
import type { BoxXyxy, Detection, Span } from '../models/types.js';
import type { Georeference } from './georeference.js';

/** Everything that was found in one picture with one prompt. */
export interface DetectionSet {
  /** The picture as the user named it. */
  source: string;
  width: number;
  height: number;
  prompt: string;
  detections: readonly Detection[];
  georeference: Georeference | null;
  /** Why `georeference` is null and what would help, as `Raster.georeferenceMissing` says it. */
  georeferenceMissing?: string | null;
  /** Name and version of the model, if the output should say so. */
  model?: string;
}

/** What `detect` returns: parallel lists. */
export interface DetectionLists {
  boxes: readonly BoxXyxy[];
  scores: readonly number[];
  phrases: readonly string[];
  spans: readonly (readonly Span[])[];
}

/** Parallel lists to records. */
export function toDetections({ boxes, scores, phrases, spans }: DetectionLists): Detection[] {
  const n = boxes.length;
  if (scores.length !== n || phrases.length !== n || spans.length !== n) {
    throw new RangeError(
      `[toDetections] expected lists of one length but received ${n} boxes, ${scores.length} scores, ` +
        `${phrases.length} phrases, ${spans.length} lists of spans`,
    );
  }
  return boxes.map((box, i) => ({ box, score: scores[i]!, phrase: phrases[i]!, spans: spans[i]! }));
}
