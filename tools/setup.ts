// SPDX-License-Identifier: Apache-2.0
// Sets the engine up from a source checkout: `npm run setup`. With --prebuild the compiled parts are also put into
// the package's prebuilds/ (what `npm run build` does before packing); --refresh looks at everything anew; --cuda
// compiles the CUDA library on a machine without a GPU too (`npm run cuda:build`).

// Straight from its file: the index imports tfjs, which takes longer than all of this.
import { describeCuda, setup } from '../src/engine/setup.js';
import { UserError } from '../src/errors.js';

const flags = new Set(process.argv.slice(2));
try {
  const { library, addon, ops, cuda } = await setup({
    prebuild: flags.has('--prebuild'),
    refresh: flags.has('--refresh'),
    ...(flags.has('--cuda') ? { cuda: true } : {}),
  });
  if (!flags.has('--quiet')) {
    console.log(`TensorFlow ${library.version ?? ''} in ${library.folder} (${library.source})`);
    for (const part of [addon, ops])
      if (part !== null) console.log(`${part.part}: ${part.folder} (${part.from})`);
    console.log(describeCuda(cuda));
  }
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`tfgeo: ${error.message}`);
  process.exitCode = error.exitCode;
}
