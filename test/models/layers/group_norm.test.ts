// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineId, ready } from '../../../src/engine/index.js';
import { GroupNorm } from '../../../src/models/layers/group_norm.js';

const ENGINES: EngineId[] = ['cpu', 'tensorflow'];

/** Straight from the definition, recorded operation by operation. */
function plain(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, groups: number): tf.Tensor {
  const [batch, length, channels] = x.shape as [number, number, number];
  const grouped = x.reshape([batch, length, groups, channels / groups]);
  const { mean, variance } = tf.moments(grouped, [1, 3], true);
  const normal = tf.div(tf.sub(grouped, mean), tf.sqrt(tf.add(variance, 1e-5)));
  return tf.add(tf.mul(normal.reshape(x.shape), weight), bias);
}

describe.each(ENGINES)('GroupNorm on engine %s', (engine) => {
  beforeAll(async () => {
    await ready({ engine });
  });

  it('equals its definition, with all gradients', () => {
    const norm = new GroupNorm(3, 12);
    const parameters = norm.namedParameters();
    const [weight, bias] = ['weight', 'bias'].map((name) => parameters.get(name)!.variable) as [
      tf.Variable,
      tf.Variable,
    ];
    weight.assign(tf.randomNormal([12], 1, 0.3, 'float32', 1));
    bias.assign(tf.randomNormal([12], 0, 0.3, 'float32', 2));
    const x = tf.variable(tf.randomNormal([2, 5, 12], 0.5, 2, 'float32', 3));
    const upstream = tf.randomNormal([2, 5, 12], 0, 1, 'float32', 4);
    const variables = [x, weight, bias];
    const [own, wanted] = [
      () => norm.forward(x as tf.Tensor as tf.Tensor3D),
      () => plain(x, weight, bias, 3),
    ].map((f) => {
      const { grads } = tf.variableGrads(() => tf.sum(tf.mul(f(), upstream)) as tf.Scalar, variables);
      return [f(), ...variables.map(({ name }) => grads[name]!)];
    }) as [tf.Tensor[], tf.Tensor[]];
    own.forEach((tensor, i) => {
      expect(tensor.shape).toEqual(wanted[i]!.shape);
      expect(tf.max(tf.abs(tf.sub(tensor, wanted[i]!))).dataSync()[0]).toBeLessThan(2e-5);
    });
  });

  it('refuses groups that do not divide the channels', () => {
    expect(() => new GroupNorm(5, 12)).toThrow('expected channels divisible by groups but received 12, 5');
  });
});
