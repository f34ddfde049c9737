// SPDX-License-Identifier: Apache-2.0
import { field } from './field.js';
import type { BackgroundSpec } from './ground.js';
import { harbour } from './harbour.js';
import { roads } from './roads.js';
import { roofs } from './roofs.js';
import { runway } from './runway.js';
import { shore } from './shore.js';
import { water } from './water.js';
import { yard } from './yard.js';

export type { BackgroundSpec, Ground, Region } from './ground.js';
export { regionAt } from './ground.js';

export type BackgroundName = 'water' | 'shore' | 'harbour' | 'runway' | 'field' | 'roads' | 'yard' | 'roofs';

/** Every family of backgrounds. */
export const BACKGROUNDS: Record<BackgroundName, BackgroundSpec> = {
  water,
  shore,
  harbour,
  runway,
  field,
  roads,
  yard,
  roofs,
};

export const BACKGROUND_NAMES = Object.keys(BACKGROUNDS) as BackgroundName[];
