// SPDX-License-Identifier: Apache-2.0
import { backboneNames } from '../backbones/index.js';
import {
  applyRules,
  joinNames,
  type NameMap,
  type NameRule,
  nestNames,
  packedPlace,
} from '../weights/name_map.js';

/** Where the backbone stands here and in Hugging Face's files. */
export const BACKBONE = 'model.backbone.conv_encoder.model.';

/** Where it stands in files of the original repository, and of those that are built on it. */
const ORIGINAL_BACKBONE = 'backbone.0.body.';

/** Shapes of the backbone in such a file, by the backbone's own names. */
export function originalBackboneShapes(
  tensors: ReadonlyMap<string, { shape: readonly number[] }>,
): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { shape }] of tensors) {
    const inner = /^backbone\.0\.(?:body|backbone)\.(.+)$/.exec(name)?.[1];
    if (inner !== undefined) shapes.set(inner, shape);
  }
  return shapes;
}

/** Names of the original repository's state dicts: `name` of ours, from the beginning. First that fits. */
const ORIGINAL: readonly NameRule[] = [
  [/^model\.input_proj\./, 'input_proj.'],
  [/^model\.query_position_embeddings\./, 'query_embed.'],
  [/^(model\.encoder\.layers\.\d+)\.self_attn_layer_norm\./, '$1.norm1.'],
  [/^(model\.encoder\.layers\.\d+)\.final_layer_norm\./, '$1.norm2.'],
  [/^(model\.decoder\.layers\.\d+)\.encoder_attn_layer_norm\./, '$1.norm1.'],
  [/^(model\.decoder\.layers\.\d+)\.self_attn_layer_norm\./, '$1.norm2.'],
  [/^(model\.decoder\.layers\.\d+)\.final_layer_norm\./, '$1.norm3.'],
  [/^(model\.decoder\.layers\.\d+)\.encoder_attn\./, '$1.cross_attn.'],
  [/^(model\.decoder\.layers\.\d+\.self_attn)\.[qkv]_proj\./, '$1.in_proj_'],
  [/^(model\.\w+\.layers\.\d+)\.fc([12])\./, '$1.linear$2.'],
];

function originalName(own: string): string {
  return applyRules(ORIGINAL, own).replace(/^model\./, 'transformer.');
}

/** Everything but the backbone, in files of the original repository. */
const original: Omit<NameMap, 'hallmark'> = {
  origin: 'original',
  place: (own) => {
    const letter = /\.decoder\.layers\.\d+\.self_attn\.([qkv])_proj\./.exec(own)?.[1];
    return letter === undefined ? { name: originalName(own) } : packedPlace(originalName(own), letter);
  },
  dropped: [],
};

const huggingFace: Omit<NameMap, 'hallmark'> = {
  origin: 'Hugging Face',
  place: (name) => ({ name }),
  dropped: [],
};

/** Puts Hugging Face's own names last. */
function byTimm(a: NameMap, b: NameMap): number {
  return Number(a.origin === huggingFace.origin) - Number(b.origin === huggingFace.origin);
}

/**
 * How checkpoints of Deformable DETR are named, the original repository's
 * (https://github.com/fundamentalvision/Deformable-DETR) and Hugging Face's.
 * @param family of the backbone: `resnet`, `swin`, `mpvit`, ...
 * @param dilated Hugging Face takes it from timm, names and all
 */
export function detrNames(family: string, dilated = false): readonly NameMap[] {
  const all = backboneNames(family);
  const backbones = dilated ? all.toSorted(byTimm) : all;
  // The original's backbones are torchvision's or of repositories of their own.
  const originals = backbones.filter((map) => map.origin !== huggingFace.origin);
  return [
    ...backbones.map((inner) =>
      joinNames(huggingFace, [{ own: BACKBONE, map: nestNames(inner, BACKBONE, BACKBONE) }]),
    ),
    ...originals.map((inner) =>
      joinNames(original, [
        { own: BACKBONE, map: nestNames(inner, BACKBONE, inner.inDetr ?? ORIGINAL_BACKBONE) },
      ]),
    ),
  ];
}
