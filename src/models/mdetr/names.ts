// SPDX-License-Identifier: Apache-2.0
import { backboneNames } from '../backbones/index.js';
import { TEXT_NAMES } from '../text/index.js';
import { joinNames, type NameMap, nestNames } from '../weights/name_map.js';
import { BACKBONE } from './detector.js';

const TEXT = 'transformer.text_encoder.';

/** Where published files have the backbone: MDETR's, and MDETR-G's with Satlas's weights. */
const BACKBONES = [BACKBONE, 'backbone.0.backbone.backbone.backbone.'];

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
 * named.
 * @param backbone a family or size
 */
export function mdetrNames(backbone: string): readonly NameMap[] {
  return backboneNames(backbone).flatMap((inner) => BACKBONES.map((inFile) => mdetrNamesWith(inner, inFile)));
}
