// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp } from '../engine/index.js';
import { Random } from '../random.js';
import { checkTensor } from './check.js';
import { noGrad } from './no_grad.js';
import { NATIVE_BACKEND } from './registry.js';

// Random numbers as a function of a seed that is a tensor: the same seed gives the same numbers, in compiled functions as
// outside of them. (TensorFlow.js draws its numbers in JavaScript, which a compiled function would freeze.)

/**
 * Numbers drawn evenly from [0, 1).
 * @param shape of the result
 * @param seed int32 `[2]`
 */
export function statelessRandomUniform(shape: readonly number[], seed: tf.Tensor1D): tf.Tensor {
  checkTensor('statelessRandomUniform', 'seed', seed, 'int32', '[2]', [2]);
  return draw('StatelessRandomUniform', shape, seed, (random) => random.uniform());
}

/**
 * Numbers of the standard normal distribution.
 * @param shape of the result
 * @param seed int32 `[2]`
 */
export function statelessRandomNormal(shape: readonly number[], seed: tf.Tensor1D): tf.Tensor {
  checkTensor('statelessRandomNormal', 'seed', seed, 'int32', '[2]', [2]);
  return draw('StatelessRandomNormal', shape, seed, (random) => random.normal());
}

/** TensorFlow's op, or numbers of the same distribution made in JavaScript on other engines. */
function draw(
  op: string,
  shape: readonly number[],
  seed: tf.Tensor1D,
  plain: (random: Random) => number,
): tf.Tensor {
  return noGrad(() =>
    tf.tidy(() => {
      if (tf.getBackend() === NATIVE_BACKEND) {
        const attrs = [opAttr.type('dtype', 'float32'), opAttr.type('Tseed', 'int32')];
        return runOp(op, attrs, [tf.tensor1d([...shape], 'int32'), seed], 1)[0]!;
      }
      const [first, second] = seed.dataSync();
      const random = new Random(mix(first!, second!));
      const count = shape.reduce((product, size) => product * size, 1);
      return tf.tensor(
        Float32Array.from({ length: count }, () => plain(random)),
        [...shape],
      );
    }),
  );
}

/** One seed of two numbers. */
function mix(a: number, b: number): number {
  return new Random((a ^ Math.imul(b, 0x9e3779b1)) >>> 0).uint32();
}

/** Draws one after the other from one seed; for the length of a pass through a network. */
export class RandomStream {
  private draws = 0;

  /** @param seed int32 `[2]`; belongs to the caller */
  constructor(private readonly seed: tf.Tensor1D) {
    checkTensor('RandomStream', 'seed', seed, 'int32', '[2]', [2]);
  }

  /** Numbers from [0, 1). */
  uniform(shape: readonly number[]): tf.Tensor {
    return tf.tidy(() => statelessRandomUniform(shape, this.next()));
  }

  /** Numbers of the standard normal distribution. */
  normal(shape: readonly number[]): tf.Tensor {
    return tf.tidy(() => statelessRandomNormal(shape, this.next()));
  }

  private next(): tf.Tensor1D {
    return noGrad(() => tf.add(this.seed, tf.tensor1d([0, this.draws++], 'int32')) as tf.Tensor1D);
  }
}

/** State of {@link RandomSeeds}: the seed, and how many were taken. */
export type RandomSeedsState = readonly [seed: number, taken: number];

/** Seeds for {@link RandomStream}, a new one for every call of a compiled function; its state goes into checkpoints. */
export class RandomSeeds {
  private taken = 0;

  constructor(private readonly seed: number) {}

  static fromState([seed, taken]: RandomSeedsState): RandomSeeds {
    const seeds = new RandomSeeds(seed);
    seeds.taken = taken;
    return seeds;
  }

  get state(): RandomSeedsState {
    return [this.seed, this.taken];
  }

  /** int32 `[2]`; the caller frees it. */
  next(): tf.Tensor1D {
    return seedTensor(new Random(mix(this.seed, this.taken++)));
  }
}

/** A seed drawn from `random`: int32 `[2]`. */
export function seedTensor(random: Random): tf.Tensor1D {
  return tf.tensor1d(Int32Array.of(random.uint32(), random.uint32()), 'int32');
}
