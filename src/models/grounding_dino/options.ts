// SPDX-License-Identifier: Apache-2.0
import type { DeformableSizes } from '../deformable_sizes.js';

/**
 * How queries and words are compared: `dot` is Grounding DINO's plain product; `scaled` divides by the root of the width
 * and adds a learned bias (MM-Grounding-DINO).
 */
export const LOGIT_KINDS = ['dot', 'scaled'] as const;
export type LogitKind = (typeof LOGIT_KINDS)[number];

/**
 * Everything about the transformer and the heads; backbone and text encoder are built outside. Fusion and text attention have
 * half of `encoderHeads`, fusion and text layers half of `encoderFfn`.
 */
export interface GroundingDinoOptions extends DeformableSizes {
  /** Most tokens of a text, special ones included. */
  textTokens: number;
  logits: LogitKind;
  /** One box head for all decoder layers. */
  sharedBoxHead: boolean;
  /** One bias for all decoder layers, where logits have any. */
  sharedClassHead: boolean;
  /** Base of the wave lengths of image positions. */
  temperature: number;
  /** Probability of dropping what image and text tell each other in a layer, in training. */
  fusionDropPath: number;
  /**
   * How near to 0 and 1 the boxes are held that go from layer to layer, and those that answers start from (default 1e-5, as
   * Hugging Face; the original: 1e-3).
   */
  referenceEps?: number;
  boxEps?: number;
  /** Ids of the tokens that stand around and between phrases: [CLS], [SEP], full stop, question mark. */
  delimiters: number[];
}
