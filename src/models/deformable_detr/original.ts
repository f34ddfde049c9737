// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { inferBackbone } from '../backbones/index.js';
import type { DeformableDetrConfig } from '../config.js';
import { IMAGENET } from '../preprocess.js';
import type { CheckpointFile } from '../weights/checkpoint_file.js';
import type { StoredTensor } from '../weights/safetensors.js';
import type { TorchValue } from '../weights/torch/write.js';
import { COCO_LABELS } from './coco_labels.js';
import { originalBackboneShapes } from './names.js';

/** A tensor that every checkpoint of the original repository has. */
const HALLMARK = 'transformer.level_embed';

/** Arguments of the original program whose other values are not supported, and the one that is. */
const FIXED = { dilation: false, position_embedding: 'sine', masks: false } as const;

/** Heads of attention, which no shape tells, where the file does not keep the program's arguments. */
const HEADS = 8;

/** Whether these are the tensors of a model of the original repository. */
export function isOriginalDetr(tensors: ReadonlyMap<string, StoredTensor>): boolean {
  return (
    tensors.has(HALLMARK) &&
    tensors.has('class_embed.0.weight') &&
    tensors.has('bbox_embed.0.layers.0.weight')
  );
}

/**
 * The configuration of a checkpoint of the original repository (https://github.com/fundamentalvision/Deformable-DETR).
 * Shapes tell nearly all of it; heads of attention and, with two stages, the number of queries come from the program's
 * arguments, or are its defaults.
 * @throws UserError for settings that are not supported
 */
export function originalDetrConfig(
  { tensors, args }: Pick<CheckpointFile, 'tensors' | 'args'>,
  source: string,
): DeformableDetrConfig {
  const fail = (what: string): never => {
    throw new UserError(`${source}: ${what}`, EXIT_CODES.checkpoint);
  };
  for (const [key, value] of Object.entries(FIXED)) {
    const given = args?.[key] ?? value;
    if (given !== value)
      fail(`it was trained with ${key} ${JSON.stringify(given)}, only ${JSON.stringify(value)} is supported`);
  }
  const shape = (name: string): readonly number[] =>
    tensors.get(name)?.shape ?? fail(`tensor ${name} is missing; get or write the file again`);
  const [levels, dModel] = shape(HALLMARK) as [number, number];
  const heads = wholeNumber(args?.nheads) ?? HEADS;
  const points = (layer: string) => {
    const count = shape(`transformer.${layer}.attention_weights.weight`)[0]! / (heads * levels);
    return Number.isInteger(count)
      ? count
      : fail(`${layer} does not have ${heads} heads; its arguments do not fit its tensors`);
  };
  const twoStage = tensors.has('transformer.enc_output.weight');
  const boxRefine = tensors.has('transformer.decoder.bbox_embed.0.layers.0.weight');
  const classes = shape('class_embed.0.weight')[0]!;
  return {
    model_type: 'deformable-detr',
    preset: 'deformable-detr',
    backbone: backboneOf(tensors, levels, fail),
    labels:
      classes === COCO_LABELS.length
        ? [...COCO_LABELS]
        : Array.from({ length: classes }, (_, i) => `class ${i}`),
    preprocess: { ...IMAGENET, multiple: 32 },
    imageSize: 800,
    threshold: 0.3,
    transformer: {
      dModel,
      encoderLayers: layersOf(tensors, 'encoder'),
      encoderHeads: heads,
      encoderPoints: points('encoder.layers.0.self_attn'),
      encoderFfn: shape('transformer.encoder.layers.0.linear1.weight')[0]!,
      decoderLayers: layersOf(tensors, 'decoder'),
      decoderHeads: heads,
      decoderPoints: points('decoder.layers.0.cross_attn'),
      decoderFfn: shape('transformer.decoder.layers.0.linear1.weight')[0]!,
      levels,
      queries: twoStage ? (wholeNumber(args?.num_queries) ?? 300) : shape('query_embed.weight')[0]!,
      boxRefine,
      twoStage,
      sharedClassHead: !boxRefine,
    },
  };
}

function wholeNumber(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : null;
}

function layersOf(tensors: ReadonlyMap<string, StoredTensor>, stack: 'encoder' | 'decoder'): number {
  let count = 0;
  while (tensors.has(`transformer.${stack}.layers.${count}.norm1.weight`)) count++;
  return count;
}

/** The original trains the second stage of a ResNet and those behind it. */
function backboneOf(
  tensors: ReadonlyMap<string, StoredTensor>,
  levels: number,
  fail: (what: string) => never,
): DeformableDetrConfig['backbone'] {
  const found =
    inferBackbone(originalBackboneShapes(tensors)) ??
    fail('its backbone is none that is known (ResNet, Swin, MPViT, CoaT)');
  const out_features = levels === 1 ? ['stage4'] : ['stage2', 'stage3', 'stage4'];
  const frozen = found.name.startsWith('resnet') ? { frozen_stages: 2 } : {};
  return { name: found.name, config: { ...found.config, out_features, ...frozen } };
}

/** Arguments of the original program that make this model, by their names there. */
export function originalDetrArguments({
  backbone,
  transformer,
}: DeformableDetrConfig): Record<string, TorchValue> {
  return {
    // `resnet50`, `mpvit_small`, `coat_lite_small`
    backbone: backbone.name.replace(/^resnet-/, 'resnet').replaceAll('-', '_'),
    ...FIXED,
    hidden_dim: transformer.dModel,
    nheads: transformer.encoderHeads,
    enc_layers: transformer.encoderLayers,
    dec_layers: transformer.decoderLayers,
    dim_feedforward: transformer.encoderFfn,
    num_feature_levels: transformer.levels,
    enc_n_points: transformer.encoderPoints,
    dec_n_points: transformer.decoderPoints,
    num_queries: transformer.queries,
    with_box_refine: transformer.boxRefine,
    two_stage: transformer.twoStage,
  };
}
