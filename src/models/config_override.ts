// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../errors.js';
import type { ModelConfig } from './config.js';
import { checkModelConfig } from './config_check.js';
import { mergeDeep, nestKeys, type Tree, valueAt } from './config_tree.js';

/** Keys that something else decides, and what. */
const FIXED: Readonly<Record<string, string>> = {
  model_type: 'the key model',
  preset: 'the key model',
  imageSize: 'the key imageSize',
  'text.config.vocab_size': 'the tokenizer',
};

/**
 * A configuration with some values changed; what is not named stays. Keys may be nested or dotted
 * (`{ transformer: { queries: 60 } }`, `{ 'transformer.queries': 60 }`). Another backbone starts from its own defaults.
 *
 * @param source what messages call the changes
 * @throws UserError for an unknown key, a value of the wrong kind, and sizes that do not go together
 */
export function overrideModelConfig<C extends ModelConfig>(
  base: C,
  changes: Readonly<Tree>,
  source = 'modelOverrides',
): C {
  const nested = nestKeys(changes);
  for (const [path, owner] of Object.entries(FIXED)) {
    if (valueAt(nested, path) === undefined) continue;
    throw new UserError(`${source}: ${path} is decided by ${owner}, not here; remove it`, EXIT_CODES.usage);
  }
  const start: Tree = { ...base };
  for (const part of ['backbone', 'text'] as const) {
    const name = valueAt(nested, `${part}.name`);
    const own = valueAt(start, `${part}.name`);
    if (name !== undefined && own !== undefined && name !== own) start[part] = { name, config: {} };
  }
  return checkModelConfig(mergeDeep(start, nested), {
    name: source,
    remedy: 'see the configuration of the model, config.json, for what there is',
    exitCode: EXIT_CODES.usage,
  }) as C;
}
