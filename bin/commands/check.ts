// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../../src/errors.js';
import { checkExamples } from '../../src/export/index.js';
import { type Command, THREADS_OPTION } from './command.js';
import { startEngine } from './engine.js';
import { numberFlag } from './flag_values.js';

/** `tfgeo-train check`: an exported model beside the numbers that it carries. */
export const check: Command = {
  positionals: {
    folder: { describe: 'Folder of a SavedModel', type: 'string', demandOption: true },
  },
  options: {
    tolerance: {
      describe: 'Largest difference, relative where values are above 1',
      type: 'string',
      requiresArg: true,
      defaultDescription: '0.0001',
    },
    json: { describe: 'Print the report as JSON', type: 'boolean', default: false },
    ...THREADS_OPTION,
  },
  async run(flags) {
    const tolerance = numberFlag(flags, 'tolerance', { min: 0, max: 1 });
    await startEngine({ ...flags, engine: 'tensorflow' });
    const report = await checkExamples(String(flags.folder), tolerance);
    const { examples, values, largest } = report;
    process.stdout.write(
      flags.json
        ? `${JSON.stringify(report)}\n`
        : `${examples} examples, ${values} values: the largest difference is ${largest.toExponential(2)}\n`,
    );
    return EXIT_CODES.ok;
  },
};
