// SPDX-License-Identifier: Apache-2.0
import { TestEnvironment } from 'jest-environment-node';

/** Typed arrays that native code hands out belong to Node's own realm; jest's sandbox would have others. */
const SHARED = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'DataView',
  'Float32Array',
  'Float64Array',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Uint16Array',
  'Uint32Array',
  'BigInt64Array',
  'BigUint64Array',
];

/** Node's environment with one set of typed arrays, so that `instanceof` means the same everywhere. */
export default class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of SHARED) this.global[name] = globalThis[name];
  }
}
