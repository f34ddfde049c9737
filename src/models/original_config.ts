// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../errors.js';
import { type BackboneSettings, backboneFamilies, inferBackbone } from './backbones/index.js';
import type { DeformableSizes } from './deformable_sizes.js';
import { inferTextEncoder, type TextEncoderConfig } from './text/index.js';
import type { CheckpointFile } from './weights/checkpoint_file.js';
import { shapeLookup } from './weights/name_map.js';
import type { StoredTensor } from './weights/safetensors.js';
import type { TorchValue } from './weights/torch/write.js';

/** A checkpoint of an original program: tensors and, where it keeps them, the program's arguments. */
export interface OriginalFile extends Pick<CheckpointFile, 'args'> {
  tensors: ReadonlyMap<string, StoredTensor>;
}

/** MDETR's argument of a backbone that is timm's, without the size. */
const TF_EFFICIENTNET = 'timm_tf_efficientnet_';

/** The argument of the originals' programs for a backbone, null for one that they have no name for. @param name a size here */
export function originalBackboneArgument(name: string): string | null {
  const [, family, size] = /^(resnet|efficientnet)-(\w+)$/.exec(name) ?? [];
  if (size === undefined) return null;
  return family === 'resnet' ? `resnet${size}` : `${TF_EFFICIENTNET}${size}_ns`;
}

/** Reads the configuration of a detector out of a checkpoint of its original program; every fault is a UserError. */
export interface OriginalReader {
  fail(what: string): never;
  has(name: string): boolean;
  /** @throws UserError naming the tensor if it is missing */
  shape(name: string): readonly number[];
  /** Parts that are numbered from 0 on. @param name of a tensor of part `i` */
  count(name: (i: number) => string): number;
  /** An argument that is a whole number above 0. @param missing what it is where the file does not say */
  number(argument: string, missing: number): number;
  /** An argument that is one of some. The first is what it is where the file does not say. */
  choice<T extends string>(argument: string, choices: readonly [T, ...T[]]): T;
  /** Layers of the transformer. */
  layers(stack: 'encoder' | 'decoder'): number;
  /** Whether both tensors have the same values, or the second is not there. */
  same(first: string, second: string): boolean;
  /** Samples per head and map of deformable attention. @param layer where it stands */
  points(layer: string, heads: number, levels: number): number;
  /** Shapes of what stands behind a prefix. */
  behind(prefix: string): ReadonlyMap<string, readonly number[]>;
  /** The backbone in the first of these places that has one. @param levels maps that are wanted, the last ones */
  backbone(places: readonly ReadonlyMap<string, readonly number[]>[], levels: number): BackboneSettings;
  textEncoder(prefix: string): { name: string; config: Partial<TextEncoderConfig> };
}

/** What the originals' programs make of a backbone beside what its shapes tell, by what its name begins with. */
const BACKBONE_SETTINGS: Readonly<
  Record<string, (args: Readonly<Record<string, unknown>>, fail: (what: string) => never) => object>
> = {
  // They train the second stage and those behind it.
  resnet({ dilation = false }, fail) {
    if (typeof dilation !== 'boolean')
      fail(`dilation is ${JSON.stringify(dilation)}, expected true or false`);
    return { frozen_stages: 2, ...(dilation ? { dilation } : {}) };
  },
  // Their frozen batch norm adds PyTorch's constant. Other EfficientNets than TensorFlow's have the same shapes.
  efficientnet({ backbone = TF_EFFICIENTNET }, fail) {
    if (!String(backbone).startsWith(TF_EFFICIENTNET))
      fail(`backbone ${JSON.stringify(backbone)} is not supported, only ${TF_EFFICIENTNET}*`);
    return { batch_norm_eps: 1e-5 };
  },
};

