// SPDX-License-Identifier: Apache-2.0
import { setup } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import type { Command } from './command.js';

/** `tfgeo-train setup`: gets libtensorflow and compiles what is not there. */
export const setupCommand: Command = {
  name: 'setup',
  usage: 'setup',
  about: 'Get TensorFlow and compile the native parts; does nothing when all is there',
  options: {
    refresh: { describe: 'Check everything again and retry what failed', type: 'boolean', default: false },
    prebuild: {
      describe: "Also copy the compiled parts into the package's prebuilds/ folder",
      type: 'boolean',
      default: false,
    },
  },
  async run(flags) {
    const report = await setup({ refresh: Boolean(flags.refresh), prebuild: Boolean(flags.prebuild) });
    process.stdout.write(
      `TensorFlow ${report.library.version} in ${report.library.folder}\n` +
        `addon ${report.addon.path}\noperators ${report.ops?.path ?? 'none'}\n`,
    );
    return EXIT_CODES.ok;
  },
};
