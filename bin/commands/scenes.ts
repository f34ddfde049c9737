// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../../src/errors.js';
import { type Split, writeScenes } from '../../src/train/data/scenes/index.js';
import type { Command } from './command.js';
import { numberFlag } from './flag_values.js';

/** `tfgeo-train scenes`: made scenes as PNG and COCO/MDETR JSON, to look at or to train other tools on. */
export const scenes: Command = {
  positionals: { folder: { describe: 'New or empty folder', type: 'string', demandOption: true } },
  options: {
    count: { alias: 'n', describe: 'Number of scenes', type: 'string', requiresArg: true, default: '20' },
    size: { describe: 'Side in pixels, 64 to 2048', type: 'string', requiresArg: true, default: '160' },
    split: { describe: 'Which scenes', choices: ['train', 'val', 'test'], default: 'val' },
    seed: {
      describe: 'Other scenes of the same split',
      type: 'string',
      requiresArg: true,
      default: '0',
    },
  },
  async run(flags) {
    const count = numberFlag(flags, 'count', { min: 1, max: 1e6, whole: true })!;
    const written = await writeScenes(String(flags.folder), count, {
      size: numberFlag(flags, 'size', { min: 64, max: 2048, whole: true })!,
      split: flags.split as Split,
      seed: numberFlag(flags, 'seed', { min: 0, whole: true })!,
    });
    process.stdout.write(`${count} scenes: ${written.annotations}\nlook at ${written.contactSheet}\n`);
    return EXIT_CODES.ok;
  },
};
