// SPDX-License-Identifier: Apache-2.0
import { mergeConfig } from './config/check.js';
import { readConfig } from './config/file.js';
import { configFromFlags } from './config/flags.js';
import type { RunConfig } from './config/schema.js';
import { recipe } from './recipes/index.js';

export { checkValues, mergeConfig } from './config/check.js';
export { configTables, toJsonSchema } from './config/document.js';
export { configToYaml, parseConfig, readConfig } from './config/file.js';
export { configFromFlags, flagName, toYargsOptions } from './config/flags.js';
export {
  CONFIG_KEYS,
  CONFIG_SCHEMA,
  type ConfigKey,
  defaultConfig,
  type RunConfig,
} from './config/schema.js';

/** Where a run's configuration comes from. */
export interface ConfigSources {
  /** Path of a YAML or JSON file. */
  file?: string;
  /** Parsed flags, see `configFromFlags`. */
  flags?: Readonly<Record<string, unknown>>;
  /** Keys set in code; they win over all others. */
  overrides?: Partial<RunConfig>;
}

/**
 * The configuration of a run: defaults, then the recipe, then the file, then flags, then overrides. The recipe is
 * named by the `recipe` key of any of these.
 */
export async function resolveConfig({ file, flags = {}, overrides = {} }: ConfigSources): Promise<RunConfig> {
  const fromFile = file === undefined ? {} : await readConfig(file);
  const fromFlags = configFromFlags(flags);
  const name = overrides.recipe ?? fromFlags.recipe ?? fromFile.recipe ?? null;
  const fromRecipe = name === null ? {} : recipe(name).config;
  return mergeConfig(fromRecipe, fromFile, fromFlags, overrides);
}
