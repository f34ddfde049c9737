// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { Detector, load } from '../../src/detector.js';
import { type HostTensor, ready, SavedModelSession } from '../../src/engine/index.js';
import { UserError } from '../../src/errors.js';
import {
  checkExamples,
  type ExportOptions,
  exportModel,
  readExamples,
  readSavedModel,
  type SignatureDef,
  warmupFiles,
} from '../../src/export/index.js';
import { openRaster } from '../../src/geo/index.js';
import { backboneConfig } from '../../src/models/backbones/index.js';
import { buildModel } from '../../src/models/build.js';
import { generateScene } from '../../src/train/data/scenes/index.js';
import { SMALL_BACKBONES } from '../models/backbones/small_backbones.js';
import { type DetrKind, smallConfig, smallDetrConfig } from '../models/small_config.js';
import { writeUntrainedModel } from '../untrained_model.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-export-model-'));
const at = (name: string) => join(root, name);
const loaded: Record<string, Detector> = {};

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  for (const head of ['token-sigmoid', 'soft-token'] as const) {
    writeUntrainedModel(at(head), 1, smallConfig(head));
    loaded[head] = await load(at(head));
  }
});

afterAll(() => {
  for (const detector of Object.values(loaded)) detector.dispose();
  rmSync(root, { recursive: true, force: true });
});

/** An untrained Deformable DETR with few channels. */
function smallDetr(kind: DetrKind): Detector {
  const config = smallDetrConfig(kind);
  return new Detector({ answers: 'classes', model: buildModel(config, 2), config });
}

/** The same of one map, of another backbone. */
function smallDetrOf(backbone: string): Detector {
  const config = smallDetrConfig('plain');
  const { family, settings } = SMALL_BACKBONES.find(({ name }) => name === backbone)!;
  const last = (backboneConfig(family, settings).out_features as string[]).at(-1)!;
  config.backbone = { name: family, config: { ...settings, out_features: [last] } };
  config.transformer = { ...config.transformer, levels: 1 };
  return new Detector({ answers: 'classes', model: buildModel(config, 2), config });
}

/** Calls a signature of an exported model. */
async function call(
  folder: string,
  signature: string,
  inputs: Record<string, HostTensor>,
): Promise<Record<string, HostTensor>> {
  const { signatures } = await readSavedModel(folder);
  const definition: SignatureDef = signatures.get(signature)!;
  const session = SavedModelSession.open(folder);
  const names = [...definition.outputs.keys()];
  const fed = new Map(
    Object.entries(inputs).map(([name, tensor]) => [definition.inputs.get(name)!.name, tensor]),
  );
  const results = await session.run(
    fed,
    names.map((name) => definition.outputs.get(name)!.name),
  );
  session.close();
  return Object.fromEntries(names.map((name, i) => [name, results[i]!]));
}

/** Operations of a SavedModel's graph and functions. */
const opsOf = async (folder: string) => {
  const { graph } = await readSavedModel(folder);
  const bodies = (graph.library?.functions ?? []).flatMap(({ nodes }) => nodes);
  return new Set([...graph.nodes, ...bodies].map(({ op }) => op));
};

/** A picture and its file. */
async function scene(seed: number, size: number) {
  const { image } = generateScene(seed, { size });
  const raw = { width: image.width, height: image.height, channels: 3 } as const;
  return { image, png: await sharp(image.data, { raw }).png().toBuffer() };
}

