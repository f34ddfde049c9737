// SPDX-License-Identifier: Apache-2.0
import type * as tf from '@tensorflow/tfjs';
import type { Module } from '../models/module.js';
import type { Random } from '../random.js';
import type { ParameterGroup } from './optimizer.js';

/** A scalar loss and what it is made of. `total` is differentiated; `parts` are logged by name. */
export interface TaskLoss {
  total: tf.Scalar;
  parts: Record<string, tf.Scalar>;
}

/** A named figure of an evaluation, e.g. `AP50`; a form of sentence is written `form/relation/AP50`. */
export type Figures = Record<string, number>;

/**
 * What the training loop (`run.ts`) needs to know of a model, its data and its losses; the loop knows nothing else.
 *
 * Exact resume rests on one rule: **everything drawn at random is drawn in `batch`, from the `random` it is given.**
 * The loop makes that generator from the run's seed and the step's number, so batch `n` is the same whether the run was
 * interrupted or not, and the next batch can be prepared while a step computes. Noise a loss needs (denoising queries,
 * dropout masks) therefore belongs to the batch, and a pass through the data is ordered by `(seed, epoch)`, see
 * `DataOrder`.
 */
export interface TrainTask<B = unknown, I = unknown> {
  /** The whole model; its parameters and buffers make `model.safetensors`. */
  readonly model: Module;

  /** Steps that see every training picture once; the loop derives the epoch from it. */
  readonly stepsPerEpoch: number;

  /** Which evaluation figure decides what the best checkpoint is (higher is better). */
  readonly bestFigure: string;

  /** Distinct trainable variables by name, usually `model.trainableParameters()` less what is frozen. */
  parameters(): Map<string, tf.Variable>;

  /** Learning rate and weight decay by parameter; default: `defaultGroups` (groups.ts). */
  parameterGroups?(): ParameterGroup[];

  /** Prepares batch number `step`, counted from 0. A pure function of `step` and `random`. */
  batch(step: number, random: Random): Promise<B>;

  /**
   * What the loss is computed from: tensors of the batch, in arrays and plain objects. Few combinations of shapes should
   * occur, because the step is compiled once for each.
   */
  inputs(batch: B): I;

  /**
   * Runs inside `tf.variableGrads`, as part of a compiled function: pure tensor work, no reading back of values, nothing
   * drawn at random but from seeds among the inputs.
   */
  loss(inputs: I): TaskLoss;

  /** Names of the samples in a batch, for the message when a loss is not finite. */
  sampleIds(batch: B): string[];

  /** Frees the tensors of a batch. Called exactly once for each. */
  disposeBatch(batch: B): void;

  /** Evaluates the model as it stands (the loop swaps averaged weights in before) on at most `limit` pictures. */
  evaluate(limit?: number): Promise<Figures>;

  /** Writes sample pictures into the existing folder `dir`; returns the paths of the files. */
  samples(dir: string, step: number): Promise<string[]>;

  /** Files that must stand beside the weights to load the model (`config.json`, `tokenizer.json`, ...): name to content. */
  describe(): Promise<Record<string, string | Uint8Array>>;

  /** Frees the model and what else the task holds. */
  dispose(): void;
}
