// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import { BUNDLED_MODEL } from '../../src/models/bundled.js';
import { modelAnswers } from '../../src/models/model_folder.js';
import { detectionFigures } from '../../src/train/detection/evaluate.js';
import { evaluateDetector } from '../../src/train/detection/evaluate_model.js';
import { groundedTable } from '../../src/train/evaluators/index.js';
import { evaluateModel } from '../../src/train/grounding/evaluate_model.js';
import type { EvaluationRequest } from '../../src/train/task_data.js';
import { type Command, ENGINE_OPTIONS } from './command.js';
import { startEngine } from './engine.js';
import { numberFlag, textFlag } from './flag_values.js';

/** `tfgeo-train eval`: AP by form of sentence and with another picture's sentence; of a detector of classes, AP by class. */
export const evaluate: Command = {
  positionals: {
    model: {
      describe:
        'Model or checkpoint folder; default: mdetr-g-tiny of the package; mdetr-g-minilm-tiny is there too',
      type: 'string',
    },
  },
  options: {
    data: {
      describe: 'Dataset: scenes, scenes-unseen-words, neon, voc, coco, ...',
      type: 'string',
      requiresArg: true,
      default: 'scenes',
    },
    'data-path': {
      describe: 'Where the dataset lies, where it has files',
      type: 'string',
      requiresArg: true,
    },
    split: { describe: 'Part of the dataset', type: 'string', requiresArg: true, default: 'test' },
    limit: { describe: 'Pictures; 0 = all', type: 'string', requiresArg: true, default: '200' },
    json: { describe: 'File for the figures', type: 'string', requiresArg: true },
    ...ENGINE_OPTIONS,
  },
  async run(flags) {
    const limit = numberFlag(flags, 'limit', { min: 0, whole: true })!;
    const json = textFlag(flags, 'json');
    await startEngine(flags);
    const request = {
      folder: textFlag(flags, 'model') ?? BUNDLED_MODEL,
      data: String(flags.data),
      path: textFlag(flags, 'data-path') ?? null,
      split: String(flags.split),
      limit,
    };
    const answers = await modelAnswers(request.folder);
    const report = answers === 'text' ? await sentences(request) : await classes(request);
    if (json !== undefined) await writeFileAtomic(json, `${JSON.stringify(report, null, 2)}\n`);
    return EXIT_CODES.ok;
  },
};

/** AP by form of sentence. Prints, and gives what `--json` writes. */
async function sentences(request: EvaluationRequest): Promise<object> {
  const { figures, swapped, ceiling, seenWords, description } = await evaluateModel(request);
  process.stdout.write(
    `${description}\n${groundedTable(figures)}\n` +
      `with another picture's sentence: AP ${swapped.AP.toFixed(3)}   AP50 ${swapped.AP50.toFixed(3)}   ` +
      `gap in AP50 ${(figures.AP50 - swapped.AP50).toFixed(3)}\n` +
      `class-agnostic ceiling (the same boxes, ranked by their overlap with the truth): AP50 ${ceiling.AP50.toFixed(3)}\n`,
  );
  if (seenWords) {
    const { AP, AP50 } = seenWords.figures;
    process.stdout.write(
      `the same in words of training (${seenWords.data}): AP ${AP.toFixed(3)}   AP50 ${AP50.toFixed(3)}   ` +
        `share of it that new words reach ${AP50 > 0 ? (figures.AP50 / AP50).toFixed(3) : '-'}\n`,
    );
  }
  return { description, figures, swapped, ceiling, seenWords };
}

/** AP by class. Prints, and gives what `--json` writes. */
async function classes(request: EvaluationRequest): Promise<object> {
  const { evaluation, labels, description } = await evaluateDetector(request);
  const rows = [...evaluation.perCategory()].filter(([, { ap }]) => ap >= 0);
  const width = Math.max(5, ...rows.map(([id]) => labels[id]!.length));
  const lines = rows.map(
    ([id, { ap, ap50, ar }]) =>
      `${labels[id]!.padEnd(width)}  ${ap.toFixed(3)}  ${ap50.toFixed(3)}  ${ar.toFixed(3)}`,
  );
  const header = `${'class'.padEnd(width)}     AP   AP50     AR`;
  process.stdout.write(`${[description, evaluation.table(), header, ...lines].join('\n')}\n`);
  return { description, figures: detectionFigures(evaluation, labels), stats: evaluation.stats };
}
