// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES } from '../../src/errors.js';
import { type RunningServer, serve as startServer } from '../../src/serving/index.js';
import { type Command, THREADS_OPTION } from './command.js';
import { startEngine } from './engine.js';
import { numberFlag, textFlag } from './flag_values.js';

const MEBIBYTE = 1024 * 1024;

/** `tfgeo-train serve`: TensorFlow Serving's REST interface over an exported model. */
export const serve: Command = {
  positionals: {
    folder: {
      describe: 'SavedModel, or folder of version folders (1, 2, ...)',
      type: 'string',
      demandOption: true,
    },
  },
  options: {
    port: {
      describe: 'Port; 0 = any free one',
      type: 'string',
      requiresArg: true,
      defaultDescription: '8501',
    },
    host: {
      describe: 'Address to listen at; 0.0.0.0 = all of this machine',
      type: 'string',
      requiresArg: true,
      defaultDescription: '127.0.0.1',
    },
    name: { describe: "Name in URLs; default: the folder's", type: 'string', requiresArg: true },
    'max-batch': {
      describe: 'Most pictures that are computed together',
      type: 'string',
      requiresArg: true,
      defaultDescription: '16',
    },
    'batch-wait': {
      describe: 'Milliseconds that a request waits for others',
      type: 'string',
      requiresArg: true,
      defaultDescription: '2',
    },
    'max-requests': {
      describe: 'Requests under way at a time; more are answered with 429',
      type: 'string',
      requiresArg: true,
      defaultDescription: '64',
    },
    'body-limit': {
      describe: 'Largest request in MiB',
      type: 'string',
      requiresArg: true,
      defaultDescription: '32',
    },
    ...THREADS_OPTION,
  },
  async run(flags) {
    const bodyLimit = numberFlag(flags, 'body-limit', { min: 0.001, max: 1024 });
    const given = {
      port: numberFlag(flags, 'port', { min: 0, max: 65535, whole: true }),
      host: textFlag(flags, 'host'),
      name: textFlag(flags, 'name'),
      maxBatch: numberFlag(flags, 'max-batch', { min: 1, max: 4096, whole: true }),
      batchWait: numberFlag(flags, 'batch-wait', { min: 0, max: 10_000 }),
      maxRequests: numberFlag(flags, 'max-requests', { min: 1, max: 100_000, whole: true }),
      bodyLimit: bodyLimit === undefined ? undefined : Math.ceil(bodyLimit * MEBIBYTE),
    };
    const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    await startEngine({ ...flags, engine: 'tensorflow' });
    const server = await startServer(String(flags.folder), options);
    process.stdout.write(`serving ${server.name} version ${server.version} at ${server.url}\n`);
    await untilStopped(server);
    return EXIT_CODES.ok;
  },
};

/** Waits for SIGINT or SIGTERM, then for the requests that are under way; a second signal ends at once. */
function untilStopped(server: RunningServer): Promise<void> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const stop = () => {
      if (stopping) process.exit(EXIT_CODES.interrupted);
      stopping = true;
      process.stderr.write('tfgeo-train: stopping when the requests under way are answered ...\n');
      server.close().then(resolve, reject);
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}
