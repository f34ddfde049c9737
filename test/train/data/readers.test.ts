// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { EXIT_CODES, UserError } from '../../../src/errors.js';
import { Random } from '../../../src/random.js';
import { openCoco } from '../../../src/train/data/coco.js';
import { DATASETS, guessDatasetFormat, openDataset } from '../../../src/train/data/index.js';
import { formatReport, inspectDataset } from '../../../src/train/data/inspect.js';
import { openVoc, parseVoc } from '../../../src/train/data/voc.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tfgeo-data-'));
  await mkdir(join(folder, 'images'));
  const raw = { width: 60, height: 40, channels: 3 as const };
  const pixels = Buffer.from(Array.from({ length: 7200 }, (_, i) => i % 200));
  for (const name of ['a.png', 'images/a.png', 'images/b.png'])
    await sharp(pixels, { raw }).toFile(join(folder, name));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function object(name: string, xmin: number | string, ymin: number, xmax: number, ymax: number): string {
  return `  <object>\n    <name>${name}</name>\n    <bndbox><xmin>${xmin}</xmin><ymin>${ymin}</ymin><xmax>${xmax}</xmax><ymax>${ymax}</ymax></bndbox>\n  </object>\n`;
}

function voc(
  objects: string,
  size = '<size><width>60</width><height>40</height><depth>3</depth></size>',
): string {
  return `<?xml version="1.0"?>\n<annotation>\n  <filename>a.png</filename>\n  ${size}\n${objects}</annotation>\n`;
}

async function failure(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  if (!(error instanceof UserError)) throw error ?? new Error('expected a UserError');
  expect(error.message).not.toContain('\n');
  return error;
}

