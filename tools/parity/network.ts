// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Module, ParameterLayout } from '../../src/models/module.js';
import { storeTensor } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';

/** A network with weights. */
export interface Network {
  module: Module;
  /** What the fixtures call the picture: `in/NAME`, `grad/NAME`. */
  picture: 'image' | 'pixel_values' | 'features';
  /** Results by the fixtures' names behind `out/`; maps `[batch, H, W, C]`. Values inside go into `taps`. */
  run(pixels: tf.Tensor4D, taps?: Map<string, tf.Tensor>): Map<string, tf.Tensor>;
  /** The fixtures' name of a tap: with `out/` or `mid/` in front. */
  tapName(tap: string): string;
  /** Own name of a parameter of the reference. */
  ownName(name: string): string;
  /** Set where running changes the network: compares what one run has left in it. */
  afterRun?(): void;
}

/** Results, values inside, and gradients of the picture and of parameters. Disposes of the module. */
export function runNetwork(context: CaseContext, network: Network): void {
  const { module, picture, run } = network;
  try {
    const pixels = context.track(
      tf.tidy(() => tf.variable(tf.transpose(context.tensor(`in/${picture}`), [0, 2, 3, 1]))),
    );
    const { results, tapped, taps } = context.compute(() => {
      const input = pixels as tf.Tensor as tf.Tensor4D;
      const inner = new Map<string, tf.Tensor>();
      const outer = network.afterRun ? {} : Object.fromEntries(run(input));
      return {
        results: outer,
        tapped: Object.fromEntries(run(input, inner)),
        taps: Object.fromEntries(inner),
      };
    });
    for (const values of [results, tapped]) {
      for (const [name, value] of Object.entries(values)) compareMap(context, `out/${name}`, value);
    }
    for (const [name, value] of Object.entries(taps)) compareMap(context, network.tapName(name), value);
    network.afterRun?.();
    compareGradients(context, network, pixels);
  } finally {
    module.dispose();
  }
}

/**
 * Compares a result; maps `[batch, H, W, C]` are stored `[batch, C, H, W]`, and some tokens `[batch, tokens, C]` by head:
 * `[batch, heads, tokens, C / heads]`.
 */
function compareMap(context: CaseContext, name: string, value: tf.Tensor): void {
  if (!context.has(name)) return;
  const { shape } = context.raw(name);
  if (value.rank === 3 && shape.length === 4) {
    const [batch, heads, tokens, size] = shape as [number, number, number, number];
    context.compare(name, tf.transpose(tf.reshape(value, [batch, tokens, heads, size]), [0, 2, 1, 3]));
    return;
  }
  context.compare(name, value.rank === 4 ? tf.transpose(value, [0, 3, 1, 2]) : value);
}

function compareGradients(context: CaseContext, network: Network, pixels: tf.Variable): void {
  const { picture, module, run, ownName } = network;
  const parameters = module.namedParameters();
  const wanted = context.expected(/^grad\//).map((name) => name.slice('grad/'.length));
  const leaves: { name: string; variable: tf.Variable; layout: ParameterLayout }[] = [];
  for (const name of wanted) {
    const parameter = parameters.get(ownName(name));
    if (name === picture) leaves.push({ name, variable: pixels, layout: 'same' });
    else if (parameter) leaves.push({ name, variable: parameter.variable, layout: parameter.layout });
  }
  const gradients = context.gradients(
    leaves.map(({ variable }) => variable),
    () => {
      const terms = [...run(pixels as tf.Tensor as tf.Tensor4D)]
        .filter(([name]) => context.has(`in/upstream.${name}`))
        .map(([name, value]) => tf.sum(tf.mul(value, upstreamOf(context, name))) as tf.Scalar);
      return tf.addN(terms);
    },
  );
  leaves.forEach(({ name, variable, layout }, i) => {
    const gradient = gradients[i] ?? tf.zerosLike(variable);
    if (name === picture) compareMap(context, `grad/${name}`, gradient);
    else {
      const stored = storeTensor(gradient, layout) as { shape: number[]; data: Float32Array };
      context.compare(`grad/${name}`, stored);
    }
  });
}

function upstreamOf(context: CaseContext, name: string): tf.Tensor {
  const upstream = context.tensor(`in/upstream.${name}`);
  return upstream.rank === 4 ? tf.transpose(upstream, [0, 2, 3, 1]) : upstream;
}
