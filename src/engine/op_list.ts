// SPDX-License-Identifier: Apache-2.0
import { readFields } from '../protobuf.js';

/** Names of the ops in a serialized tensorflow.OpList: message OpList { OpDef op = 1; }, OpDef { string name = 1; }. */
export function opNames(list: Uint8Array): string[] {
  return [...readFields(list)]
    .filter(({ number }) => number === 1)
    .map(({ bytes }) => {
      const name = [...readFields(bytes)].find(({ number }) => number === 1);
      return name === undefined ? '' : Buffer.from(name.bytes).toString('utf8');
    })
    .filter((name) => name !== '');
}
