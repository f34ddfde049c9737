// SPDX-License-Identifier: Apache-2.0
import { backboneNames } from '../backbones/index.js';
import { TEXT_NAMES } from '../text/index.js';
import { joinNames, type NameMap, nestNames, SAME_NAMES } from '../weights/name_map.js';
import { BACKBONE } from './detector.js';

/** Where the text encoder stands. */
export const TEXT = 'transformer.text_encoder.';

/** Where MDETR-G's files have Satlas's backbone, a Swin V2. */
export const SATLAS_BACKBONE = 'backbone.0.backbone.backbone.backbone.';

/** Everything but the backbone has the original's names here too. */
const original: Omit<NameMap, 'hallmark'> = {
  origin: 'original',
  place: (name) => ({ name }),
  dropped: [],
};

/** A map of the whole with one of the backbone. @param inFile what the backbone's names begin with in the file */
export function mdetrNamesWith(backbone: NameMap, inFile = BACKBONE): NameMap {
  return joinNames(original, [
    { own: BACKBONE, map: nestNames(backbone, BACKBONE, inFile) },
    { own: TEXT, map: nestNames(TEXT_NAMES[0], TEXT, TEXT) },
  ]);
}

/**
 * How checkpoints of MDETR (https://github.com/ashkamath/mdetr) and MDETR-G (https://github.com/DarkSideii/mdetr_g) are
 * named; those that are written come first.
 * @param backbone a family or size
 */
export function mdetrNames(backbone: string): readonly NameMap[] {
  const all = backboneNames(backbone);
  const satlas = backbone.startsWith('swin-v2') ? all : [];
  // The originals' ResNets are torchvision's; Hugging Face's names in their place are ours.
  const ours = all.filter(({ origin }) => origin === 'Hugging Face');
  const theirs = all.filter((map) => !ours.includes(map));
  return [
    ...satlas.map((map) => mdetrNamesWith(map, SATLAS_BACKBONE)),
    ...theirs.map((map) => mdetrNamesWith(map)),
    ...ours.map((map) => ({ ...mdetrNamesWith(map), origin: SAME_NAMES.origin })),
  ];
}
