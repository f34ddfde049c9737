// SPDX-License-Identifier: Apache-2.0
import type { Arrangement } from '../weights/arrangement.js';
import { readHuggingFace } from '../weights/huggingface.js';
import {
  applyRules,
  chooseNames,
  countParts,
  type Dropped,
  keepsAll,
  type NameMap,
  type NameRule,
  packedPlace,
  type ShapeOf,
} from '../weights/name_map.js';
import type { LoadReport } from '../weights/state_dict.js';
import { loadStateDict } from '../weights/state_dict.js';
import { SwinBackbone, SwinModel } from './swin.js';
import { type SwinConfig, swinConfig } from './swin_config.js';

const DROPPED: readonly Dropped[] = [
  { names: /^(classifier|head)\./, why: 'classifier of whole pictures' },
  { names: /(^|\.)(relative_position_index|attn_mask)$/, why: 'table that follows from the window size' },
  { names: /^(swin\.)?(layernorm|norm)\./, why: 'norm behind the last stage, which a backbone does not use' },
  { names: /^(hidden_states_norms\.|norm\d\.)/, why: 'norm of a map that is not asked for' },
];

const huggingFace: NameMap = {
  origin: 'Hugging Face',
  hallmark: /^embeddings\.patch_embeddings\./,
  place: (name) => ({ name }),
  dropped: DROPPED,
  // Hugging Face's backbones keep the norm behind the last stage, and use it nowhere.
  unused: (shapeOf) => {
    const norm = (stage: number) => `encoder.layers.${stage}.blocks.0.layernorm_before.weight`;
    const shape = [...(shapeOf(norm(countParts(shapeOf, norm) - 1)) ?? [0])];
    const filled = (value: number) => new Float32Array(shape[0]!).fill(value);
    return new Map([
      ['swin.layernorm.weight', { dtype: 'F32', shape, data: filled(1) }],
      ['swin.layernorm.bias', { dtype: 'F32', shape, data: filled(0) }],
    ]);
  },
};

/** Parts of a block, as the original repository names them. */
const BLOCK: readonly NameRule[] = [
  [/^layernorm_before\./, 'norm1.'],
  [/^layernorm_after\./, 'norm2.'],
  [/^attention\.self\.(?:query|key|value)\./, 'attn.qkv.'],
  [/^attention\.self\.relative_position_bias_table$/, 'attn.relative_position_bias_table'],
  [/^attention\.self\.relative_position_index$/, 'attn.relative_position_index'],
  [/^attention\.output\.dense\./, 'attn.proj.'],
  [/^intermediate\.dense\./, 'mlp.fc1.'],
  [/^output\.dense\./, 'mlp.fc2.'],
];

interface Layout {
  origin: string;
  hallmark: RegExp;
  /** Everything outside of the stages. */
  outside: readonly NameRule[];
  block(stage: number, index: string): string;
  downsample(stage: number): string;
  /** Inner names of a block that differ from the original's. */
  inner?: readonly NameRule[];
  /** How it holds what merging reads: the weights of four tokens. */
  merging?: Arrangement;
  keeps?: NameMap['keeps'];
}

/** A map to files that pack query, key and value. */
function packedNames(layout: Layout): NameMap {
  const { origin, hallmark, outside, block, downsample, inner = [], merging, keeps } = layout;
  const place: NameMap['place'] = (own) => {
    const stage = /^encoder\.layers\.(\d+)\.(?:blocks\.(\d+)|downsample)\.(.+)$/.exec(own);
    if (!stage) return { name: applyRules(outside, own) };
    const [, number, index, rest] = stage as unknown as [string, string, string | undefined, string];
    if (index === undefined) {
      const name = `${downsample(Number(number))}.${rest}`;
      return merging ? { name, arrangement: merging } : { name };
    }
    const name = `${block(Number(number), index)}.${applyRules(inner, applyRules(BLOCK, rest))}`;
    const letter = /^attention\.self\.(query|key|value)\./.exec(rest)?.[1];
    return letter === undefined ? { name } : packedPlace(name, letter);
  };
  return { origin, hallmark, place, dropped: DROPPED, ...(keeps ? { keeps } : {}) };
}

const ORIGINAL_OUTSIDE: readonly NameRule[] = [
  [/^embeddings\.patch_embeddings\.projection\./, 'patch_embed.proj.'],
  [/^embeddings\.norm\./, 'patch_embed.norm.'],
  [/^embeddings\.position_embeddings$/, 'absolute_pos_embed'],
  [/^hidden_states_norms\.stage1\./, 'norm0.'],
  [/^hidden_states_norms\.stage2\./, 'norm1.'],
  [/^hidden_states_norms\.stage3\./, 'norm2.'],
  [/^hidden_states_norms\.stage4\./, 'norm3.'],
  [/^layernorm\./, 'norm.'],
];

/** The repository of the paper, and detectors built on it. Source: https://github.com/microsoft/Swin-Transformer */
const original = packedNames({
  origin: 'original',
  hallmark: /^layers\.0\.downsample\./,
  outside: ORIGINAL_OUTSIDE,
  block: (stage, index) => `layers.${stage}.blocks.${index}`,
  downsample: (stage) => `layers.${stage}.downsample`,
  keeps: keepsAll,
});

/** timm counts the merging of patches to the stage behind it, and keeps no tables. */
const timm = packedNames({
  origin: 'timm',
  hallmark: /^layers\.1\.downsample\./,
  outside: ORIGINAL_OUTSIDE,
  block: (stage, index) => `layers.${stage}.blocks.${index}`,
  downsample: (stage) => `layers.${stage + 1}.downsample`,
});

