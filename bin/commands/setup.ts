// SPDX-License-Identifier: Apache-2.0
import { describeCuda, setup } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { installText, PUBLISHED_TEXTS } from '../../src/models/text/index.js';
import type { Command } from './command.js';
import { textFlag } from './flag_values.js';

/** `tfgeo-train setup`: gets libtensorflow and compiles what is not there; with --text, a text encoder's weights. */
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
    text: {
      describe: `Get the weights of a published text encoder with pip instead: ${PUBLISHED_TEXTS.join(', ')}`,
      type: 'string',
      requiresArg: true,
    },
  },
  async run(flags) {
    const text = textFlag(flags, 'text');
    if (text !== undefined) {
      process.stdout.write(`${text} in ${await installText(text)}\n`);
      return EXIT_CODES.ok;
    }
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
