// SPDX-License-Identifier: Apache-2.0
import type { Module } from '../module.js';
import type { CheckpointFile } from '../weights/checkpoint_file.js';
import type { NameMap } from '../weights/name_map.js';
import type { TorchValue } from '../weights/torch/write.js';

/** Weights and what lies beside them. */
export interface Published {
  file: CheckpointFile;
  /** The `config.json` beside them. */
  config: { path: string; values: Readonly<Record<string, unknown>> } | null;
  /** What messages call them. */
  source: string;
}

/** What weights are of. */
export interface Recognised {
  /** In words: `Deformable DETR, resnet-50, box refinement, 91 classes`. */
  title: string;
  /** `config.json` of a folder from which tfgeo loads it. */
  config: object;
  /** How the file names things. */
  names: NameMap;
  /** Every way of naming that is known, to write them. */
  origins: readonly NameMap[];
  /** Parameters that such files may lack. */
  mayLack?: (own: string) => boolean;
  /** Whether programs of others expect a counter of training steps (`num_batches_tracked`) beside each batch norm. */
  counters?: boolean;
  /** `config.json` of a Hugging Face folder, where there is such a model. */
  huggingFaceConfig?: () => object;
  /** Arguments of the original program, from which it is built again. */
  originalArguments?: () => Record<string, TorchValue>;
  /** The model with fresh weights. */
  build(): Module;
}

/** One kind of published weights. */
export interface PublishedKind {
  /** In words, for messages. */
  about: string;
  /**
   * What the weights are of if they are of this kind, else null.
   * @throws UserError if they are of this kind but not supported
   */
  recognise(published: Published): Recognised | null;
}
