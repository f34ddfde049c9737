// SPDX-License-Identifier: Apache-2.0

/**
 * The name in SwinV2Backbone of a tensor of a Swin V2 file, null for what a backbone has no use for. Understood are
 * torchvision's names, with any `backbone.` in front as the Satlas models and MDETR-G's checkpoints have them
 * (`backbone.backbone.features.1.0.attn.qkv.weight`).
 */
export function renameSwinV2(name: string): string | null {
  const own = name.replace(/^(module\.)?(backbone\.(\d+\.)?)*/, '');
  // The classifier, and tables that follow from the window size.
  if (/^(norm|head)\./.test(own) || /\.relative_(coords_table|position_index)$/.test(own)) return null;
  return own;
}
