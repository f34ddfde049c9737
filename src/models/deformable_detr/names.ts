// SPDX-License-Identifier: Apache-2.0
import { renameResNet, renameSwinBackbone } from '../backbones/index.js';
import type { StoredTensor } from '../weights/safetensors.js';

/** Where the backbone stands in Hugging Face's files. */
const BACKBONE = 'model.backbone.conv_encoder.model.';

/** How backbones of each kind may be named in files. */
const BACKBONE_NAMES: Readonly<Record<string, (name: string) => string | null>> = {
  resnet: renameResNet,
  swin: renameSwinBackbone,
};

/**
 * Name in DeformableDetr of a tensor of a Hugging Face file.
 * @param backbone family of the backbone, `resnet` or `swin`
 */
export function renameHuggingFace(backbone: string): (name: string) => string | null {
  return (name) => {
    if (!name.startsWith(BACKBONE)) return name;
    const own = BACKBONE_NAMES[backbone]?.(name.slice(BACKBONE.length)) ?? null;
    return own === null ? null : BACKBONE + own;
  };
}

/** Beginnings of names in the original repository's `.pth` files, and what they are here. First that fits. */
const ORIGINAL_PREFIXES: readonly (readonly [from: string, to: string])[] = [
  ['backbone.0.body.', BACKBONE],
  ['transformer.', 'model.'],
  ['input_proj.', 'model.input_proj.'],
  ['query_embed.', 'model.query_position_embeddings.'],
];

/** Parts of layers under their original names. */
const ORIGINAL_PARTS: Readonly<Record<'encoder' | 'decoder', Readonly<Record<string, string>>>> = {
  encoder: {
    norm1: 'self_attn_layer_norm',
    norm2: 'final_layer_norm',
    linear1: 'fc1',
    linear2: 'fc2',
  },
  decoder: {
    cross_attn: 'encoder_attn',
    norm1: 'encoder_attn_layer_norm',
    norm2: 'self_attn_layer_norm',
    norm3: 'final_layer_norm',
    linear1: 'fc1',
    linear2: 'fc2',
  },
};

const LAYER = /^(model\.(encoder|decoder)\.layers\.\d+\.)([^.]+)(.*)$/;

/** Name in a Hugging Face file of a tensor of the original repository's state dict. */
export function renameOriginal(name: string): string {
  const prefix = ORIGINAL_PREFIXES.find(([from]) => name.startsWith(from));
  const moved = prefix ? prefix[1] + name.slice(prefix[0].length) : name;
  return moved.replace(
    LAYER,
    (_, layer: string, stack: 'encoder' | 'decoder', part: string, rest: string) => {
      return `${layer}${ORIGINAL_PARTS[stack][part] ?? part}${rest}`;
    },
  );
}

/**
 * A state dict of the original repository (https://github.com/fundamentalvision/Deformable-DETR, the `model` of its
 * `.pth` files) under Hugging Face's names; the projections that it packs in one matrix are taken apart.
 */
export function fromOriginal(tensors: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  const result = new Map<string, StoredTensor>();
  for (const [name, tensor] of tensors) {
    const own = renameOriginal(name);
    const packed = /^(.*\.self_attn\.)in_proj_(weight|bias)$/.exec(own);
    if (!packed) {
      result.set(own, tensor);
      continue;
    }
    const rows = tensor.shape[0]! / 3;
    const size = tensor.data.length / 3;
    ['q_proj', 'k_proj', 'v_proj'].forEach((part, i) => {
      const data = tensor.data.slice(i * size, (i + 1) * size);
      const shape = [rows, ...tensor.shape.slice(1)];
      result.set(`${packed[1]}${part}.${packed[2]}`, { ...tensor, shape, data });
    });
  }
  return result;
}
