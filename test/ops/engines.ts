// SPDX-License-Identifier: Apache-2.0
import { ready } from '../../src/engine/index.js';
import type { OpPath } from '../../src/ops/index.js';

/** An engine and a way through the library to test on. */
export interface Route {
  engine: 'tensorflow' | 'cpu';
  path: OpPath;
}

/** Every way an op can run. Tests that are written once run on all of them. */
export const ROUTES: readonly Route[] = [
  { engine: 'tensorflow', path: 'native' },
  { engine: 'tensorflow', path: 'plain' },
  { engine: 'cpu', path: 'plain' },
];

/** Makes the route's engine the current one. */
export async function take({ engine }: Route): Promise<void> {
  await ready({ engine });
}
