// SPDX-License-Identifier: Apache-2.0
/**
 * What tfgeo does, in a few minutes: `npm run demo`. Every part is a command that can be typed; the pictures, map
 * features and curves are in demo-out/ afterwards.
 *
 *   npm run demo -- [--out FOLDER] [--model FOLDER] [--steps N]
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { runCommandLine } from '../bin/command_line.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { writeFileAtomic } from '../src/files.js';
import { BUNDLED_MODEL } from '../src/models/bundled.js';
import { readNeonPicture } from '../src/train/data/index.js';
import { namedScene } from '../src/train/data/scenes/index.js';
import { readRecords } from '../src/train/log.js';
import { encodePng } from '../src/viz/overlay.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'demo-out' },
    model: { type: 'string', default: BUNDLED_MODEL },
    steps: { type: 'string' },
  },
});
const { model } = values;
const at = (...names: string[]) => join(values.out, ...names);

/** A part of the demo: what it shows, and how; it throws if it does not. Returns lines for the summary. */
interface Part {
  title: string;
  run(): Promise<string[]>;
}

/** Where `OSBS_029.tif` lies: Ordway-Swisher Biological Station, Florida. */
const OSBS = { west: -82.1, east: -81.9, south: 29.6, north: 29.8 };
const HARBOUR = { seed: 2, size: 160, sentences: ['the red ships', 'the white tanks'] };

const PARTS: readonly Part[] = [
  { title: 'Set up: TensorFlow and the native parts', run: setUp },
  { title: 'Tree crowns in a real georeferenced picture', run: detectCrowns },
  { title: 'One made harbour, two sentences', run: detectHarbour },
  { title: 'Fine-tuning on words the model never saw', run: fineTune },
];

/** Runs `tfgeo-train` with these arguments, printed as a person would type them. */
async function command(...args: string[]): Promise<void> {
  const typed = args.map((arg) => (/^[\w./=,-]+$/.test(arg) ? arg : `"${arg}"`));
  console.log(`$ npx tfgeo-train ${typed.join(' ')}`);
  const code = await runCommandLine(args);
  if (code !== EXIT_CODES.ok) throw new UserError(`the command ended with exit code ${code}`, code);
}

/** `-m FOLDER` where it is not the model that the command takes by itself. */
function modelFlags(): string[] {
  return model === BUNDLED_MODEL ? [] : ['-m', model];
}

async function setUp(): Promise<string[]> {
  await command('setup');
  return [];
}

async function detectCrowns(): Promise<string[]> {
  const picture = at('OSBS_029.tif');
  await writeFileAtomic(picture, await readNeonPicture('OSBS_029.tif'));
  const [map, overlay] = [at('tree_crowns.geojson'), at('tree_crowns.png')];
  await command('detect', picture, '-p', 'tree crowns', ...modelFlags(), '-o', map, '--overlay', overlay);
  const { features } = JSON.parse(readFileSync(map, 'utf8')) as {
    features: { geometry: { coordinates: [number, number][][] } }[];
  };
  need(features.length > 0, 'no tree crown was found');
  for (const { geometry } of features) {
    const inside = geometry.coordinates[0]!.every(
      ([lon, lat]) => lon > OSBS.west && lon < OSBS.east && lat > OSBS.south && lat < OSBS.north,
    );
    need(inside, 'a crown lies off the picture on the map');
  }
  return [`${overlay}  ${features.length} crowns`, `${map}  the same on the map`];
}

