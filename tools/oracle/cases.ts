// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Detector, load } from '../../src/detector.js';
import type { ExportOptions } from '../../src/export/index.js';
import { buildModel } from '../../src/models/build.js';
import { borrowedText, preset } from '../../src/models/config.js';
import { installText, loadInstalledText, Tokenizer } from '../../src/models/text/index.js';
import { startAlike } from '../stir.js';

/** A detector and how it is exported. */
export interface ExportCase {
  name: string;
  load(): Promise<Detector>;
  options: ExportOptions;
}

/** A Deformable DETR with ResNet-50 as published, with random weights. */
async function deformableDetr(kind: '' | '-refine' | '-two-stage'): Promise<Detector> {
  const config = preset(`deformable-detr-r50${kind}`);
  return new Detector({ answers: 'classes', model: buildModel(config, 5), config });
}

/** A detector of published size with random weights, which reads BERT's tokens. */
async function readerOfBert(name: 'grounding-dino-tiny' | 'mdetr-g-minilm-tiny'): Promise<Detector> {
  const config = preset(name);
  const path = join(await installText('minilm'), 'tokenizer.json');
  const tokenizerJson = await readFile(path, 'utf8');
  const tokenizer = Tokenizer.fromJson(JSON.parse(tokenizerJson), path);
  const model = buildModel(config, 5);
  startAlike(model);
  const borrowed = borrowedText(config);
  if (borrowed !== null) await loadInstalledText(model.textEncoder, borrowed);
  return new Detector({ answers: 'text', model, config, tokenizer, tokenizerJson });
}

/** A ScaleMAE-Det with few channels and random weights, and ViTDet's pyramid in place of its own. */
async function scaleMaeDet(pyramid: 'scalemae' | 'vitdet'): Promise<Detector> {
  const base = preset(pyramid === 'vitdet' ? 'vitdet' : 'scalemae-det');
  const config = {
    ...base,
    backbone: {
      name: 'scalemae',
      config: { ...base.backbone.config, embed_dim: 192, depth: 4, num_heads: 3 },
    },
    detector: { ...base.detector, proposals: 200, hidden: 128, leastScore: 0.01 },
    imageSize: 256,
    threshold: 0.02,
  };
  return new Detector({ answers: 'classes', model: buildModel(config, 5), config });
}

/** Every kind of detector, every form of input, and every kind of batch. */
export function exportCases(): ExportCase[] {
  const tiny = () => load();
  // The model is checked against Python instead of another process of ours.
  const unchecked = { check: false } as const;
  return [
    { name: 'mdetr-g-tiny', load: tiny, options: unchecked },
    { name: 'mdetr-g-tiny-one', load: tiny, options: { ...unchecked, batch: 1, tokens: 16 } },
    { name: 'mdetr-g-tiny-encoded', load: tiny, options: { ...unchecked, input: 'encoded' } },
    {
      name: 'mdetr-g-tiny-phrases',
      load: tiny,
      options: { ...unchecked, input: 'encoded', batch: 2, prompts: ['white ships', 'planes'] },
    },
    { name: 'mdetr-g-tiny-native', load: tiny, options: { ...unchecked, batch: 1, ops: 'native' } },
    {
      name: 'deformable-detr-plain',
      load: () => deformableDetr(''),
      options: { ...unchecked, size: 256, batch: 1 },
    },
    {
      name: 'deformable-detr-refine',
      load: () => deformableDetr('-refine'),
      options: { ...unchecked, size: 256 },
    },
    {
      name: 'deformable-detr-two-stage',
      load: () => deformableDetr('-two-stage'),
      options: { ...unchecked, size: 256, batch: 1, input: 'encoded' },
    },
    {
      name: 'mdetr-g-minilm-tiny',
      load: () => readerOfBert('mdetr-g-minilm-tiny'),
      options: { ...unchecked, batch: 1 },
    },
    {
      name: 'grounding-dino-tiny',
      load: () => readerOfBert('grounding-dino-tiny'),
      options: { ...unchecked, size: 320, batch: 1, tokens: 16 },
    },
    { name: 'scalemae-det', load: () => scaleMaeDet('scalemae'), options: unchecked },
    {
      name: 'vitdet',
      load: () => scaleMaeDet('vitdet'),
      options: { ...unchecked, batch: 1, input: 'encoded', metresPerPixel: 0.5 },
    },
    {
      name: 'scalemae-det-native',
      load: () => scaleMaeDet('scalemae'),
      options: { ...unchecked, batch: 1, ops: 'native' },
    },
  ];
}
