// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES } from '../../src/errors.js';
import { BUNDLED_MODEL } from '../../src/models/bundled.js';
import { type ModelConfig, PRESETS } from '../../src/models/config.js';
import { WEIGHTS_FILE } from '../../src/models/model_folder.js';
import { readSafetensors } from '../../src/models/weights/safetensors.js';
import type { Command } from './command.js';

const WIDTH = Math.max(...Object.keys(PRESETS).map((name) => name.length)) + 2;

/** `tfgeo-train models`: what `--model` of `train` takes, and the model that needs no training. */
export const models: Command = {
  options: {},
  async run() {
    const presets = Object.entries(PRESETS).map(
      ([name, config]) => `${name.padEnd(WIDTH)}${describe(config)}\n`,
    );
    process.stdout.write(`presets\n${presets.join('')}in the package\n${await describeBundled()}\n`);
    return EXIT_CODES.ok;
  },
};

function describe(config: ModelConfig): string {
  const { transformer, imageSize } = config;
  return [
    ...describeInput(config),
    `transformer ${transformer.dModel} x ${transformer.encoderLayers}+${transformer.decoderLayers}`,
    `${transformer.queries} queries`,
    `${imageSize} px`,
  ].join(', ');
}

/** What stands before the transformer. */
function describeInput(config: ModelConfig): string[] {
  if (config.model_type === 'deformable-detr') {
    const { labels, transformer } = config;
    const stages = transformer.twoStage ? ['two stages'] : transformer.boxRefine ? ['box refinement'] : [];
    return [config.backbone.name, `${labels.length} classes`, ...stages];
  }
  return [
    describePart(config.backbone, ['embed_dim', 'depths']),
    describePart(config.text, ['hidden_size', 'num_hidden_layers']),
  ];
}

/** A part by its name, with sizes where its configuration gives them. */
function describePart({ name, config }: { name: string; config: object }, sizes: readonly string[]): string {
  const given = sizes.map((key) => (config as Readonly<Record<string, unknown>>)[key]);
  if (given.includes(undefined)) return name;
  return `${name} ${given.map((size) => (Array.isArray(size) ? `[${size.join(', ')}]` : size)).join(' x ')}`;
}

async function describeBundled(): Promise<string> {
  const path = join(BUNDLED_MODEL, WEIGHTS_FILE);
  if (!existsSync(path)) return `none: ${path} is missing`;
  const tensors = await readSafetensors(path);
  const parameters = [...tensors.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
    0,
  );
  return `${BUNDLED_MODEL}: ${(parameters / 1e6).toFixed(1)} million parameters in ${tensors.size} tensors`;
}
