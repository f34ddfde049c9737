// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { Ema, warmDecay } from '../../src/train/ema.js';
import { AdamW, matches } from '../../src/train/optimizer.js';
import { scheduleFactor } from '../../src/train/schedule.js';

beforeAll(async () => {
  await ready();
});
beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

// Values of every step are compared with PyTorch's by the parity cases of the area `optim` (test/parity.test.ts).

function toy(): Map<string, tf.Variable> {
  return new Map<string, tf.Variable>([
    ['a.weight', tf.variable(tf.tensor2d([1, 2, 3, 4], [2, 2]))],
    ['a.bias', tf.variable(tf.tensor1d([1, 2]))],
    ['b.weight', tf.variable(tf.tensor2d([5, 6], [1, 2]))],
    ['scale', tf.variable(tf.scalar(7))],
  ]);
}

function ones(parameters: Map<string, tf.Variable>, ...names: string[]): Map<string, tf.Tensor> {
  return new Map(names.map((name) => [name, tf.onesLike(parameters.get(name)!)]));
}

describe('AdamW', () => {
  it('leaves a parameter without a gradient untouched and its step count where it was', async () => {
    const parameters = toy();
    const adamw = new AdamW(parameters, { lr: 0.1, weightDecay: 0.5 });
    adamw.step(ones(parameters, 'a.weight', 'scale'));
    adamw.step(ones(parameters, 'a.weight', 'a.bias'));
    expect(Array.from(parameters.get('b.weight')!.dataSync())).toEqual([5, 6]);
    const state = await adamw.state();
    const steps = [...parameters.keys()].map((name) => state.get(`step.${name}`)!.data[0]);
    expect(steps).toEqual([2, 1, 0, 1]);
    // A first step moves by lr whatever the gradient's size, wherever in the run it comes.
    expect(parameters.get('a.bias')!.dataSync()[0]).toBeCloseTo(1 * (1 - 0.05) - 0.1, 5);
    expect(parameters.get('scale')!.dataSync()[0]).toBeCloseTo(7 * (1 - 0.05) - 0.1, 5);
  });

  it('continues from a saved state to the same bits, with uneven step counts', async () => {
    const straight = toy();
    const first = new AdamW(straight, { lr: 0.1, clipNorm: 1 });
    first.step(ones(straight, 'a.weight', 'scale'));
    first.step(ones(straight, 'a.weight', 'a.bias', 'scale', 'b.weight'));
    const resumed = new Map([...straight].map(([name, variable]) => [name, tf.variable(tf.clone(variable))]));
    const second = new AdamW(resumed, { lr: 0.1, clipNorm: 1 });
    second.loadState(await first.state(), 'toy');
    first.step(ones(straight, ...straight.keys()));
    second.step(ones(resumed, ...straight.keys()));
    for (const [name, variable] of straight) {
      expect([name, [...resumed.get(name)!.dataSync()]]).toEqual([name, [...variable.dataSync()]]);
    }
  });

  it('refuses a state of another model and changes nothing', async () => {
    const parameters = toy();
    const adamw = new AdamW(parameters, { lr: 0.1 });
    const state = await adamw.state();
    state.set('exp_avg.a.bias', { shape: [3], data: new Float32Array(3) });
    expect(() => adamw.loadState(state, 'o.safetensors')).toThrow(
      'o.safetensors: optimizer state does not fit the model: exp_avg of parameter a.bias has shape [3], expected [2]',
    );
    state.delete('exp_avg.a.bias');
    expect(() => adamw.loadState(state, 'o.safetensors')).toThrow('exp_avg of parameter a.bias is missing');
  });

  it('sees values that somebody else assigned', () => {
    const parameters = toy();
    const adamw = new AdamW(parameters, { lr: 0.1, weightDecay: 0 });
    parameters.get('a.bias')!.assign(tf.tensor1d([100, 200]));
    adamw.step(ones(parameters, 'a.bias'));
    expect(parameters.get('a.bias')!.dataSync()[1]).toBeCloseTo(199.9, 3);
  });

  it('says which parameter no group takes', () => {
    const groups = [{ name: 'matrices', match: { minRank: 2 } }];
    expect(() => new AdamW(toy(), { lr: 1, groups })).toThrow('none takes a.bias');
  });

  it('keeps the number of tensors over steps and frees a refused step', () => {
    const parameters = toy();
    const adamw = new AdamW(parameters, { lr: 0.1, clipNorm: 1 });
    const ema = new Ema(adamw.store, 0.9);
    const gradients = ones(parameters, ...parameters.keys());
    adamw.step(gradients);
    const before = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) {
      adamw.step(gradients);
      ema.update();
    }
    adamw.gather(gradients).dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('matches by name parts and rank', () => {
    expect(matches({ includes: ['x', 'text'] }, 'text.a', 1)).toBe(true);
    expect(matches({ includes: ['text'], excludes: ['bias'] }, 'text.bias', 1)).toBe(false);
    expect(matches({ minRank: 2 }, 'w', 1)).toBe(false);
    expect(matches({ maxRank: 1 }, 'w', 1)).toBe(true);
  });
});

describe('Ema', () => {
  it('lends the averages and puts the parameters back, also after an error', async () => {
    const parameters = toy();
    const adamw = new AdamW(parameters, { lr: 1, weightDecay: 0 });
    const ema = new Ema(adamw.store, 0.5);
    adamw.step(ones(parameters, 'a.bias'));
    ema.update();
    const bias = parameters.get('a.bias')!;
    expect(bias.dataSync()[0]).toBeCloseTo(0, 5);
    await ema.during(async () => expect(bias.dataSync()[0]).toBeCloseTo(0.5, 5));
    expect(bias.dataSync()[0]).toBeCloseTo(0, 5);
    const failing = ema.during(() => Promise.reject(new Error('evaluation failed')));
    await expect(failing).rejects.toThrow('evaluation failed');
    expect(bias.dataSync()[0]).toBeCloseTo(0, 5);
  });
});

describe('warmDecay', () => {
  it('rises to the decay and stays there', () => {
    expect([0, 10, 1e6].map((step) => warmDecay(0.998, step))).toEqual([0.1, 11 / 20, 0.998]);
  });
});

describe('schedules', () => {
  it('cosine rises over the warm-up, is full after it, and ends at the floor', () => {
    const options = { total: 110, warmup: 10, floor: 0.1 };
    expect(scheduleFactor('cosine', 0, options)).toBeCloseTo(0.1, 12);
    expect(scheduleFactor('cosine', 10, options)).toBeCloseTo(1, 12);
    expect(scheduleFactor('cosine', 60, options)).toBeCloseTo(0.55, 12);
    expect(scheduleFactor('cosine', 110, options)).toBeCloseTo(0.1, 12);
    expect(scheduleFactor('cosine', 500, options)).toBeCloseTo(0.1, 12);
  });

  it('suggests the name that was meant', () => {
    expect(() => scheduleFactor('cosin', 0, { total: 1 })).toThrow('did you mean "cosine"?');
  });
});
