// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { msDeformAttn } from '../src/ops/index.js';
import { length } from '../test/cases/ms_deform_attn.js';
import type { BenchArrays, BenchCase } from './ms_deform_attn_cases.js';
import type { PeerForm } from './torch_peer.js';

type InputName = Exclude<keyof BenchArrays, 'upstream'>;

/** One way to call the operator, and what PyTorch does for the same result. */
export interface Variant {
  name: string;
  form: PeerForm;
  /** Differentiable inputs, in the order `run` takes them. */
  names: readonly InputName[];
  /** Largest difference from the peer, where more is due than for float32. */
  tolerance?: number;
  inputs(entry: BenchCase, arrays: BenchArrays): tf.Tensor[];
  run(entry: BenchCase, inputs: tf.Tensor[]): tf.Tensor;
}

const LOCATED = ['value', 'locations', 'weights'] as const;
const RAW = ['value', 'reference', 'offsets', 'logits'] as const;

export const VARIANTS: readonly Variant[] = [
  {
    name: 'locations and weights',
    form: 'located',
    names: LOCATED,
    inputs: (entry, arrays) => tensors(entry, arrays, LOCATED),
    run: ({ levels }, [value, locations, weights]) =>
      msDeformAttn(value as tf.Tensor4D, levels, locations!, weights as tf.Tensor5D),
  },
  {
    name: 'softmax, locations, operator',
    form: 'composed',
    names: RAW,
    inputs: (entry, arrays) => tensors(entry, arrays, RAW),
    run: composed,
  },
];

/** What a layer does without the raw entry. */
function composed(entry: BenchCase, inputs: tf.Tensor[]): tf.Tensor {
  const [value, reference, offsets, logits] = inputs as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const { batch, queries, heads, levels, points } = entry;
  const sizes = tf.tensor(
    levels.flatMap(([h, w]) => [w, h]),
    [1, 1, 1, levels.length, 1, 2],
  );
  const places = tf.reshape(reference, [batch, queries, 1, levels.length, 1, 2]);
  const weights = tf.reshape(tf.softmax(logits), [batch, queries, heads, levels.length, points]);
  const locations = tf.add(places, tf.div(offsets, sizes));
  return msDeformAttn(value as tf.Tensor4D, levels, locations, weights as tf.Tensor5D);
}

function tensors(entry: BenchCase, arrays: BenchArrays, names: readonly InputName[]): tf.Tensor[] {
  const { batch, queries, heads, points, dim, levels } = entry;
  const shapes: Record<InputName, number[]> = {
    value: [batch, length(levels), heads, dim],
    reference: [batch, queries, levels.length, 2],
    offsets: [batch, queries, heads, levels.length, points, 2],
    logits: [batch, queries, heads, levels.length * points],
    locations: [batch, queries, heads, levels.length, points, 2],
    weights: [batch, queries, heads, levels.length, points],
  };
  return names.map((name) => tf.tensor(arrays[name], shapes[name]));
}
