// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../errors.js';
import type { Exportable, ExportQuery } from '../models/exportable/index.js';

export interface ExportOptions {
  /** Width and height of the pictures, or one number for both; default: what the model was trained on. */
  size?: number | readonly [width: number, height: number];
  /** Pictures of a call, or `dynamic` for any number; default dynamic. */
  batch?: number | 'dynamic';
  /** Phrases (or names of classes) that become part of the graph; without them, token ids are an input, or all classes meant. */
  prompts?: readonly string[];
  /** Tokens of that input, special ones included; default: what the model reads, up to 64. */
  tokens?: number;
  /** `portable` (default): TensorFlow's own operations; `native`: tfgeo's too, for servers that load its library. */
  ops?: 'portable' | 'native';
  /** `pixels` (default), or `encoded`: the contents of JPEG or PNG files. */
  input?: 'pixels' | 'encoded';
  /** Most detections of a picture; default 100. */
  maxDetections?: number;
  /** Metres per pixel, of the pictures as they are sent, that become part of the graph; without, they are an input of models that count metres. */
  metresPerPixel?: number;
  /** Compare the result with the model in a process of its own (default true). */
  check?: boolean;
}

/** Options with everything filled in. */
export interface ExportSettings {
  width: number;
  height: number;
  batch: number | 'dynamic';
  encoded: boolean;
  ops: 'portable' | 'native';
  /** What the graph finds and how much, for telling graphs apart. */
  query: ExportQuery;
  /** Sizes of the batches that examples are made for. */
  exampleBatches: readonly number[];
}

/** @throws UserError for what the model cannot have */
export function settingsOf(exportable: Exportable, options: ExportOptions): ExportSettings {
  const size = options.size ?? exportable.imageSize;
  const [width, height] = typeof size === 'number' ? [size, size] : size;
  for (const side of [width, height]) {
    if (!(Number.isInteger(side) && side >= 32 && side <= 8192)) {
      throw new UserError(`the size of pictures must be from 32 to 8192 pixels, not ${side}`);
    }
    if (side % exportable.multiple !== 0) {
      const next = Math.ceil(side / exportable.multiple) * exportable.multiple;
      throw new UserError(
        `this model takes pictures whose sides are multiples of ${exportable.multiple}: ${next} instead of ${side}`,
      );
    }
  }
  const batch = options.batch ?? 'dynamic';
  if (batch !== 'dynamic' && !(Number.isInteger(batch) && batch >= 1 && batch <= 1024)) {
    throw new UserError(`the batch must be "dynamic" or a whole number from 1 to 1024, not ${batch}`);
  }
  return {
    width,
    height,
    batch,
    encoded: options.input === 'encoded',
    ops: options.ops ?? 'portable',
    query: queryOf(options),
    exampleBatches: batch === 'dynamic' ? [1, 2] : [batch],
  };
}

/** The part of the options that the detector itself looks at. */
export function queryOf({ prompts, tokens, maxDetections, metresPerPixel }: ExportOptions): ExportQuery {
  return {
    prompts: prompts ?? [],
    maxDetections: maxDetections ?? 100,
    ...(tokens === undefined ? {} : { tokens }),
    ...(metresPerPixel === undefined ? {} : { metresPerPixel }),
  };
}
