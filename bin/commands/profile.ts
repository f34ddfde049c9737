// SPDX-License-Identifier: Apache-2.0
import { type Profile, type ProfileRow, sumProfile } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import { BUNDLED_MODEL } from '../../src/models/bundled.js';
import { moduleOf, profileModel } from '../../src/profile_model.js';
import { type Command, ENGINE_OPTIONS } from './command.js';
import { startEngine } from './engine.js';
import { numberFlag, textFlag } from './flag_values.js';

/** `tfgeo-train profile`: where the time of a prediction or a training step goes, by op, by module and by node. */
export const profile: Command = {
  positionals: {
    model: {
      describe:
        'Model folder, or a preset (fresh weights); default: mdetr-g-tiny of the package; mdetr-g-minilm-tiny is there too',
      type: 'string',
    },
  },
  options: {
    train: { describe: 'A training step instead of a prediction', type: 'boolean', default: false },
    size: {
      describe: "Side of the pictures in pixels; default: the model's own",
      type: 'string',
      requiresArg: true,
    },
    batch: {
      describe: 'Pictures together',
      type: 'string',
      requiresArg: true,
      defaultDescription: '1',
    },
    runs: { describe: 'Runs to measure', type: 'string', requiresArg: true, defaultDescription: '5' },
    top: { describe: 'Rows of each table', type: 'string', requiresArg: true, defaultDescription: '20' },
    json: { describe: 'File for every node', type: 'string', requiresArg: true },
    threads: ENGINE_OPTIONS.threads!,
  },
  async run(flags) {
    const given = {
      size: numberFlag(flags, 'size', { min: 64, max: 2048, whole: true }),
      batch: numberFlag(flags, 'batch', { min: 1, max: 1024, whole: true }),
      runs: numberFlag(flags, 'runs', { min: 1, max: 1000, whole: true }),
    };
    const top = numberFlag(flags, 'top', { min: 1, max: 100_000, whole: true }) ?? 20;
    const json = textFlag(flags, 'json');
    const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    await startEngine({ ...flags, engine: 'tensorflow' });
    const model = textFlag(flags, 'model') ?? BUNDLED_MODEL;
    const result = await profileModel(model, { ...options, train: flags.train === true });
    process.stdout.write(formatProfile(result, top));
    const peak = process.resourceUsage().maxRSS / 1024 ** 2; // of kilobytes
    process.stdout.write(`\nmemory at its peak, loading included: ${peak.toFixed(1)} GiB\n`);
    if (json !== undefined) await writeFileAtomic(json, `${JSON.stringify(result, null, 1)}\n`);
    return EXIT_CODES.ok;
  },
};

/** The tables that the command prints. */
function formatProfile(result: Profile, top: number): string {
  const { wall, nodes, tracedNodes } = result;
  const sum = nodes.reduce((total, { milliseconds }) => total + milliseconds, 0);
  const nodeRows = nodes.slice(0, top).map(({ name, op, shape, calls, milliseconds }) => ({
    name: `${name} ${op}${shape ? ` [${shape.join(', ')}]` : ''}`,
    calls,
    milliseconds,
    share: sum > 0 ? milliseconds / sum : 0,
  }));
  return [
    `${wall.toFixed(1)} ms a call; ${nodes.length} nodes of ${tracedNodes} traced run, ${sum.toFixed(1)} ms in all\n`,
    table(
      'op',
      sumProfile(result, ({ op }) => op),
      top,
    ),
    table(
      'module',
      sumProfile(result, (node) => moduleOf(node) || '(none)'),
      top,
    ),
    table('node', nodeRows, top),
  ].join('\n');
}

function table(title: string, rows: readonly ProfileRow[], top: number): string {
  const shown = rows.slice(0, top);
  const width = Math.max(title.length, ...shown.map(({ name }) => name.length));
  const line = (name: string, calls: string, milliseconds: string, share: string) =>
    `${name.padEnd(width)}  ${calls.padStart(6)}  ${milliseconds.padStart(9)}  ${share.padStart(5)}\n`;
  const lines = shown.map(({ name, calls, milliseconds, share }) =>
    line(name, String(calls), milliseconds.toFixed(2), (100 * share).toFixed(1)),
  );
  return [line(title, 'calls', 'ms', '%'), ...lines].join('');
}
