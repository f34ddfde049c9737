// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import { BUNDLED_MODELS, modelPlace } from '../../src/models/bundled.js';
import {
  CATALOGUE_TOKENS,
  type CatalogueEntry,
  type CatalogueKind,
  catalogueEntries,
  type ModelSize,
  measureSize,
} from '../../src/models/catalogue.js';
import { WEIGHTS_FILE } from '../../src/models/weights/checkpoint_file.js';
import { readSafetensors } from '../../src/models/weights/safetensors.js';
import { type Command, ENGINE_OPTIONS } from './command.js';
import { startEngine } from './engine.js';
import { numberFlag, textFlag } from './flag_values.js';

/** A line of the table, and what `--json` writes. */
type Row = CatalogueEntry & ModelSize & { size: number | null };

const TITLES: Readonly<Record<CatalogueKind, string>> = {
  detector: 'detectors, for --model of train',
  backbone: "backbones, for a model's configuration",
  'text encoder': 'text encoders, likewise',
};

/** `tfgeo-train models`: what can be built by name, how large it is, and what it is meant to reach. */
export const models: Command = {
  positionals: {
    names: { describe: 'Presets to list; default: all', type: 'string', array: true },
  },
  options: {
    size: {
      describe: 'Side of a picture, in pixels: also count the operations for it',
      type: 'string',
      requiresArg: true,
    },
    json: { describe: 'File for the figures', type: 'string', requiresArg: true },
    threads: ENGINE_OPTIONS.threads!,
  },
  async run(flags) {
    const size = numberFlag(flags, 'size', { min: 64, max: 4096, whole: true }) ?? null;
    const json = textFlag(flags, 'json');
    const names = (flags.names as string[] | undefined) ?? [];
    const entries = catalogueEntries(names);
    await startEngine(size === null ? flags : { ...flags, engine: 'tensorflow' });
    const width = Math.max(...entries.map(({ name }) => name.length));
    const rows: Row[] = [];
    let kind: CatalogueKind | null = null;
    for (const entry of entries) {
      if (entry.kind !== kind) {
        kind = entry.kind;
        process.stdout.write(`${TITLES[kind]}\n`);
      }
      rows.push({ ...entry, size, ...measureSize(entry, size) });
      process.stdout.write(`  ${line(rows.at(-1)!, width)}\n`);
    }
    if (names.length === 0) {
      const lines = await Promise.all(BUNDLED_MODELS.map(describeBundled));
      process.stdout.write(`in the package, trained\n${lines.map((line) => `  ${line}\n`).join('')}`);
    }
    if (json !== undefined) await writeFileAtomic(json, `${JSON.stringify(rows, null, 1)}\n`);
    return EXIT_CODES.ok;
  },
};

/** Name, millions of parameters, GFLOP, and the published figure. */
function line({ name, kind, size, parameters, flops, published }: Row, width: number): string {
  const at = kind === 'text encoder' ? `for ${CATALOGUE_TOKENS} tokens` : `at ${size}`;
  return [
    name.padEnd(width),
    `${(parameters / 1e6).toFixed(1)} M`.padStart(8),
    ...(flops === null ? [] : [`${giga(flops)} GFLOP ${at}`.padEnd(28)]),
    published ?? 'nothing published',
  ].join('  ');
}

/** Three digits, or all before the point. */
function giga(flops: number): string {
  const value = flops / 1e9;
  return value < 100 ? value.toPrecision(3) : value.toFixed(0);
}

async function describeBundled(name: string): Promise<string> {
  const folder = modelPlace(name);
  const path = join(folder, WEIGHTS_FILE);
  if (!existsSync(path)) return `${name}: ${path} is missing`;
  const tensors = await readSafetensors(path);
  const parameters = [...tensors.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
    0,
  );
  return `${name}: ${(parameters / 1e6).toFixed(1)} million parameters in ${tensors.size} tensors, ${folder}`;
}
