// SPDX-License-Identifier: Apache-2.0
import type { GroundingDinoConfig } from '../config.js';
import {
  deformableArguments,
  type OriginalFile,
  originalDeformableSizes,
  readOriginal,
} from '../original_config.js';
import { IMAGENET } from '../preprocess.js';
import type { TorchValue } from '../weights/torch/write.js';
import { BERT_DELIMITERS } from './presets.js';

/** A tensor that every checkpoint has. */
const HALLMARK = 'transformer.encoder.fusion_layers.0.gamma_v';

/** Whether these are the tensors of a model of Grounding DINO's original repository. */
export function isOriginalGroundingDino(tensors: OriginalFile['tensors']): boolean {
  return tensors.has(HALLMARK);
}

/**
 * The configuration of a checkpoint of the original repository (https://github.com/IDEA-Research/GroundingDINO), such as
 * `groundingdino_swint_ogc.pth`. Shapes tell nearly all of it; the rest is as published.
 * @throws UserError for settings that are not supported
 */
export function originalGroundingDinoConfig(file: OriginalFile, source: string): GroundingDinoConfig {
  const read = readOriginal(file, source);
  const [queries = 0, dModel = 0] = read.shape('transformer.tgt_embed.weight');
  const levels = read.count((i) => `input_proj.${i}.0.weight`);
  const text = read.textEncoder('bert.');
  return {
    model_type: 'grounding-dino',
    preset: 'grounding-dino',
    backbone: read.backbone([read.behind('backbone.0.')], 3),
    text: { ...text, config: { ...text.config, add_pooling_layer: false } },
    preprocess: { ...IMAGENET, multiple: 1 },
    imageSize: 800,
    threshold: 0.3,
    transformer: {
      ...originalDeformableSizes(read, { dModel, levels, queries }),
      textTokens: read.number('max_text_len', 256),
      logits: 'dot',
      // Files hold a head for each layer; where it is one, they are equal.
      sharedBoxHead: read.same('bbox_embed.0.layers.0.weight', 'bbox_embed.1.layers.0.weight'),
      sharedClassHead: true,
      temperature: 20,
      fusionDropPath: 0.1,
      ...epsOf(file, { referenceEps: 1e-3, boxEps: 1e-3 }),
      delimiters: [...BERT_DELIMITERS],
    },
  };
}

/** What no program keeps in its files; those that are written here do. */
const EPS = { referenceEps: 'reference_eps', boxEps: 'box_eps' } as const;

/** Where nothing is said. */
export const USUAL_EPS = 1e-5;

type Eps = Pick<GroundingDinoConfig['transformer'], keyof typeof EPS>;

/** How far from the edges boxes are held. @param published by the program that files without a word of it are of */
export function epsOf({ args }: OriginalFile, published: Required<Eps>): Eps {
  const values = Object.entries(EPS).map(([key, argument]) => {
    return [key, args?.[argument] ?? published[key as keyof Eps]] as const;
  });
  return Object.fromEntries(values.filter(([, value]) => value !== USUAL_EPS));
}

/** Arguments of the original program that make this model, by their names there. */
export function originalGroundingDinoArguments({
  transformer,
}: GroundingDinoConfig): Record<string, TorchValue> {
  return {
    ...deformableArguments(transformer),
    max_text_len: transformer.textTokens,
    dec_pred_bbox_embed_share: transformer.sharedBoxHead,
    [EPS.referenceEps]: transformer.referenceEps ?? USUAL_EPS,
    [EPS.boxEps]: transformer.boxEps ?? USUAL_EPS,
  };
}
