// SPDX-License-Identifier: Apache-2.0
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { formatCheckpointReport, inspectCheckpoint } from '../../src/models/published/index.js';
import { isWeights } from '../../src/models/weights/checkpoint_file.js';
import { findCheckpoint } from '../../src/train/checkpoint.js';
import {
  DATASETS,
  formatReport,
  guessDatasetFormat,
  inspectDataset,
  openDataset,
} from '../../src/train/data/index.js';
import type { Command, Flags } from './command.js';
import { numberFlag, textFlag } from './flag_values.js';

/**
 * `tfgeo-train inspect`: opens every picture of a dataset and reports what is in it and what is wrong with it. Of weights:
 * which tensors there are, what they are of, and what loading would do with each.
 */
export const inspect: Command = {
  positionals: {
    data: {
      describe:
        'A dataset by name (scenes, neon), or a COCO/MDETR JSON file, a VOC file or folder; or weights: a model or run folder, a .safetensors or PyTorch file (.pth)',
      type: 'string',
      demandOption: true,
    },
  },
  options: {
    format: { describe: 'Format of the files, where it cannot be guessed', choices: ['coco', 'voc'] },
    split: { describe: 'Part of a dataset that has parts', type: 'string', requiresArg: true },
    limit: {
      describe: 'Most pictures to open; 0 = all',
      type: 'string',
      requiresArg: true,
      default: '200',
    },
    key: {
      describe: 'Entry of a PyTorch file that holds the weights; default: found by itself',
      type: 'string',
      requiresArg: true,
    },
    json: { describe: 'Print the report as JSON', type: 'boolean', default: false },
  },
  async run(flags) {
    const data = String(flags.data);
    const checkpoint = findCheckpoint(data) ?? data;
    if (isWeights(checkpoint)) return inspectWeights(checkpoint, flags);
    if (flags.key !== undefined) throw new UserError(`--key is for PyTorch files; ${data} is none`);
    const limit = numberFlag(flags, 'limit', { min: 0, whole: true })!;
    const named = DATASETS.some(({ name, needsPath }) => name === data && !needsPath);
    const format = textFlag(flags, 'format') ?? (named ? data : await guessDatasetFormat(data));
    const split = textFlag(flags, 'split');
    const dataset = await openDataset(format ?? data, {
      ...(named ? {} : { path: data }),
      ...(split === undefined ? {} : { split }),
      // The report names them all.
      say: () => undefined,
    });
    const report = await inspectDataset(dataset, limit > 0 ? { limit } : {});
    process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : `${formatReport(report)}\n`);
    return report.problems.errors.length > 0 ? EXIT_CODES.data : EXIT_CODES.ok;
  },
};

async function inspectWeights(path: string, flags: Flags): Promise<number> {
  for (const flag of ['format', 'split']) {
    if (flags[flag] !== undefined) throw new UserError(`--${flag} is for datasets; ${path} holds weights`);
  }
  // Models are built to compare with, which any engine does.
  await ready();
  const key = textFlag(flags, 'key');
  const report = await inspectCheckpoint(path, key === undefined ? {} : { key });
  process.stdout.write(
    flags.json ? `${JSON.stringify(report, null, 2)}\n` : `${formatCheckpointReport(report)}\n`,
  );
  return report.fits === false ? EXIT_CODES.checkpoint : EXIT_CODES.ok;
}
