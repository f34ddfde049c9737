// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { FileToWrite } from '../../files.js';
import { WEIGHTS_FILE } from './checkpoint_file.js';
import { encodeSafetensors, type TensorToWrite, type WriteOptions } from './safetensors.js';

/** Bytes that a value takes in the file. */
function bytesOf({ data }: TensorToWrite, dtype: WriteOptions['dtype']): number {
  return data instanceof Float32Array && (dtype ?? 'F32') !== 'F32' ? data.length * 2 : data.byteLength;
}

/**
 * The weights of a model folder as files: `model.safetensors`, or, where its tensors take more than `most` bytes, parts and
 * their `model.safetensors.index.json`, as Hugging Face names them. A tensor is never cut, so a part may be as large as it.
 */
export function weightFiles(
  folder: string,
  tensors: Iterable<readonly [string, TensorToWrite]>,
  most: number,
  options: WriteOptions = {},
): FileToWrite[] {
  const parts: [string, TensorToWrite][][] = [[]];
  let filled = 0;
  let total = 0;
  for (const [name, tensor] of tensors) {
    const bytes = bytesOf(tensor, options.dtype);
    if (filled > 0 && filled + bytes > most) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)!.push([name, tensor]);
    filled += bytes;
    total += bytes;
  }
  if (parts.length === 1) {
    return [{ path: join(folder, WEIGHTS_FILE), chunks: encodeSafetensors(parts[0]!, options) }];
  }
  const number = (n: number) => String(n).padStart(5, '0');
  const nameOf = (i: number) => `model-${number(i + 1)}-of-${number(parts.length)}.safetensors`;
  const map = parts.flatMap((part, i) => part.map(([name]) => [name, nameOf(i)] as const));
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
  return [
    ...parts.map((part, i) => ({ path: join(folder, nameOf(i)), chunks: encodeSafetensors(part, options) })),
    { path: `${join(folder, WEIGHTS_FILE)}.index.json`, chunks: `${JSON.stringify(index, null, 2)}\n` },
  ];
}