describe('VOC', () => {
  it('reads names and boxes, one object or many', () => {
    const one = parseVoc(voc(object('white &amp; blue ship', 1, 2, 30, 20)), 'x.xml');
    expect(one).toEqual({
      fileName: 'a.png',
      width: 60,
      height: 40,
      objects: [{ box: [1, 2, 30, 20], category: 'white & blue ship', where: 'object 1 (line 5)' }],
    });
    expect(parseVoc(voc(''), 'x.xml').objects).toEqual([]);
    expect(parseVoc(voc(object('a', 1, 1, 9, 9)), 'x.xml', { oneBased: true }).objects[0]!.box).toEqual([
      0, 0, 9, 9,
    ]);
  });

  it('names file and line of bad records, clips what sticks out, and keeps the rest', async () => {
    const path = join(folder, 'bad.xml');
    const records = [
      object('ship', 5, 5, 20, 20),
      object('ship', 10, 10, 10, 20),
      object('ship', 70, 10, 90, 20),
      object('ship', 'x', 10, 20, 20),
      object('ship', 30, 20, 20, 30),
      object('ship', 40, 10, 75, 20),
      object('ship', 50, 10, 61, 41),
    ];
    await writeFile(path, voc(records.join('')));
    const dataset = await openVoc(path);
    expect(dataset.problems.errors).toEqual([
      `${path}, object 2 (line 9): the box [10, 10, 10, 20] of 'ship' has no area; correct or remove that record`,
      `${path}, object 3 (line 13): the box [70, 10, 90, 20] of 'ship' lies outside its picture (60x40); correct or remove that record`,
      `${path}, object 4 (line 17): the box [NaN, 10, 20, 20] of 'ship' is not four numbers; correct or remove that record`,
      `${path}, object 5 (line 21): the box [30, 20, 20, 30] of 'ship' has its corners in the wrong order (xmax < xmin or ymax < ymin); correct or remove that record`,
    ]);
    expect(dataset.problems.warnings).toEqual([
      `${path}, object 6 (line 25): the box [40, 10, 75, 20] of 'ship' reaches 15 pixels outside its picture (60x40) and was clipped; check that picture and annotation belong together`,
    ]);
    const { objects, caption, id } = await dataset.get(0);
    expect(id).toBe('a.png');
    expect(caption).toBe('ship');
    expect(objects.map(({ box }) => box)).toEqual([
      [5, 5, 20, 20],
      [40, 10, 60, 20],
      [50, 10, 60, 40],
    ]);
    const error = await failure(openVoc(path, { strict: true }));
    expect(error.message).toMatch(/object 2 .* has no area; .* \(and 3 more in /);
    expect(error.exitCode).toBe(EXIT_CODES.data);
  });

  it('opens folders, and makes captions of the classes with spans', async () => {
    const set = join(folder, 'set');
    await mkdir(join(set, 'Annotations'), { recursive: true });
    await mkdir(join(set, 'JPEGImages'));
    await sharp(Buffer.alloc(7200, 9), { raw: { width: 60, height: 40, channels: 3 } }).toFile(
      join(set, 'JPEGImages', 'a.png'),
    );
    await writeFile(
      join(set, 'Annotations', 'a.xml'),
      voc(object('storage_tank', 1, 1, 9, 9) + object('ship', 20, 20, 30, 30)),
    );
    await writeFile(join(set, 'Annotations', 'b.xml'), voc('').replace('a.png', 'gone.png'));
    const dataset = await openDataset('voc', { path: set });
    expect(dataset.length).toBe(1);
    expect(dataset.problems!.errors[0]).toMatch(/b\.xml: its picture 'gone\.png' was not found/);
    const sample = await dataset.get(0);
    expect(sample.caption).toBe('storage tank. ship');
    expect(sample.objects.map(({ spans }) => spans)).toEqual([[[0, 12]], [[14, 18]]]);
    // In training the order of classes and the way up of the picture vary, boxes and words with them.
    const varied = await Promise.all(Array.from({ length: 12 }, (_, i) => dataset.get(0, new Random(i))));
    expect(new Set(varied.map(({ caption }) => caption)).size).toBe(2);
    for (const { caption, objects } of varied) {
      const words = objects.map(({ spans }) => [...caption].slice(...spans[0]!).join(''));
      expect(words).toEqual(['storage tank', 'ship']);
    }
    expect(new Set(varied.map(({ image }) => image.width))).toEqual(new Set([60, 40]));
  });

  it.each([
    ['not XML', '<annotation><object></annotation>', /, line \d+: not XML .*damaged/],
    ['another kind of XML', '<svg/>', /not a VOC annotation/],
    ['an empty file', '', /the file is empty/],
  ])('%s is one line', async (_name, text, message) => {
    const path = join(folder, 'broken.xml');
    await writeFile(path, text);
    const error = await failure(openVoc(path));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(path);
  });

  it('says when there is no file, or no annotation in a folder', async () => {
    expect((await failure(openVoc(join(folder, 'none')))).message).toMatch(/no such file or folder/);
    expect((await failure(openVoc(join(folder, 'images')))).message).toMatch(/holds no VOC annotation/);
  });
});

describe('COCO', () => {
  const images = [{ id: 7, file_name: 'a.png', width: 60, height: 40 }];
  const categories = [{ id: 3, name: 'ship' }];

  async function coco(json: unknown, name = 'coco.json'): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, typeof json === 'string' ? json : JSON.stringify(json));
    return path;
  }

  it('reads boxes without segmentation, keeps crowds, and finds pictures in images/', async () => {
    const annotations = [
      { id: 1, image_id: 7, category_id: 3, bbox: [5, 6, 10, 20] },
      { id: 2, image_id: 7, category_id: 3, bbox: [30, 6, 20, 20], iscrowd: 1 },
      { id: 3, image_id: 8, category_id: 9, bbox: [0, 0, 5, 5], iscrowd: 0 },
    ];
    const more = [...images, { id: 8, file_name: 'b.png', width: 60, height: 40 }];
    const dataset = await openCoco(await coco({ images: more, categories, annotations }), {
      images: join(folder, 'images'),
    });
    expect(dataset.problems).toEqual({ errors: [], warnings: [] });
    const first = await dataset.get(0);
    expect(first.objects.map(({ box }) => box)).toEqual([
      [5, 6, 15, 26],
      [30, 6, 50, 26],
    ]);
    expect(first.objects.map(({ crowd }) => crowd)).toEqual([undefined, true]);
    expect(first.caption).toBe('ship. category 9');
    expect((await dataset.get(1)).objects[0]!.category).toBe('category 9');
  });

  it('reads MDETR captions with spans in code points', async () => {
    const caption = '🚢 the red ship';
    const annotations = [
      { id: 1, image_id: 7, category_id: 3, bbox: [5, 6, 10, 20], tokens_positive: [[6, 14]] },
      { id: 2, image_id: 7, category_id: 3, bbox: [30, 6, 10, 20], tokens_positive: [[6, 99]] },
    ];
    const mdetr = [{ ...images[0], caption, form: 'colour+kind', metres_per_pixel: 0.5 }];
    const dataset = await openCoco(await coco({ images: mdetr, categories, annotations }));
    const sample = await dataset.get(0, new Random(1));
    expect(sample).toMatchObject({ caption, form: 'colour+kind', metresPerPixel: 0.5 });
    expect([...caption].slice(...sample.objects[0]!.spans[0]!).join('')).toBe('red ship');
    expect(sample.objects[1]!.spans).toEqual([]);
    expect(dataset.problems.warnings).toEqual([
      expect.stringMatching(
        /annotations\[1\] \(id 2\): tokens_positive \[6,99\] is not a span of its caption \(14 characters\)/,
      ),
    ]);
  });

  it('names file and record of what is wrong', async () => {
    const path = await coco({
      images: [
        ...images,
        { id: 7, file_name: 'b.png', width: 60, height: 40 },
        { id: 9, file_name: 'b.png' },
        null,
      ],
      categories,
      annotations: [
        { id: 1, image_id: 99, category_id: 3, bbox: [5, 6, 10, 20] },
        { id: 2, image_id: 7, category_id: 3, bbox: [5, 6, 0, 20] },
        { id: 3, image_id: 7, category_id: 3, bbox: [5, 6] },
        { id: 4, image_id: 7, category_id: 3, bbox: [5, -30, 10, 20] },
        'x',
      ],
    });
    const { problems } = await openCoco(path);
    expect(problems.errors.map((line) => line.replace(`${path}, `, ''))).toEqual([
      'images[1]: has the id 7 of an earlier one; correct or remove that record',
      'images[2]: has no width and height; correct or remove that record',
      'images[3]: is not an object; correct or remove that record',
      'annotations[0] (id 1): its image_id 99 is none of the images; correct or remove that record',
      'annotations[4]: is not an object; correct or remove that record',
      "annotations[1] (id 2): the box [5, 6, 5, 26] of 'ship' has no area; correct or remove that record",
      "annotations[2] (id 3): the box [NaN, NaN, NaN, NaN] of 'ship' is not four numbers; correct or remove that record",
      "annotations[3] (id 4): the box [5, -30, 15, -10] of 'ship' lies outside its picture (60x40); correct or remove that record",
    ]);
  });

  it('says where JSON breaks off', async () => {
    const error = await failure(openCoco(await coco('{\n "images": [\n  {"id": 1,,\n', 'cut.json')));
    expect(error.message).toMatch(/cut\.json, line 3 column \d+: not JSON .*damaged or cut short/);
    expect((await failure(openCoco(await coco('[]', 'list.json')))).message).toMatch(/not a COCO file/);
    expect((await failure(openCoco(join(folder, 'none.json')))).message).toMatch(/no such file/);
  });

  it('refuses a picture of another size than annotated', async () => {
    const wrong = await openCoco(
      await coco({ images: [{ ...images[0], width: 40, height: 60 }], categories }),
    );
    expect((await failure(wrong.get(0))).message).toMatch(
      /has 60x40 pixels but .* says 40x60, so its boxes do not fit/,
    );
  });
});

