// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import type { UserError } from '../../src/errors.js';
import {
  detrNames,
  loadOriginalDetr,
  originalDetrArguments,
  originalDetrConfig,
} from '../../src/models/deformable_detr/index.js';
import { loadModelFolder, modelAnswers } from '../../src/models/model_folder.js';
import { convertCheckpoint } from '../../src/models/published/index.js';
import { readCheckpoint } from '../../src/models/weights/checkpoint_file.js';
import { readSafetensorsSync, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { saveStateDict } from '../../src/models/weights/state_dict.js';
import { writeUntrained } from '../untrained_model.js';
import { smallDetrConfig } from './small_config.js';

// Checkpoints that PyTorch wrote, with the names of the original repository (tools/fixtures/torch_checkpoints.py).

const FIXTURES = 'test/fixtures/torch';
/** Tolerances of the golden vectors (transformers, float64). */
const CASES = [
  ['plain', 'zip', 3.7e-5, 8.2e-6],
  ['refine', 'legacy', 3.8e-5, 9.9e-6],
  ['two_stage', 'zip, wrapped', 2.5e-5, 9.8e-6],
] as const;

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'detr-pth-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const checkpoint = (kind: string) => join(FIXTURES, `detr_${kind}.pth`);
const worst = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

describe.each(CASES)(
  'a checkpoint of the original repository: %s (%s)',
  (kind, _, logitTolerance, boxTolerance) => {
    it('predicts what the reference predicts', async () => {
      expect(await modelAnswers(checkpoint(kind))).toBe('classes');
      const { model, config } = await loadModelFolder(checkpoint(kind));
      const stored = readSafetensorsSync(join(FIXTURES, `detr_${kind}.safetensors`));
      const tensor = (name: string) => {
        const { data, shape } = stored.get(name)!;
        return tf.tensor(Float32Array.from(data as ArrayLike<number>), shape);
      };
      tf.tidy(() => {
        if (config.model_type !== 'deformable-detr') throw new Error('another model');
        const output = (model as Awaited<ReturnType<typeof loadOriginalDetr>>['model']).forward({
          pixels: tf.transpose(tensor('in/pixel_values'), [0, 2, 3, 1]) as tf.Tensor4D,
          pixelMask: tensor('in/pixel_mask') as tf.Tensor3D,
        });
        expect(worst(output.pred_logits, tensor('out/logits'))).toBeLessThan(logitTolerance);
        expect(worst(output.pred_boxes, tensor('out/pred_boxes'))).toBeLessThan(boxTolerance);
      });
      model.dispose();
    });

    it('is written again as it was, under every name, bit for bit', async () => {
      const { tensors } = await readCheckpoint(checkpoint(kind));
      const { model, config } = await loadOriginalDetr(checkpoint(kind));
      const names = detrNames(config.backbone.name).find(
        ({ origin, hallmark }) =>
          origin === 'original' && [...tensors.keys()].some((name) => hallmark.test(name)),
      )!;
      const saved = saveStateDict(model, { names, everyName: true });
      model.dispose();
      expect([...saved.keys()].sort()).toEqual([...tensors.keys()].sort());
      for (const [name, { shape, data }] of tensors) {
        const again = saved.get(name)!;
        expect([name, again.shape]).toEqual([name, shape]);
        expect(Buffer.compare(bytesOf(again.data), bytesOf(data))).toBe(0);
      }
      const path = join(root, `${kind}.safetensors`);
      writeSafetensors(path, saved);
      const again = await loadOriginalDetr(path, (other) => ({ ...other, transformer: config.transformer }));
      expect(saveStateDict(again.model, { names, everyName: true })).toEqual(saved);
      again.model.dispose();
    });
  },
);

function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

describe('the configuration of a checkpoint', () => {
  it('follows from shapes, and from the arguments what shapes do not tell', async () => {
    const config = originalDetrConfig(await readCheckpoint(checkpoint('refine')), 'x');
    expect(config.transformer).toEqual({
      dModel: 32,
      encoderLayers: 2,
      encoderHeads: 4,
      encoderPoints: 4,
      encoderFfn: 48,
      decoderLayers: 2,
      decoderHeads: 4,
      decoderPoints: 4,
      decoderFfn: 48,
      levels: 4,
      queries: 20,
      boxRefine: true,
      twoStage: false,
      sharedClassHead: false,
    }); // prettier-ignore
    expect(config.labels).toHaveLength(7);
    expect(config.backbone).toMatchObject({
      name: 'resnet',
      config: {
        hidden_sizes: [8, 16, 24, 32],
        depths: [1, 1, 1, 1],
        layer_type: 'basic',
        embedding_size: 8,
        frozen_stages: 2,
      },
    });
  });

  it('says whether the last stage is dilated, and is written back so', async () => {
    const small = smallDetrConfig('plain');
    const stages = { hidden_sizes: [8, 8, 16, 16], depths: [1, 1, 1, 2], layer_type: 'bottleneck' };
    const settings = { ...small.backbone.config, ...stages, out_features: ['stage4'], frozen_stages: 2 };
    const config = {
      ...small,
      backbone: { name: 'resnet', config: { ...settings, dilation: true } },
      transformer: { ...small.transformer, levels: 1 },
    };
    const pth = join(root, 'dc5.pth');
    writeUntrained(join(root, 'dc5'), config);
    await convertCheckpoint(join(root, 'dc5'), pth, { names: 'original' });
    const { args, tensors } = await readCheckpoint(pth);
    expect(args).toMatchObject({ backbone: 'resnet', dilation: true, num_feature_levels: 1 });
    const read = await loadOriginalDetr(pth);
    expect(read.config.backbone.config).toMatchObject({ dilation: true, out_features: ['stage4'] });
    expect(read.model.spatialShapes(64, 40)).toEqual([[3, 4]]);
    const own = await loadModelFolder(join(root, 'dc5'));
    expect(saveStateDict(read.model)).toEqual(saveStateDict(own.model));
    read.model.dispose();
    own.model.dispose();
    const plain = originalDetrConfig({ tensors, args: { ...args, dilation: false } }, 'x');
    expect(plain.backbone.config).not.toHaveProperty('dilation');
    expect(originalDetrArguments(plain)).toMatchObject({ dilation: false });
  });

  it('is refused where it is of another model', async () => {
    const file = await readCheckpoint(checkpoint('plain'));
    const config = (args: object) =>
      originalDetrConfig({ ...file, args: { ...file.args, ...args } }, 'a.pth');
    expect(() => config({ dilation: 'yes' })).toThrow('a.pth: dilation is "yes", expected true or false');
    expect(() => config({ masks: true })).toThrow(
      'a.pth: it was trained with masks true, only false is supported',
    );
    expect(() => config({ nheads: 3 })).toThrow(/encoder\.layers\.0\.self_attn does not have 3 heads/);
    const error = await loadModelFolder(join(FIXTURES, 'views.pth')).catch((reason: UserError) => reason);
    expect((error as UserError).message).toMatch(
      /holds no detector that is known without a config\.json \(its tensors: plain, transposed, rows/,
    );
  });
});

describe('a checkpoint that does not fit', () => {
  const refusal = async (
    change: (tensors: Awaited<ReturnType<typeof readCheckpoint>>['tensors']) => void,
  ) => {
    const { tensors } = await readCheckpoint(checkpoint('plain'));
    change(tensors);
    const path = join(root, 'changed.safetensors');
    writeSafetensors(path, tensors);
    const before = tf.memory().numTensors;
    const error = await loadOriginalDetr(path, (config) => ({
      ...config,
      transformer: {
        ...config.transformer,
        encoderHeads: 4,
        decoderHeads: 4,
        encoderPoints: 4,
        decoderPoints: 4,
      },
    })).then(
      () => null,
      (reason: UserError) => reason,
    );
    expect(tf.memory().numTensors).toBe(before);
    return error?.message;
  };

  it('is refused, naming the tensor', async () => {
    const name = 'transformer.decoder.layers.1.self_attn.in_proj_weight';
    expect(
      await refusal((tensors) => {
        const tensor = tensors.get(name)!;
        tensors.set(name, {
          ...tensor,
          shape: [95, 32],
          data: (tensor.data as Float32Array).slice(0, 95 * 32),
        });
        tensors.delete('backbone.0.body.bn1.running_var');
        tensors.set('backbone.0.body.fc2.weight', { dtype: 'F32', shape: [1], data: new Float32Array(1) });
      }),
    ).toMatch(
      /3 of another shape \(transformer\.decoder\.layers\.1\.self_attn\.in_proj_weight is \[95,32\] where the model has \[96,32\].*1 missing \(backbone\.0\.body\.bn1\.running_var\); 1 unknown \(backbone\.0\.body\.fc2\.weight\)/,
    );
    expect(
      await refusal((tensors) => {
        (tensors.get(name)!.data as Float32Array)[7] = Number.NaN;
      }),
    ).toMatch(/tensor transformer\.decoder\.layers\.1\.self_attn\.in_proj_weight holds NaN at place 7/);
    expect(
      await refusal((tensors) => {
        const tensor = tensors.get('class_embed.1.bias')!;
        tensors.set('class_embed.1.bias', {
          ...tensor,
          data: Float32Array.from(tensor.data as Float32Array, (x) => x + 1),
        });
      }),
    ).toMatch(/class_embed\.1\.bias differs from class_embed\.0\.bias, but they are one and the same/);
  });

  it('is refused when it is cut short', async () => {
    const whole = readFileSync(checkpoint('refine'));
    const path = join(root, 'short.pth');
    writeFileSync(path, whole.subarray(0, whole.length - 1000));
    await expect(loadModelFolder(path)).rejects.toThrow(/short\.pth cannot be read: .*cut short/);
  });
});
