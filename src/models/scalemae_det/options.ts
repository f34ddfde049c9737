// SPDX-License-Identifier: Apache-2.0

/** How maps of several sizes are made of a vision transformer's only one. */
export const PYRAMIDS = ['scalemae', 'vitdet'] as const;

/**
 * - `fixed`: maps from fine to coarse, so that boxes are read from the map that fits them; a class for the background beside
 *   those of the list; metres per pixel of each picture.
 * - `upstream`: the published code to the letter. Maps go from coarse to fine, so that no map fits any box and all that
 *   classes are told from is 0; the first class of the list is the background; every picture counts as having the
 *   backbone's `default_gsd`.
 */
export const PARITIES = ['fixed', 'upstream'] as const;

/** Sizes of a ScaleMAE-Det beside its backbone. Defaults of torchvision's Faster R-CNN where the original has them. */
export interface ScaleMaeDetOptions {
  /** Channels of the pyramid's maps. */
  channels: number;
  pyramid: (typeof PYRAMIDS)[number];
  /** Sides of the anchors of each map, in pixels, in the order of the maps (see `parity`). */
  anchorSizes: readonly (readonly number[])[];
  /** Height by width of the anchors. */
  anchorRatios: readonly number[];
  /** Best anchors of each map that are looked at, and proposals of each picture. */
  candidates: number;
  proposals: number;
  /** The same in training. */
  trainingCandidates: number;
  trainingProposals: number;
  /** Width of the box head. */
  hidden: number;
  /** Answers of a class below this score are dropped. */
  leastScore: number;
  /** Most detections of a picture. */
  detections: number;
  /** Classes, without the background. */
  classes: number;
  parity: (typeof PARITIES)[number];
}

/** Slots of the class scores, the background's included. */
export function classSlots({ classes, parity }: Pick<ScaleMaeDetOptions, 'classes' | 'parity'>): number {
  return parity === 'fixed' ? classes + 1 : classes;
}

/** Slot of the first class; slot 0 is the background. */
export function firstSlot({ parity }: Pick<ScaleMaeDetOptions, 'parity'>): number {
  return parity === 'fixed' ? 1 : 0;
}
