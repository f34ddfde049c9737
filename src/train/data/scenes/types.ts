// SPDX-License-Identifier: Apache-2.0
import type { RgbImage, Span } from '../types.js';
import type { BackgroundName } from './backgrounds/index.js';
import type { KindName } from './kinds/index.js';
import type { ColourName } from './palette.js';

export type Rgb = readonly [red: number, green: number, blue: number];
export type Point = readonly [x: number, y: number];

/** How hard the pictures and sentences are. `easy` has fewer, larger objects, clear air and plain sentences. */
export type Difficulty = 'easy' | 'standard';

/** A labelled thing in a scene. Pixels; x to the right, y down. */
export interface SceneObject {
  kind: KindName;
  colour: ColourName;
  /** Length of the whole object along its heading, pixels, before clipping. */
  size: number;
  /** Degrees clockwise from up, [0, 360). */
  heading: number;
  /** `[x0, y0, x1, y1]`: the rows and columns that the visible silhouette occupies. */
  box: [number, number, number, number];
  /** Oriented rectangle around the whole object, not clipped to the picture. */
  polygon: Point[];
  /** Pixels of the visible silhouette. */
  area: number;
  /** Part of the silhouette that lies inside the picture, (0, 1]. */
  visible: number;
}

/** Kinds of drawn things that sentences may refer to, but that are never boxed. */
export type LandmarkKind = 'pier' | 'runway' | 'road' | 'shore' | 'quay';

/** A long thing in the background, along `axis`, `width` pixels wide. */
export interface Landmark {
  kind: LandmarkKind;
  polygon: Point[];
  axis: [Point, Point];
  width: number;
}

/** A picture with everything known about it. */
export interface Scene {
  seed: number;
  image: RgbImage;
  objects: SceneObject[];
  landmarks: Landmark[];
  background: BackgroundName;
  /** Kinds that the background itself shows unlabelled, so that no sentence may speak of them. */
  ambientKinds: readonly KindName[];
  metresPerPixel: number;
  difficulty: Difficulty;
}

/** A sentence about a scene. */
export interface Caption {
  text: string;
  /** Key of FORMS. */
  form: string;
  /** Objects that the sentence asks for, each with the words that name it (code points). */
  referred: { object: number; spans: Span[] }[];
}
