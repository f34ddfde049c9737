// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { backboneNames, buildBackbone, swinConfig } from '../../src/models/backbones/index.js';
import { PatchMerging } from '../../src/models/backbones/swin_block.js';
import { buildModel } from '../../src/models/build.js';
import { type GroundingDinoConfig, preset } from '../../src/models/config.js';
import { detectorNames } from '../../src/models/detector_weights.js';
import { withoutValues } from '../../src/models/init.js';
import { loadModelFolder } from '../../src/models/model_folder.js';
import { convertCheckpoint, inspectCheckpoint } from '../../src/models/published/index.js';
import { loadStateDict, saveStateDict } from '../../src/models/weights/state_dict.js';
import { encodeTorch } from '../../src/models/weights/torch/write.js';
import { PlanCache } from '../../src/ops/index.js';
import { bertTokenizerJson } from './bert_tokenizer.js';
import { formula, type Listed } from './listed.js';
import { MM_TINY, mmdetectionStateDict, type Sizes } from './mmdetection_names.js';
import { contents } from './published/contents.js';

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'mmdetection-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);

const SMALL: Sizes = {
  swin: { width: 32, depths: [1, 1, 2, 1], heads: [1, 2, 2, 4], window: 5, maps: 3 },
  bert: { words: 1040, places: 40, width: 64, layers: 1, hidden: 16, pooler: false },
  width: 32,
  levels: 5,
  points: 2,
  encoder: { layers: 2, heads: 8, hidden: 64 },
  decoder: { layers: 3, heads: 8, hidden: 48 },
  queries: 6,
  bias: true,
};

/** As mmengine writes it, its tokenizer beside it. */
function publish(name: string, list: Listed): string {
  mkdirSync(at(name), { recursive: true });
  const path = join(at(name), 'published.pth');
  const meta = { cfg: 'model = dict()', dataset_meta: { classes: ['ship'] } };
  writeFileSync(path, Buffer.concat(encodeTorch({ meta, state_dict: formula(list) })));
  writeFileSync(join(at(name), 'tokenizer.json'), bertTokenizerJson());
  return path;
}

describe('a checkpoint of mmdetection', () => {
  const plain = { ...SMALL, bias: false, bert: { ...SMALL.bert, pooler: true } };
  it.each([
    ['MM-Grounding-DINO', SMALL, 'scaled', ['dn_query_generator']],
    ['Grounding DINO', plain, 'dot', ['dn_query_generator', 'pooler']],
  ])('of %s is loaded alone, and written again to the bit', async (name, sizes, logits, extra) => {
    const path = publish(name, mmdetectionStateDict(sizes));
    const report = await inspectCheckpoint(path);
    expect(report).toMatchObject({ key: 'state_dict', fits: true, missing: [] });
    expect(report.model).toEqual({ title: `${name}, swin, bert`, origin: 'mmdetection' });
    const dropped = report.tensors.filter(({ fate }) => fate === 'dropped').map((tensor) => tensor.name);
    const derived = (each: string) => each.endsWith('relative_position_index');
    expect(dropped.filter((each) => !derived(each) && !extra.some((part) => each.includes(part)))).toEqual(
      [],
    );
    const { model, config } = await loadModelFolder(path);
    expect((config as GroundingDinoConfig).transformer).not.toHaveProperty('boxEps');
    expect(config).toMatchObject({
      transformer: {
        logits,
        levels: 5,
        encoderPoints: 2,
        decoderPoints: 2,
        queries: 6,
        sharedBoxHead: false,
        referenceEps: 1e-3,
      },
      backbone: {
        config: { window_size: 5, depths: [1, 1, 2, 1], out_features: ['stage2', 'stage3', 'stage4'] },
      },
    });
    model.dispose();
    const [folder, again] = [at(`${name} folder`), at(`${name} again`)];
    await convertCheckpoint(path, folder);
    mkdirSync(again);
    await convertCheckpoint(folder, join(again, 'written.pth'), { names: 'mmdetection' });
    const [first, second] = [await contents(path), await contents(join(again, 'written.pth'))];
    const kept = ([each]: [string, string]) => !dropped.includes(each);
    expect([...second].filter(kept)).toEqual([...first].filter(kept));
    expect([...second.keys()].filter((each) => !first.has(each))).toEqual([]);
    copyFileSync(join(at(name), 'tokenizer.json'), join(again, 'tokenizer.json'));
    expect((await inspectCheckpoint(join(again, 'written.pth'))).key).toBe('state_dict');
  });

  it('with what other programs leave in it says so', async () => {
    const more: Listed = [
      ['data_preprocessor.mean', [3, 1, 1]],
      ['ema_level_embed', [5, 32]],
      ['lmm.layers.0.weight', [2, 2]],
      ['ref_point_head.layers.0.weight', [2, 2]],
      ['language_model.language_backbone.body.model.embeddings.position_ids', [1, 40]],
    ];
    const path = publish('more', [...mmdetectionStateDict(SMALL), ...more]);
    const { tensors, fits } = await inspectCheckpoint(path);
    const why = new Map(tensors.map((tensor) => [tensor.name, tensor.why]));
    expect(fits).toBe(true);
    expect(more.map(([name]) => why.get(name))).toEqual([
      'mean and deviation of pixels, which the configuration has',
      'averages beside the weights',
      'language model of a training',
      "a copy of the decoder's",
      'table of numbers in order',
    ]);
  });

  it('whose logits have a learned scale is refused', async () => {
    const scale: Listed = [['bbox_head.cls_branches.0.log_scale', [1]]];
    const path = publish('scale', [...mmdetectionStateDict({ ...SMALL, bias: false }), ...scale]);
    await expect(loadModelFolder(path)).rejects.toThrow(
      /cls_branches\.0\.log_scale\), which is not supported/,
    );
  });
});

