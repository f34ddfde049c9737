// SPDX-License-Identifier: Apache-2.0
/**
 * Brings the generated parts of docs/ up to date: `npm run docs` (which also writes the API reference to docs/api/). A
 * generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; the rest is written by hand.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Options, PositionalOptions } from 'yargs';
import { COMMANDS, type CommandRow } from '../bin/commands/index.js';
import { configTables, toJsonSchema } from '../src/train/config.js';
import { DATASETS } from '../src/train/data/index.js';
import { RECIPES } from '../src/train/recipes/index.js';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** What is generated, by the name it has in the documents. */
const PARTS: Readonly<Record<string, () => string | Promise<string>>> = {
  commands: commandSections,
  keys: () => configTables().trimEnd(),
  recipes: () =>
    table(
      ['recipe', 'what it is'],
      Object.entries(RECIPES).map(([name, { about }]) => [`\`${name}\``, about]),
    ),
  datasets: () =>
    table(
      ['dataset', 'what it is', 'splits'],
      DATASETS.map(({ name, description, splits, needsPath }) => [
        `\`${name}\``,
        `${description}${needsPath ? '; needs `--data-path`' : ''}`,
        splits?.join(', ') ?? 'the path is one',
      ]),
    ),
};

/** Documents with generated parts. */
const DOCUMENTS = ['docs/cli.md', 'docs/data.md', 'docs/training.md'];
const SCHEMA = 'docs/run.schema.json';

/** Every generated file as it should be, by its path from the root. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of DOCUMENTS) files.set(name, await fillIn(name, readFileSync(join(ROOT, name), 'utf8')));
  files.set(SCHEMA, `${JSON.stringify(toJsonSchema(), null, 2)}\n`);
  return files;
}

async function fillIn(document: string, text: string): Promise<string> {
  const pattern = /<!-- generated: (\S+) -->\n[\s\S]*?<!-- end -->/g;
  const names = [...text.matchAll(pattern)].map(([, name]) => name!);
  if (names.length === 0) throw new Error(`${document} has no generated part`);
  const bodies = new Map<string, string>();
  for (const name of names) {
    const make = PARTS[name];
    if (!make) throw new Error(`${document}: there is no generated part "${name}"`);
    bodies.set(name, await make());
  }
  return text.replace(
    pattern,
    (_, name: string) => `<!-- generated: ${name} -->\n${bodies.get(name)}\n<!-- end -->`,
  );
}

async function commandSections(): Promise<string> {
  const sections: string[] = [];
  for (const row of COMMANDS) sections.push(await commandSection(row));
  return sections.join('\n\n');
}

async function commandSection({ name, usage, about, load }: CommandRow): Promise<string> {
  const { options, positionals = {} } = await load();
  const head = `## ${name}\n\n    tfgeo-train ${usage}\n\n${about}.`;
  const rows = [
    ...Object.entries(positionals).map(([word, given]) => [`\`<${word}>\``, describe(given), '']),
    // The keys of a run have their own tables.
    ...(name === 'train' ? [] : Object.entries(options)).map(([flag, given]) => [
      `\`--${flag}\`${given.alias ? `, \`-${given.alias}\`` : ''}`,
      describe(given),
      defaultOf(given),
    ]),
  ];
  if (name === 'train') {
    rows.push(
      ['`--config`', describe(options.config!), ''],
      ['`--print-config`', describe(options['print-config']!), ''],
    );
  }
  const note = name === 'train' ? '\n\nThe other flags are the keys of a run, [below](#keys-of-a-run).' : '';
  return rows.length === 0 ? head : `${head}\n\n${table(['flag', 'meaning', 'default'], rows)}${note}`;
}

function describe({ describe: words, choices }: Options | PositionalOptions): string {
  return choices ? `${words}: ${choices.join(', ')}` : String(words);
}

function defaultOf({ default: value, defaultDescription, demandOption }: Options): string {
  if (demandOption) return 'must be given';
  return value === undefined ? (defaultDescription ?? '') : String(value);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of await generatedFiles()) writeFileSync(join(ROOT, name), text);
}