/** @param fixed arguments whose other values are not supported, and the one that is */
export function readOriginal(
  { tensors, args }: OriginalFile,
  source: string,
  fixed: Readonly<Record<string, unknown>> = {},
): OriginalReader {
  const fail = (what: string): never => {
    throw new UserError(`${source}: ${what}`, EXIT_CODES.checkpoint);
  };
  for (const [key, value] of Object.entries(fixed)) {
    const given = args?.[key] ?? value;
    if (given !== value)
      fail(`it was trained with ${key} ${JSON.stringify(given)}, only ${JSON.stringify(value)} is supported`);
  }
  const shape = (name: string) =>
    tensors.get(name)?.shape ?? fail(`tensor ${name} is missing; get or write the file again`);
  const count = (name: (i: number) => string) => {
    let parts = 0;
    while (tensors.has(name(parts))) parts++;
    return parts;
  };
  return {
    fail,
    has: (name) => tensors.has(name),
    shape,
    count,
    layers: (stack) => count((i) => `transformer.${stack}.layers.${i}.norm1.weight`),
    same(first, second) {
      const [one, other] = [tensors.get(first)?.data, tensors.get(second)?.data];
      return !one || !other || one.every((value, i) => value === other[i]);
    },
    points(layer, heads, levels) {
      const points = shape(`${layer}.attention_weights.weight`)[0]! / (heads * levels);
      if (Number.isInteger(points)) return points;
      return fail(`${layer} does not have ${heads} heads; its arguments do not fit its tensors`);
    },
    behind: (prefix) => shapesBehind(tensors, prefix),
    number(argument, missing) {
      const given = args?.[argument];
      return Number.isSafeInteger(given) && (given as number) > 0 ? (given as number) : missing;
    },
    choice(argument, choices) {
      const given = args?.[argument] ?? choices[0];
      const known = choices.find((choice) => choice === given);
      return known ?? fail(`${argument} is ${JSON.stringify(given)}, expected ${choices.join(' or ')}`);
    },
    backbone(places, levels) {
      for (const shapes of places) {
        const found = inferBackbone(shapes);
        if (!found) continue;
        const out_features = ['stage1', 'stage2', 'stage3', 'stage4'].slice(-levels);
        const family = Object.keys(BACKBONE_SETTINGS).find((start) => found.name.startsWith(start));
        const own = family ? BACKBONE_SETTINGS[family]!(args ?? {}, fail) : {};
        return { name: found.name, config: { ...found.config, out_features, ...own } };
      }
      return fail(`its backbone is none that is known: ${backboneFamilies().join(', ')}`);
    },
    textEncoder(prefix) {
      const lookup = shapeLookup(
        (name) => tensors.get(prefix + name)?.shape ?? null,
        (name) => prefix + name,
      );
      return inferTextEncoder(lookup, source);
    },
  };
}

function shapesBehind(tensors: OriginalFile['tensors'], prefix: string): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { shape }] of tensors) {
    if (name.startsWith(prefix)) shapes.set(name.slice(prefix.length), shape);
  }
  return shapes;
}

/** What layers of a transformer are called: where it stands, their first norm, and what their feed-forward layer begins with. */
interface LayerNames {
  transformer: string;
  norm: string;
  linear: string;
}

const ORIGINAL_LAYERS: LayerNames = { transformer: 'transformer.', norm: 'norm1', linear: 'linear1' };

/** Sizes of the transformer of Deformable DETR and of what is built on it. @param embedded width, maps and boxes */
export function originalDeformableSizes(
  read: OriginalReader,
  embedded: Pick<DeformableSizes, 'dModel' | 'levels' | 'queries'>,
  { transformer, norm, linear }: LayerNames = ORIGINAL_LAYERS,
): DeformableSizes {
  const heads = read.number('nheads', 8);
  const layers = (stack: string) => read.count((i) => `${transformer}${stack}.layers.${i}.${norm}.weight`);
  const ffn = (stack: string) => read.shape(`${transformer}${stack}.layers.0.${linear}.weight`)[0]!;
  const points = (layer: string) => read.points(transformer + layer, heads, embedded.levels);
  return {
    ...embedded,
    encoderLayers: layers('encoder'),
    encoderHeads: heads,
    encoderPoints: points('encoder.layers.0.self_attn'),
    encoderFfn: ffn('encoder'),
    decoderLayers: layers('decoder'),
    decoderHeads: heads,
    decoderPoints: points('decoder.layers.0.cross_attn'),
    decoderFfn: ffn('decoder'),
  };
}

/** Arguments that the programs of Deformable DETR and of what is built on it have for them. */
export function deformableArguments(sizes: DeformableSizes): Record<string, TorchValue> {
  return {
    hidden_dim: sizes.dModel,
    nheads: sizes.encoderHeads,
    enc_layers: sizes.encoderLayers,
    dec_layers: sizes.decoderLayers,
    dim_feedforward: sizes.encoderFfn,
    num_feature_levels: sizes.levels,
    enc_n_points: sizes.encoderPoints,
    dec_n_points: sizes.decoderPoints,
    num_queries: sizes.queries,
  };
}
