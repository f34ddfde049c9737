// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile, ready } from '../../src/engine/index.js';
import { EXIT_CODES, type UserError } from '../../src/errors.js';
import { buildModel } from '../../src/models/build.js';
import { type DeformableDetrConfig, preset } from '../../src/models/config.js';
import {
  DeformableDetr,
  detrNames,
  huggingFaceDetrConfig,
  loadDetrWeights,
  readHuggingFaceConfig,
  topDetections,
} from '../../src/models/deformable_detr/index.js';
import { loadModelFolder, modelAnswers } from '../../src/models/model_folder.js';
import type { StoredTensor } from '../../src/models/weights/safetensors.js';
import { writeSafetensors } from '../../src/models/weights/safetensors.js';
import { saveStateDict } from '../../src/models/weights/state_dict.js';
import { type DetrKind, smallDetrConfig } from './small_config.js';

const KINDS: DetrKind[] = ['plain', 'refine', 'two-stage'];
const pixels = (batch: number, height = 64, width = 64) =>
  tf.randomNormal([batch, height, width, 3], 0, 1, 'float32', 7) as tf.Tensor4D;
const worst = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'detr-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.each(KINDS)('DeformableDetr, %s', (kind) => {
  it('predicts logits and boxes of every decoder layer', () => {
    const model = buildModel(smallDetrConfig(kind), 3);
    tf.tidy(() => {
      const output = model.forward({ pixels: pixels(2, 50, 70), pixelMask: null });
      for (const layer of [output, ...output.aux_outputs]) {
        expect(layer.pred_logits.shape).toEqual([2, 9, 4]);
        expect(layer.pred_boxes.shape).toEqual([2, 9, 4]);
      }
      expect(output.aux_outputs).toHaveLength(1);
      const tokens = model.spatialShapes(70, 50).reduce((sum, [h, w]) => sum + h * w, 0);
      expect(output.enc_outputs?.pred_logits.shape).toEqual(
        kind === 'two-stage' ? [2, tokens, 4] : undefined,
      );
    });
    model.dispose();
  });

  it('needs no mask where nothing is padded', () => {
    const model = buildModel(smallDetrConfig(kind), 3);
    tf.tidy(() => {
      const x = pixels(1, 60, 75);
      const whole = model.forward({ pixels: x, pixelMask: tf.ones([1, 60, 75]) });
      const none = model.forward({ pixels: x, pixelMask: null });
      expect(worst(whole.pred_boxes, none.pred_boxes)).toBeLessThan(1e-5);
      expect(worst(whole.pred_logits, none.pred_logits)).toBeLessThan(1e-4);
      const part = tf.concat([tf.ones([1, 60, 50]), tf.zeros([1, 60, 25])], 2) as tf.Tensor3D;
      const padded = model.forward({ pixels: x, pixelMask: part });
      expect(worst(whole.pred_logits, padded.pred_logits)).toBeGreaterThan(1e-3);
    });
    model.dispose();
  });

  it('takes 1 to 5 levels', () => {
    for (const levels of [1, 2, 3, 5]) {
      const config = smallDetrConfig(kind);
      const model = buildModel({ ...config, transformer: { ...config.transformer, levels } }, 3);
      tf.tidy(() => {
        const shapes = model.spatialShapes(100, 70);
        expect(shapes).toHaveLength(levels);
        const { intermediates } = model.forward(
          { pixels: pixels(1, 70, 100), pixelMask: null },
          { intermediates: true },
        );
        expect([...intermediates.spatial_shapes!.dataSync()]).toEqual(shapes.flat());
      });
      model.dispose();
    }
  });

  it('reads what the original repository would have written', () => {
    const config = smallDetrConfig(kind);
    const model = buildModel(config, 3);
    const other = buildModel(config, 4);
    const own = saveStateDict(model);
    const original = asOriginal(own);
    expect(original.has('transformer.decoder.layers.0.self_attn.in_proj_weight')).toBe(true);
    expect(original.has('backbone.0.body.layer1.0.conv1.weight')).toBe(true);
    loadDetrWeights(other, original, 'resnet', 'a file');
    tf.tidy(() => {
      const x = { pixels: pixels(1), pixelMask: null };
      expect(worst(model.forward(x).pred_boxes, other.forward(x).pred_boxes)).toBe(0);
    });
    original.delete('transformer.level_embed');
    original.set('transformer.level_embedding', own.get('model.level_embed')!);
    expect(() => loadDetrWeights(other, original, 'resnet', 'a file')).toThrow(
      /a file does not fit the model: 1 missing \(transformer\.level_embed\); 1 unknown \(transformer\.level_embedding\)/,
    );
    model.dispose();
    other.dispose();
  });

  it('is the same compiled', () => {
    const model = buildModel(smallDetrConfig(kind), 3);
    tf.tidy(() => {
      const x = pixels(1);
      const forward = compile((pixels: tf.Tensor4D) =>
        topDetections(model.forward({ pixels, pixelMask: null })),
      );
      const [eager, compiled] = [topDetections(model.forward({ pixels: x, pixelMask: null })), forward(x)];
      expect(forward.compiled).toBe(true);
      expect(worst(eager.scores, compiled.scores)).toBeLessThan(1e-5);
      forward.dispose();
    });
    model.dispose();
  });
});

