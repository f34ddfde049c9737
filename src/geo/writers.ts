// SPDX-License-Identifier: Apache-2.0
import { extname } from 'node:path';
import { didYouMean, EXIT_CODES, UserError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import type { DetectionSet } from './detections.js';
import { requireGeoreference, toGeoJson } from './geojson.js';

/** An output format; its row in WRITERS is all that the command needs to know. */
export interface DetectionWriter {
  extension: string;
  description: string;
  /** True when a picture without georeference cannot be written: known before anything is computed. */
  needsGeoreference: boolean;
  encode(set: DetectionSet): string;
}

/** Output formats by file extension. */
export const WRITERS: readonly DetectionWriter[] = [
  {
    extension: '.geojson',
    description: 'RFC 7946 features in longitude and latitude',
    needsGeoreference: true,
    encode: (set) => encodeCollection(set),
  },
  {
    extension: '.json',
    description: 'COCO-style images, categories and annotations in pixels, with prompt and spans',
    needsGeoreference: false,
    encode: (set) => `${JSON.stringify(toCoco(set), null, 1)}\n`,
  },
  {
    extension: '.csv',
    description: 'one line per box: source, prompt, phrase, score, pixels, centre',
    needsGeoreference: false,
    encode: (set) => toCsv(set),
  },
];

/**
 * The writer for an output path.
 *
 * @throws UserError for an unknown extension, naming the known ones
 */
export function writerFor(path: string): DetectionWriter {
  const extension = extname(path).toLowerCase();
  const writer = WRITERS.find((row) => row.extension === extension);
  if (writer !== undefined) return writer;
  const known = WRITERS.map((row) => row.extension);
  const guess = extension === '' ? null : didYouMean(extension, known);
  throw new UserError(
    `${path}: ${extension === '' ? 'no file extension, so no output format' : `unknown output format ${extension}`}` +
      `${guess === null ? '' : `, did you mean ${guess}?`} (known: ${known.join(', ')})`,
    EXIT_CODES.usage,
  );
}

/**
 * Checks, before anything is computed, that detections of a picture can be written to `path`.
 *
 * @throws UserError for an unknown extension, or a format that needs the georeference which the picture lacks
 */
export function assertWritable(
  path: string,
  picture: Pick<DetectionSet, 'source' | 'georeference' | 'georeferenceMissing'>,
): void {
  if (writerFor(path).needsGeoreference) requireGeoreference(picture);
}

/**
 * Writes detections in the format of the path's extension, all or nothing.
 *
 * @throws UserError for an unknown extension, a missing georeference, or a place that cannot be written
 */
export async function writeDetections(path: string, set: DetectionSet): Promise<void> {
  await writeFileAtomic(path, writerFor(path).encode(set));
}

/** One feature per line: diffs and line tools stay usable. */
function encodeCollection(set: DetectionSet): string {
  const { features, ...head } = toGeoJson(set);
  const opening = JSON.stringify(head).slice(0, -1);
  const lines = features.map((feature) => JSON.stringify(feature));
  return `${opening},"features":[${lines.length > 0 ? `\n${lines.join(',\n')}\n` : ''}]}\n`;
}

/** COCO-style record of one picture; `caption` and `tokens_positive` are MDETR's names. */
export function toCoco(set: DetectionSet): Record<string, unknown> {
  const names = [...new Set(set.detections.map((d) => d.category ?? d.phrase))];
  return {
    info: {
      description: 'detections by tfgeo',
      prompt: set.prompt,
      ...(set.model === undefined ? {} : { model: set.model }),
      ...(set.georeference === null ? {} : { crs: set.georeference.crs.name }),
    },
    images: [{ id: 1, file_name: set.source, width: set.width, height: set.height, caption: set.prompt }],
    categories: names.map((name, i) => ({ id: i + 1, name })),
    annotations: set.detections.map((detection, i) => {
      const [x0, y0, x1, y1] = detection.box;
      return {
        id: i + 1,
        image_id: 1,
        category_id: names.indexOf(detection.category ?? detection.phrase) + 1,
        bbox: [x0, y0, x1 - x0, y1 - y0],
        area: (x1 - x0) * (y1 - y0),
        iscrowd: 0,
        score: detection.score,
        phrase: detection.phrase,
        tokens_positive: detection.spans,
      };
    }),
  };
}

const CSV_COLUMNS = 'source,prompt,phrase,score,x0,y0,x1,y1,longitude,latitude,spans';

/** RFC 4180 lines; longitude and latitude are those of the box's centre, empty without a georeference. */
function toCsv(set: DetectionSet): string {
  const lines = set.detections.map(({ box, score, phrase, spans }) => {
    const [x0, y0, x1, y1] = box;
    const centre = set.georeference?.toLonLat((x0 + x1) / 2, (y0 + y1) / 2);
    const place = centre === undefined ? ['', ''] : centre.map((degrees) => degrees.toFixed(8));
    const numbers = [score.toFixed(4), ...box.map((v) => v.toFixed(2)), ...place];
    const where = spans.map(([begin, end]) => `${begin}-${end}`).join(' ');
    return [quote(set.source), quote(set.prompt), quote(phrase), ...numbers, where].join(',');
  });
  return `${[CSV_COLUMNS, ...lines].join('\r\n')}\r\n`;
}

function quote(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
