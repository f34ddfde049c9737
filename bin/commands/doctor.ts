// SPDX-License-Identifier: Apache-2.0
import { doctor, formatDoctor } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import type { Command } from './command.js';

/** `tfgeo-train doctor`: what computes here, why, and what to type next. */
export const doctorCommand: Command = {
  options: { json: { describe: 'Print the report as JSON', type: 'boolean', default: false } },
  async run(flags) {
    const report = await doctor();
    process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : `${formatDoctor(report)}\n`);
    return report.ok ? EXIT_CODES.ok : EXIT_CODES.engine;
  },
};
