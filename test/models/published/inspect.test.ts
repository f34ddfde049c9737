// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { formatCheckpointReport, inspectCheckpoint } from '../../../src/models/published/index.js';
import { readCheckpoint } from '../../../src/models/weights/checkpoint_file.js';
import { writeSafetensors } from '../../../src/models/weights/safetensors.js';
import { writeUntrainedModel } from '../../untrained_model.js';
import { smallConfig } from '../small_config.js';

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'inspect-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('inspectCheckpoint', () => {
  it('says what weights are of, and where each tensor goes', async () => {
    const before = tf.memory().numTensors;
    const report = await inspectCheckpoint('test/fixtures/torch/detr_refine.pth');
    expect(tf.memory().numTensors).toBe(before);
    expect(report).toMatchObject({
      format: 'PyTorch before 1.6',
      key: 'model',
      model: { title: 'Deformable DETR, resnet, box refinement, 7 classes', origin: 'original' },
      missing: [],
      fits: true,
    });
    expect(report.others.epoch).toBe('49');
    const packed = report.tensors.find(
      ({ name }) => name === 'transformer.decoder.layers.0.self_attn.in_proj_bias',
    );
    expect(packed).toEqual({
      name: 'transformer.decoder.layers.0.self_attn.in_proj_bias',
      dtype: 'F32',
      shape: [96],
      fate: 'matched',
      parameters: ['q', 'k', 'v'].map((part) => `model.decoder.layers.0.self_attn.${part}_proj.bias`),
      why: null,
    });
    const text = formatCheckpointReport(report);
    expect(text).toContain('  matched: 184\n  missing: 0');
    expect(text).toMatch(
      /^query_embed\.weight +F32 \[20, 64\] +-> model\.query_position_embeddings\.weight$/m,
    );
  });

  it('says what is missing, of another shape, unknown and dropped, and why', async () => {
    const { tensors } = await readCheckpoint('test/fixtures/torch/detr_plain.pth');
    const one = { dtype: 'F32' as const, shape: [1], data: new Float32Array(1) };
    tensors.delete('input_proj.0.1.bias');
    tensors.set('transformer.reference_points.bias', one);
    tensors.set('something.else', one);
    tensors.set('backbone.0.body.fc.weight', one);
    // Four heads, as the file's arguments say, cannot be told from these tensors: let 8 heads of 2 points do.
    const path = join(root, 'changed.safetensors');
    writeSafetensors(path, tensors);
    const report = await inspectCheckpoint(path);
    const fateOf = (name: string) => {
      const { fate, why } = report.tensors.find((tensor) => tensor.name === name)!;
      return [fate, why];
    };
    expect(report.fits).toBe(false);
    expect(report.missing).toEqual(['input_proj.0.1.bias']);
    expect(fateOf('transformer.reference_points.bias')).toEqual(['of another shape', 'the model has [2]']);
    expect(fateOf('something.else')).toEqual(['unknown', null]);
    expect(fateOf('backbone.0.body.fc.weight')).toEqual(['dropped', 'classifier of whole pictures']);
    expect(fateOf('class_embed.1.bias')).toEqual(['matched', null]);
    const text = formatCheckpointReport(report);
    expect(text).toMatch(
      /of another shape: 1\n {2}unknown: 1\n {2}dropped: 1\n {2}missing: 1\n {4}input_proj\.0\.1\.bias/,
    );
    expect(text).toMatch(
      /^backbone\.0\.body\.fc\.weight +F32 \[1\] +dropped: classifier of whole pictures$/m,
    );
  });

  it('knows model folders, backbones, and says when it knows nothing', async () => {
    writeUntrainedModel(join(root, 'text'), 1, smallConfig('token-sigmoid'));
    expect((await inspectCheckpoint(join(root, 'text'))).model?.title).toBe('MDETR-G, swin, roberta');
    const swin = await inspectCheckpoint('test/fixtures/swin/w4');
    expect(swin).toMatchObject({ model: { title: 'backbone swin, names of Hugging Face' }, fits: true });
    expect(swin.tensors.filter(({ fate }) => fate === 'dropped').map(({ name }) => name)).toContain(
      'swin.layernorm.bias',
    );
    const views = await inspectCheckpoint('test/fixtures/torch/views.pth');
    expect(views).toMatchObject({ model: null, fits: null });
    expect(formatCheckpointReport(views)).toMatch(
      /of no kind that is known: model folders of tfgeo; .*\n {2}unclear: 23/,
    );
  });
});
