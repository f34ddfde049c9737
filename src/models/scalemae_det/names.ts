// SPDX-License-Identifier: Apache-2.0
import { keepsAll, type NameMap } from '../weights/name_map.js';

/** How checkpoints of ScaleMAE-Det are named; own names are the original's, its three of the backbone included. */
const ORIGINAL: NameMap = {
  origin: 'original',
  hallmark: /^rcnn\.rpn\.head\./,
  place: (name) => ({ name }),
  dropped: [{ names: /\.pos_embed$/, why: 'table that follows from metres per pixel' }],
  keeps: keepsAll,
};

export function scaleMaeDetNames(): readonly NameMap[] {
  return [ORIGINAL];
}
