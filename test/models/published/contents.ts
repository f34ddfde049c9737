// SPDX-License-Identifier: Apache-2.0
import { readCheckpoint } from '../../../src/models/weights/checkpoint_file.js';

/** Shape and bytes of every tensor, by name in alphabetical order. */
export async function contents(path: string): Promise<Map<string, string>> {
  const { tensors } = await readCheckpoint(path);
  const found = [...tensors].map(([name, { shape, data }]): [string, string] => [
    name,
    `[${shape}] ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')}`,
  ]);
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}
