// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { EXIT_CODES, UserError } from '../../errors.js';
import { isObject, readAnnotationFile } from './json_file.js';
import { type LabelledPicture, PictureDataset, type PictureDatasetOptions } from './pictures.js';
import { type DataProblems, type RawObject, validateObjects } from './validate.js';

export interface VocOptions extends PictureDatasetOptions {
  /** Folder of the pictures; default: that of each XML file, then `JPEGImages` or `images` beside its folder. */
  images?: string;
  /**
   * Coordinates count pixels from 1, as in the original PASCAL VOC: 1 is taken off `xmin` and `ymin`. Default false, for
   * most tools write 0-based corners into this format.
   */
  oneBased?: boolean;
}

/** One VOC file. */
export interface VocAnnotation {
  /** Name of the picture, as the file gives it. */
  fileName: string;
  /** 0 where the file gives none. */
  width: number;
  height: number;
  objects: RawObject[];
}

/**
 * Reads the text of one PASCAL VOC file (Everingham et al. 2010).
 *
 * @param path names the file in messages
 * @throws UserError when it is not XML of this kind
 */
export function parseVoc(
  xml: string,
  path: string,
  options: Pick<VocOptions, 'oneBased'> = {},
): VocAnnotation {
  const fault = XMLValidator.validate(xml);
  if (fault !== true) {
    const { msg, line } = fault.err;
    throw new UserError(`${path}, line ${line}: not XML (${msg}); the file is damaged`, EXIT_CODES.data);
  }
  const parser = new XMLParser({ parseTagValue: false, isArray: (name) => name === 'object' });
  const parsed: unknown = parser.parse(xml);
  const root = isObject(parsed) ? parsed.annotation : undefined;
  if (!isObject(root)) {
    throw new UserError(`${path}: not a VOC annotation: expected <annotation> outermost`, EXIT_CODES.data);
  }
  const size = isObject(root.size) ? root.size : {};
  const lines = objectLines(xml);
  const objects = Array.isArray(root.object) ? (root.object as unknown[]) : [];
  return {
    fileName: typeof root.filename === 'string' ? root.filename.trim() : '',
    width: toNumber(size.width) || 0,
    height: toNumber(size.height) || 0,
    objects: objects.map((object, i) =>
      toRawObject(object, `object ${i + 1} (line ${lines[i] ?? '?'})`, options),
    ),
  };
}

function toRawObject(object: unknown, where: string, { oneBased }: Pick<VocOptions, 'oneBased'>): RawObject {
  const record = isObject(object) ? object : {};
  const box = isObject(record.bndbox) ? record.bndbox : {};
  const first = oneBased === true ? 1 : 0;
  return {
    box: [toNumber(box.xmin) - first, toNumber(box.ymin) - first, toNumber(box.xmax), toNumber(box.ymax)],
    category: typeof record.name === 'string' && record.name.trim() !== '' ? record.name.trim() : 'object',
    where,
  };
}

function toNumber(value: unknown): number {
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
}

/** Line of each `<object>`; the parser does not keep them. */
function objectLines(xml: string): number[] {
  const lines: number[] = [];
  xml.split('\n').forEach((line, i) => {
    for (const _ of line.matchAll(/<object[\s>]/g)) lines.push(i + 1);
  });
  return lines;
}

/**
 * Opens VOC annotations: one XML file, or a folder of them.
 *
 * @throws UserError when nothing usable is there, or with `strict` when any record is bad
 */
export async function openVoc(path: string, options: VocOptions = {}): Promise<PictureDataset> {
  const problems: DataProblems = { errors: [], warnings: [] };
  const pictures: LabelledPicture[] = [];
  for (const file of await annotationFiles(path)) {
    const annotation = parseVoc(await readAnnotationFile(file), file, options);
    const picture = findPicture(file, annotation.fileName, options.images);
    if (picture === null) {
      problems.errors.push(
        `${file}: its picture '${annotation.fileName}' was not found beside it; name the folder of the pictures`,
      );
      continue;
    }
    const { width, height } = annotation;
    if (!(width > 0 && height > 0)) {
      problems.errors.push(`${file}: gives no size of its picture; add <size> with width and height`);
      continue;
    }
    const objects = validateObjects(file, annotation.objects, annotation, problems).map(
      ({ box, category }) => ({
        box,
        category,
      }),
    );
    pictures.push({ id: basename(picture), path: picture, width, height, objects });
  }
  return new PictureDataset(path, pictures, problems, options);
}

async function annotationFiles(path: string): Promise<string[]> {
  const info = await stat(path).catch(() => null);
  if (info === null) throw new UserError(`${path}: no such file or folder; check the path`, EXIT_CODES.data);
  if (!info.isDirectory()) return [path];
  const folders = [path, join(path, 'Annotations')].filter((folder) => existsSync(folder));
  for (const folder of folders) {
    const names = (await readdir(folder)).filter((name) => name.toLowerCase().endsWith('.xml')).sort();
    if (names.length > 0) return names.map((name) => join(folder, name));
  }
  throw new UserError(`${path}: holds no VOC annotation (.xml); give the folder that does`, EXIT_CODES.data);
}

const PICTURE_EXTENSIONS = ['.tif', '.tiff', '.png', '.jpg', '.jpeg', '.webp'];

/** The picture of an XML file: by the name inside, else by the XML's own name. */
function findPicture(xml: string, fileName: string, images: string | undefined): string | null {
  const folder = dirname(xml);
  const folders =
    images === undefined
      ? [folder, join(folder, '..', 'JPEGImages'), join(folder, '..', 'images')]
      : [images];
  const stem = basename(xml, extname(xml));
  const names = [
    ...(fileName === '' ? [] : [basename(fileName)]),
    ...PICTURE_EXTENSIONS.flatMap((ending) => [stem + ending, stem + ending.toUpperCase()]),
  ];
  return folders.flatMap((f) => names.map((name) => join(f, name))).find((path) => existsSync(path)) ?? null;
}
