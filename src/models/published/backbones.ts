// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { backboneConfig, backboneNames, buildBackbone, inferBackbone } from '../backbones/index.js';
import { chooseNames } from '../weights/name_map.js';
import type { PublishedKind } from './types.js';

/** Hugging Face's classes of backbones, by family. */
const ARCHITECTURES: Readonly<Record<string, string>> = { swin: 'SwinBackbone', resnet: 'ResNetBackbone' };

/** Keys of ours that Hugging Face has not, and the value that its models have. */
const OWN_KEYS: Readonly<Record<string, unknown>> = { stem: 'patch', dilation: false };

/** The `config.json` of a folder for Hugging Face. @throws UserError where it has no such model */
function huggingFaceConfig(config: Readonly<Record<string, unknown>>): object {
  const differs = Object.entries(OWN_KEYS).find(([key, value]) => (config[key] ?? value) !== value);
  if (differs) {
    throw new UserError(
      `Hugging Face has no backbone with ${differs[0]} ${JSON.stringify(config[differs[0]])}; use other names`,
      EXIT_CODES.checkpoint,
    );
  }
  const shared = Object.entries(config).filter(([key]) => !(key in OWN_KEYS));
  return { architectures: [ARCHITECTURES[String(config.model_type)]], ...Object.fromEntries(shared) };
}

/** Backbones alone, as classifiers are published; what is theirs shows in names and shapes. */
export const BACKBONES: PublishedKind = {
  about: 'ResNets, EfficientNets, Swins, Swins V2, MPViTs, CoaTs and ScaleMAEs',
  recognise({ file, config: given }) {
    const shapes = new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
    const found = inferBackbone(shapes);
    if (!found) return null;
    const { name, config } = found;
    const origins = backboneNames(name);
    const names = chooseNames(origins, shapes.keys());
    if (!names) return null;
    // What no shape tells: maps that are wanted, scales, places of pixels.
    const family = backboneConfig(name, config).model_type;
    const { model_type: type, ...told } = given?.values ?? {};
    const whole = backboneConfig(name, { ...config, ...(type === family ? told : {}) });
    const { model_type, ...settings } = whole;
    return {
      title: `backbone ${name}, names of ${names.origin}`,
      config: whole,
      names,
      origins,
      // Classifiers have no norms for the maps.
      mayLack: (own) => own.startsWith('hidden_states_norms.'),
      ...(String(family) in ARCHITECTURES ? { huggingFaceConfig: () => huggingFaceConfig(whole) } : {}),
      counters: true,
      build: () => buildBackbone(String(model_type), settings),
    };
  },
};