/** The names of the original repository, by its own words. */
function asOriginal(own: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  const result = new Map<string, StoredTensor>();
  const packed = new Map<string, StoredTensor[]>();
  for (const [name, tensor] of own) {
    const attention = /^model\.(decoder\.layers\.\d+)\.self_attn\.([qkv])_proj\.(.+)$/.exec(name);
    if (attention) {
      const key = `transformer.${attention[1]}.self_attn.in_proj_${attention[3]}`;
      packed.set(key, [...(packed.get(key) ?? []), tensor]);
    } else result.set(originalName(name), tensor);
  }
  for (const [name, parts] of packed) {
    const data = Float32Array.from(parts.flatMap((part) => [...(part.data as Float32Array)]));
    const [rows, ...rest] = parts[0]!.shape;
    result.set(name, { dtype: 'F32', shape: [3 * rows!, ...rest], data });
  }
  return result;
}

function originalName(name: string): string {
  const layers = (text: string) =>
    text
      .replace(/encoder_attn_layer_norm/, 'norm1')
      .replace(/(decoder\..*)self_attn_layer_norm/, '$1norm2')
      .replace(/(decoder\..*)final_layer_norm/, '$1norm3')
      .replace(/self_attn_layer_norm/, 'norm1')
      .replace(/final_layer_norm/, 'norm2')
      .replace(/encoder_attn/, 'cross_attn')
      .replace(/\.fc([12])\./, '.linear$1.');
  const inside = 'model.backbone.conv_encoder.model.';
  if (name.startsWith(inside)) return `backbone.0.body.${timmName(name.slice(inside.length))}`;
  if (name.startsWith('model.input_proj.')) return name.slice('model.'.length);
  if (name.startsWith('model.query_position_embeddings.'))
    return name.replace('model.query_position_embeddings', 'query_embed');
  return layers(name.replace(/^model\./, 'transformer.'));
}

/** The name of a ResNet's tensor in torchvision and timm. */
function timmName(name: string): string {
  return name
    .replace('embedder.embedder.convolution', 'conv1')
    .replace('embedder.embedder.normalization', 'bn1')
    .replace(
      /^encoder\.stages\.(\d)\.layers\.(\d)\./,
      (_, s: string, b: string) => `layer${Number(s) + 1}.${b}.`,
    )
    .replace(
      /layer\.(\d)\.(convolution|normalization)/,
      (_, i: string, kind: string) => `${kind === 'convolution' ? 'conv' : 'bn'}${Number(i) + 1}`,
    )
    .replace('shortcut.convolution', 'downsample.0')
    .replace('shortcut.normalization', 'downsample.1');
}

