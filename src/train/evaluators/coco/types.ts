// SPDX-License-Identifier: Apache-2.0

/** What an evaluation reads of a COCO file; further keys are ignored. */
export interface CocoTruth {
  images: readonly { id: number }[];
  annotations: readonly CocoAnnotation[];
  categories: readonly { id: number; name?: string }[];
}

export interface CocoAnnotation {
  image_id: number;
  category_id: number;
  /** `[x, y, width, height]` in pixels. */
  bbox: readonly number[];
  /** Decides the size class; of the outline, so it may be smaller than the box. Default: the box's. */
  area?: number;
  /** 1 = a crowd: results inside it count neither for nor against. */
  iscrowd?: 0 | 1 | boolean;
}

export interface CocoResult {
  image_id: number;
  category_id: number;
  /** `[x, y, width, height]` in pixels. */
  bbox: readonly number[];
  score: number;
}

/** Settings by pycocotools' names; anything left out has pycocotools' default. */
export interface CocoParams {
  /** Images to evaluate; default all of the truth. */
  imgIds?: readonly number[];
  /** Categories to evaluate; default all of the truth. */
  catIds?: readonly number[];
  /** Overlaps from which a result counts as found; default 0.5, 0.55, ... 0.95. */
  iouThrs?: readonly number[];
  /** Recalls at which precision is read; default 0, 0.01, ... 1. */
  recThrs?: readonly number[];
  /** How many results of an image (and category) count; default 1, 10, 100. */
  maxDets?: readonly number[];
  /** Size classes `[least, most]` in square pixels: all, small, medium, large. */
  areaRng?: readonly (readonly [number, number])[];
  /** 0 = the categories don't matter. */
  useCats?: 0 | 1;
}

/** Names of the size classes, in the order of `areaRng`. */
export const AREA_NAMES = ['all', 'small', 'medium', 'large'] as const;

/** Parameters with every value filled in and sorted as pycocotools sorts them. */
export type ResolvedParams = Required<CocoParams>;

/** A result of `accumulate`: the arrays are row-major, -1 = no truths of that category and size. */
export interface CocoArrays {
  params: ResolvedParams;
  /** `[iouThrs, recThrs, categories, areas, maxDets]`. */
  precision: Float64Array;
  /** `[iouThrs, categories, areas, maxDets]`. */
  recall: Float64Array;
  /** Lengths of the axes of `precision`. */
  counts: { iou: number; recall: number; category: number; area: number; maxDet: number };
}
