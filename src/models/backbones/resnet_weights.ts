// SPDX-License-Identifier: Apache-2.0
import { readHuggingFace } from '../weights/huggingface.js';
import type { LoadReport } from '../weights/state_dict.js';
import { loadStateDict } from '../weights/state_dict.js';
import { ResNetBackbone } from './resnet.js';
import { resnetConfig } from './resnet_config.js';

/**
 * The name in ResNetBackbone of a tensor of a ResNet file, null for what a backbone has no use for. Understood are Hugging
 * Face's names (with or without `resnet.` in front) and those of torchvision and timm (`layer1.0.conv1.weight`).
 */
export function renameResNet(name: string): string | null {
  if (/^(classifier|fc)\./.test(name) || name.endsWith('.num_batches_tracked')) return null;
  const stem = /^(conv|bn)1\.(.+)$/.exec(name);
  if (stem) return `embedder.embedder.${KINDS[stem[1]!]}.${stem[2]}`;
  const layer = /^layer(\d+)\.(\d+)\.(conv|bn)(\d+)\.(.+)$/.exec(name);
  if (layer) {
    const [, stage, block, kind, place, rest] = layer as unknown as string[];
    return `${blockName(stage!, block!)}.layer.${Number(place) - 1}.${KINDS[kind!]}.${rest}`;
  }
  const shortcut = /^layer(\d+)\.(\d+)\.downsample\.([01])\.(.+)$/.exec(name);
  if (shortcut) {
    const [, stage, block, place, rest] = shortcut as unknown as string[];
    return `${blockName(stage!, block!)}.shortcut.${place === '0' ? KINDS.conv : KINDS.bn}.${rest}`;
  }
  return name.replace(/^resnet\./, '');
}

const KINDS: Readonly<Record<string, string>> = { conv: 'convolution', bn: 'normalization' };

function blockName(stage: string, block: string): string {
  return `encoder.stages.${Number(stage) - 1}.layers.${block}`;
}

/**
 * A ResNetBackbone from a Hugging Face folder of any ResNet (`microsoft/resnet-50`, ...).
 *
 * @param settings overrides of `config.json`, such as `{ out_features: ['stage4'], frozen_stages: 2 }`
 * @throws UserError if anything is missing or unknown
 */
export async function loadResNetBackbone(
  folder: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<{ backbone: ResNetBackbone; report: LoadReport }> {
  const { config, tensors } = await readHuggingFace(folder);
  const backbone = new ResNetBackbone(resnetConfig({ ...config, ...settings }, `${folder}/config.json`));
  return { backbone, report: loadStateDict(backbone, tensors, { rename: renameResNet, source: folder }) };
}