describe('registry', () => {
  it('names known formats and splits, with a guess', async () => {
    expect((await failure(openDataset('coc'))).message).toMatch(
      /unknown dataset 'coc', did you mean 'coco'\? \(known: scenes/,
    );
    expect((await failure(openDataset('voc'))).message).toMatch(/lies in files: say where/);
    expect((await failure(openDataset('scenes', { split: 'tset' }))).message).toMatch(
      /no split 'tset', did you mean 'test'\?/,
    );
    expect(new Set(DATASETS.map(({ name }) => name)).size).toBe(DATASETS.length);
  });

  it('opens made scenes', async () => {
    const dataset = await openDataset('scenes', { split: 'test', imageSize: 96, length: 3 });
    expect(dataset.length).toBe(3);
    expect((await dataset.get(2)).image.width).toBe(96);
  });

  it('tells formats by path', async () => {
    expect(await guessDatasetFormat('x/y.json')).toBe('coco');
    expect(await guessDatasetFormat('y.XML')).toBe('voc');
    expect(await guessDatasetFormat(folder)).toBe('voc');
    expect(await guessDatasetFormat('y.png')).toBeNull();
  });

  it('refuses a set without usable pictures', async () => {
    const path = join(folder, 'nothing.json');
    await writeFile(path, JSON.stringify({ images: [], annotations: [] }));
    expect((await failure(openDataset('coco', { path }))).message).toMatch(/holds no usable picture/);
  });
});

describe('records that are left out', () => {
  it('are named when the set is opened, the first few of them', async () => {
    const path = join(folder, 'many_bad.json');
    const annotations = Array.from({ length: 8 }, (_, i) => ({
      id: i + 1,
      image_id: 1,
      category_id: 3,
      bbox: [5, 5, 10, i === 0 ? 10 : 0],
    }));
    const images = [{ id: 1, file_name: 'a.png', width: 60, height: 40 }];
    await writeFile(path, JSON.stringify({ images, categories: [{ id: 3, name: 'ship' }], annotations }));
    const lines: string[] = [];
    await openDataset('coco', { path, say: (line) => lines.push(line) });
    expect(lines).toHaveLength(6);
    expect(lines[0]).toMatch(/^left out: .*many_bad\.json, .*id 2.* has no area; correct or remove/);
    expect(lines[5]).toMatch(/2 more such records; tfgeo-train inspect/);
  });
});

describe('inspectDataset', () => {
  it('counts, measures in pixels and metres, and lists what is bad', async () => {
    const path = join(folder, 'inspect.json');
    const caption = 'the red ship';
    const image = { file_name: 'a.png', width: 60, height: 40, caption, metres_per_pixel: 0.5 };
    await writeFile(
      path,
      JSON.stringify({
        images: [
          { ...image, id: 1 },
          { ...image, id: 2, file_name: 'lost.png' },
        ],
        categories: [{ id: 3, name: 'ship' }],
        annotations: [
          { id: 1, image_id: 1, category_id: 3, bbox: [0, 0, 10, 10], tokens_positive: [[4, 12]] },
          { id: 2, image_id: 1, category_id: 3, bbox: [0, 0, 20, 20] },
          { id: 3, image_id: 1, category_id: 3, bbox: [0, 0, 20, 0] },
        ],
      }),
    );
    const report = await inspectDataset(await openDataset('coco', { path, say: () => {} }));
    expect(report).toMatchObject({
      images: 2,
      boxes: 2,
      referred: 1,
      categories: { ship: 2 },
      sizePixels: { min: 10, median: 20, max: 20 },
      sizeMetres: { min: 5, median: 10, max: 10 },
      examples: ['the [red ship]'],
    });
    expect(report.problems.errors).toEqual([
      expect.stringMatching(/annotations\[2\] \(id 3\).*has no area/),
      expect.stringMatching(/lost\.png: no such file/),
    ]);
    const text = formatReport(report);
    expect(text).toContain('box sides  10.0 to 20.0 px, median 20.0; 5.00 to 10.00 m, median 10.00');
    expect(text).toContain('problems   2 errors, 0 warnings');
  });
});
