// SPDX-License-Identifier: Apache-2.0
import { backboneNames } from '../backbones/index.js';
import { TEXT_NAMES } from '../text/index.js';
import { joinNames, keepsAll, type NameMap, nestNames, SAME_NAMES } from '../weights/name_map.js';
import { BACKBONE } from './detector.js';

/** Where the text encoder stands. */
export const TEXT = 'transformer.text_encoder.';

/** Where MDETR-G's files have Satlas's backbone, a Swin V2. */
export const SATLAS_BACKBONE = 'backbone.0.backbone.backbone.backbone.';

/** Everything but the backbone has the original's names here too. */
const original: Omit<NameMap, 'hallmark'> = {
  origin: 'original',
  place: (name) => ({ name }),
  dropped: [
    { names: /^(bbox_attention|mask_head)\./, why: 'part of the head for masks, which is not built' },
  ],
};

/** A map of the whole with one of the backbone. @param inFile what the backbone's names begin with in the file */
export function mdetrNamesWith(backbone: NameMap, inFile = BACKBONE, text = TEXT_NAMES[0]): NameMap {
  return joinNames(original, [
    { own: BACKBONE, map: nestNames(backbone, BACKBONE, inFile) },
    { own: TEXT, map: nestNames(text, TEXT, TEXT) },
  ]);
}

function namesOf(family: string, text: NameMap): readonly NameMap[] {
  const all = backboneNames(family);
  const satlas = family.startsWith('swin-v2') ? all : [];
  // The originals' ResNets are torchvision's; Hugging Face's names in their place are ours.
  const ours = all.filter(({ origin }) => origin === 'Hugging Face');
  const theirs = all.filter((map) => !ours.includes(map));
  return [
    ...satlas.map((map) => mdetrNamesWith(map, SATLAS_BACKBONE, text)),
    ...theirs.map((map) => mdetrNamesWith(map, BACKBONE, text)),
    ...ours.map((map) => ({ ...mdetrNamesWith(map, BACKBONE, text), origin: SAME_NAMES.origin })),
  ];
}

/**
 * How checkpoints of MDETR (https://github.com/ashkamath/mdetr) are named; those that are written come first. Its text
 * encoder is of transformers 4.5, which keeps the numbers of positions.
 * @param backbone a family or size
 */
export function mdetrNames(backbone: string): readonly NameMap[] {
  return namesOf(backbone, { ...TEXT_NAMES[0], keeps: keepsAll });
}

/** The same of MDETR-G (https://github.com/DarkSideii/mdetr_g), which has transformers 4.46. */
export function mdetrGNames(backbone: string): readonly NameMap[] {
  return namesOf(backbone, TEXT_NAMES[0]);
}
