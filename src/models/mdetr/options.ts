// SPDX-License-Identifier: Apache-2.0
import type { QuestionSet } from './questions.js';

/** Everything about transformer and heads that MDETR and the published MDETR-G share; the rest is built outside. */
export interface SoftTokenOptions {
  dModel: number;
  heads: number;
  encoderLayers: number;
  decoderLayers: number;
  ffn: number;
  queries: number;
  /** Token positions of the head; the last means "no object". */
  slots: number;
  /** Width of the spaces in which queries and tokens, picture and text are compared. */
  alignDim: number;
  /** Queries and tokens are compared (contrastive alignment). */
  align: boolean;
  /** Picture and text as wholes are compared. */
  pooled: boolean;
}

/** MDETR as published. */
export interface MdetrOptions extends SoftTokenOptions {
  /** The text may be a question: which answers there are. Absent: none. */
  questions?: QuestionSet;
  /** It tells the object meant from others that are named. Absent: no. */
  final?: boolean;
}

export const TRANSFORMER_KINDS = ['deformable', 'vanilla'] as const;
export const CLASS_SCALES = ['learnable', 'off'] as const;
export const ALIGN_SCALES = ['learnable', 'hardcoded'] as const;

export interface MdetrGUpstreamOptions extends SoftTokenOptions {
  /** `vanilla` attends to the whole of the last feature map. */
  kind: (typeof TRANSFORMER_KINDS)[number];
  /** Feature maps, the backbone's last ones; `vanilla` takes one. */
  levels: number;
  /** Samples per head and map. */
  points: number;
  /** Queries read the text in the decoder. Without it no box depends on the words. */
  textAttention: boolean;
  /** Class logits are multiplied by a learned scale. */
  classScale: (typeof CLASS_SCALES)[number];
  /** Similarities are multiplied by a learned scale, or by 1 / 0.07. */
  alignScale: (typeof ALIGN_SCALES)[number];
}
