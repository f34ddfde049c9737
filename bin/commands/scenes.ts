// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { type Split, writeScenes } from '../../src/train/data/scenes/index.js';
import type { Command } from './command.js';

/** `tfgeo-train scenes`: made scenes as PNG and COCO/MDETR JSON, to look at or to train other tools on. */
export const scenes: Command = {
  name: 'scenes',
  usage: 'scenes <folder>',
  about: 'Write made scenes with sentences as PNG and COCO/MDETR JSON',
  positionals: { folder: { describe: 'New or empty folder', type: 'string', demandOption: true } },
  options: {
    count: { alias: 'n', describe: 'Number of scenes', type: 'number', default: 20 },
    size: { describe: 'Side in pixels, 64 to 2048', type: 'number', default: 160 },
    split: { describe: 'Which scenes', choices: ['train', 'val', 'test'], default: 'val' },
    seed: { describe: 'Other scenes of the same split', type: 'number', default: 0 },
  },
  async run(flags) {
    const count = Number(flags.count);
    if (!Number.isInteger(count) || count < 1) {
      throw new UserError(`--count must be a whole number from 1 up, but is ${flags.count}`);
    }
    const written = await writeScenes(String(flags.folder), count, {
      size: Number(flags.size),
      split: flags.split as Split,
      seed: Number(flags.seed),
    });
    process.stdout.write(`${count} scenes: ${written.annotations}\nlook at ${written.contactSheet}\n`);
    return EXIT_CODES.ok;
  },
};
