// SPDX-License-Identifier: Apache-2.0
import { readHuggingFace } from '../weights/huggingface.js';
import { chooseNames, countParts, type Dropped, type NameMap, type ShapeOf } from '../weights/name_map.js';
import type { LoadReport } from '../weights/state_dict.js';
import { loadStateDict } from '../weights/state_dict.js';
import { ResNetBackbone } from './resnet.js';
import { type ResNetConfig, resnetConfig } from './resnet_config.js';

const DROPPED: readonly Dropped[] = [
  { names: /^(classifier|fc)\./, why: 'classifier of whole pictures' },
  { names: /\.num_batches_tracked$/, why: 'counter of training steps' },
];

const huggingFace: NameMap = {
  origin: 'Hugging Face',
  hallmark: /^embedder\.embedder\./,
  place: (name) => ({ name }),
  dropped: DROPPED,
};

/** Names of torchvision and timm: `conv1`, `layer1.0.bn2`, `layer2.0.downsample.0`. */
const torchvision: NameMap = {
  origin: 'torchvision',
  hallmark: /^layer1\.0\.conv1\./,
  place: (own) => ({ name: torchvisionName(own) }),
  dropped: DROPPED,
};

function torchvisionName(own: string): string {
  const kind = own.includes('.convolution.') ? 'conv' : 'bn';
  const rest = own.slice(own.lastIndexOf('.') + 1);
  const block = /^encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|shortcut)\./.exec(own);
  if (!block) return `${kind}1.${rest}`;
  const [, stage, index, layer] = block as unknown as [string, string, string, string | undefined];
  const part = layer === undefined ? `downsample.${kind === 'conv' ? 0 : 1}` : `${kind}${Number(layer) + 1}`;
  return `layer${Number(stage) + 1}.${index}.${part}.${rest}`;
}

/** How published ResNets are named; own names are Hugging Face's. */
export const RESNET_NAMES: readonly NameMap[] = [huggingFace, torchvision];

/** What the shapes of a ResNet's tensors say about its settings. */
export function inferResNet(shapeOf: ShapeOf): Partial<ResNetConfig> {
  const [embedding = 0, channels = 0] = shapeOf.need('embedder.embedder.convolution.weight');
  const block = (stage: number, i: number) => `encoder.stages.${stage}.layers.${i}`;
  const weight = (stage: number, i: number, layer: number) =>
    `${block(stage, i)}.layer.${layer}.convolution.weight`;
  const stages = countParts(shapeOf, (stage) => weight(stage, 0, 0));
  const bottleneck = shapeOf(weight(0, 0, 2)) !== null;
  const each = <T>(of: (stage: number) => T): T[] => Array.from({ length: stages }, (_, stage) => of(stage));
  return {
    num_channels: channels,
    embedding_size: embedding,
    hidden_sizes: each((stage) => shapeOf.need(weight(stage, 0, bottleneck ? 2 : 1))[0]!),
    depths: each((stage) => countParts(shapeOf, (i) => weight(stage, i, 0))),
    layer_type: bottleneck ? 'bottleneck' : 'basic',
  };
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
  const names = chooseNames(RESNET_NAMES, tensors.keys()) ?? huggingFace;
  return { backbone, report: loadStateDict(backbone, tensors, { names, source: folder }) };
}