describe('a folder', () => {
  const write = (name: string, config: unknown, tensors: ReadonlyMap<string, StoredTensor>) => {
    const folder = mkdtempSync(join(root, name));
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    writeSafetensors(join(folder, 'model.safetensors'), tensors);
    return folder;
  };

  it('of one’s own is read back', async () => {
    const config: DeformableDetrConfig = smallDetrConfig('refine');
    const model = buildModel(config, 3);
    const folder = write('own', config, saveStateDict(model));
    expect(await modelAnswers(folder)).toBe('classes');
    const loaded = await loadModelFolder(folder);
    expect(loaded.config).toEqual(config);
    tf.tidy(() => {
      const x = { pixels: pixels(1), pixelMask: null };
      const output = loaded.model instanceof DeformableDetr ? loaded.model.forward(x) : null;
      expect(worst(model.forward(x).pred_logits, output!.pred_logits)).toBe(0);
    });
    model.dispose();
    loaded.model.dispose();
  });

  it.each(['resnet_plain', 'swin_two_stage'])('of Hugging Face is read: %s', async (name) => {
    const folder = `test/fixtures/deformable-detr/${name}`;
    const given = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as { id2label: object };
    expect(await modelAnswers(folder)).toBe('classes');
    const { model, config } = await loadModelFolder(folder);
    expect((config as DeformableDetrConfig).labels).toEqual(Object.values(given.id2label));
    model.dispose();
  });

  it('of Hugging Face may repeat shared heads, as published ones do, and name its ResNet as timm does', async () => {
    const from = 'test/fixtures/deformable-detr/resnet_plain';
    const { model, config } = await loadModelFolder(from);
    const own = saveStateDict(model);
    const published = new Map<string, StoredTensor>();
    for (const [name, tensor] of own) {
      const inside = 'model.backbone.conv_encoder.model.';
      published.set(name.startsWith(inside) ? inside + timmName(name.slice(inside.length)) : name, tensor);
      for (const head of ['class_embed', 'bbox_embed']) {
        if (name.startsWith(`${head}.0.`)) published.set(name.replace('.0.', '.1.'), tensor);
      }
    }
    const given = JSON.parse(readFileSync(`${from}/config.json`, 'utf8')) as object;
    const again = await loadModelFolder(write('timm', given, published));
    expect(again.config).toEqual(config);
    model.dispose();
    again.model.dispose();
  });

  it('of Hugging Face may have a dilated ResNet, of timm', () => {
    const base = preset('deformable-detr-r50-single-scale-dc5');
    const { frozen_stages, ...settings } = base.backbone.config;
    const written = huggingFaceDetrConfig(base) as Record<string, unknown>;
    expect(written).toMatchObject({ backbone: 'resnet50', use_timm_backbone: true, dilation: true });
    expect(written.backbone_config).toBeNull();
    const { backbone, transformer } = readHuggingFaceConfig(written, 'x');
    expect(backbone).toEqual({ name: 'resnet-50', config: settings });
    expect(transformer).toEqual(base.transformer);
    expect(
      detrNames('resnet-50', true)[0]!.place(
        'model.backbone.conv_encoder.model.embedder.embedder.convolution.weight',
      ).name,
    ).toBe('model.backbone.conv_encoder.model.conv1.weight');
    // As transformers 5 writes it.
    const timm = { model_type: 'timm_backbone', backbone: 'resnet50', out_indices: [4], output_stride: 16 };
    const given = { ...written, backbone: undefined, backbone_config: timm };
    expect(readHuggingFaceConfig(given, 'x').backbone).toEqual(backbone);
    const apart = { ...given, dilation: false };
    expect(() => readHuggingFaceConfig(apart, 'x')).toThrow(
      /output_stride 16 is not supported with dilation false/,
    );
    const own = { ...base, backbone: { name: 'resnet', config: settings } };
    expect(() => huggingFaceDetrConfig(own)).toThrow(/only in timm's ResNets with the maps stage4/);
  });

  it.each([
    ['dilation', { dilation: true }, /dilation true is not supported with a backbone_config/],
    [
      'positions',
      { position_embedding_type: 'learned' },
      /position_embedding_type "learned" is not supported/,
    ],
    ['sizes', { d_model: 'wide' }, /d_model must be a whole number above 0, but it is "wide"/],
    ['a backbone', { backbone_config: null, backbone: 'vit' }, /backbone "vit" is not supported/],
    ['fewer layers', { encoder_layers: 1 }, /unknown \(model\.encoder\.layers\.1/],
  ])('of Hugging Face is refused for its %s', async (_, change, message) => {
    const from = 'test/fixtures/deformable-detr/resnet_plain';
    const given = JSON.parse(readFileSync(`${from}/config.json`, 'utf8')) as object;
    const folder = mkdtempSync(join(root, 'refused'));
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...given, ...change }));
    writeFileSync(join(folder, 'model.safetensors'), readFileSync(`${from}/model.safetensors`));
    const error = await loadModelFolder(folder).then(
      () => null,
      (reason: UserError) => reason,
    );
    expect(error?.message).toMatch(message);
    expect(error?.exitCode).toBe(EXIT_CODES.checkpoint);
  });
});

describe('topDetections', () => {
  it('ranks pairs of query and class, of the classes that are asked for', () => {
    tf.tidy(() => {
      const layer = {
        pred_logits: tf.tensor3d([
          [
            [3, -4],
            [1, 2],
          ],
        ]),
        pred_boxes: tf.tensor3d([
          [
            [0.5, 0.5, 0.2, 0.4],
            [0.1, 0.2, 0.2, 0.2],
          ],
        ]),
      };
      const all = topDetections(layer, null, 3);
      expect([...all.labels.dataSync()]).toEqual([0, 1, 0]);
      expect([...all.scores.dataSync()].map((v) => Number(v.toFixed(3)))).toEqual([0.953, 0.881, 0.731]);
      expect([...all.boxes.dataSync()].map((v) => Number(v.toFixed(3)))).toEqual([
        0.4, 0.3, 0.6, 0.7, 0, 0.1, 0.2, 0.3, 0, 0.1, 0.2, 0.3,
      ]);
      const second = topDetections(layer, tf.tensor1d([0, 1]), 2);
      expect([...second.labels.dataSync()]).toEqual([1, 1]);
    });
  });
});
