// SPDX-License-Identifier: Apache-2.0
import type { RandomStream } from '../ops/index.js';
import type { Module } from './module.js';
import type { PromptOptions, TextEncoder } from './text/index.js';
import type { DetectorInput, DetectorOutput, LayerOutput, WordMask } from './types.js';

/** Predictions of the last decoder layer. */
export type Prediction = Pick<LayerOutput, 'pred_logits' | 'pred_boxes'>;

/** How answers are read from predictions. */
export interface AnswerRule {
  /** Slots are exclusive and the last one means "no object" (MDETR's soft tokens); else every token has its own sigmoid. */
  soft: boolean;
  /** A score may come from any token of the text, not only from those that stand for words. */
  specialTokens: boolean;
  /** Boxes that overlap by more are one detection; 1 keeps all. */
  duplicateIou: number;
}

/** How a model wants its sentences. */
export interface PromptRule extends PromptOptions {
  /** What stands between phrases that are asked for together. */
  joint: string;
}

export interface ForwardMode {
  training?: boolean;
  /** Draws what is dropped in training, where the settings say so. */
  random?: RandomStream | null;
  /** Also return named inner values. */
  intermediates?: boolean;
}

/** A detector that answers sentences: what detecting and exporting need to know of it. */
export interface TextDetector extends Module {
  readonly textEncoder: TextEncoder;
  /** Training leaves the text encoder alone, so that what it makes of a text may be given (`textFeatures`). Absent: no. */
  readonly textIsFixed?: boolean;
  readonly prompt: PromptRule;
  readonly answers: AnswerRule;

  /** @param wordMask `[batch, tokens]`, 1 = a token that may be answered to */
  forward(input: DetectorInput, wordMask: WordMask, mode?: ForwardMode): DetectorOutput;

  /** The same for the last decoder layer, by a compiled function. */
  predict(input: DetectorInput, wordMask: WordMask): Prediction;
}
