// SPDX-License-Identifier: Apache-2.0
import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import type { SceneDatasetOptions } from './scenes/index.js';
import type { Dataset } from './types.js';
import type { DataProblems } from './validate.js';

export { type DatasetReport, formatReport, inspectDataset, markSpans } from './inspect.js';
export { captionFromLabels } from './label_captions.js';
export type { Dataset, GroundedObject, Sample } from './types.js';
export { assertNoErrors, type DataProblems, validateObjects } from './validate.js';

/** How a data set is opened; each format takes what it has use for. */
export interface OpenDatasetOptions {
  /** File or folder, for formats that have one. */
  path?: string | null;
  /** Part of the data, for sets that know theirs. */
  split?: string;
  /** Side of the pictures, for sets that cut or make their own. */
  imageSize?: number;
  /** Samples of a set that is made, not read. */
  length?: number;
  seed?: number;
  augment?: boolean;
  /** Refuse a set with bad records instead of leaving them out. */
  strict?: boolean;
  /** Receives a line for each bad record, the first few of them; default: stderr. */
  say?: (line: string) => void;
}

/** So many bad records are named; the rest are counted. */
const NAMED_PROBLEMS = 5;

/** A dataset that may know what was wrong with its files. */
export type OpenedDataset = Dataset & { problems?: DataProblems };

/** A data set format; its row in DATASETS is all that the trainer and the commands need to know. */
export interface DatasetFormat {
  name: string;
  description: string;
  /** Parts it is divided in; null when a path is one part. */
  splits: readonly string[] | null;
  needsPath: boolean;
  /** Where its words are meant to be new to a model: the set that says the same in words of training. */
  seenWords?: string;
  open(options: OpenDatasetOptions): Promise<OpenedDataset>;
}

/** Data set formats. Their code is loaded when it is first used. */
export const DATASETS: readonly DatasetFormat[] = [
  scenesFormat('scenes', 'made overhead scenes with referring sentences'),
  scenesFormat('scenes-hard', 'the same, with more sentences of place, size, number and relation', {
    sentences: 'hard',
  }),
  scenesFormat('scenes-seen-words', 'the same as `scenes`, with many words for each kind and colour', {
    vocabulary: 'seen',
  }),
  scenesFormat(
    'scenes-hard-seen-words',
    'the same as `scenes-hard`, with many words for each kind and colour',
    {
      sentences: 'hard',
      vocabulary: 'seen',
    },
  ),
  {
    ...scenesFormat(
      'scenes-unseen-words',
      'the same as `scenes`, with other words, kept out of the two before',
      { vocabulary: 'unseen' },
    ),
    seenWords: 'scenes-seen-words',
  },
  {
    name: 'neon',
    description: 'tree crowns in NEON airborne pictures, 0.1 m (got from the package deepforest)',
    splits: ['train', 'val', 'test'],
    needsPath: false,
    open: async ({ split, imageSize, augment }) => {
      const { NeonDataset } = await import('./neon.js');
      return NeonDataset.open({
        split: (split ?? 'train') as 'train' | 'val' | 'test',
        ...(imageSize === undefined ? {} : { size: imageSize }),
        ...(augment === undefined ? {} : { augment }),
      });
    },
  },
  {
    name: 'coco',
    description: 'COCO instances JSON, also with captions and tokens_positive (MDETR)',
    splits: null,
    needsPath: true,
    open: async (options) => {
      const { openCoco } = await import('./coco.js');
      return openCoco(options.path!, pick(options));
    },
  },
  {
    name: 'voc',
    description: 'PASCAL VOC XML: one file or a folder',
    splits: null,
    needsPath: true,
    open: async (options) => {
      const { openVoc } = await import('./voc.js');
      return openVoc(options.path!, pick(options));
    },
  },
];

