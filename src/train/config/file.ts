// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { isMap, isScalar, LineCounter, parseDocument, stringify } from 'yaml';
import { UserError } from '../../errors.js';
import { isRecord } from '../../models/config_tree.js';
import { checkValues } from './check.js';
import type { RunConfig } from './schema.js';

/** Reads a YAML or JSON file of configuration keys; see `parseConfig`. */
export async function readConfig(path: string): Promise<Partial<RunConfig>> {
  const source = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'ENOENT' ? 'there is no such file' : error.message;
    throw new UserError(`cannot read configuration ${path}: ${reason}`);
  });
  return parseConfig(source, path);
}

/**
 * Configuration keys from YAML text (JSON is YAML too).
 *
 * @throws UserError with file and line: not YAML, a key twice, an unknown key, a value out of range
 */
export function parseConfig(source: string, path: string): Partial<RunConfig> {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const fault = document.errors[0];
  if (fault) throw new UserError(`${path}:${lines.linePos(fault.pos[0]).line}: ${fault.message}`);
  const values: unknown = document.toJS() ?? {};
  if (!isRecord(values)) {
    throw new UserError(`${path}: expected keys and values such as "lr: 0.0005" at the top level`);
  }
  const lineOf = new Map<string, number>();
  if (isMap(document.contents)) {
    for (const { key } of document.contents.items) {
      if (isScalar(key) && key.range) lineOf.set(String(key.value), lines.linePos(key.range[0]).line);
    }
  }
  return checkValues(values, (key) => `${path}:${lineOf.get(key) ?? 1}`);
}

/** A configuration as YAML that `readConfig` takes. */
export function configToYaml(config: Partial<RunConfig>): string {
  return stringify(config, { lineWidth: 110 });
}
