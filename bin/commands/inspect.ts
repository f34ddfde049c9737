// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../../src/errors.js';
import {
  DATASETS,
  formatReport,
  guessDatasetFormat,
  inspectDataset,
  openDataset,
} from '../../src/train/data/index.js';
import type { Command } from './command.js';
import { numberFlag, textFlag } from './flag_values.js';

/** `tfgeo-train inspect`: opens every picture of a dataset and reports what is in it and what is wrong with it. */
export const inspect: Command = {
  positionals: {
    data: {
      describe: 'A dataset by name (scenes, neon), or a COCO/MDETR JSON file, a VOC file or folder',
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
    json: { describe: 'Print the report as JSON', type: 'boolean', default: false },
  },
  async run(flags) {
    const data = String(flags.data);
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
