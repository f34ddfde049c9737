// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { MSDeformAttn } from '../../src/models/layers/ms_deform_attn.js';
import { loadStateDict, storeTensor } from '../../src/models/weights/state_dict.js';
import { msDeformAttn, type OpPath, type SpatialShapes } from '../../src/ops/index.js';
import type { CaseContext } from './context.js';

/** (H, W) of the levels. */
function shapesOf(context: CaseContext): SpatialShapes {
  const { data } = context.raw('in/spatial_shapes');
  return Array.from({ length: data.length / 2 }, (_, i) => [Number(data[2 * i]), Number(data[2 * i + 1])]);
}

/** The sampling operator: output and the gradients of its three inputs. */
export function runMsdaCore(context: CaseContext): void {
  const names = ['value', 'sampling_locations', 'attention_weights'];
  const leaves = names.map((name) => context.variable(`in/${name}`));
  const [value, locations, weights] = leaves as tf.Tensor[] as [tf.Tensor, tf.Tensor, tf.Tensor];
  const shapes = shapesOf(context);
  const path = context.path as OpPath;
  const run = () => msDeformAttn(value as tf.Tensor4D, shapes, locations, weights as tf.Tensor5D, { path });
  context.compare('out/output', context.compute(run));
  const upstream = context.tensor('in/upstream');
  const gradients = context.gradients(leaves, () => tf.sum(tf.mul(run(), upstream)) as tf.Scalar);
  names.forEach((name, i) => {
    // At whole pixels the location gradient jumps: it is compared only where it is defined.
    const mask = name === 'sampling_locations' ? 'in/loc_grad_ok' : undefined;
    context.compare(`grad/${name}`, gradients[i] ?? tf.zerosLike(leaves[i]!), mask);
  });
}

/** The module around it: projections, offsets, softmax; gradients of inputs and parameters. */
export function runMsdaModule(context: CaseContext): void {
  const {
    d_model: dModel,
    heads,
    points,
    levels,
  } = context.config as {
    d_model: number;
    heads: number;
    points: number;
    levels: [number, number][];
  };
  const module = new MSDeformAttn({ dModel, heads, levels: levels.length, points });
  const weights = context
    .names('weights/')
    .map((name) => [name.slice('weights/'.length), context.raw(name)] as const);
  loadStateDict(module, new Map(weights));
  const names = ['hidden_states', 'position_embeddings', 'encoder_hidden_states', 'reference_points'];
  const leaves = new Map(
    names.filter((name) => context.has(`in/${name}`)).map((name) => [name, context.variable(`in/${name}`)]),
  );
  const mask = context.has('in/attention_mask')
    ? context.tensor<tf.Tensor2D>('in/attention_mask', 'float32')
    : null;
  const shapes = shapesOf(context);
  const inputs = () => {
    const hidden: tf.Tensor = leaves.get('hidden_states')!;
    const position = leaves.get('position_embeddings');
    return [
      position ? tf.add(hidden, position) : hidden,
      leaves.get('reference_points')!,
      leaves.get('encoder_hidden_states')!,
      shapes,
      mask,
      { path: context.path as OpPath },
    ] as const;
  };
  // One way goes through the raw op, the other through locations and weights.
  const run = () => module.forward(...inputs());
  context.compare('out/output', context.compute(run));
  const { output, attentionWeights } = context.compute(() => module.attend(...inputs()));
  context.compare('out/output', output);
  context.compare('out/attention_weights', attentionWeights);
  compareModuleGradients(context, module, leaves, run);
  module.dispose();
}

function compareModuleGradients(
  context: CaseContext,
  module: MSDeformAttn,
  inputs: ReadonlyMap<string, tf.Variable>,
  run: () => tf.Tensor,
): void {
  const parameters = module.namedParameters();
  const upstream = context.tensor('in/upstream');
  const all = new Map(inputs);
  for (const [name, { variable }] of parameters) all.set(name, variable);
  const names = [...all.keys()].filter((name) => context.has(`grad/${name}`));
  const gradients = context.gradients(
    names.map((name) => all.get(name)!),
    () => tf.sum(tf.mul(run(), upstream)) as tf.Scalar,
  );
  names.forEach((name, i) => {
    const gradient = gradients[i] ?? tf.zerosLike(all.get(name)!);
    const layout = parameters.get(name)?.layout ?? 'same';
    context.compare(`grad/${name}`, storeTensor(gradient, layout) as { shape: number[]; data: Float32Array });
  });
}
