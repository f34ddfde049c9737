// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../../src/engine/index.js';
import { backboneConfig, backboneFamilies, buildBackbone } from '../../../src/models/backbones/index.js';
import { PRESETS } from '../../../src/models/config.js';
import type { Module } from '../../../src/models/module.js';
import {
  convertCheckpoint,
  inspectCheckpoint,
  readPublished,
  recognise,
} from '../../../src/models/published/index.js';
import { buildTextEncoder, textFamilies } from '../../../src/models/text/index.js';
import { saveModelFolder } from '../../../src/train/checkpoint.js';
import { stirred } from '../../../tools/stir.js';
import { writeUntrained } from '../../untrained_model.js';
import { allMaps, SMALL_BACKBONES } from '../backbones/small_backbones.js';
import { SMALL_DETECTORS } from '../small_config.js';
import { contents } from './contents.js';

// Everything there is, under every name it is published with: read, saved and read again it is the same bit for bit.

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'round-trip-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);

const SMALL_TEXT = {
  vocab_size: 40,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 20,
};

/** A module under its own names, with its `config.json`. */
function save(folder: string, module: Module, config: object): void {
  saveModelFolder(folder, stirred(module), { 'config.json': JSON.stringify(config) });
  module.dispose();
}

/** What there is, and how a folder of it is written. */
const ROWS: readonly [name: string, write: (folder: string) => void][] = [
  ...SMALL_DETECTORS.map(([name, config]): (typeof ROWS)[number] => [
    name,
    (folder) => writeUntrained(folder, config, 1, stirred),
  ]),
  ...SMALL_BACKBONES.map((row): (typeof ROWS)[number] => [
    `backbone ${row.name}`,
    (folder) =>
      save(folder, buildBackbone(row.family, allMaps(row)), backboneConfig(row.family, allMaps(row))),
  ]),
  ...textFamilies().map((family): (typeof ROWS)[number] => [
    `text encoder ${family}`,
    (folder) => save(folder, buildTextEncoder(family, SMALL_TEXT), { model_type: family, ...SMALL_TEXT }),
  ]),
];

describe('weights of everything there is', () => {
  it.each(ROWS)('%s: to every origin and back', async (name, write) => {
    const own = at(name);
    write(own);
    const first = await contents(own);
    const found = recognise(await readPublished(own))!;
    const origins = new Set(['tfgeo', ...found.origins.map(({ origin }) => origin)]);
    for (const origin of origins) {
      const there = at(`${name} ${origin}`);
      if (origin === 'Hugging Face' && 'dilation' in found.config && found.config.dilation) {
        const refused = convertCheckpoint(own, there, { names: origin });
        await expect(refused).rejects.toThrow(
          'Hugging Face has no backbone with dilation true; use other names',
        );
        continue;
      }
      const { report } = await convertCheckpoint(own, there, { names: origin });
      expect(report).toMatchObject({ missing: [], unexpected: [], mismatched: [] });
      expect(await inspectCheckpoint(there)).toMatchObject({ fits: true, missing: [] });
      const back = at(`${name} back`);
      await convertCheckpoint(there, back, { names: 'tfgeo' });
      expect(await contents(back)).toEqual(first);
      const again = at(`${name} again`);
      await convertCheckpoint(back, again, { names: origin });
      expect(await contents(again)).toEqual(await contents(there));
    }
  });

  it('is looked at: every type of detector, every family of backbones', () => {
    const types = new Set(SMALL_DETECTORS.map(([, { model_type }]) => model_type));
    for (const { model_type } of Object.values(PRESETS)) expect(types).toContain(model_type);
    expect(new Set(SMALL_BACKBONES.map(({ family }) => family))).toEqual(new Set(backboneFamilies()));
  });
});
