// SPDX-License-Identifier: Apache-2.0
import { load } from '../../src/detector.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { type ExportOptions, exportModel } from '../../src/export/index.js';
import { type Command, type Flags, THREADS_OPTION } from './command.js';
import { startEngine } from './engine.js';
import { numberFlag, textFlag } from './flag_values.js';

/** `tfgeo-train export`: a detector as a SavedModel. */
export const exportCommand: Command = {
  positionals: {
    model: {
      describe:
        'Model or checkpoint folder, or Hugging Face folder of a Deformable DETR or Grounding DINO; default: mdetr-g-tiny of the package; mdetr-g-minilm-tiny is there too',
      type: 'string',
    },
  },
  options: {
    output: {
      alias: 'o',
      describe: 'New folder of the SavedModel, e.g. models/ships/1',
      type: 'string',
      demandOption: true,
      requiresArg: true,
    },
    size: {
      describe: 'Pixels of the pictures, SIDE or WIDTHxHEIGHT; default: as the model was trained',
      type: 'string',
      requiresArg: true,
    },
    batch: {
      describe: 'Pictures of a call, or "dynamic": any number',
      type: 'string',
      requiresArg: true,
      defaultDescription: 'dynamic',
    },
    prompt: {
      alias: 'p',
      describe:
        'Phrase (or class) that becomes part of the model; may be given several times. Without: tokens are an input, or all classes meant',
      type: 'string',
      array: true,
      requiresArg: true,
    },
    tokens: {
      describe: 'Tokens of a query; default: what the model reads, up to 64',
      type: 'string',
      requiresArg: true,
    },
    ops: {
      describe:
        "portable = TensorFlow's own operations; native = tfgeo's too, for servers that load its library",
      choices: ['portable', 'native'],
      default: 'portable',
    },
    input: {
      describe: 'pixels, or encoded = the contents of JPEG or PNG files',
      choices: ['pixels', 'encoded'],
      default: 'pixels',
    },
    'max-detections': {
      describe: 'Most detections of a picture',
      type: 'string',
      requiresArg: true,
      defaultDescription: '100',
    },
    'metres-per-pixel': {
      describe:
        'Ground size of a pixel that becomes part of the model; without, it is an input of models that count metres',
      type: 'string',
      requiresArg: true,
    },
    check: {
      describe: 'Compare the result with the model in a process of its own',
      type: 'boolean',
      default: true,
    },
    ...THREADS_OPTION,
  },
  async run(flags) {
    const folder = textFlag(flags, 'output')!;
    const options = exportOptions(flags);
    return endedBySignals(async () => {
      await startEngine({ ...flags, engine: 'tensorflow' });
      const source = await load(textFlag(flags, 'model'));
      try {
        const { width, height, nodes, variables, check } = await exportModel(source, folder, options);
        const checked = check ? `equal to the model within ${check.largest.toExponential(1)}` : 'not checked';
        process.stdout.write(
          `written: ${folder} (${width} x ${height} pixels, ${nodes} operations, ${variables} variables), ${checked}\n`,
        );
      } finally {
        source.dispose();
      }
      return EXIT_CODES.ok;
    });
  },
};

/** Runs `work`; a signal ends the program with its clean-up, so that nothing half-written stays. */
async function endedBySignals(work: () => Promise<number>): Promise<number> {
  const end = () => process.exit(EXIT_CODES.interrupted);
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, end);
  try {
    return await work();
  } finally {
    for (const signal of signals) process.off(signal, end);
  }
}

function exportOptions(flags: Flags): ExportOptions {
  const given = {
    size: sizeFlag(textFlag(flags, 'size')),
    batch: batchFlag(textFlag(flags, 'batch')),
    prompts: flags.prompt as string[] | undefined,
    tokens: numberFlag(flags, 'tokens', { min: 3, whole: true }),
    ops: flags.ops as ExportOptions['ops'],
    input: flags.input as ExportOptions['input'],
    maxDetections: numberFlag(flags, 'max-detections', { min: 1, whole: true }),
    metresPerPixel: numberFlag(flags, 'metres-per-pixel', { min: 1e-6 }),
    check: flags.check as boolean,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function sizeFlag(text: string | undefined): ExportOptions['size'] {
  if (text === undefined) return undefined;
  const [, width, height] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? [];
  if (width === undefined) {
    throw new UserError(
      `--size must be a number of pixels or WIDTHxHEIGHT, e.g. 800 or 1024x768, but it is "${text}"`,
    );
  }
  return height === undefined ? Number(width) : [Number(width), Number(height)];
}

function batchFlag(text: string | undefined): ExportOptions['batch'] {
  if (text === undefined || text === 'dynamic') return text;
  if (/^\d+$/.test(text) && Number(text) >= 1) return Number(text);
  throw new UserError(`--batch must be "dynamic" or a whole number from 1 up, but it is "${text}"`);
}
