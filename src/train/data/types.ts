// SPDX-License-Identifier: Apache-2.0
import type { RgbImage, Span } from '../../models/types.js';
import type { Random } from '../../random.js';

export type { BoxXyxy, RgbImage, Span } from '../../models/types.js';

/** One object of a picture. */
export interface GroundedObject {
  /** `[x0, y0, x1, y1]` in pixels, `0 <= x0 < x1 <= width`. */
  box: [number, number, number, number];
  /** Kind of object, e.g. `ship`. */
  category: string;
  /** Parts of the caption that name this object; empty when the caption does not refer to it. */
  spans: Span[];
  /** Words that are true of the object whatever the caption says: its kind, its colour. Training teaches them too. */
  labels?: readonly string[];
  /** The box stands around many objects of one kind (COCO's `iscrowd`): neither learned nor counted as missed. */
  crowd?: boolean;
}

/** A picture with one caption about it. */
export interface Sample {
  /** Unique in its dataset; used in every error about the sample. */
  id: string;
  image: RgbImage;
  caption: string;
  /** Every labelled object, referred to or not. */
  objects: GroundedObject[];
  /** Form of the sentence (`colour+kind`, `relation`, `absent`, ...), for reports by form. */
  form: string;
  /** Ground size of a pixel, where known. */
  metresPerPixel?: number;
}

/** A source of samples. `get` is a pure function of index and of what it draws from `random`. */
export interface Dataset {
  readonly name: string;
  readonly length: number;
  /** Every kind of object that occurs, where that is known. */
  readonly categories?: readonly string[];
  /** Sample `index`; `random` (absent in evaluation) lets a training set vary caption and augmentation. */
  get(index: number, random?: Random): Promise<Sample>;
}
