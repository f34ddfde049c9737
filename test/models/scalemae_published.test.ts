// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { gsdPositions } from '../../src/models/backbones/index.js';
import type { ScaleMaeDetConfig } from '../../src/models/config.js';
import { loadModelFolder, modelAnswers } from '../../src/models/model_folder.js';
import { convertCheckpoint, inspectCheckpoint } from '../../src/models/published/index.js';
import { readCheckpoint } from '../../src/models/weights/checkpoint_file.js';
import { saveStateDict } from '../../src/models/weights/state_dict.js';
import { encodeTorch } from '../../src/models/weights/torch/write.js';
import { stirred } from '../../tools/stir.js';
import { writeUntrained } from '../untrained_model.js';
import { formula, type Listed } from './listed.js';
import { contents } from './published/contents.js';
import {
  pretrainingStateDict,
  type ScaleMaeSizes,
  scaleMaeDetStateDict,
  vitStateDict,
} from './scalemae_names.js';
import { smallScaleMaeDetConfig } from './small_config.js';

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'scalemae-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);

const SMALL: ScaleMaeSizes = { width: 64, depth: 2, side: 96, channels: 8, hidden: 12, slots: 5 };

/** Parts that are registered several times have the same values. */
function values(list: Listed) {
  const tensors = formula(list);
  for (const name of tensors.keys()) {
    const first = name
      .replace(/^(?:fpn_adaptor|rcnn\.backbone)\.backbone\./, 'backbone.')
      .replace(/^rcnn\.backbone\./, 'fpn_adaptor.');
    tensors.set(name, tensors.get(first)!);
  }
  return tensors;
}

/** As the published program writes it. */
function publish(name: string, sizes: ScaleMaeSizes, more = {}): string {
  const optimizer = { state: {}, param_groups: [{ lr: 5e-5 }] };
  const file = {
    epoch: 40,
    model_state_dict: values(scaleMaeDetStateDict(sizes)),
    optimizer_state_dict: optimizer,
    ...more,
  };
  writeFileSync(at(name), Buffer.concat(encodeTorch(file)));
  return at(name);
}

async function configOf(path: string): Promise<ScaleMaeDetConfig> {
  const { model, config } = await loadModelFolder(path);
  model.dispose();
  return config as ScaleMaeDetConfig;
}

