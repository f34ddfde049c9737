// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../../src/errors.js';
import { buildTask } from '../../src/train/build_task.js';
import { configToYaml, resolveConfig, toYargsOptions } from '../../src/train/config.js';
import { runTraining } from '../../src/train/run.js';
import type { Command } from './command.js';
import { startEngine } from './engine.js';
import { textFlag } from './flag_values.js';

/** `tfgeo-train train`: its flags are the keys of the run's configuration. */
export const train: Command = {
  options: {
    config: { describe: 'YAML or JSON file of configuration keys', type: 'string', requiresArg: true },
    'print-config': {
      describe: 'Print the resolved configuration as YAML and stop',
      type: 'boolean',
      default: false,
    },
    ...toYargsOptions(),
  },
  async run(flags) {
    const file = textFlag(flags, 'config');
    const config = await resolveConfig({ flags, ...(file === undefined ? {} : { file }) });
    if (flags['print-config']) {
      process.stdout.write(configToYaml(config));
      return EXIT_CODES.ok;
    }
    await startEngine({ engine: config.engine, threads: config.threads, eager: config.eager });
    const result = await runTraining(config, { makeTask: buildTask });
    return result.interrupted ? EXIT_CODES.interrupted : EXIT_CODES.ok;
  },
};
