// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { locateSamples, msDeformAttn, msDeformAttnRaw, weighSamples } from '../src/ops/index.js';
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
  run(entry: BenchCase, inputs: tf.Tensor[]): tf.Tensor;
}

const LOCATED = ['value', 'locations', 'weights'] as const;
const RAW = ['value', 'reference', 'offsets', 'logits'] as const;

type Located = [tf.Tensor4D, tf.Tensor, tf.Tensor5D];
type Raw = [tf.Tensor4D, tf.Tensor, tf.Tensor, tf.Tensor4D];

export const VARIANTS: readonly Variant[] = [
  {
    name: 'locations and weights',
    form: 'located',
    names: LOCATED,
    run: ({ levels }, inputs) => {
      const [value, locations, weights] = inputs as Located;
      return msDeformAttn(value, levels, locations, weights);
    },
  },
  {
    name: 'softmax, locations, operator',
    form: 'composed',
    names: RAW,
    run: ({ levels }, inputs) => {
      const [value, reference, offsets, logits] = inputs as Raw;
      const locations = locateSamples(reference, offsets, levels);
      return msDeformAttn(value, levels, locations, weighSamples(logits, levels.length));
    },
  },
  {
    name: 'raw',
    form: 'composed',
    names: RAW,
    run: ({ levels }, inputs) => {
      const [value, ...samples] = inputs as Raw;
      return msDeformAttnRaw(value, levels, ...samples);
    },
  },
  {
    name: 'raw, bfloat16 values',
    form: 'composed',
    names: RAW,
    tolerance: 1.6e-2,
    run: ({ levels }, inputs) => {
      const [value, ...samples] = inputs as Raw;
      return msDeformAttnRaw(value, levels, ...samples, { values: 'bfloat16' });
    },
  },
];

/** The inputs of a variant as tensors. */
export function variantInputs({ names }: Variant, entry: BenchCase, arrays: BenchArrays): tf.Tensor[] {
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
