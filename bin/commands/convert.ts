// SPDX-License-Identifier: Apache-2.0
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { type ConvertOptions, convertCheckpoint } from '../../src/models/published/index.js';
import type { Command, Flags } from './command.js';
import { numberFlag, textFlag } from './flag_values.js';

const DTYPES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;

/** `tfgeo-train convert`: published weights to folders of tfgeo's, and back to the names they came with. */
export const convert: Command = {
  positionals: {
    in: {
      describe: 'Weights: a model folder (also of Hugging Face), a .safetensors or PyTorch file (.pth)',
      type: 'string',
      demandOption: true,
    },
    out: {
      describe: 'Folder to write, or a .safetensors or .pth file',
      type: 'string',
      demandOption: true,
    },
  },
  options: {
    names: {
      describe:
        'Whose names the tensors get: tfgeo, huggingface, original, mmdetection, torchvision; default: tfgeo in folders, those of the input in files',
      type: 'string',
      requiresArg: true,
    },
    dtype: {
      describe: 'How floats are stored: halves take half the room; not for .pth',
      choices: Object.keys(DTYPES),
      default: 'f32',
    },
    'part-size': {
      describe: 'Most gigabytes in one file of a folder; larger models are written in parts',
      type: 'string',
      requiresArg: true,
      defaultDescription: '5',
    },
    key: {
      describe: 'Entry of a PyTorch file that holds the weights; default: found by itself',
      type: 'string',
      requiresArg: true,
    },
  },
  async run(flags) {
    await ready();
    const result = await convertCheckpoint(String(flags.in), String(flags.out), optionsOf(flags));
    const { matched, ignored, missing } = result.report;
    const lines = [
      `${result.title}: ${matched.length} parameters, names of ${result.from} to ${result.to}`,
      ...ignored.map(({ name, why }) => `dropped ${name}: ${why}`),
      ...missing.map((name) => `missing ${name}: its first values stay`),
      `written: ${result.files.join(', ')}`,
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    return EXIT_CODES.ok;
  },
};

function optionsOf(flags: Flags): ConvertOptions {
  const gigabytes = numberFlag(flags, 'part-size', { min: 0.001 });
  const given = {
    names: textFlag(flags, 'names'),
    key: textFlag(flags, 'key'),
    dtype: DTYPES[flags.dtype as keyof typeof DTYPES],
    partBytes: gigabytes === undefined ? undefined : gigabytes * 1e9,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
