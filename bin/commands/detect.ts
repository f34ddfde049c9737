// SPDX-License-Identifier: Apache-2.0
import { type DetectOptions, type DetectResult, load } from '../../src/detector.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { assertWritable, openRaster, writeDetections } from '../../src/geo/index.js';
import { writeOverlay } from '../../src/viz/overlay.js';
import { type Command, ENGINE_OPTIONS, type Flags } from './command.js';
import { startEngine } from './engine.js';

/** Overlays are drawn from at most this many pixels a side. */
const OVERLAY_SIDE = 2048;

/** `tfgeo-train detect`: boxes for what a sentence says about a picture. */
export const detect: Command = {
  name: 'detect',
  usage: 'detect <image>',
  about: 'Find what a sentence names in a picture; boxes in pixels and on the map',
  positionals: {
    image: { describe: 'GeoTIFF, PNG, JPEG or WebP; a path or a URL', type: 'string', demandOption: true },
  },
  options: {
    prompt: {
      alias: 'p',
      describe: 'What to look for, e.g. "white boats at the pier"',
      type: 'string',
      demandOption: true,
      requiresArg: true,
    },
    model: { alias: 'm', describe: 'Model folder; default: the small model of the package', type: 'string' },
    output: {
      alias: 'o',
      describe: 'File to write: .geojson, .json or .csv',
      type: 'string',
      requiresArg: true,
    },
    overlay: { describe: 'PNG to draw the boxes on', type: 'string', requiresArg: true },
    threshold: { describe: "Least score, 0 to 1; default: the model's own", type: 'number' },
    tile: { describe: 'Side of the tiles of a large picture, in pixels the model sees', type: 'number' },
    overlap: { describe: 'Pixels that neighbouring tiles share; default: a quarter tile', type: 'number' },
    scale: { describe: 'Resample the picture by this factor first', type: 'number', default: 1 },
    bands: { describe: 'Bands shown as red, green, blue, counted from 1, e.g. 4,3,2', type: 'string' },
    ...ENGINE_OPTIONS,
  },
  async run(flags) {
    const image = String(flags.image);
    const output = flags.output as string | undefined;
    if (output !== undefined) await checkOutput(output, image);
    await startEngine(flags);
    const model = await load(flags.model as string | undefined);
    try {
      const result = await model.detect(image, String(flags.prompt), detectOptions(flags));
      await write(flags, result, output);
    } finally {
      model.dispose();
    }
    return EXIT_CODES.ok;
  },
};

/** Fails before anything is computed if the result could not be written. */
async function checkOutput(output: string, image: string): Promise<void> {
  const raster = await openRaster(image);
  try {
    assertWritable(output, raster);
  } finally {
    await raster.close();
  }
}

function detectOptions(flags: Flags): DetectOptions {
  const number = (key: string) => {
    const value = flags[key];
    if (value === undefined) return undefined;
    if (!Number.isFinite(value)) throw new UserError(`--${key} must be a number, but is ${value}`);
    return value as number;
  };
  const given = {
    threshold: number('threshold'),
    tile: number('tile'),
    overlap: number('overlap'),
    scale: number('scale'),
    bands: flags.bands === undefined ? undefined : parseBands(String(flags.bands)),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function parseBands(text: string): number[] {
  const bands = text.split(',').map((part) => Number(part) - 1);
  if (
    bands.every((band) => Number.isInteger(band) && band >= 0) &&
    (bands.length === 1 || bands.length === 3)
  )
    return bands;
  throw new UserError(`--bands must be one or three band numbers from 1 up, e.g. 4,3,2, but is ${text}`);
}

async function write(flags: Flags, result: DetectResult, output: string | undefined): Promise<void> {
  for (const note of result.notes) process.stderr.write(`tfgeo-train: ${note}\n`);
  const { set } = result;
  if (output !== undefined) await writeDetections(output, set);
  const overlay = flags.overlay as string | undefined;
  if (overlay !== undefined) await writePicture(overlay, String(flags.image), result);
  const lines = set.detections.map(
    ({ box, score, phrase }) =>
      `${score.toFixed(3)}  ${phrase}  [${box.map((x) => x.toFixed(1)).join(', ')}]`,
  );
  const places = [output, overlay].filter((path) => path !== undefined);
  process.stdout.write(
    `${lines.map((line) => `${line}\n`).join('')}` +
      `${lines.length} found for "${set.prompt}"${places.length > 0 ? `; written: ${places.join(', ')}` : ''}\n`,
  );
}

async function writePicture(path: string, image: string, { set }: DetectResult): Promise<void> {
  const raster = await openRaster(image);
  try {
    const shrink = Math.min(1, OVERLAY_SIDE / Math.max(raster.width, raster.height));
    const size = {
      width: Math.max(1, Math.round(raster.width * shrink)),
      height: Math.max(1, Math.round(raster.height * shrink)),
    };
    const fx = size.width / raster.width;
    const fy = size.height / raster.height;
    const boxes = set.detections.map(({ box: [x0, y0, x1, y1], ...rest }) => ({
      ...rest,
      box: [x0 * fx, y0 * fy, x1 * fx, y1 * fy] as const,
    }));
    await writeOverlay(path, await raster.read(undefined, { size }), boxes, { title: set.prompt });
  } finally {
    await raster.close();
  }
}
