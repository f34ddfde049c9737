// SPDX-License-Identifier: Apache-2.0
import { didYouMean, UserError } from '../../errors.js';
import { isRecord, mergeDeep, nestKeys } from '../../models/config_tree.js';
import { accepts, describeField } from './fields.js';
import { CONFIG_KEYS, type ConfigKey, defaultConfig, fieldOf, type RunConfig } from './schema.js';

/** Where a key or value came from, for messages: `run.yaml:12`. */
export type Locate = (key: string) => string;

/**
 * Checks keys and values and returns them typed.
 *
 * @throws UserError naming the place, the key, what it may hold, and the key that was probably meant
 */
export function checkValues(values: Record<string, unknown>, locate: Locate): Partial<RunConfig> {
  for (const [key, value] of Object.entries(values)) {
    if (!isConfigKey(key)) throw new UserError(`${locate(key)}: ${unknownKey(key)}`);
    const field = fieldOf(key);
    if (!accepts(field, value)) {
      throw new UserError(
        `${locate(key)}: ${key} must be ${describeField(field)}, but it is ${JSON.stringify(value)}`,
      );
    }
  }
  return values as Partial<RunConfig>;
}

export function isConfigKey(key: string): key is ConfigKey {
  return (CONFIG_KEYS as string[]).includes(key);
}

function unknownKey(key: string): string {
  const guess = didYouMean(key, CONFIG_KEYS);
  if (!guess) return `unknown key "${key}"; "tfgeo-train train --print-config" lists all keys`;
  return `unknown key "${key}", did you mean "${guess}" (${describeField(fieldOf(guess as ConfigKey))})?`;
}

/** Checks what single keys cannot show. */
export function checkTogether(config: RunConfig): void {
  if (config.resume !== null && config.resume !== 'auto' && config.load !== null) {
    throw new UserError('resume and load exclude each other: resume continues a run, load starts a new one');
  }
  if (config.schedule === 'step' && config.lrDropEvery === null) {
    throw new UserError('schedule "step" needs lrDropEvery (steps between two drops)');
  }
  if (config.schedule === 'multi_step' && config.lrMilestones.length === 0) {
    throw new UserError('schedule "multi_step" needs lrMilestones (steps at which the rate drops)');
  }
  if (Object.keys(config.mix).length > 0 && !Object.values(config.mix).some((weight) => weight > 0)) {
    throw new UserError('mix needs at least one dataset with a weight above 0');
  }
}

/**
 * The defaults with each layer on top of the one before. Names inside a record are set one by one, so that a recipe's
 * other loss weights survive when a flag sets one of them; in a tree, `a.b` names `b` in `a`. A layer that sets `steps`
 * alone undoes an earlier `epochs`.
 */
export function mergeConfig(...layers: readonly Partial<RunConfig>[]): RunConfig {
  const merged: Record<string, unknown> = { ...defaultConfig() };
  for (const layer of layers) {
    if (layer.steps !== undefined) merged.epochs = null;
    for (const [key, value] of Object.entries(layer)) {
      if (value === undefined) continue;
      const before = merged[key];
      // Only keys of free form are trees: `{ transformer: { queries: 60 } }`.
      const deep = isConfigKey(key) && fieldOf(key).entries === 'any';
      if (!isRecord(before) || !isRecord(value)) merged[key] = value;
      else merged[key] = deep ? mergeDeep(before, nestKeys(value)) : { ...before, ...value };
    }
  }
  return merged as RunConfig;
}
