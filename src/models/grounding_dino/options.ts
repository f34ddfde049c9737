// SPDX-License-Identifier: Apache-2.0

/**
 * How queries and words are compared: `dot` is Grounding DINO's plain product; `scaled` divides by the root of the width
 * and adds a learned bias (MM-Grounding-DINO).
 */
export const LOGIT_KINDS = ['dot', 'scaled'] as const;
export type LogitKind = (typeof LOGIT_KINDS)[number];

/** Everything about the transformer and the heads; backbone and text encoder are built outside. */
export interface GroundingDinoOptions {
  dModel: number;
  encoderLayers: number;
  /** Heads of deformable attention; fusion and text attention have half as many. */
  encoderHeads: number;
  encoderPoints: number;
  /** Inner width of the encoder's feed-forward layers; fusion and text layers have half of it. */
  encoderFfn: number;
  decoderLayers: number;
  decoderHeads: number;
  decoderPoints: number;
  decoderFfn: number;
  /** Feature maps. Those beyond the backbone's are made by convolutions of stride 2. */
  levels: number;
  /** Boxes predicted. */
  queries: number;
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
  /** Ids of the tokens that stand around and between phrases: [CLS], [SEP], full stop, question mark. */
  delimiters: number[];
}
