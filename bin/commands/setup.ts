// SPDX-License-Identifier: Apache-2.0
import { setup } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import type { Command } from './command.js';

/** `tfgeo-train setup`: gets libtensorflow and compiles what is not there. */
export const setupCommand: Command = {
  options: {
    refresh: { describe: 'Check everything again and retry what failed', type: 'boolean', default: false },
    prebuild: {
      describe: "Also copy the compiled parts into the package's prebuilds/ folder",
      type: 'boolean',
      default: false,
    },
  },
  async run(flags) {
    const { library, addon, ops } = await setup({
      refresh: Boolean(flags.refresh),
      prebuild: Boolean(flags.prebuild),
    });
    const parts = [addon, ...(ops === null ? [] : [ops])];
    process.stdout.write(
      `TensorFlow ${library.version ?? 'of unknown version'} in ${library.folder} (${library.source})\n` +
        parts.map(({ part, folder, from }) => `${part} in ${folder} (${from})\n`).join(''),
    );
    return EXIT_CODES.ok;
  },
};
