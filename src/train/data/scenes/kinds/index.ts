// SPDX-License-Identifier: Apache-2.0
import { building } from './building.js';
import { car } from './car.js';
import { container } from './container.js';
import { helicopter } from './helicopter.js';
import type { KindSpec } from './part.js';
import { plane } from './plane.js';
import { ship } from './ship.js';
import { tank } from './tank.js';
import { truck } from './truck.js';

export type { KindSpec, Part, Surface } from './part.js';

export type KindName = 'ship' | 'plane' | 'helicopter' | 'tank' | 'car' | 'truck' | 'building' | 'container';

/** Every kind of object; the order is the order of category ids in written data sets. */
export const KINDS: Record<KindName, KindSpec> = {
  ship,
  plane,
  helicopter,
  tank,
  car,
  truck,
  building,
  container,
};

export const KIND_NAMES = Object.keys(KINDS) as KindName[];
