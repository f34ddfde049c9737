// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { EXIT_CODES, UserError } from '../../../errors.js';
import { Random } from '../../../random.js';
import { contactSheet, drawOverlay, encodePng } from '../../../viz/overlay.js';
import { captionScene } from './captions/index.js';
import { SceneDataset, type Split } from './dataset.js';
import type { SceneOptions } from './generate.js';
import { KIND_NAMES } from './kinds/index.js';
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

/** Pictures on the contact sheet. */
const MAX_SHOWN = 48;
/** Pictures are framed at this size at least, so that frames stay thin. */
const FRAMED_SIDE = 320;

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
    const shown: Buffer[] = [];
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
      await writeFile(join(staging, name), await encodePng(scene.image));
      append(file, scene, caption, i + 1, name);
      lines.push(`${name}\t${caption.form}\t${caption.text}`);
      if (shown.length < MAX_SHOWN) shown.push(await framed(scene, caption));
    }
    await writeFile(join(staging, 'annotations.json'), JSON.stringify(file, null, 1));
    await writeFile(join(staging, 'captions.txt'), `${lines.join('\n')}\n`);
    const sheet = await contactSheet(shown, Math.min(8, n), { cell: 160, gap: 4 });
    await writeFile(join(staging, 'contact_sheet.png'), sheet);
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

/** The picture with frames around what the caption names, one colour for each group of words. */
function framed({ image, objects }: Scene, caption: Caption): Promise<Buffer> {
  const boxes = caption.referred.map(({ object, spans }) => ({
    box: objects[object]!.box,
    phrase: spans.join(' '),
  }));
  const scale = Math.max(1, FRAMED_SIDE / Math.max(image.width, image.height));
  return drawOverlay(image, boxes, { scale, labels: false });
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
