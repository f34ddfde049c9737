// SPDX-License-Identifier: Apache-2.0
import { backboneConfig, backboneNames, buildBackbone, inferBackbone } from '../backbones/index.js';
import { chooseNames } from '../weights/name_map.js';
import type { PublishedKind } from './types.js';

/** Backbones alone, as classifiers are published; what is theirs shows in names and shapes. */
export const BACKBONES: PublishedKind = {
  about: 'ResNets, Swins, Swins V2, MPViTs, CoaTs and ScaleMAEs',
  recognise({ file }) {
    const shapes = new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
    const found = inferBackbone(shapes);
    if (!found) return null;
    const { name, config } = found;
    const origins = backboneNames(name);
    const names = chooseNames(origins, shapes.keys());
    if (!names) return null;
    return {
      title: `backbone ${name}, names of ${names.origin}`,
      config: backboneConfig(name, config),
      names,
      origins,
      // Classifiers have no norms for the maps.
      mayLack: (own) => own.startsWith('hidden_states_norms.'),
      build: () => buildBackbone(name, { ...config }),
    };
  },
};
