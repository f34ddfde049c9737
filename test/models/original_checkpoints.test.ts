// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import {
  type MdetrConfig,
  type ModelConfig,
  preset,
  type TextDetectorConfig,
} from '../../src/models/config.js';
import { originalMdetrArguments, originalMdetrConfig } from '../../src/models/mdetr/index.js';
import { loadModelFolder, modelAnswers } from '../../src/models/model_folder.js';
import { convertCheckpoint, inspectCheckpoint } from '../../src/models/published/index.js';
import { readCheckpoint } from '../../src/models/weights/checkpoint_file.js';
import { writeSafetensors } from '../../src/models/weights/safetensors.js';
import { saveStateDict } from '../../src/models/weights/state_dict.js';
import { stirred } from '../../tools/stir.js';
import { writeUntrained } from '../untrained_model.js';
import { SMALL_BACKBONES } from './backbones/small_backbones.js';
import { smallGroundingDinoConfig, smallMdetrConfig, smallUpstreamConfig } from './small_config.js';

// Checkpoints of the original repositories alone, as they are published: tensors and the program's arguments tell all.

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'originals-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);

/** With a text encoder whose heads have 64 channels, as published ones. */
function published<C extends TextDetectorConfig>(config: C): C {
  config.text.config = { ...config.text.config, hidden_size: 64, num_attention_heads: 1 };
  return config;
}

function separateHeads() {
  const config = smallGroundingDinoConfig();
  return { ...config, transformer: { ...config.transformer, sharedBoxHead: false } };
}

function dilated() {
  const config = smallMdetrConfig();
  const stages = { hidden_sizes: [8, 8, 16, 16], layer_type: 'bottleneck', dilation: true };
  return { ...config, backbone: { name: 'resnet', config: { ...config.backbone.config, ...stages } } };
}

function withEfficientNet(): MdetrConfig {
  const { settings } = SMALL_BACKBONES.find(({ family }) => family === 'efficientnet')!;
  const backbone = {
    name: 'efficientnet',
    config: { ...settings, out_features: ['stage4'], batch_norm_eps: 1e-5 },
  };
  return { ...smallMdetrConfig(), backbone };
}

function hardcoded() {
  const config = smallUpstreamConfig('vanilla');
  const modes = { classScale: 'off', alignScale: 'hardcoded', textAttention: false } as const;
  return { ...config, transformer: { ...config.transformer, ...modes } };
}

const isDilated = ({ backbone }: ModelConfig) => 'dilation' in backbone.config && backbone.config.dilation;

const ROWS: readonly [name: string, title: string, config: TextDetectorConfig][] = [
  ['mdetr', 'MDETR, resnet, roberta', smallMdetrConfig()],
  ['mdetr with a dilated backbone', 'MDETR, resnet, roberta', dilated()],
  ['mdetr with an EfficientNet', 'MDETR, efficientnet, roberta', withEfficientNet()],
  ['mdetr_g', 'MDETR-G as published, resnet, roberta', smallUpstreamConfig('deformable')],
  ['mdetr_g vanilla', 'MDETR-G as published, resnet, roberta', hardcoded()],
  ['grounding_dino', 'Grounding DINO, swin, bert', smallGroundingDinoConfig()],
  ['grounding_dino with separate heads', 'Grounding DINO, swin, bert', separateHeads()],
];

describe.each(ROWS)('a checkpoint of %s', (name, title, config) => {
  const folder = () => at(`${name} published`);
  const pth = () => join(folder(), 'checkpoint.pth');
  beforeAll(async () => {
    writeUntrained(at(name), published(config), 3, stirred);
    mkdirSync(folder());
    await convertCheckpoint(at(name), pth(), { names: 'original' });
    copyFileSync(join(at(name), 'tokenizer.json'), join(folder(), 'tokenizer.json'));
  });

  it('is loaded with nothing but its tokenizer beside it', async () => {
    expect(await modelAnswers(pth())).toBe('text');
    const own = await loadModelFolder(at(name));
    const { model, config: found } = await loadModelFolder(pth());
    expect(found).toHaveProperty('transformer', 'transformer' in own.config && own.config.transformer);
    expect(isDilated(found)).toBe(isDilated(own.config));
    expect(saveStateDict(model)).toEqual(saveStateDict(own.model));
    model.dispose();
    own.model.dispose();
  });

  it('is recognised, and becomes a folder of its own', async () => {
    expect(await inspectCheckpoint(pth())).toMatchObject({
      model: { title, origin: 'original' },
      fits: true,
    });
    await convertCheckpoint(pth(), at(`${name} again`));
    const [first, again] = [await readCheckpoint(at(name)), await readCheckpoint(at(`${name} again`))];
    expect(new Map(again.tensors)).toEqual(new Map(first.tensors));
  });
});