describe('a checkpoint of ScaleMAE-Det alone', () => {
  it('is loaded as its program is wired', async () => {
    const path = publish('published.pth', SMALL);
    expect(await modelAnswers(path)).toBe('classes');
    expect(await configOf(path)).toMatchObject({
      model_type: 'scalemae-det',
      imageSize: 96,
      labels: ['class 0', 'class 1', 'class 2', 'class 3', 'class 4'],
      backbone: {
        name: 'scalemae',
        config: { embed_dim: 64, depth: 2, num_heads: 1, class_token: false, default_gsd: 0.3 },
      },
      detector: { parity: 'upstream', channels: 8, hidden: 12, pyramid: 'scalemae' },
    });
    const report = await inspectCheckpoint(path);
    expect(report).toMatchObject({ key: 'model_state_dict', fits: true, missing: [] });
    expect(report.model).toEqual({ title: 'ScaleMAE-Det, scalemae, 5 classes', origin: 'original' });
    const dropped = report.tensors.filter(({ fate }) => fate === 'dropped');
    expect(dropped.map(({ name }) => name.replace(/^.*\./, ''))).toEqual(Array(3).fill('pos_embed'));
  });

  it('has names for the classes of xView', async () => {
    const labelsOf = async (slots: number) => (await configOf(publish('x.pth', { ...SMALL, slots }))).labels;
    expect((await labelsOf(60)).slice(0, 2)).toEqual(['fixed-wing aircraft', 'small aircraft']);
    expect((await labelsOf(61)).slice(0, 2)).toEqual(['background', 'fixed-wing aircraft']);
  });

  it('is written again with every name, to the bit', async () => {
    const path = publish('there.pth', SMALL);
    await convertCheckpoint(path, at('folder'));
    await convertCheckpoint(at('folder'), at('back.pth'), { names: 'original' });
    const [first, back] = [await contents(path), await contents(at('back.pth'))];
    expect([...back.keys()]).toEqual([...first.keys()]);
    const used = ([name]: [string, string]) => !name.endsWith('pos_embed');
    expect([...back].filter(used)).toEqual([...first].filter(used));
    const table = (await readCheckpoint(at('back.pth'))).tensors.get('backbone.backbone.pos_embed')!;
    const places = gsdPositions([6, 6], 64, 1);
    expect(table).toMatchObject({ shape: [1, 37, 64] });
    expect([...table.data.slice(64)]).toEqual([...places.dataSync()]);
    expect(table.data.slice(0, 64)).toEqual(new Float32Array(64));
    places.dispose();
  });

  it('may be used with its faults put right', async () => {
    await convertCheckpoint(publish('mended.pth', SMALL), at('mended'));
    const path = join(at('mended'), 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as ScaleMaeDetConfig;
    config.detector.parity = 'fixed';
    config.detector.anchorSizes = [...config.detector.anchorSizes].reverse();
    config.labels = config.labels.slice(1);
    writeFileSync(path, JSON.stringify(config));
    expect(await configOf(at('mended'))).toEqual(config);
  });

  it.each(['scalemae-det', 'scalemae-det-upstream', 'vitdet'] as const)(
    'says what differs where it was written here: %s',
    async (name) => {
      const config = smallScaleMaeDetConfig(name);
      writeUntrained(at(name), config, 3, stirred);
      await convertCheckpoint(at(name), at(`${name}.pth`), { names: 'original' });
      const [own, alone] = [await loadModelFolder(at(name)), await loadModelFolder(at(`${name}.pth`))];
      const { labels, detector, imageSize } = alone.config as ScaleMaeDetConfig;
      expect({ labels, detector, imageSize }).toEqual({
        labels: config.labels,
        detector: config.detector,
        imageSize: config.imageSize,
      });
      expect(saveStateDict(alone.model)).toEqual(saveStateDict(own.model));
      own.model.dispose();
      alone.model.dispose();
    },
  );

  it('is refused where what shows in no shape is not as published', async () => {
    const refused = (more: object) => expect(loadModelFolder(publish('other.pth', SMALL, more))).rejects;
    await refused({ args: { anchor_sizes: [[8], [16], [32], [64]] } }).toThrow(
      /9 anchors at each cell where the published program has 3/,
    );
    await refused({ args: { parity: 'none' } }).toThrow(/parity is "none", expected upstream or fixed/);
    await refused({ args: { class_names: ['ship', 7] } }).toThrow(/labels/);
    await refused({ args: { num_heads: 5 } }).toThrow(/num_heads, 5, does not divide/);
  });
});

describe('weights of the pretraining of ScaleMAE', () => {
  const sizes = { width: 64, depth: 2, side: 64 };
  it.each([
    ['as it writes them', (list: Listed) => ({ model: formula(list), epoch: 800, args: { input_size: 64 } })],
    ['unwrapped', (list: Listed) => formula(list)],
  ])('are a backbone, %s', async (name, wrap) => {
    const path = at(`${name}.pth`);
    writeFileSync(path, Buffer.concat(encodeTorch(wrap(pretrainingStateDict(sizes)))));
    const { model, tensors, fits } = await inspectCheckpoint(path);
    expect([model?.title, fits]).toEqual(['backbone scalemae, names of original', true]);
    const kept = vitStateDict(sizes).filter(([each]) => each !== 'pos_embed');
    const matched = tensors.filter(({ fate }) => fate === 'matched').map((tensor) => tensor.name);
    expect(matched).toEqual(kept.map(([each]) => each));
    const why = new Map(tensors.map((tensor) => [tensor.name, tensor.why]));
    expect([why.get('pos_embed'), why.get('fcn_high.proj.weight'), why.get('mask_token')]).toEqual([
      'table that follows from metres per pixel',
      'part of pretraining',
      'part of pretraining',
    ]);
    await convertCheckpoint(path, at(`${name} written.pth`));
    const written = (await readCheckpoint(at(`${name} written.pth`))).tensors;
    expect(new Map([...written].map(([each, { shape }]) => [each, shape]))).toEqual(
      new Map(vitStateDict(sizes)),
    );
  });
});
