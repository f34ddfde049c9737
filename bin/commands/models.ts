// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES } from '../../src/errors.js';
import { BUNDLED_MODEL } from '../../src/models/bundled.js';
import { type ModelConfig, PRESETS } from '../../src/models/config.js';
import { WEIGHTS_FILE } from '../../src/models/model_folder.js';
import { readSafetensors } from '../../src/models/weights/safetensors.js';
import type { Command } from './command.js';

/** `tfgeo-train models`: what `--model` of `train` takes, and the model that needs no training. */
export const models: Command = {
  options: {},
  async run() {
    const presets = Object.entries(PRESETS).map(
      ([name, config]) => `${name.padEnd(14)}${describe(config)}\n`,
    );
    process.stdout.write(`presets\n${presets.join('')}in the package\n${await describeBundled()}\n`);
    return EXIT_CODES.ok;
  },
};

function describe({ backbone, text, transformer, imageSize }: ModelConfig): string {
  const { embed_dim, depths } = backbone.config;
  const { hidden_size, num_hidden_layers } = text.config;
  return [
    `${backbone.name} ${embed_dim} x [${depths?.join(', ')}]`,
    `${text.name} ${hidden_size} x ${num_hidden_layers}`,
    `transformer ${transformer.dModel} x ${transformer.encoderLayers}+${transformer.decoderLayers}`,
    `${transformer.queries} queries`,
    `${imageSize} px`,
  ].join(', ');
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
