// SPDX-License-Identifier: Apache-2.0
import { isDilated } from '../backbones/index.js';
import type { DeformableDetrConfig } from '../config.js';
import {
  deformableArguments,
  type OriginalFile,
  originalDeformableSizes,
  readOriginal,
} from '../original_config.js';
import { IMAGENET } from '../preprocess.js';
import type { StoredTensor } from '../weights/safetensors.js';
import type { TorchValue } from '../weights/torch/write.js';
import { COCO_LABELS } from './coco_labels.js';
import { originalBackboneShapes } from './names.js';

/** A tensor that every checkpoint of the original repository has. */
const HALLMARK = 'transformer.level_embed';

/** Arguments of the original program whose other values are not supported, and the one that is. */
const FIXED = { position_embedding: 'sine', masks: false } as const;

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
export function originalDetrConfig(file: OriginalFile, source: string): DeformableDetrConfig {
  const read = readOriginal(file, source, FIXED);
  const { shape } = read;
  const [levels, dModel] = shape(HALLMARK) as [number, number];
  const twoStage = read.has('transformer.enc_output.weight');
  const boxRefine = read.has('transformer.decoder.bbox_embed.0.layers.0.weight');
  const queries = twoStage ? read.number('num_queries', 300) : shape('query_embed.weight')[0]!;
  const classes = shape('class_embed.0.weight')[0]!;
  return {
    model_type: 'deformable-detr',
    preset: 'deformable-detr',
    backbone: read.backbone([originalBackboneShapes(file.tensors)], levels === 1 ? 1 : 3),
    labels:
      classes === COCO_LABELS.length
        ? [...COCO_LABELS]
        : Array.from({ length: classes }, (_, i) => `class ${i}`),
    preprocess: { ...IMAGENET, multiple: 32 },
    imageSize: 800,
    threshold: 0.3,
    transformer: {
      ...originalDeformableSizes(read, { dModel, levels, queries }),
      boxRefine,
      twoStage,
      sharedClassHead: !boxRefine,
    },
  };
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
    dilation: isDilated(backbone),
    ...deformableArguments(transformer),
    with_box_refine: transformer.boxRefine,
    two_stage: transformer.twoStage,
  };
}
