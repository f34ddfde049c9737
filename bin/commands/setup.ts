// SPDX-License-Identifier: Apache-2.0
import { describeCuda, setup } from '../../src/engine/index.js';
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
    cuda: {
      describe: 'Compile the CUDA library; by default where there is a GPU, --no-cuda never',
      type: 'boolean',
    },
  },
  async run(flags) {
    const { library, addon, ops, cuda } = await setup({
      refresh: Boolean(flags.refresh),
      prebuild: Boolean(flags.prebuild),
      ...(flags.cuda === undefined ? {} : { cuda: Boolean(flags.cuda) }),
    });
    const parts = [addon, ...(ops === null ? [] : [ops])];
    process.stdout.write(
      `TensorFlow ${library.version ?? 'of unknown version'} in ${library.folder} (${library.source})\n` +
        parts.map(({ part, folder, from }) => `${part} in ${folder} (${from})\n`).join('') +
        `${describeCuda(cuda)}\n`,
    );
    return EXIT_CODES.ok;
  },
};
