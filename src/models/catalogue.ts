// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { didYouMean, UserError } from '../errors.js';
import { countFlops } from '../ops/index.js';
import { backboneSizes, buildBackbone } from './backbones/index.js';
import { buildModel } from './build.js';
import { answersText, type ModelConfig, PRESETS, preset } from './config.js';
import { withoutValues } from './init.js';
import type { Module } from './module.js';
import { PUBLISHED_FIGURES } from './published_figures.js';
import { ScaleMaeDet } from './scalemae_det/index.js';
import { buildTextEncoder, textEncoderSizes } from './text/index.js';

export type CatalogueKind = 'detector' | 'backbone' | 'text encoder';

/** What can be built by name. */
export interface CatalogueEntry {
  name: string;
  kind: CatalogueKind;
  /** What it is meant to reach; null where nothing is published. */
  published: string | null;
}

/** How large a model is. */
export interface ModelSize {
  /** Values that are learned or kept, each once. */
  parameters: number;
  /** Floating-point operations for one picture or text, see `countFlops`; null where no size was given. */
  flops: number | null;
}

/** Tokens of the text that goes with a picture, special ones included. */
export const CATALOGUE_TOKENS = 16;

/** Every preset: detectors, backbones, text encoders. */
export function catalogue(): CatalogueEntry[] {
  const rows = (kind: CatalogueKind, names: readonly string[]) =>
    names.map((name) => ({ name, kind, published: PUBLISHED_FIGURES[name] ?? null }));
  return [
    ...rows('detector', Object.keys(PRESETS)),
    ...rows('backbone', backboneSizes()),
    ...rows('text encoder', textEncoderSizes()),
  ];
}

/** Entries by their names, in the order of the catalogue. @throws UserError for a name that is not in the catalogue */
export function catalogueEntries(names: readonly string[]): CatalogueEntry[] {
  const all = catalogue();
  if (names.length === 0) return all;
  for (const name of names) {
    if (all.some((entry) => entry.name === name)) continue;
    const near = didYouMean(
      name,
      all.map((entry) => entry.name),
    );
    throw new UserError(
      `There is no preset "${name}".${near ? ` Did you mean "${near}"?` : ''} \`tfgeo-train models\` lists them all.`,
    );
  }
  return all.filter(({ name }) => names.includes(name));
}

/**
 * Builds a preset without values and counts. Text is {@link CATALOGUE_TOKENS} tokens long.
 * @param size side of the picture in pixels; null: operations are not counted
 * @throws UserError if operations are to be counted and the engine is not `tensorflow`
 */
export function measureSize({ name, kind }: CatalogueEntry, size: number | null): ModelSize {
  const make = MAKERS[kind];
  const { module, forward } = withoutValues(() => make(name));
  try {
    const variables = new Set([...module.namedParameters().values()].map(({ variable }) => variable));
    const parameters = [...variables].reduce((sum, variable) => sum + variable.size, 0);
    if (size === null) return { parameters, flops: null };
    return tf.tidy(() => {
      const pixels = tf.zeros([1, size, size, 3]) as tf.Tensor4D;
      const ids = tf.ones([1, CATALOGUE_TOKENS], 'int32') as tf.Tensor2D;
      const { total } = countFlops(forward, [pixels, ids]);
      return { parameters, flops: total };
    });
  } finally {
    module.dispose();
  }
}

interface Made {
  module: Module;
  forward: (pixels: tf.Tensor4D, ids: tf.Tensor2D) => tf.Tensor[];
}

const MAKERS: Readonly<Record<CatalogueKind, (name: string) => Made>> = {
  detector: (name) => detector(preset(name)),
  backbone: (name) => {
    const module = buildBackbone(name);
    return { module, forward: (pixels) => module.forward(pixels, { training: false, gsd: 1 }).levels };
  },
  'text encoder': (name) => {
    const module = buildTextEncoder(name, {});
    const mask = (ids: tf.Tensor2D) => tf.onesLike(ids).toFloat();
    return { module, forward: (_, ids) => [module.encode(ids, mask(ids), { training: false })] };
  },
};

function detector(config: ModelConfig): Made {
  if (!answersText(config)) {
    const module = buildModel(config);
    const forward: Made['forward'] = (pixels) => {
      const input = { pixels, pixelMask: null };
      if (module instanceof ScaleMaeDet) return Object.values(module.detections(module.forward(input)));
      const { pred_logits, pred_boxes } = module.forward(input, { training: false });
      return [pred_logits, pred_boxes];
    };
    return { module, forward };
  }
  const module = buildModel(config);
  const forward: Made['forward'] = (pixels, inputIds) => {
    const words = tf.onesLike(inputIds).toFloat() as tf.Tensor2D;
    const input = { pixels, pixelMask: null, inputIds, textMask: words };
    const { pred_logits, pred_boxes } = module.forward(input, words, { training: false });
    return [pred_logits, pred_boxes];
  };
  return { module, forward };
}