describe('a checkpoint of Grounding DINO without a word of its program', () => {
  it('holds boxes as far from the edges as the original does', async () => {
    const path = join(at('grounding_dino published'), 'plain.safetensors');
    const { tensors, args } = await readCheckpoint(join(at('grounding_dino published'), 'checkpoint.pth'));
    const { reference_eps, box_eps, ...rest } = args!;
    expect([reference_eps, box_eps]).toEqual([1e-5, 1e-5]);
    writeSafetensors(path, tensors, { metadata: { arguments: JSON.stringify(rest) } });
    const { model, config } = await loadModelFolder(path);
    model.dispose();
    expect(config).toMatchObject({ transformer: { referenceEps: 1e-3, boxEps: 1e-3 } });
  });
});

describe('checkpoints that are not supported', () => {
  it('say what is', async () => {
    const { tensors, args } = await readCheckpoint(join(at('mdetr published'), 'checkpoint.pth'));
    const refuse = async (name: string, changed: typeof tensors, more: object, message: RegExp) => {
      const metadata = { arguments: JSON.stringify({ ...args, ...more }) };
      writeSafetensors(at(name), changed, { metadata });
      await expect(loadModelFolder(at(name))).rejects.toThrow(message);
      await expect(convertCheckpoint(at(name), at('never'))).rejects.toThrow(message);
    };
    await refuse('norm.safetensors', tensors, { pre_norm: true }, /trained with pre_norm true, only false/);
    const other = new Map(
      [...tensors].map(([key, tensor]) => [key.replace('.body.layer', '.body.block'), tensor]),
    );
    await refuse('net.safetensors', other as typeof tensors, {}, /its backbone is none that is known/);
    const narrow = new Map([...tensors].filter(([key]) => !key.endsWith('token_type_embeddings.weight')));
    await refuse(
      'types.safetensors',
      narrow as typeof tensors,
      {},
      /token_type_embeddings\.weight is missing/,
    );
  });

  it('say which EfficientNets are', async () => {
    const path = join(at('mdetr with an EfficientNet published'), 'checkpoint.pth');
    const { tensors, args } = await readCheckpoint(path);
    expect([...tensors.keys()]).toEqual(
      expect.arrayContaining([
        'backbone.0.body.conv_stem.weight',
        'backbone.0.body.blocks.1.0.se.conv_reduce.bias',
      ]),
    );
    const config = (backbone: string) => originalMdetrConfig({ tensors, args: { ...args, backbone } }, 'x');
    const read = config('timm_tf_efficientnet_b3_ns');
    expect(read.backbone.config).toMatchObject({ batch_norm_eps: 1e-5, out_features: ['stage4'] });
    expect(read.preprocess.multiple).toBe(1);
    expect(() => config('timm_efficientnet_b3')).toThrow(
      'x: backbone "timm_efficientnet_b3" is not supported, only timm_tf_efficientnet_*',
    );
    for (const [name, backbone] of [
      ['mdetr-efficientnet-b5', 'timm_tf_efficientnet_b5_ns'],
      ['mdetr-r101', 'resnet101'],
    ] as const) {
      expect(originalMdetrArguments(preset(name))).toMatchObject({ backbone, dilation: false });
    }
  });

  it('ask for the tokenizer', async () => {
    copyFileSync(join(at('mdetr published'), 'checkpoint.pth'), at('alone.pth'));
    await expect(loadModelFolder(at('alone.pth'))).rejects.toThrow(/tokenizer\.json is missing/);
  });
});
