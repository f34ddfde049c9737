// SPDX-License-Identifier: Apache-2.0
import type { Random } from '../../random.js';
import type { Span } from './types.js';

/** A caption made of class labels, and which words name which class. */
export interface LabelCaption {
  text: string;
  /** Code-point spans by category. */
  spans: Map<string, Span[]>;
}

/**
 * A caption that names each category once, so that data sets with classes but no sentences train a text-conditioned
 * detector: `ship. plane. storage tank`, the form in which detectors of this family are asked for classes. With `random`
 * the order varies.
 *
 * @param categories distinct names; underscores and dashes become spaces, as people type them
 */
export function captionFromLabels(categories: readonly string[], random?: Random): LabelCaption {
  const order = random === undefined ? [...categories] : random.shuffle(categories);
  const spans = new Map<string, Span[]>();
  let text = '';
  for (const category of order) {
    if (text !== '') text += '. ';
    const begin = [...text].length;
    const words = readableLabel(category);
    text += words;
    spans.set(category, [[begin, begin + [...words].length]]);
  }
  return { text, spans };
}

/** `storage_tank` as `storage tank`. */
function readableLabel(category: string): string {
  return category.replace(/[_-]+/g, ' ').replace(/\s+/g, ' ').trim().toLowerCase();
}