async function detectHarbour(): Promise<string[]> {
  const picture = at('harbour.png');
  const scene = namedScene('harbour', HARBOUR.seed, { size: HARBOUR.size });
  await writeFileAtomic(picture, await encodePng(scene.image));
  const answers: string[] = [];
  const lines: string[] = [];
  for (const sentence of HARBOUR.sentences) {
    const name = sentence.replaceAll(' ', '_');
    const [boxes, overlay] = [at(`harbour_${name}.json`), at(`harbour_${name}.png`)];
    await command('detect', picture, '-p', sentence, ...modelFlags(), '-o', boxes, '--overlay', overlay);
    const { annotations } = JSON.parse(readFileSync(boxes, 'utf8')) as { annotations: { bbox: number[] }[] };
    need(annotations.length > 0, `nothing was found for "${sentence}"`);
    answers.push(JSON.stringify(annotations.map(({ bbox }) => bbox.map(Math.round)).sort()));
    lines.push(`${overlay}  "${sentence}": ${annotations.length} found`);
  }
  need(new Set(answers).size === answers.length, 'two sentences gave the same boxes');
  return lines;
}

async function fineTune(): Promise<string[]> {
  const run = at('fine-tuning');
  rmSync(run, { recursive: true, force: true });
  const load = model === BUNDLED_MODEL ? [] : ['--load', model];
  const steps = values.steps === undefined ? [] : ['--steps', values.steps];
  await command('train', '--recipe', 'demo', ...load, ...steps, '--out', run);
  const records = readRecords(run);
  const losses = records.flatMap((record) => (record.kind === 'train' ? [record.loss] : []));
  const figures = records.flatMap((record) => (record.kind === 'eval' ? [record] : []));
  const fifth = Math.max(1, Math.floor(losses.length / 5));
  const [before, after] = [mean(losses.slice(0, fifth)), mean(losses.slice(-fifth))];
  const ap = figures.map(({ step, figures: { AP50 } }) => ({ step, AP50: AP50! }));
  const course = ap.map(({ step, AP50 }) => `${AP50.toFixed(3)} after ${step} steps`).join(', ');
  console.log(`loss ${before.toFixed(2)} -> ${after.toFixed(2)}; AP50 on the validation part: ${course}`);
  need(after < before, 'the loss did not fall');
  need(ap.at(-1)!.AP50 > ap[0]!.AP50, 'AP50 did not rise');
  for (const name of ['curves.png', 'curves.svg', 'model/model.safetensors'])
    need(existsSync(join(run, name)), `${name} is missing`);
  return [
    `${join(run, 'curves.png')}  loss ${before.toFixed(2)} -> ${after.toFixed(2)}, AP50 ${ap[0]!.AP50.toFixed(3)} -> ${ap.at(-1)!.AP50.toFixed(3)}`,
    `${join(run, 'samples')}  what the model finds, before and after`,
    `${join(run, 'model')}  the fine-tuned model, for detect -m`,
  ];
}

function need(good: boolean, what: string): void {
  if (!good) throw new UserError(what, EXIT_CODES.internal);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

/** Runs a part, says how long it took, and returns what it left, or null if it failed. */
async function runPart({ title, run }: Part, number: number): Promise<string[] | null> {
  console.log(`\n== ${number}. ${title}`);
  const began = performance.now();
  const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  try {
    const lines = await run();
    console.log(`-- done in ${seconds()}`);
    return lines;
  } catch (error) {
    const known = error instanceof UserError ? error.message : (error as Error).stack;
    console.error(`-- FAILED after ${seconds()}: ${known}`);
    return null;
  }
}

const began = performance.now();
mkdirSync(values.out, { recursive: true });
const results: (string[] | null)[] = [];
for (const part of PARTS) {
  results.push(await runPart(part, results.length + 1));
  // Without an engine the rest would take hours.
  if (results[0] === null) break;
}
const failed = results.filter((lines) => lines === null).length;
console.log(
  `\n== In ${relative('.', values.out) || '.'}, after ${((performance.now() - began) / 1000).toFixed(0)} s`,
);
for (const lines of results) for (const line of lines ?? []) console.log(`   ${line}`);
console.log(failed === 0 ? 'All parts worked.' : `${failed} of ${PARTS.length} parts FAILED; see above.`);
process.exitCode = failed === 0 ? 0 : 1;
