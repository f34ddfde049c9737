// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import { BUNDLED_MODEL } from '../../src/models/bundled.js';
import { groundedTable } from '../../src/train/evaluators/phrases.js';
import { evaluateModel } from '../../src/train/grounding/evaluate_model.js';
import { type Command, ENGINE_OPTIONS } from './command.js';
import { startEngine } from './engine.js';

/** `tfgeo-train eval`: AP by form of sentence, and the same with another picture's sentence. */
export const evaluate: Command = {
  name: 'eval',
  usage: 'eval [model]',
  about: 'Evaluate a model: AP, AP50 by form of sentence, and what it finds with the wrong sentence',
  positionals: {
    model: {
      describe: 'Model or checkpoint folder; default: the small model of the package',
      type: 'string',
    },
  },
  options: {
    data: { describe: 'Dataset: scenes, neon, voc, coco', type: 'string', default: 'scenes' },
    'data-path': { describe: 'Where the dataset lies, where it has files', type: 'string' },
    split: { describe: 'Part of the dataset', type: 'string', default: 'test' },
    limit: { describe: 'Pictures; 0 = all', type: 'number', default: 200 },
    json: { describe: 'File for the figures', type: 'string', requiresArg: true },
    ...ENGINE_OPTIONS,
  },
  async run(flags) {
    await startEngine(flags);
    const { figures, swapped, ceiling, description } = await evaluateModel({
      folder: (flags.model as string | undefined) ?? BUNDLED_MODEL,
      data: String(flags.data),
      path: (flags['data-path'] as string | undefined) ?? null,
      split: String(flags.split),
      limit: Number(flags.limit),
    });
    process.stdout.write(
      `${description}\n${groundedTable(figures)}\n` +
        `with another picture's sentence: AP ${swapped.AP.toFixed(3)}   AP50 ${swapped.AP50.toFixed(3)}   ` +
        `gap in AP50 ${(figures.AP50 - swapped.AP50).toFixed(3)}\n` +
        `class-agnostic ceiling (the same boxes, ranked by their overlap with the truth): AP50 ${ceiling.AP50.toFixed(3)}\n`,
    );
    if (flags.json !== undefined) {
      const report = { description, figures, swapped, ceiling };
      await writeFileAtomic(String(flags.json), `${JSON.stringify(report, null, 2)}\n`);
    }
    return EXIT_CODES.ok;
  },
};