describe('an exported detector', () => {
  it('answers as the model does, with pixels or files, one picture or many, tokens or phrases', async () => {
    const cases: [string, ExportOptions][] = [
      ['pixels', { size: 64 }],
      ['native', { size: [96, 64], batch: 2, ops: 'native', tokens: 12 }],
      ['files', { size: 64, input: 'encoded', prompts: ['white ships', 'a plane'] }],
    ];
    for (const [name, options] of cases) {
      const inNewProcess = name === 'pixels';
      const detector = loaded['token-sigmoid']!;
      const { check, width } = await exportModel(detector, at(name), { ...options, check: inNewProcess });
      expect(width).toBe(options.size === 64 ? 64 : 96);
      const { values, largest } = check ?? (await checkExamples(at(name)));
      expect(values).toBeGreaterThan(100);
      expect(largest).toBeLessThan(1e-4);
    }
    const native = await opsOf(at('native'));
    for (const name of ['pixels', 'files'])
      expect(
        [...(await opsOf(at(name)))].filter((op) => op.startsWith('Tfgeo') || op.startsWith('_')),
      ).toEqual([]);
    expect([...native].filter((op) => op.startsWith('Tfgeo')).length).toBeGreaterThan(1);
  });

  it('keeps the names of parameters, and describes itself', async () => {
    const { graph, signatures } = await readSavedModel(at('pixels'));
    const variables = graph.nodes.filter(({ op }) => op === 'VarHandleOp').map(({ name }) => name);
    expect(variables).toContain('transformer.decoder.layers.0.linear1.weight');
    expect([...signatures.keys()]).toEqual(['serving_default', 'detect', 'detect_float', 'raw']);
    expect([...signatures.get('detect')!.inputs.keys()]).toEqual(['pixels', 'input_ids', 'attention_mask']);
    expect([...signatures.get('detect')!.outputs.keys()]).toEqual([
      'boxes',
      'scores',
      'token_scores',
      'count',
    ]);
    expect(readdirSync(at('pixels/assets')).sort()).toEqual(['tfgeo.json', 'tokenizer.json']);
    const description = JSON.parse(readFileSync(at('files/assets/tfgeo.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect(description).toMatchObject({
      model: 'mdetr-g-tiny',
      width: 64,
      batch: 'dynamic',
      input: 'encoded',
      tokens: null,
      threshold: loaded['token-sigmoid']!.threshold,
      labels: ['white ships', 'a plane'],
    });
    expect(readFileSync(at('files/assets/labels.txt'), 'utf8')).toBe('white ships\na plane\n');
  });

  it('finds in files what the library finds, whatever the batch', async () => {
    const model = loaded['token-sigmoid']!;
    const prompt = 'white ships and a plane';
    await exportModel(model, at('prompt'), { size: 64, input: 'encoded', prompts: [prompt], check: false });
    const scenes = await Promise.all([scene(3, 64), scene(4, 64), scene(5, 64)]);
    const values = scenes.map(({ png }) => png);
    const found = await call(at('prompt'), 'serving_default', {
      image_bytes: { dtype: 'string', shape: [3], values },
    });
    const images = scenes.map(({ image }) => image);
    const expected = await model.detectImages(images, prompt, 0);
    const [boxes, scores] = [found.boxes!.values as Float32Array, found.scores!.values as Float32Array];
    const rows = found.scores!.shape[1]!;
    expected.forEach((detections, picture) => {
      expect(detections.length).toBeGreaterThan(0);
      detections.forEach(({ box, score }, i) => {
        expect(scores[picture * rows + i]).toBeCloseTo(score, 4);
        box.forEach((side, axis) => {
          expect(boxes[(picture * rows + i) * 4 + axis]).toBeCloseTo(side, 2);
        });
      });
      // What the library suppresses or does not have is 0.
      for (let i = detections.length; i < rows; i++) expect(scores[picture * rows + i]).toBe(0);
    });
  });

  it('decodes JPEG and PNG, grey and transparent too, as the library does', async () => {
    const { png } = await scene(8, 64);
    const files = await Promise.all([
      sharp(png).png().toBuffer(),
      sharp(png).jpeg({ quality: 80 }).toBuffer(),
      sharp(png).resize(40, 56).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
      sharp(png).greyscale().png().toBuffer(),
      sharp(png).ensureAlpha(0.5).png().toBuffer(),
    ]);
    const session = SavedModelSession.open(at('files'));
    const fed = { dtype: 'string', shape: [files.length], values: files } as const;
    const [pixels, mask] = await session.run(new Map([['image_bytes:0', fed]]), ['decode:0', 'decode:1']);
    session.close();
    const decoded = await Promise.all(files.map((file) => openRaster(file).then((raster) => raster.read())));
    decoded.forEach(({ width, height, data }, i) => {
      let worst = 0;
      for (let y = 0; y < 64; y++) {
        for (let x = 0; x < 64; x++) {
          const inside = x < width && y < height;
          expect((mask!.values as Float32Array)[(i * 64 + y) * 64 + x]).toBe(inside ? 1 : 0);
          for (let c = 0; c < 3; c++) {
            const value = (pixels!.values as Float32Array)[((i * 64 + y) * 64 + x) * 3 + c]!;
            const expected = inside ? data[(y * width + x) * 3 + c]! : 0;
            worst = Math.max(worst, Math.abs(value - expected));
          }
        }
      }
      expect(worst).toBe(0);
    });
  });

  it('gives each picture its own answer, and reads floats too', async () => {
    const [example] = await readExamples(at('pixels'));
    const { pixels, input_ids, attention_mask } = Object.fromEntries(example!.inputs) as Record<
      string,
      HostTensor
    >;
    const twice = (tensor: HostTensor): HostTensor => {
      const one = tensor.values as Int32Array;
      const values = new (one.constructor as Int32ArrayConstructor)(one.length * 2);
      values.set(one);
      values.set(one, one.length);
      return { ...tensor, shape: [2, ...tensor.shape.slice(1)], values };
    };
    const black = twice(pixels!);
    (black.values as Uint8Array).fill(0, 0, black.values.length / 2);
    const inputs = { input_ids: twice(input_ids!), attention_mask: twice(attention_mask!) };
    const both = await call(at('pixels'), 'detect', { pixels: black, ...inputs });
    const alone = example!.outputs.get('scores')!.values as Float32Array;
    const second = (both.scores!.values as Float32Array).subarray(alone.length);
    second.forEach((score, i) => {
      expect(score).toBeCloseTo(alone[i]!, 5);
    });
    const floats: HostTensor = {
      ...black,
      dtype: 'float32',
      values: Float32Array.from(black.values as Uint8Array),
    };
    const byFloats = await call(at('pixels'), 'detect_float', { pixels: floats, ...inputs });
    expect(byFloats.scores!.values).toEqual(both.scores!.values);
  });

  it('shrinks files that are too large, and gives boxes in their own pixels', async () => {
    const { png } = await scene(6, 64);
    const large = await sharp(png).resize(256, 192, { fit: 'fill' }).jpeg({ quality: 95 }).toBuffer();
    const found = await call(at('files'), 'detect', {
      image_bytes: { dtype: 'string', shape: [1], values: [large] },
    });
    const boxes = found.boxes!.values as Float32Array;
    const [right, bottom] = [0, 1].map((axis) => Math.max(...boxes.filter((_, i) => i % 2 === axis)));
    expect(right).toBeGreaterThan(64);
    expect(right).toBeLessThanOrEqual(256);
    expect(bottom).toBeLessThanOrEqual(192);
    await expect(
      call(at('files'), 'detect', {
        image_bytes: { dtype: 'string', shape: [1], values: [Buffer.from('x')] },
      }),
    ).rejects.toMatchObject({ code: 'TFGEO_INVALID' });
  });

  it('of the other head, and with classes instead of words', async () => {
    await exportModel(loaded['soft-token']!, at('soft'), { size: 64, batch: 1, check: false });
    expect((await checkExamples(at('soft'))).largest).toBeLessThan(1e-4);
    for (const kind of ['plain', 'two-stage', 'resnet with a dilated stage', 'efficientnet'] as const) {
      const source = kind === 'plain' || kind === 'two-stage' ? smallDetr(kind) : smallDetrOf(kind);
      const folder = at(`detr-${kind}`);
      const options: ExportOptions = { size: [96, 64], input: kind === 'plain' ? 'pixels' : 'encoded' };
      await exportModel(source, folder, { ...options, check: false });
      expect((await checkExamples(folder)).largest).toBeLessThan(1e-4);
      expect([...(await opsOf(folder))].filter((op) => op.startsWith('Tfgeo'))).toEqual([]);
      expect(readFileSync(join(folder, 'assets/labels.txt'), 'utf8')).toBe(
        'ship\nplane\nstorage tank\ncar\n',
      );
      source.dispose();
    }
  });
});

describe('classes that are asked for', () => {
  it('are the only ones that an exported model finds, as in the library', async () => {
    const source = smallDetr('plain');
    const { image, png } = await scene(9, 64);
    const classes = ['plane', 'car'];
    const [expected] = await source.detectImages([image], classes, 0);
    const options = { size: 64, input: 'encoded', batch: 1, prompts: classes, check: false } as const;
    await exportModel(source, at('asked'), options);
    source.dispose();
    const { labels, scores, boxes } = await call(at('asked'), 'detect', {
      image_bytes: { dtype: 'string', shape: [1], values: [png] },
    });
    const names = ['ship', 'plane', 'storage tank', 'car'];
    expect(expected!.length).toBe(18);
    expected!.forEach(({ category, score, box }, i) => {
      expect(names[(labels!.values as Int32Array)[i]!]).toBe(category);
      expect((scores!.values as Float32Array)[i]).toBeCloseTo(score, 5);
      box.forEach((side, axis) => {
        expect((boxes!.values as Float32Array)[4 * i + axis]).toBeCloseTo(side, 3);
      });
    });
    expect((scores!.values as Float32Array).slice(18).every((score) => score === 0)).toBe(true);
  });
});

describe('the check', () => {
  it('refuses a model that differs, naming how much', async () => {
    const examples = await readExamples(at('pixels'));
    const scores = examples[0]!.outputs.get('scores')!.values as Float32Array;
    scores[0]! += 3e-4;
    const [file] = Object.entries(warmupFiles(examples));
    writeFileSync(at(`pixels/assets.extra/${file![0]}`), file![1]);
    await expect(checkExamples(at('pixels'))).rejects.toThrow(/differs from its model by 3\.0+e-4/);
    await expect(checkExamples(at('pixels'), 1e-3)).resolves.toMatchObject({ examples: 4 });
  });
});

describe('mistakes', () => {
  it.each<[string, ExportOptions, RegExp]>([
    ['a side that the model cannot have', { size: 50 }, /multiples of 32: 64 instead of 50/],
    ['no side at all', { size: 0 }, /from 32/],
    ['a batch of none', { batch: 0 }, /batch/],
    ['more tokens than it reads', { tokens: 1000 }, /from 3 to \d+/],
    ['an empty phrase', { prompts: [' '] }, /empty/],
    ['a phrase without words', { prompts: ['ships', ''] }, /no words/],
    ['a query that is too long', { prompts: ['ship '.repeat(100)] }, /at most/],
  ])('%s', async (_, options, says) => {
    const promise = exportModel(loaded['token-sigmoid']!, at('mistake'), options);
    await expect(promise).rejects.toThrow(UserError);
    await expect(promise).rejects.toThrow(says);
    expect(existsSync(at('mistake'))).toBe(false);
  });

  it('a class that the model does not have; a folder that is taken', async () => {
    const source = smallDetr('plain');
    const ships = exportModel(source, at('mistake'), { prompts: ['ships'] });
    await expect(ships).rejects.toThrow(/no class "ships".*Did you mean "ship"/);
    await expect(exportModel(source, at('pixels'))).rejects.toThrow(/not empty/);
    source.dispose();
  });
});
