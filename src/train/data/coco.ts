// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EXIT_CODES, UserError } from '../../errors.js';
import { isObject, type JsonObject, readJsonFile } from './json_file.js';
import {
  type LabelledObject,
  type LabelledPicture,
  PictureDataset,
  type PictureDatasetOptions,
} from './pictures.js';
import type { Span } from './types.js';
import { type DataProblems, validateObjects } from './validate.js';

export interface CocoOptions extends PictureDatasetOptions {
  /** Folder of the pictures; default: that of the annotation file, else `images/` in it or beside it. */
  images?: string;
}

/**
 * Reads COCO instances JSON, and MDETR's kind of it: a `caption` in each image, `tokens_positive` (code-point spans of it)
 * in each annotation. `segmentation` is not needed; `iscrowd` is kept. Bad records are left out and reported.
 *
 * @throws UserError when the file is no such JSON, or with `strict` when any record is bad
 */
export async function openCoco(path: string, options: CocoOptions = {}): Promise<PictureDataset> {
  const json = await readJsonFile(path);
  if (!isObject(json) || !Array.isArray(json.images)) {
    throw new UserError(
      `${path}: not a COCO file: expected an object with a list 'images' and a list 'annotations'`,
      EXIT_CODES.data,
    );
  }
  const problems: DataProblems = { errors: [], warnings: [] };
  const categories = readCategories(json.categories, path, problems);
  const images = readImages(json.images, path, options.images ?? pictureFolder(json.images, path), problems);
  const raw = groupAnnotations(json.annotations, images, categories, path, problems);
  const pictures = [...images.values()].map(
    (image): LabelledPicture => ({
      ...image,
      objects: validateObjects(path, raw.get(image) ?? [], image, problems).map(
        ({ where: _where, ...object }) => object,
      ),
    }),
  );
  return new PictureDataset(path, pictures, problems, options);
}

/** The first of the usual folders that holds the first picture. */
function pictureFolder(records: readonly unknown[], path: string): string {
  const first = records.find(isObject)?.file_name;
  const here = dirname(path);
  const candidates = [here, join(here, 'images'), join(here, '..', 'images')];
  const holds = (folder: string): boolean => typeof first === 'string' && existsSync(join(folder, first));
  return candidates.find(holds) ?? here;
}

type ImageRecord = Omit<LabelledPicture, 'objects'>;
type AnnotationRecord = LabelledObject & { where: string };

function readCategories(value: unknown, path: string, problems: DataProblems): Map<unknown, string> {
  const categories = new Map<unknown, string>();
  if (!Array.isArray(value)) return categories;
  value.forEach((record: unknown, i) => {
    if (isObject(record) && typeof record.name === 'string') categories.set(record.id, record.name);
    else problems.errors.push(`${path}, categories[${i}]: has no name; correct or remove that record`);
  });
  return categories;
}

function readImages(
  records: readonly unknown[],
  path: string,
  folder: string,
  problems: DataProblems,
): Map<unknown, ImageRecord> {
  const images = new Map<unknown, ImageRecord>();
  records.forEach((record, i) => {
    const fault = imageFault(record, images);
    if (fault !== null) {
      problems.errors.push(`${path}, images[${i}]: ${fault}; correct or remove that record`);
      return;
    }
    const image = record as JsonObject;
    const fileName = image.file_name as string;
    images.set(image.id, {
      id: fileName,
      path: join(folder, fileName),
      width: image.width as number,
      height: image.height as number,
      ...(typeof image.caption === 'string' && image.caption !== '' ? { caption: image.caption } : {}),
      ...(typeof image.form === 'string' ? { form: image.form } : {}),
      ...(typeof image.metres_per_pixel === 'number' ? { metresPerPixel: image.metres_per_pixel } : {}),
    });
  });
  return images;
}

function imageFault(record: unknown, images: ReadonlyMap<unknown, ImageRecord>): string | null {
  if (!isObject(record)) return 'is not an object';
  if (record.id === undefined) return 'has no id';
  if (images.has(record.id)) return `has the id ${String(record.id)} of an earlier one`;
  if (typeof record.file_name !== 'string') return 'has no file_name';
  const sized = [record.width, record.height].every((side) => typeof side === 'number' && side > 0);
  return sized ? null : 'has no width and height';
}

function groupAnnotations(
  value: unknown,
  images: ReadonlyMap<unknown, ImageRecord>,
  categories: ReadonlyMap<unknown, string>,
  path: string,
  problems: DataProblems,
): Map<ImageRecord, AnnotationRecord[]> {
  const groups = new Map<ImageRecord, AnnotationRecord[]>();
  const records: readonly unknown[] = Array.isArray(value) ? value : [];
  records.forEach((record, i) => {
    const id = isObject(record) && record.id !== undefined ? ` (id ${String(record.id)})` : '';
    const where = `annotations[${i}]${id}`;
    const image = isObject(record) ? images.get(record.image_id) : undefined;
    if (!isObject(record) || image === undefined) {
      const fault = isObject(record)
        ? `its image_id ${String(record.image_id)} is none of the images`
        : 'is not an object';
      problems.errors.push(`${path}, ${where}: ${fault}; correct or remove that record`);
      return;
    }
    const list = groups.get(image) ?? [];
    groups.set(image, list);
    const category = categories.get(record.category_id) ?? `category ${String(record.category_id)}`;
    const spans = readSpans(record.tokens_positive, image.caption, `${path}, ${where}`, problems);
    list.push({
      box: toXyxy(record.bbox),
      category,
      where,
      ...(spans === null ? {} : { spans }),
      ...(record.iscrowd === 1 ? { crowd: true } : {}),
    });
  });
  return groups;
}

/** `[x, y, width, height]` to `[x0, y0, x1, y1]`; NaN for anything else, which validation then reports. */
function toXyxy(bbox: unknown): [number, number, number, number] {
  const numbers = Array.isArray(bbox) ? bbox.map((v) => (typeof v === 'number' ? v : Number.NaN)) : [];
  const [x, y, w, h] = numbers;
  if (numbers.length !== 4) return [Number.NaN, Number.NaN, Number.NaN, Number.NaN];
  return [x!, y!, x! + w!, y! + h!];
}

/** Spans that lie within the caption; others are left out with a warning. */
function readSpans(
  value: unknown,
  caption: string | undefined,
  where: string,
  problems: DataProblems,
): Span[] | null {
  if (!Array.isArray(value) || caption === undefined) return null;
  const length = [...caption].length;
  return value.flatMap((span: unknown): Span[] => {
    const [begin, end] = Array.isArray(span) ? (span as unknown[]) : [];
    const fits = Number.isInteger(begin) && Number.isInteger(end);
    if (fits && 0 <= Number(begin) && Number(begin) < Number(end) && Number(end) <= length) {
      return [[Number(begin), Number(end)]];
    }
    problems.warnings.push(
      `${where}: tokens_positive ${JSON.stringify(span)} is not a span of its caption (${length} characters) and was left out`,
    );
    return [];
  });
}
