// SPDX-License-Identifier: Apache-2.0
import { extname } from 'node:path';
import { type DetectOptions, type DetectResult, load, type Question } from '../../src/detector.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { assertWritable, openRaster, type Raster, writeDetections } from '../../src/geo/index.js';
import { BUNDLED_MODEL } from '../../src/models/bundled.js';
import { modelAnswers } from '../../src/models/model_folder.js';
import { requirePrompt } from '../../src/models/text/index.js';
import { writeOverlay } from '../../src/viz/overlay.js';
import { type Command, ENGINE_OPTIONS, type Flags } from './command.js';
import { startEngine } from './engine.js';
import { numberFlag, textFlag } from './flag_values.js';

/** Overlays are drawn from at most this many pixels a side. */
const OVERLAY_SIDE = 2048;

/** `tfgeo-train detect`: boxes for what a sentence says about a picture, or of the classes that a model knows. */
export const detect: Command = {
  positionals: {
    image: { describe: 'GeoTIFF, PNG, JPEG or WebP; a path or a URL', type: 'string', demandOption: true },
  },
  options: {
    prompt: {
      alias: 'p',
      describe: 'What to look for, e.g. "white boats at the pier"; for models that answer sentences',
      type: 'string',
      requiresArg: true,
    },
    classes: {
      describe: 'Classes to look for, e.g. ship,plane, or "all"; for models that know a list of classes',
      type: 'string',
      requiresArg: true,
    },
    model: {
      alias: 'm',
      describe: 'Model folder; default: mdetr-g-tiny of the package; mdetr-g-minilm-tiny is there too',
      type: 'string',
      requiresArg: true,
    },
    output: {
      alias: 'o',
      describe: 'File to write: .geojson, .json or .csv',
      type: 'string',
      requiresArg: true,
    },
    overlay: { describe: 'PNG to draw the boxes on', type: 'string', requiresArg: true },
    threshold: {
      describe: "Least score, 0 to 1; default: the model's own",
      type: 'string',
      requiresArg: true,
    },
    tile: {
      describe: 'Side of the tiles of a large picture, in pixels the model sees; default: as it was trained',
      type: 'string',
      requiresArg: true,
    },
    overlap: {
      describe: 'Pixels that neighbouring tiles share; default: a quarter tile',
      type: 'string',
      requiresArg: true,
    },
    scale: {
      describe: 'Resample the picture by this factor first',
      type: 'string',
      requiresArg: true,
      defaultDescription: '1',
    },
    'metres-per-pixel': {
      describe: 'Ground size of a pixel, for models that count metres; default: what the picture says',
      type: 'string',
      requiresArg: true,
    },
    bands: {
      describe: 'Bands shown as red, green, blue, counted from 1, e.g. 4,3,2',
      type: 'string',
      requiresArg: true,
    },
    ...ENGINE_OPTIONS,
  },
  async run(flags) {
    const image = String(flags.image);
    const folder = textFlag(flags, 'model') ?? BUNDLED_MODEL;
    const question = askedFor(flags);
    const options = detectOptions(flags);
    const places = { output: textFlag(flags, 'output'), overlay: textFlag(flags, 'overlay') };
    await checkQuestion(question, folder);
    const open = () => openRaster(image, options.bands ? { bands: options.bands } : {});
    await checkPlaces(places, open);
    await startEngine(flags);
    const model = await load(folder);
    try {
      await write(places, open, await model.detect(image, question, options));
    } finally {
      model.dispose();
    }
    return EXIT_CODES.ok;
  },
};

/** The sentence, or the names of classes. */
function askedFor(flags: Flags): Question {
  const prompt = textFlag(flags, 'prompt');
  const classes = textFlag(flags, 'classes');
  if (prompt !== undefined && classes !== undefined) {
    throw new UserError('give --prompt or --classes, not both');
  }
  if (prompt !== undefined) {
    requirePrompt(prompt);
    return prompt;
  }
  if (classes === undefined) {
    throw new UserError('--prompt must be given, or --classes for a model that knows a list of classes');
  }
  const names = classes.split(',').map((name) => name.trim());
  if (names.includes(''))
    throw new UserError(`--classes must be names, e.g. ship,plane, but it is "${classes}"`);
  return classes === 'all' ? [] : names;
}

/** Fails before the engine starts if the model is asked with something else. */
async function checkQuestion(question: Question, folder: string): Promise<void> {
  const answers = await modelAnswers(folder);
  if (answers === 'text' && typeof question !== 'string') {
    throw new UserError(`${folder} answers sentences: give --prompt instead of --classes`);
  }
  if (answers === 'classes' && typeof question === 'string') {
    throw new UserError(`${folder} knows a list of classes: give --classes instead of --prompt`);
  }
}

interface Places {
  output: string | undefined;
  overlay: string | undefined;
}

/** Opens the picture as the flags say. */
type Open = () => Promise<Raster>;

/** Fails before anything is computed if the picture cannot be read or the result could not be written. */
async function checkPlaces({ output, overlay }: Places, open: Open): Promise<void> {
  if (overlay !== undefined && extname(overlay).toLowerCase() !== '.png') {
    throw new UserError(`--overlay writes PNG: give a name that ends in .png instead of ${overlay}`);
  }
  await withRaster(open, async ({ name, georeference, georeferenceMissing }) => {
    if (output !== undefined) assertWritable(output, { source: name, georeference, georeferenceMissing });
  });
}

async function withRaster(open: Open, use: (raster: Raster) => Promise<void>): Promise<void> {
  const raster = await open();
  try {
    await use(raster);
  } finally {
    await raster.close();
  }
}

function detectOptions(flags: Flags): DetectOptions {
  const bands = textFlag(flags, 'bands');
  const given = {
    threshold: numberFlag(flags, 'threshold', { min: 0, max: 1 }),
    tile: numberFlag(flags, 'tile', { min: 32, whole: true }),
    overlap: numberFlag(flags, 'overlap', { min: 0, whole: true }),
    scale: numberFlag(flags, 'scale', { min: 0.01, max: 16 }),
    metresPerPixel: numberFlag(flags, 'metres-per-pixel', { min: 1e-6 }),
    bands: bands === undefined ? undefined : parseBands(bands),
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
  throw new UserError(`--bands must be one or three band numbers from 1 up, e.g. 4,3,2, but it is "${text}"`);
}

async function write({ output, overlay }: Places, open: Open, result: DetectResult): Promise<void> {
  for (const note of result.notes) process.stderr.write(`tfgeo-train: ${note}\n`);
  const { set } = result;
  if (output !== undefined) await writeDetections(output, set);
  if (overlay !== undefined) await writePicture(overlay, open, result);
  const lines = set.detections.map(
    ({ box, score, phrase }) =>
      `${score.toFixed(3)}  ${phrase}  [${box.map((x) => x.toFixed(1)).join(', ')}]\n`,
  );
  const written = [output, overlay].filter((path) => path !== undefined);
  process.stdout.write(
    `${lines.join('')}${lines.length} found for "${set.prompt}"` +
      `${written.length > 0 ? `; written: ${written.join(', ')}` : ''}\n`,
  );
}

function writePicture(path: string, open: Open, { set }: DetectResult): Promise<void> {
  return withRaster(open, async (raster) => {
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
  });
}