/** A row for made scenes; `said` says which forms of sentence are frequent and with which words. */
function scenesFormat(
  name: string,
  description: string,
  said: Pick<SceneDatasetOptions, 'sentences' | 'vocabulary'> = {},
): DatasetFormat {
  return {
    name,
    description,
    splits: ['train', 'val', 'test'],
    needsPath: false,
    open: async ({ split, imageSize, length, seed, augment }) => {
      const { SceneDataset } = await import('./scenes/index.js');
      return new SceneDataset({
        split: (split ?? 'train') as 'train' | 'val' | 'test',
        length: length !== undefined && length > 0 ? length : split === 'train' ? 100_000 : 200,
        ...(imageSize === undefined ? {} : { size: imageSize }),
        ...(seed === undefined ? {} : { seed }),
        ...(augment === undefined ? {} : { augment }),
        ...said,
      });
    },
  };
}

function pick({ strict, augment }: OpenDatasetOptions): { strict?: boolean; augment?: boolean } {
  return { ...(strict === undefined ? {} : { strict }), ...(augment === undefined ? {} : { augment }) };
}

/** For a set whose words are meant to be new to a model: the set that says the same in words of training; null for others. */
export function seenWordsOf(name: string): string | null {
  return DATASETS.find((row) => row.name === name)?.seenWords ?? null;
}

/**
 * Opens a data set by the name of its format. Bad records are left out, or mended, with a line that names file and record.
 *
 * @throws UserError for an unknown name or split, a missing path, or files that cannot be used
 */
export async function openDataset(name: string, options: OpenDatasetOptions = {}): Promise<OpenedDataset> {
  const format = DATASETS.find((row) => row.name === name);
  if (format === undefined) {
    const names = DATASETS.map((row) => row.name);
    const guess = didYouMean(name, names);
    throw new UserError(
      `unknown dataset '${name}'${guess === null ? '' : `, did you mean '${guess}'?`} (known: ${names.join(', ')})`,
    );
  }
  if (format.needsPath && !options.path) {
    throw new UserError(`dataset '${name}' lies in files: say where with dataPath (--data-path)`);
  }
  if (format.splits !== null && options.split !== undefined && !format.splits.includes(options.split)) {
    const guess = didYouMean(options.split, format.splits);
    throw new UserError(
      `dataset '${name}' has no split '${options.split}'${guess === null ? '' : `, did you mean '${guess}'?`} ` +
        `(known: ${format.splits.join(', ')})`,
    );
  }
  const dataset = await format.open(options);
  reportProblems(dataset, options.say ?? ((line) => process.stderr.write(`tfgeo: ${line}\n`)));
  if (dataset.length === 0) {
    throw new UserError(
      `${dataset.name}: holds no usable picture; run tfgeo-train inspect on it`,
      EXIT_CODES.data,
    );
  }
  return dataset;
}

function reportProblems({ name, problems }: OpenedDataset, say: (line: string) => void): void {
  const lines = [
    ...(problems?.errors ?? []).map((line) => `left out: ${line}`),
    ...(problems?.warnings ?? []).map((line) => `warning: ${line}`),
  ];
  for (const line of lines.slice(0, NAMED_PROBLEMS)) say(line);
  const rest = lines.length - NAMED_PROBLEMS;
  if (rest > 0) say(`${name}: ${rest} more such records; tfgeo-train inspect lists them all`);
}

/** The format that a path looks like: `.json` is COCO, `.xml` or a folder VOC; null when it cannot be told. */
export async function guessDatasetFormat(path: string): Promise<string | null> {
  const extension = extname(path).toLowerCase();
  if (extension === '.json') return 'coco';
  if (extension === '.xml') return 'voc';
  const info = await stat(path).catch(() => null);
  return info?.isDirectory() ? 'voc' : null;
}

/**
 * A picture of the `neon` set as the bytes of its file, e.g. the georeferenced `OSBS_029.tif` (held out from training).
 * Got with the set's wheel where it is not cached yet.
 */
export async function readNeonPicture(fileName: string): Promise<Uint8Array> {
  const { readNeonFile } = await import('./neon_files.js');
  return readNeonFile(fileName);
}