describe('the published MM-Grounding-DINO of Swin-T', () => {
  it('has the tensors of our preset, and as many parameters', () => {
    const config = preset('mm-grounding-dino-tiny');
    const model = withoutValues(() => buildModel(config));
    const names = detectorNames(config).find(({ origin }) => origin === 'mmdetection')!;
    const places = new Set([...model.namedParameters().keys()].map((own) => names.place(own).name));
    const variables = new Set([...model.namedParameters().values()].map(({ variable }) => variable));
    const parameters = [...variables].reduce((sum, { size }) => sum + size, 0);
    model.dispose();
    const unused = /relative_position_index$|^dn_query_generator\./;
    const listed = mmdetectionStateDict(MM_TINY).filter(([name]) => !unused.test(name));
    expect(places).toEqual(new Set(listed.map(([name]) => name)));
    expect(parameters).toBe(listed.reduce((sum, [, shape]) => sum + shape.reduce((n, m) => n * m, 1), 0));
    expect([listed.length, parameters]).toEqual([895, 172_912_157]);
  });

  it('is written with the shapes of its list', () => {
    const config = preset('mm-grounding-dino-tiny');
    config.backbone = {
      name: 'swin',
      config: { embed_dim: 8, depths: [1, 1, 1, 1], num_heads: [1, 1, 2, 2] },
    };
    config.text.config = { ...config.text.config, num_hidden_layers: 1, vocab_size: 30 };
    config.transformer = { ...config.transformer, queries: 4, encoderLayers: 1, decoderLayers: 1 };
    const sizes: Sizes = {
      ...MM_TINY,
      swin: { width: 8, depths: [1, 1, 1, 1], heads: [1, 1, 2, 2], window: 7, maps: 3 },
      bert: { ...MM_TINY.bert, layers: 1, words: 30 },
      queries: 4,
      encoder: { ...MM_TINY.encoder, layers: 1 },
      decoder: { ...MM_TINY.decoder, layers: 1 },
    };
    const model = buildModel(config);
    const names = detectorNames(config).find(({ origin }) => origin === 'mmdetection')!;
    const written = saveStateDict(model, { names, everyName: true });
    model.dispose();
    const expected = new Map(mmdetectionStateDict(sizes));
    expected.delete('dn_query_generator.label_embedding.weight');
    expect(new Map([...written].map(([name, { shape }]) => [name, shape]))).toEqual(expected);
  });
});

/** mmdetection's merging of 2 x 2 tokens, of one picture `[height][width][channel]`: torch's Unfold goes channel by channel. */
function mergedByUnfold(
  picture: readonly (readonly (readonly number[])[])[],
  weights: { gain: ArrayLike<number>; shift: ArrayLike<number>; reduction: ArrayLike<number> },
): number[][] {
  const rows: number[][] = [];
  const channels = picture[0]![0]!.length;
  for (let y = 0; y < picture.length; y += 2) {
    for (let x = 0; x < picture[0]!.length; x += 2) {
      const unfolded: number[] = [];
      for (let channel = 0; channel < channels; channel++)
        for (const dy of [0, 1])
          for (const dx of [0, 1]) unfolded.push(picture[y + dy]?.[x + dx]?.[channel] ?? 0);
      const mean = unfolded.reduce((sum, value) => sum + value, 0) / unfolded.length;
      const variance = unfolded.reduce((sum, value) => sum + (value - mean) ** 2, 0) / unfolded.length;
      const normed = unfolded.map(
        (value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * weights.gain[i]! + weights.shift[i]!,
      );
      rows.push(
        Array.from({ length: 2 * channels }, (_, out) =>
          normed.reduce((sum, value, i) => sum + value * weights.reduction[out * unfolded.length + i]!, 0),
        ),
      );
    }
  }
  return rows;
}

describe("mmdetection's merging of tokens", () => {
  it('is ours with weights in another order', () => {
    const settings = { embed_dim: 4, depths: [1, 1], num_heads: [1, 1], window_size: 2 };
    const backbone = buildBackbone('swin', settings);
    const names = backboneNames('swin').find(({ origin }) => origin === 'mmdetection')!;
    const list = [...saveStateDict(backbone, { names })].map(([name, { shape }]): Listed[number] => [
      name,
      shape,
    ]);
    const given = formula(list);
    loadStateDict(backbone, given, { names });
    const inside = 'encoder.layers.0.downsample.';
    const own = new Map(
      [...saveStateDict(backbone)].map(([name, tensor]) => [name.replace(inside, ''), tensor]),
    );
    const merging = new PatchMerging(swinConfig(settings), 4);
    loadStateDict(
      merging,
      new Map(['norm.weight', 'norm.bias', 'reduction.weight'].map((n) => [n, own.get(n)!])),
    );
    const picture = Array.from({ length: 5 }, (_, y) =>
      Array.from({ length: 3 }, (__, x) =>
        Array.from({ length: 4 }, (___, c) => Math.sin(7 * y + 3 * x + c * c)),
      ),
    );
    const plans = new PlanCache();
    const result = tf.tidy(() =>
      merging.forward(tf.tensor2d(picture.flat()), { batch: 1, height: 5, width: 3 }, plans).arraySync(),
    );
    const value = (name: string) => given.get(`stages.0.downsample.${name}`)!.data as Float32Array;
    const expected = mergedByUnfold(picture, {
      gain: value('norm.weight'),
      shift: value('norm.bias'),
      reduction: value('reduction.weight'),
    });
    expected.flat().forEach((number, i) => {
      expect(result.flat()[i]).toBeCloseTo(number, 5);
    });
    expect(result.flat()).toHaveLength(expected.flat().length);
    [backbone, merging, plans].forEach((part) => {
      part.dispose();
    });
  });
});
