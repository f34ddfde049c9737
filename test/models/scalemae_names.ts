// SPDX-License-Identifier: Apache-2.0
import { behind, both, type Listed } from './listed.js';

/** Sizes of a ScaleMAE-Det, with patches of 16 pixels. */
export interface ScaleMaeSizes {
  width: number;
  depth: number;
  /** Side of the pictures. */
  side: number;
  /** Channels of the maps, and width of the box head. */
  channels: number;
  hidden: number;
  /** Slots of the class scores. */
  slots: number;
}

/** timm's VisionTransformer without a classifier, in mae/models_vit.py of both repositories. */
export function vitStateDict({
  width,
  depth,
  side,
}: Pick<ScaleMaeSizes, 'width' | 'depth' | 'side'>): Listed {
  const blocks = Array.from({ length: depth }, (_, i): Listed => {
    const block = `blocks.${i}`;
    return [
      ...both(`${block}.norm1`, [width]),
      ...both(`${block}.attn.qkv`, [3 * width, width]),
      ...both(`${block}.attn.proj`, [width, width]),
      ...both(`${block}.norm2`, [width]),
      ...both(`${block}.mlp.fc1`, [4 * width, width]),
      ...both(`${block}.mlp.fc2`, [width, 4 * width]),
    ];
  });
  return [
    ['cls_token', [1, 1, width]],
    ['pos_embed', [1, (side / 16) ** 2 + 1, width]],
    ...both('patch_embed.proj', [width, 3, 16, 16], [width]),
    ...blocks.flat(),
    ...both('norm', [width]),
  ];
}

/** What pretraining has beside that: mae/models_mae.py, mae/lib/fpn.py. */
export function pretrainingStateDict(sizes: Pick<ScaleMaeSizes, 'width' | 'depth' | 'side'>): Listed {
  return [
    ...vitStateDict(sizes),
    ['mask_token', [1, 1, 8]],
    ['mask_token_decoder', [1, 1, 8]],
    ['decoder_pos_embed', [1, (sizes.side / 16) ** 2 + 1, 8]],
    ...both('decoder_embed', [8, sizes.width]),
    ...both('decoder_blocks.0.attn.qkv', [24, 8]),
    ...both('decoder_norm', [8]),
    ...both('pos_emb_projection', [8, 8]),
    ...both('fpn.fpn2.0', [8, 8, 2, 2], [8]),
    ...both('fcn_high.proj', [8, 8, 1, 1], [8]),
    ...both('fcn_low.proj', [8, 8, 1, 1], [8]),
  ];
}

/** mae/vitdet.py of https://github.com/timothygao8710/ScaleDet, whose parts are registered up to three times, and torchvision's Faster R-CNN. */
export function scaleMaeDetStateDict(sizes: ScaleMaeSizes): Listed {
  const { width, channels, hidden, slots } = sizes;
  const backbone = behind('backbone.', vitStateDict(sizes));
  const pyramid: Listed = [
    ...behind('backbone.', backbone),
    ...both('conv_1_2', [channels, width, 1, 1], [channels]),
    ...both('conv_1', [channels, width, 1, 1], [channels]),
    ...both('deconv_2', [width, channels, 2, 2], [channels]),
    ...both('deconv_4', [width, channels, 4, 4], [channels]),
  ];
  const head = 'rcnn.roi_heads';
  return [
    ...behind('backbone.', backbone),
    ...behind('fpn_adaptor.', pyramid),
    ...behind('rcnn.backbone.', pyramid),
    ...both('rcnn.rpn.head.conv.0.0', [channels, channels, 3, 3], [channels]),
    ...both('rcnn.rpn.head.cls_logits', [9, channels, 1, 1], [9]),
    ...both('rcnn.rpn.head.bbox_pred', [36, channels, 1, 1], [36]),
    ...both(`${head}.box_head.fc6`, [hidden, 49 * channels]),
    ...both(`${head}.box_head.fc7`, [hidden, hidden]),
    ...both(`${head}.box_predictor.cls_score`, [slots, hidden]),
    ...both(`${head}.box_predictor.bbox_pred`, [4 * slots, hidden]),
  ];
}
