// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { EXIT_CODES, UserError } from '../../../errors.js';
import { Random } from '../../../random.js';
import type { RgbImage } from '../types.js';
import { captionScene } from './captions/index.js';
import { SceneDataset, type Split } from './dataset.js';
import type { SceneOptions } from './generate.js';
import { KIND_NAMES } from './kinds/index.js';
import { Canvas } from './raster.js';
import type { Caption, Scene } from './types.js';

export interface WriteScenesOptions extends Omit<SceneOptions, 'roles' | 'clear'> {
  /** Which seeds. Default `val`. */
  split?: Split;
  /** Moves the window of seeds inside the split. Default 0. */
  seed?: number;
}

/** The files that `writeScenes` made. */
export interface WrittenScenes {
  annotations: string;
  contactSheet: string;
  captions: string;
}

/**
 * Writes scenes for people to look at and for other tools to read: `images/*.png`, `annotations.json` (COCO; captions
 * and `tokens_positive` as MDETR has them, ashkamath/mdetr; objects that the caption does not name have none),
 * `captions.txt`, and `contact_sheet.png`, in which the named objects are framed. All or nothing: the folder appears
 * when it is whole.
 *
 * @throws UserError if `dir` exists and is not an empty folder, or cannot be made.
 */
export async function writeScenes(
  dir: string,
  n: number,
  options: WriteScenesOptions = {},
): Promise<WrittenScenes> {
  const { split = 'val', ...rest } = options;
  const target = resolve(dir);
  await refuseUsed(target);
  const dataset = new SceneDataset({ ...rest, split, length: n });
  const staging = await makeStaging(target);
  try {
    const shown: { scene: Scene; caption: Caption }[] = [];
    const file: CocoFile = {
      info: describeSet(dataset.name),
      images: [],
      annotations: [],
      categories: categories(),
    };
    const lines: string[] = [];
    await mkdir(join(staging, 'images'));
    for (let i = 0; i < n; i++) {
      const scene = dataset.scene(i);
      const caption = captionScene(scene, new Random(scene.seed ^ 0x5ca1ab1e));
      const name = `images/${String(i).padStart(6, '0')}.png`;
      await toSharp(scene.image).png().toFile(join(staging, name));
      append(file, scene, caption, i + 1, name);
      lines.push(`${name}\t${caption.form}\t${caption.text}`);
      if (shown.length < 48) shown.push({ scene, caption });
    }
    await writeFile(join(staging, 'annotations.json'), JSON.stringify(file, null, 1));
    await writeFile(join(staging, 'captions.txt'), `${lines.join('\n')}\n`);
    await toSharp(contactSheet(shown)).png().toFile(join(staging, 'contact_sheet.png'));
    await rename(staging, target);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw error;
  }
  return {
    annotations: join(target, 'annotations.json'),
    contactSheet: join(target, 'contact_sheet.png'),
    captions: join(target, 'captions.txt'),
  };
}

interface CocoFile {
  info: Record<string, string>;
  images: object[];
  annotations: object[];
  categories: { id: number; name: string }[];
}

function describeSet(name: string): Record<string, string> {
  return { description: 'Made overhead scenes with referring sentences', dataset: name };
}

function categories(): CocoFile['categories'] {
  return KIND_NAMES.map((name, i) => ({ id: i + 1, name }));
}

function append(file: CocoFile, scene: Scene, caption: Caption, imageId: number, name: string): void {
  const { width, height } = scene.image;
  file.images.push({
    id: imageId,
    file_name: name,
    width,
    height,
    original_id: scene.seed,
    caption: caption.text,
    dataset_name: 'scenes',
    tokens_negative: [[0, [...caption.text].length]],
    form: caption.form,
    background: scene.background,
    metres_per_pixel: scene.metresPerPixel,
  });
  const spans = new Map(caption.referred.map((r) => [r.object, r.spans]));
  scene.objects.forEach((object, i) => {
    const [x0, y0, x1, y1] = object.box;
    file.annotations.push({
      id: file.annotations.length + 1,
      image_id: imageId,
      category_id: KIND_NAMES.indexOf(object.kind) + 1,
      bbox: [x0, y0, x1 - x0, y1 - y0],
      area: object.area,
      iscrowd: 0,
      tokens_positive: spans.get(i) ?? [],
      colour: object.colour,
      heading: object.heading,
    });
  });
}

/** Pictures side by side, the objects that each caption names framed. */
function contactSheet(shown: readonly { scene: Scene; caption: Caption }[]): RgbImage {
  const columns = Math.min(8, shown.length);
  const cell = 160;
  const gap = 4;
  const rows = Math.ceil(shown.length / columns);
  const width = columns * (cell + gap);
  const height = rows * (cell + gap);
  const sheet: RgbImage = { width, height, data: new Uint8Array(width * height * 3).fill(255) };
  shown.forEach(({ scene, caption }, i) => {
    const picture = framed(scene, caption);
    const left = (i % columns) * (cell + gap);
    const top = Math.floor(i / columns) * (cell + gap);
    const scale = Math.max(scene.image.width, scene.image.height) / cell;
    for (let y = 0; y < Math.min(cell, Math.floor(picture.height / scale)); y++) {
      for (let x = 0; x < Math.min(cell, Math.floor(picture.width / scale)); x++) {
        const from = (Math.floor(y * scale) * picture.width + Math.floor(x * scale)) * 3;
        const to = ((top + y) * width + left + x) * 3;
        for (let c = 0; c < 3; c++) sheet.data[to + c] = Math.max(0, Math.min(255, picture.data[from + c]!));
      }
    }
  });
  return sheet;
}

function framed(scene: Scene, caption: Caption): Canvas {
  const { width, height, data } = scene.image;
  const canvas = new Canvas(width, height);
  canvas.data.set(data);
  const thickness = Math.max(1, Math.max(width, height) / 160);
  for (const { object } of caption.referred) {
    const [x0, y0, x1, y1] = scene.objects[object]!.box;
    const corners = [
      [x0, y0],
      [x1, y0],
      [x1, y1],
      [x0, y1],
    ] as const;
    corners.forEach((corner, i) => {
      canvas.line(corner, corners[(i + 1) % 4]!, thickness, [0, 255, 255]);
    });
  }
  return canvas;
}

function toSharp(image: RgbImage): Sharp {
  const { width, height, data } = image;
  return sharp(data, { raw: { width, height, channels: 3 } });
}

async function refuseUsed(target: string): Promise<void> {
  try {
    if ((await readdir(target)).length === 0) return;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return;
    throw cannot(target, error);
  }
  throw new UserError(`${target} is not empty; name a new folder, or empty it first.`, EXIT_CODES.usage);
}

/** A fresh folder beside the target, so that the last step is a mere renaming. */
async function makeStaging(target: string): Promise<string> {
  try {
    await mkdir(dirname(target), { recursive: true });
    return await mkdtemp(join(dirname(target), `.${basename(target)}-`));
  } catch (error) {
    throw cannot(target, error);
  }
}

function cannot(target: string, error: unknown): UserError {
  const why = (error as NodeJS.ErrnoException).code === 'ENOTDIR' ? 'it is a file' : (error as Error).message;
  return new UserError(
    `Cannot write scenes to ${target}: ${why}. Name a folder that can be written.`,
    EXIT_CODES.usage,
    {
      cause: error,
    },
  );
}
