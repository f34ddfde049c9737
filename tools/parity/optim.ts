// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { Ema } from '../../src/train/ema.js';
import { AdamW, lossAndGradients, type ParameterGroup } from '../../src/train/optimizer.js';
import { type ScheduleOptions, scheduleFactor } from '../../src/train/schedule.js';
import type { CaseContext } from './context.js';

interface OptimConfig {
  steps: number;
  groups: { match: string; lr: number; weight_decay: number }[];
  betas?: [number, number];
  eps?: number;
  clip?: number;
  schedule?: {
    kind: string;
    step_size?: number;
    gamma?: number;
    milestones?: number[];
    warmup?: number;
    total?: number;
  };
  ema?: number[];
}

/** Values of every step under their name without `at/`, row after row. */
class Recorder {
  private readonly rows = new Map<string, { shape: number[]; values: number[][] }>();

  add(name: string, shape: readonly number[], values: ArrayLike<number>): void {
    const entry = this.rows.get(name) ?? { shape: [...shape], values: [] };
    entry.values.push(Array.from(values));
    this.rows.set(name, entry);
  }

  tensor(name: string, value: tf.Tensor): void {
    this.add(name, value.shape, value.dataSync());
  }

  compare(context: CaseContext): void {
    for (const [name, { shape, values }] of this.rows) {
      context.compare(`at/${name}`, { shape: [values.length, ...shape], data: values.flat() });
    }
  }
}

/** Trains the little network of the case as the library would, and compares everything at every step. */
export async function runOptim(context: CaseContext): Promise<void> {
  const config = context.config as unknown as OptimConfig;
  const names = context.names('start/').map((name) => name.slice('start/'.length));
  const parameters = new Map(names.map((name) => [name, context.variable(`start/${name}`)]));
  const x = context.tensor<tf.Tensor2D>('in/x');
  const y = context.tensor<tf.Tensor2D>('in/y');
  const optimizer = new AdamW(parameters, optionsOf(config));
  const averages = (config.ema ?? []).map((decay) => new Ema(optimizer.store, decay));
  const recorder = new Recorder();
  for (let step = 0; step < config.steps; step++) {
    const factor = factorOf(config, step);
    const { value, gradients } = lossAndGradients(parameters, () => loss(parameters, x, y));
    recorder.tensor('loss', value);
    for (const [group, lr] of Object.entries(optimizer.learningRates(factor))) {
      recorder.add(`lr.${group}`, [], [lr]);
    }
    const pending = optimizer.gather(gradients);
    recordGradients(recorder, gradients, pending.gradNorm, config.clip);
    pending.apply(factor);
    for (const average of averages) average.update();
    await recordState(recorder, parameters, optimizer, averages);
  }
  recorder.compare(context);
  optimizer.dispose();
}

function optionsOf({ groups, betas, eps, clip }: OptimConfig) {
  return {
    lr: 1, // groups carry absolute rates
    groups: groups.map(({ match, lr, weight_decay }, i): ParameterGroup => {
      const matcher = match === '' ? {} : { includes: [match] };
      return { name: String(i), match: matcher, lrMultiplier: lr, weightDecay: weight_decay };
    }),
    ...(betas ? { betas } : {}),
    ...(eps === undefined ? {} : { eps }),
    ...(clip === undefined ? {} : { clipNorm: clip }),
  };
}

function factorOf({ schedule, steps }: OptimConfig, step: number): number {
  if (!schedule || schedule.kind === 'none') return 1;
  const options: ScheduleOptions = { total: schedule.total ?? steps };
  if (schedule.warmup !== undefined) options.warmup = schedule.warmup;
  if (schedule.step_size !== undefined) options.stepSize = schedule.step_size;
  if (schedule.milestones !== undefined) options.milestones = schedule.milestones;
  if (schedule.gamma !== undefined) options.gamma = schedule.gamma;
  return scheduleFactor(schedule.kind, step, options);
}

/** Linear, tanh, linear; mean squared error. */
function loss(parameters: ReadonlyMap<string, tf.Variable>, x: tf.Tensor2D, y: tf.Tensor2D): tf.Scalar {
  const layer = (input: tf.Tensor2D, name: string) =>
    tf.add(
      tf.matMul(input, parameters.get(`${name}.weight`) as tf.Tensor as tf.Tensor2D, false, true),
      parameters.get(`${name}.bias`)!,
    ) as tf.Tensor2D;
  return tf.mean(tf.square(tf.sub(layer(tf.tanh(layer(x, '0')), '2'), y))) as tf.Scalar;
}

function recordGradients(
  recorder: Recorder,
  gradients: ReadonlyMap<string, tf.Tensor>,
  norm: tf.Scalar,
  clip: number | undefined,
): void {
  recorder.tensor('grad_norm', norm);
  const scale = clip === undefined ? 1 : Math.min(1, clip / (norm.dataSync()[0]! + 1e-6));
  for (const [name, gradient] of gradients) {
    recorder.tensor(`grad.${name}`, gradient);
    recorder.tensor(`clipped.${name}`, tf.mul(gradient, scale));
  }
}

async function recordState(
  recorder: Recorder,
  parameters: ReadonlyMap<string, tf.Variable>,
  optimizer: AdamW,
  averages: readonly Ema[],
): Promise<void> {
  for (const [name, variable] of parameters) recorder.tensor(`param.${name}`, variable);
  for (const [key, { shape, data }] of await optimizer.state()) {
    if (key.startsWith('exp_avg')) recorder.add(key, shape, data);
  }
  for (const average of averages) {
    // As Python writes numbers.
    const decay = Number.isInteger(average.decay) ? average.decay.toFixed(1) : average.decay;
    for (const [name, { shape, data }] of await average.state()) {
      recorder.add(`ema_${decay}.${name}`, shape, data);
    }
  }
}
