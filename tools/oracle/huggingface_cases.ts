// SPDX-License-Identifier: Apache-2.0
import { rmSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { backboneConfig, buildBackbone } from '../../src/models/backbones/index.js';
import { buildModel } from '../../src/models/build.js';
import { type DeformableDetrConfig, preset } from '../../src/models/config.js';
import type { Module } from '../../src/models/module.js';
import { convertCheckpoint } from '../../src/models/published/index.js';
import { buildTextEncoder } from '../../src/models/text/index.js';
import { Random } from '../../src/random.js';
import { saveModelFolder } from '../../src/train/checkpoint.js';
import { startAlike, stirred } from '../stir.js';
import { channelsFirst, floats, integers, pictures, type WeightsCase, writeExample } from './examples.js';

/** Every kind of model that Hugging Face has too. A new one is a row here. */
export const HUGGING_FACE_CASES: readonly WeightsCase[] = [
  ...(['', '-refine', '-two-stage'] as const).map((kind) => ({
    name: `hf-deformable-detr-r50${kind}`,
    write: (folder: string) => writeDetr(folder, preset(`deformable-detr-r50${kind}`)),
  })),
  {
    name: 'hf-deformable-detr-swin-tiny-two-stage',
    write: (folder) => {
      const backbone = { name: 'swin-tiny', config: { out_features: ['stage2', 'stage3', 'stage4'] } };
      return writeDetr(folder, { ...preset('deformable-detr-r50-two-stage'), backbone });
    },
  },
  { name: 'hf-swin-tiny', write: (folder) => writeBackbone(folder, 'swin-tiny') },
  { name: 'hf-swin-tiny-w12', write: (folder) => writeBackbone(folder, 'swin-tiny', { window_size: 12 }) },
  { name: 'hf-resnet-50', write: (folder) => writeBackbone(folder, 'resnet-50') },
  { name: 'hf-roberta', write: (folder) => writeText(folder, 'roberta') },
  { name: 'hf-bert', write: (folder) => writeText(folder, 'bert') },
  { name: 'hf-grounding-dino', write: (folder) => writeGroundingDino(folder, 'grounding-dino-tiny') },
  { name: 'hf-mm-grounding-dino', write: (folder) => writeGroundingDino(folder, 'mm-grounding-dino-tiny') },
];

async function writeDetr(folder: string, config: DeformableDetrConfig): Promise<void> {
  const model = stirred(buildModel(config, 5));
  await saveForHuggingFace(folder, model, config);
  tf.tidy(() => {
    const { pixels, mask } = pictures([160, 224], [128, 150]);
    const { pred_logits, pred_boxes } = model.forward({ pixels, pixelMask: mask });
    writeExample(folder, {
      'in/pixel_values': floats(channelsFirst(pixels)),
      'in/pixel_mask': integers(mask),
      'out/logits': floats(pred_logits),
      'out/pred_boxes': floats(pred_boxes),
    });
  });
  model.dispose();
}

async function writeBackbone(folder: string, name: string, more: object = {}): Promise<void> {
  const settings = { out_features: ['stage1', 'stage2', 'stage3', 'stage4'], ...more };
  const model = buildBackbone(name, settings);
  await saveForHuggingFace(folder, stirred(model), backboneConfig(name, settings));
  tf.tidy(() => {
    const { pixels } = pictures([150, 97], [150, 97]);
    const maps = model.forward(pixels).levels.map((level, i) => {
      return [`out/feature_maps.${i}`, floats(channelsFirst(level))] as const;
    });
    writeExample(folder, { 'in/pixel_values': floats(channelsFirst(pixels)), ...Object.fromEntries(maps) });
  });
  model.dispose();
}

async function writeText(folder: string, family: 'roberta' | 'bert'): Promise<void> {
  const config = { hidden_size: 192, num_hidden_layers: 6, num_attention_heads: 6, intermediate_size: 512 };
  const model = stirred(buildTextEncoder(family, config));
  await saveForHuggingFace(folder, model, { model_type: family, ...config });
  tf.tidy(() => {
    const random = new Random(8);
    const lengths = [17, 9];
    const rows = lengths.map((length) =>
      Array.from({ length: 17 }, (_, i) => (i < length ? 3 + random.integer(30_000) : model.padId)),
    );
    const ids = tf.tensor2d(rows, [2, 17], 'int32');
    const mask = tf.tensor2d(
      lengths.map((length) => Array.from({ length: 17 }, (_, i) => (i < length ? 1 : 0))),
      [2, 17],
      'int32',
    );
    writeExample(folder, {
      'in/input_ids': integers(ids),
      'in/attention_mask': integers(mask),
      'out/last_hidden_state': floats(model.encode(ids, mask)),
    });
  });
  model.dispose();
}

/** The tokens of "[CLS] a white boat. a pier. [SEP]", all that the model takes: there is no padding to leave out. */
const PROMPT = [101, 1037, 2317, 4049, 1012, 1037, 11310, 1012, 102];

/** A smaller one; what is made of its settings is the same. */
async function writeGroundingDino(
  folder: string,
  name: 'grounding-dino-tiny' | 'mm-grounding-dino-tiny',
): Promise<void> {
  const base = preset(name);
  const fewer = { encoderLayers: 2, decoderLayers: 2, queries: 60, textTokens: PROMPT.length };
  const text = { hidden_size: 96, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 128 };
  const config = {
    ...base,
    text: { name: 'bert', config: { ...base.text.config, ...text } },
    transformer: { ...base.transformer, ...fewer },
  };
  const model = stirred(buildModel(config, 5));
  startAlike(model);
  await saveForHuggingFace(folder, model, config);
  tf.tidy(() => {
    const { pixels, mask } = pictures([160, 224], [128, 150]);
    const inputIds = tf.tensor2d([PROMPT, PROMPT], undefined, 'int32');
    const input = { pixels, pixelMask: mask, inputIds, textMask: tf.ones<tf.Rank.R2>(inputIds.shape) };
    const { pred_logits, pred_boxes } = model.forward(input);
    writeExample(folder, {
      'in/pixel_values': floats(channelsFirst(pixels)),
      'in/pixel_mask': integers(mask),
      'in/input_ids': integers(inputIds),
      'in/attention_mask': integers(input.textMask),
      'out/logits': floats(pred_logits),
      'out/pred_boxes': floats(pred_boxes),
    });
  });
  model.dispose();
}

/** As a user does it: a folder of ours, converted. */
async function saveForHuggingFace(folder: string, model: Module, config: object): Promise<void> {
  const own = `${folder}-own`;
  saveModelFolder(own, model, { 'config.json': JSON.stringify(config) });
  await convertCheckpoint(own, folder, { names: 'huggingface' });
  rmSync(own, { recursive: true });
}
