// SPDX-License-Identifier: Apache-2.0
import { findCheckpoint, readState } from './checkpoint/state.js';
import { checkTogether, mergeConfig } from './config/check.js';
import { readConfig } from './config/file.js';
import { configFromFlags } from './config/flags.js';
import type { RunConfig } from './config/schema.js';
import { recipe } from './recipes/index.js';

export { checkTogether, checkValues, mergeConfig } from './config/check.js';
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
 * named by the `recipe` key of any of these. Where `resume` names a checkpoint, its configuration stands in for the
 * defaults, so that `--resume RUN` alone continues the run, and `--resume RUN --steps 9000` makes it longer.
 */
export async function resolveConfig({ file, flags = {}, overrides = {} }: ConfigSources): Promise<RunConfig> {
  const fromFile = file === undefined ? {} : await readConfig(file);
  const layers = [fromFile, configFromFlags(flags), overrides];
  const given = mergeConfig(...layers);
  const fromRecipe = given.recipe === null ? {} : recipe(given.recipe).config;
  const config = mergeConfig(checkpointConfig(given), fromRecipe, ...layers);
  checkTogether(config);
  return config;
}

/** Configuration of the checkpoint that is to be resumed, without what concerns only where it ran. */
function checkpointConfig({ resume, out }: RunConfig): Partial<RunConfig> {
  const place = resume === 'auto' ? out : resume;
  const checkpoint = place === null ? null : findCheckpoint(place);
  if (checkpoint === null) return {};
  const { resume: _resume, load: _load, out: _out, ...rest } = readState(checkpoint).config;
  return rest;
}
