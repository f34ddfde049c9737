// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { cpuInfo } from '../src/engine/hardware.js';
import { currentEngine } from '../src/engine/index.js';
import { UserError } from '../src/errors.js';
import { writeFileAtomicSync } from '../src/files.js';
import { packageRoot, packageVersion } from '../src/package.js';

/** More waiting work per core than this, and timings say little. */
const MOST_LOAD = 0.6;

/** Where and with what something was measured. */
export interface Machine {
  date: string;
  cpu: string;
  cores: number;
  features: string[];
  load: number;
  threads: number;
  versions: Record<string, string>;
}

/** This machine now; `load` is the average of the last minute, to be asked for before anything runs. */
export function machine(load: number, threads: number, versions: Record<string, string>): Machine {
  const { model, cores, features } = cpuInfo();
  const tensorflow = currentEngine()?.tensorflow?.version ?? 'none';
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: model,
    cores,
    features,
    load,
    threads,
    versions: { tfgeo: packageVersion(), node: process.versions.node, tensorflow, ...versions },
  };
}

/**
 * The load average before a measurement.
 * @throws UserError where others are at work, unless `anyway`
 */
export function quietLoad(anyway: boolean): number {
  const [load] = loadavg() as [number, number, number];
  const most = MOST_LOAD * cpus().length;
  if (load > most && !anyway) {
    throw new UserError(
      `bench: the load average is ${load.toFixed(2)}, timings need ${most.toFixed(1)} or less on ${cpus().length} ` +
        'cores; wait until the machine is quiet, or give --anyway',
    );
  }
  return load;
}

/** Writes `bench/results/<name>.json`, whole or not at all; returns its path. */
export function writeResults(name: string, results: unknown): string {
  const path = join(packageRoot(), 'bench', 'results', `${name}.json`);
  writeFileAtomicSync(path, `${JSON.stringify(results, null, 1)}\n`);
  return path;
}

/**
 * Puts `body` between `<!-- measured: NAME -->` and `<!-- end -->` of a document's text.
 * @throws Error where the document has no such part
 */
export function withMeasured(text: string, name: string, body: string): string {
  const pattern = new RegExp(`<!-- measured: ${name} -->\n[\\s\\S]*?<!-- end -->`);
  if (!pattern.test(text)) throw new Error(`the document has no part "measured: ${name}"`);
  return text.replace(pattern, () => `<!-- measured: ${name} -->\n${body}\n<!-- end -->`);
}

/** The same in `docs/performance.md`; returns its path. */
export function writeDocument(name: string, body: string): string {
  const path = join(packageRoot(), 'docs', 'performance.md');
  if (!existsSync(path)) throw new Error(`${path} is missing`);
  writeFileAtomicSync(path, withMeasured(readFileSync(path, 'utf8'), name, body));
  return path;
}

/** Where, when and with what, in one line of a document. */
export function machineLine({ date, cpu, cores, load, threads, versions }: Machine): string {
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const rest = `${cpu}, ${cores} cores, load average ${load.toFixed(2)} before; ${threads} threads each`;
  return `${date}, ${rest}; ${names.join(', ')}.`;
}

/** Rows as a table of a document; numbers stand to the right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const numeric = head.map((_, c) => rows.every((row) => /^[\d.]+( \([\d.]+\))?$|^-?$/.test(row[c]!)));
  return [line(head), `|${numeric.map((n) => (n ? '--:|' : '---|')).join('')}`, ...rows.map(line)].join('\n');
}
