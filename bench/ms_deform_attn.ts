// SPDX-License-Identifier: Apache-2.0
// Times msDeformAttn, the native op beside its plain meaning, in one run: `npx tsx bench/ms_deform_attn.ts`.
import * as tf from '@tensorflow/tfjs';
import { ready } from '../src/engine/index.js';
import { msDeformAttn, type OpPath } from '../src/ops/index.js';
import {
  MS_DEFORM_ATTN_TIMINGS,
  type MsDeformAttnCase,
  msDeformAttnArrays,
  msDeformAttnTensors,
} from '../test/cases/ms_deform_attn.js';
import { fastest, printTable } from './timing.js';

await ready({ engine: 'tensorflow' });
const rows = MS_DEFORM_ATTN_TIMINGS.map((entry) => {
  const times = (['native', 'plain'] as const).map((path) => time(entry, path));
  return [entry.name, ...times.flatMap(({ forward, step }) => [forward, step])];
});
const head = ['case', 'native forward', 'forward + backward', 'plain forward', 'forward + backward'];
printTable('msDeformAttn', head, rows);

function time(entry: MsDeformAttnCase, path: OpPath): { forward: number; step: number } {
  const { value, locations, weights, upstream } = msDeformAttnTensors(entry, msDeformAttnArrays(entry));
  const op = (v: tf.Tensor, l: tf.Tensor, w: tf.Tensor) =>
    msDeformAttn(v as tf.Tensor4D, entry.levels, l, w as tf.Tensor5D, { path });
  const gradients = tf.grads((v, l, w) => op(v!, l!, w!));
  const result = {
    forward: fastest(() => op(value, locations, weights)),
    step: fastest(() => gradients([value, locations, weights], upstream)),
  };
  tf.dispose([value, locations, weights, upstream]);
  return result;
}
