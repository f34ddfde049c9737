// SPDX-License-Identifier: Apache-2.0
// Weights and pictures that follow from their names, so that whole networks need no files (ORIGINAL.md of the vectors).
import type { StoredTensor } from '../../src/models/weights/safetensors.js';

// Within jest each look at a global takes longer than the arithmetic, and networks have millions of values.
const { abs, imul } = Math;

/** FNV-1a, 32 bits, of the UTF-8 bytes. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name, 'utf8')) hash = imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** A number in [-1, 1) for each place of the tensor called `name`. */
function numbers(name: string): (place: number) => number {
  const hash = hashOf(name);
  return (place) => {
    let x = (hash + imul(place, 0x9e3779b1)) >>> 0;
    x ^= x >>> 16;
    x = imul(x, 0x85ebca6b);
    x ^= x >>> 13;
    x = imul(x, 0xc2b2ae35);
    x ^= x >>> 16;
    return (x >>> 0) / 2 ** 31 - 1;
  };
}

/** How a number becomes a value: first rule that fits. */
function ruleOf(name: string, shape: readonly number[]): (u: number) => number {
  const last = name.slice(name.lastIndexOf('.') + 1);
  if (last === 'running_mean') return (u) => 0.1 * u;
  if (last === 'running_var') return (u) => 1 + 0.1 * abs(u);
  if (/query_embed|level_embed/.test(name)) return (u) => u;
  if (shape.length === 1 && last === 'weight') return (u) => 1 + 0.1 * u;
  if (shape.length <= 1) return (u) => 0.1 * u;
  const fan = shape.slice(1).reduce((product, size) => product * size, 1);
  const scale = Math.sqrt(3 / fan);
  const factor = name.includes('cpe') ? 0.25 : 1;
  return (u) => u * scale * factor;
}

function filled(size: number, value: (place: number) => number): Float32Array {
  const data = new Float32Array(size);
  for (let i = 0; i < size; i++) data[i] = value(i);
  return data;
}

/** The tensor `name` of a state dict. @param shape in PyTorch's layout @param from the name that the values follow from */
export function formulaTensor(name: string, shape: readonly number[], from = name): StoredTensor {
  const size = shape.reduce((product, n) => product * n, 1);
  const number = numbers(from);
  const rule = ruleOf(from, shape);
  return {
    dtype: 'F32',
    shape: [...shape],
    data: filled(size, (i) => rule(number(i))),
  };
}

/** The picture of these cases: `[batch, 3, height, width]`. */
export function formulaImage(batch: number, height: number, width: number): StoredTensor {
  const number = numbers('image');
  const data = filled(batch * 3 * height * width, (i) => 2 * number(i));
  return { dtype: 'F32', shape: [batch, 3, height, width], data };
}

/** What the map called `name` is multiplied with before the sum whose gradients are taken: `[batch, C, H, W]`. */
export function formulaUpstream(name: string, shape: readonly number[]): StoredTensor {
  const number = numbers(`upstream.${name}`);
  const size = shape.reduce((product, n) => product * n, 1);
  return { dtype: 'F32', shape: [...shape], data: filled(size, number) };
}
