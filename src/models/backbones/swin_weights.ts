// SPDX-License-Identifier: Apache-2.0
import { readHuggingFace } from '../weights/huggingface.js';
import type { LoadReport } from '../weights/state_dict.js';
import { loadStateDict } from '../weights/state_dict.js';
import { SwinBackbone, SwinModel } from './swin.js';
import { swinConfig } from './swin_config.js';

/** Names of a Hugging Face Swin file in SwinModel: a classifier's file puts all under `swin.` and has a head. */
function renameSwinModel(name: string): string | null {
  // Index tables are buffers of older files; they follow from the window size.
  if (name.startsWith('classifier.') || name.endsWith('.relative_position_index')) return null;
  return name.replace(/^swin\./, '');
}

/** The same in SwinBackbone, which does not use the last norm. */
export function renameSwinBackbone(name: string): string | null {
  const own = renameSwinModel(name);
  return own?.startsWith('layernorm.') ? null : own;
}

/**
 * A SwinBackbone from a Hugging Face folder of any Swin (`microsoft/swin-tiny-patch4-window7-224`, ...). Files of
 * classifiers have no norms for the feature maps: those stay at their first values and are listed as missing.
 *
 * @param settings overrides of `config.json`, such as `{ out_features: ['stage2', 'stage3', 'stage4'] }`
 * @throws UserError if anything but these norms is missing or unknown
 */
export async function loadSwinBackbone(
  folder: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<{ backbone: SwinBackbone; report: LoadReport }> {
  const { config, tensors } = await readHuggingFace(folder);
  const backbone = new SwinBackbone(swinConfig({ ...config, ...settings }, `${folder}/config.json`));
  const norms = [...backbone.namedParameters().keys()].filter((name) =>
    name.startsWith('hidden_states_norms.'),
  );
  const rename = (name: string) => {
    const own = renameSwinBackbone(name);
    // A backbone's file may hold norms of maps that are not asked for.
    return own?.startsWith('hidden_states_norms.') && !norms.includes(own) ? null : own;
  };
  const mayLack = (name: string) => norms.includes(name);
  return { backbone, report: loadStateDict(backbone, tensors, { rename, mayLack, source: folder }) };
}

/** A SwinModel from a Hugging Face folder. */
export async function loadSwinModel(folder: string): Promise<{ model: SwinModel; report: LoadReport }> {
  const { config, tensors } = await readHuggingFace(folder);
  const model = new SwinModel(swinConfig(config, `${folder}/config.json`));
  return { model, report: loadStateDict(model, tensors, { rename: renameSwinModel, source: folder }) };
}