const torchvision = packedNames({
  origin: 'torchvision',
  hallmark: /^features\.1\.0\.attn\.relative_position_bias_table$/,
  outside: [
    [/^embeddings\.patch_embeddings\.projection\./, 'features.0.0.'],
    [/^embeddings\.norm\./, 'features.0.2.'],
    [/^layernorm\./, 'norm.'],
  ],
  block: (stage, index) => `features.${2 * stage + 1}.${index}`,
  downsample: (stage) => `features.${2 * stage + 2}`,
  inner: [
    [/^mlp\.fc1\./, 'mlp.0.'],
    [/^mlp\.fc2\./, 'mlp.3.'],
  ],
  keeps: (_, { data }) => ({ shape: [data.length], data }),
});

/**
 * mmdetection takes the four tokens that are merged channel by channel, left before right before below, where the others
 * take token by token, below before right.
 */
const CHANNEL_BY_CHANNEL: Arrangement = {
  lastAxis: (size) => {
    const channels = size / 4;
    return Array.from({ length: size }, (_, i) => {
      const [token, channel] = [Math.floor(i / channels), i % channels];
      const [row, column] = [token % 2, token >> 1];
      return channel * 4 + row * 2 + column;
    });
  },
};

/** Source: https://github.com/open-mmlab/mmdetection */
const mmdetection = packedNames({
  origin: 'mmdetection',
  hallmark: /^stages\.0\.downsample\./,
  outside: [[/^embeddings\.patch_embeddings\.projection\./, 'patch_embed.projection.'], ...ORIGINAL_OUTSIDE],
  block: (stage, index) => `stages.${stage}.blocks.${index}`,
  downsample: (stage) => `stages.${stage}.downsample`,
  inner: [
    [/^attn\./, 'attn.w_msa.'],
    [/^mlp\.fc1\./, 'ffn.layers.0.0.'],
    [/^mlp\.fc2\./, 'ffn.layers.1.'],
  ],
  merging: CHANNEL_BY_CHANNEL,
  keeps: keepsAll,
});

/** How published Swins are named; own names are Hugging Face's. */
export const SWIN_NAMES: readonly NameMap[] = [huggingFace, original, timm, torchvision, mmdetection];

/** What the shapes of a Swin's tensors say about its settings. */
export function inferSwin(shapeOf: ShapeOf): Partial<SwinConfig> {
  const block = (stage: number, i: number) => `encoder.layers.${stage}.blocks.${i}`;
  const table = (stage: number, i: number) =>
    `${block(stage, i)}.attention.self.relative_position_bias_table`;
  const stages = countParts(shapeOf, (stage) => table(stage, 0));
  const tables = Array.from({ length: stages }, (_, stage) => shapeOf(table(stage, 0))!);
  const normed = tables
    .map((_, stage) => `stage${stage + 1}`)
    .filter((stage) => shapeOf(`hidden_states_norms.${stage}.weight`) !== null);
  const positions = shapeOf('embeddings.position_embeddings');
  const [channels = 0, inChannels = 0, side = 0] = shapeOf.need(
    'embeddings.patch_embeddings.projection.weight',
  );
  const hidden = shapeOf.need(`${block(0, 0)}.intermediate.dense.weight`)[0]!;
  return {
    embed_dim: channels,
    num_channels: inChannels,
    patch_size: side,
    depths: tables.map((_, stage) => countParts(shapeOf, (i) => table(stage, i))),
    num_heads: tables.map((shape) => shape[1]!),
    // A table has (2 w - 1)^2 rows.
    window_size: (Math.sqrt(shapeOf.need(table(0, 0))[0]!) + 1) / 2,
    mlp_ratio: hidden / channels,
    qkv_bias: shapeOf(`${block(0, 0)}.attention.self.query.bias`) !== null,
    use_absolute_embeddings: positions !== null,
    ...(positions ? { image_size: Math.sqrt(positions[1]!) * side } : {}),
    // A file with norms for maps is of a backbone that gives these maps.
    ...(normed.length > 0 ? { out_features: normed } : {}),
  };
}

/**
 * A SwinBackbone from a Hugging Face folder of any Swin (`microsoft/swin-tiny-patch4-window7-224`, ...). Files of
 * classifiers have no norms for the feature maps: those stay at their first values and are listed as missing.
 *
 * @param settings overrides of `config.json`, such as `{ out_features: ['stage2', 'stage3', 'stage4'] }`
 * @throws UserError if anything but these norms is missing or unknown
 */
export async function loadSwinBackbone(
  folder: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<{ backbone: SwinBackbone; report: LoadReport }> {
  const { config, tensors } = await readHuggingFace(folder);
  const backbone = new SwinBackbone(swinConfig({ ...config, ...settings }, `${folder}/config.json`));
  const names = chooseNames(SWIN_NAMES, tensors.keys()) ?? huggingFace;
  const mayLack = (name: string) => name.startsWith('hidden_states_norms.');
  return { backbone, report: loadStateDict(backbone, tensors, { names, mayLack, source: folder }) };
}

/** A SwinModel from a Hugging Face folder. */
export async function loadSwinModel(folder: string): Promise<{ model: SwinModel; report: LoadReport }> {
  const { config, tensors } = await readHuggingFace(folder);
  const model = new SwinModel(swinConfig(config, `${folder}/config.json`));
  const names = chooseNames(SWIN_NAMES, tensors.keys()) ?? huggingFace;
  return { model, report: loadStateDict(model, tensors, { names, source: folder }) };
}
