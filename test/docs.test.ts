// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { COMMANDS } from '../bin/commands/index.js';
import { EXIT_CODES } from '../src/errors.js';
import { generatedFiles } from '../tools/docs.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
];
/** Lines that are commands: indented by four spaces, or typed in code spans. */
const commands = documents.flatMap((name) => {
  const text = read(name);
  const lines = [...text.matchAll(/^ {4}(.+)$/gm), ...text.matchAll(/`([^`\n]+)`/g)].map(([, line]) => line!);
  return lines.map((line) => ({ name, line: line.replace(/#.*/, '').trim() }));
});

describe('documents', () => {
  it('hold generated parts that are current (npm run docs)', async () => {
    for (const [name, text] of await generatedFiles())
      expect({ name, text: read(name) }).toEqual({ name, text });
  });

  it('name every exit code', () => {
    for (const [name, code] of Object.entries(EXIT_CODES)) {
      expect(read('docs/cli.md')).toMatch(new RegExp(`^\\| ${code} \\| ${name} \\|`, 'm'));
    }
  });

  it.each(documents)('%s links only to what is there', (name) => {
    for (const [, link] of read(name).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(link!)) continue;
      expect({ link, found: existsSync(join(root, dirname(name), link!)) }).toEqual({ link, found: true });
    }
  });

  it('type only commands and flags that exist', async () => {
    const typed = commands.filter(({ line }) => /\btfgeo-train [a-z]/.test(line));
    expect(typed.length).toBeGreaterThan(20);
    for (const { name, line } of typed) {
      const [, word, rest = ''] = /tfgeo-train ([a-z]+)(.*)/.exec(line)!;
      const row = COMMANDS.find((command) => command.name === word);
      expect({ name, line, known: row !== undefined }).toEqual({ name, line, known: true });
      const { options } = await row!.load();
      const known = Object.entries(options).flatMap(([flag, { alias }]) => [flag, ...(alias ? [alias] : [])]);
      const flags = [...rest.matchAll(/ --?([a-z][\w-]*)/g)].map(([, flag]) => flag!);
      for (const flag of flags) expect([...known, 'help']).toContain(flag);
    }
  });

  it('type only package scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const typed = commands.flatMap(({ line }) =>
      [...line.matchAll(/npm run ([\w:]+)/g)].map(([, script]) => script!),
    );
    expect(typed.length).toBeGreaterThan(5);
    for (const script of typed) expect(Object.keys(scripts)).toContain(script);
  });
});
