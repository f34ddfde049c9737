// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../../src/engine/index.js';
import { type Backbone, backboneNames, buildBackbone } from '../../../src/models/backbones/index.js';
import { buildModel } from '../../../src/models/build.js';
import { detectorNames } from '../../../src/models/detector_weights.js';
import { convertCheckpoint } from '../../../src/models/published/index.js';
import { readCheckpoint } from '../../../src/models/weights/checkpoint_file.js';
import { saveStateDict } from '../../../src/models/weights/state_dict.js';
import { SMALL_DETECTORS } from '../small_config.js';

beforeAll(async () => {
  await ready();
});

/** Tokens of a 2 x 2 window, row by row: (dy + 1) * 3 + dx + 1 of each pair. */
const INDEX = [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4].map(BigInt);

const SMALL = { embed_dim: 4, depths: [1, 1], num_heads: [1, 1], window_size: 2 };

/** What is written under an origin's names, without parameters. */
function tablesOf(backbone: Backbone, family: string, origin: string) {
  const names = backboneNames(family).find((map) => map.origin === origin)!;
  const isTable = ([name]: [string, unknown]) => /relative_(position_index|coords_table)$/.test(name);
  return Object.fromEntries([...saveStateDict(backbone, { names })].filter(isTable));
}

describe('tables of Swin', () => {
  it.each([
    ['torchvision', [16], ['features.1.0', 'features.3.0']],
    ['original', [4, 4], ['layers.0.blocks.0', 'layers.1.blocks.0']],
    ['timm', [], []],
    ['Hugging Face', [], []],
  ])('%s', (origin, shape, blocks) => {
    const backbone = buildBackbone('swin', SMALL);
    const table = { dtype: 'I64', shape, data: BigInt64Array.from(INDEX) };
    expect(tablesOf(backbone, 'swin', origin)).toEqual(
      Object.fromEntries(blocks.map((block) => [`${block}.attn.relative_position_index`, table])),
    );
    backbone.dispose();
  });

  it('are 64-bit numbers in files of either kind', async () => {
    const root = mkdtempSync(join(tmpdir(), 'tables-'));
    for (const file of ['swin.pth', 'swin.safetensors']) {
      await convertCheckpoint('test/fixtures/swin/w4', join(root, file), { names: 'torchvision' });
      const { tensors } = await readCheckpoint(join(root, file));
      const table = tensors.get('features.1.0.attn.relative_position_index')!;
      expect(table).toMatchObject({ dtype: 'I64', shape: [256] });
      expect([table.data[0], table.data[1], table.data[255]]).toEqual([24n, 23n, 24n]);
    }
    rmSync(root, { recursive: true });
  });
});

describe('tables of Swin V2', () => {
  it('are the scaled logarithms of distances, and the index', () => {
    const backbone = buildBackbone('swin-v2', SMALL);
    const far = Math.log2(9) / 3;
    const along = [-far, 0, far];
    const distances = along.flatMap((dy) => along.flatMap((dx) => [dy, dx]));
    const index = { dtype: 'I64', shape: [16], data: BigInt64Array.from(INDEX) };
    const coords = { dtype: 'F32', shape: [1, 3, 3, 2], data: Float32Array.from(distances) };
    expect(tablesOf(backbone, 'swin-v2', 'torchvision')).toEqual({
      'features.1.0.attn.relative_coords_table': coords,
      'features.1.0.attn.relative_position_index': index,
      'features.3.0.attn.relative_coords_table': coords,
      'features.3.0.attn.relative_position_index': index,
    });
    expect([...saveStateDict(backbone).keys()].filter((name) => name.includes('relative_'))).toEqual([]);
    backbone.dispose();
  });

  it('are rounded as PyTorch rounds them', () => {
    const backbone = buildBackbone('swin-v2', { ...SMALL, window_size: 8 });
    const { data } = tablesOf(backbone, 'swin-v2', 'torchvision')['features.1.0.attn.relative_coords_table']!;
    const along = Array.from({ length: 8 }, (_, i) => data[2 * (7 + i) + 1]);
    const torch = [0, 0.366511852, 0.572068989, 0.715613842, 0.82601577, 0.915744603, 0.991334915, 1.0566417];
    expect(along).toEqual(torch.map(Math.fround));
    backbone.dispose();
  });

  it('complete the names of torchvision', () => {
    const list = JSON.parse(readFileSync('test/fixtures/backbones/names/swin_v2_t.json', 'utf8'));
    // The list is of floats.
    const wanted = (list as [string, number[]][]).flatMap(([name, shape]) => {
      if (!name.startsWith('backbone.features.')) return [];
      const own = name.slice('backbone.'.length);
      const index = own.replace('coords_table', 'position_index');
      return index === own
        ? [[own, shape]]
        : [
            [own, shape],
            [index, [4096]],
          ]; // prettier-ignore
    });
    const backbone = buildBackbone('swin-v2-tiny');
    const saved = saveStateDict(backbone, { names: backboneNames('swin-v2')[0]! });
    const written = [...saved].map(([name, { shape }]) => [name, shape]);
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(wanted));
    backbone.dispose();
  });
});

describe('numbers of positions', () => {
  const name = 'transformer.text_encoder.embeddings.position_ids';

  it.each(SMALL_DETECTORS.filter(([, { model_type }]) => /^(mdetr|mdetr-g-upstream)$/.test(model_type)))(
    '%s: as its version of transformers keeps them',
    (_, config) => {
      const model = buildModel(config, 1);
      const names = detectorNames(config).find(({ origin }) => origin === 'original')!;
      const tensors = saveStateDict(model, { names, everyName: true });
      const rows = tensors.get('transformer.text_encoder.embeddings.position_embeddings.weight')!.shape[0]!;
      const numbers = BigInt64Array.from({ length: rows }, (__, i) => BigInt(i));
      const kept = { dtype: 'I64', shape: [1, rows], data: numbers };
      expect(tensors.get(name)).toEqual(config.model_type === 'mdetr' ? kept : undefined);
      model.dispose();
    },
  );
});
