// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import type { DetectorOutput, PaddedTargets } from '../../../src/models/types.js';
import { Random } from '../../../src/random.js';
import type { CriterionOptions, LossExtras } from '../../../src/train/losses/index.js';
import { classCriterion, classTargets, SetCriterion } from '../../../src/train/losses/index.js';
import { SIZES, someOutput, someTargets, uniform, values, withPadding } from './helpers.js';

beforeAll(async () => {
  await ready();
});

const tokenMask = (): tf.Tensor2D =>
  tf.tensor2d(
    [
      [1, 1, 1, 1, 1, 1, 1],
      [1, 1, 1, 1, 0, 0, 0],
    ],
    [2, 7],
  );

const CRITERIA: [name: string, options: Partial<CriterionOptions>, extrasOf: () => LossExtras][] = [
  ['MDETR', {}, () => ({ temperature: 0.07 })],
  ['MDETR-G', { maskPadding: true }, () => ({ logitScale: tf.scalar(2), tokenMask: tokenMask() })],
  [
    'sigmoid tokens',
    {
      losses: ['token_focal', 'boxes'],
      matcher: { classCost: 'focal-token', class: 2, bbox: 5, giou: 2 },
      focalNormaliser: 'tokens',
    },
    () => ({}),
  ],
];

/** All losses by key as numbers, with the total. */
function numbers(
  criterion: SetCriterion,
  output: DetectorOutput,
  targets: PaddedTargets,
  extras: LossExtras,
): Record<string, number> {
  const { total, parts } = criterion.compute(output, targets, extras);
  const all = Object.entries({ ...parts, total }).map(([key, value]) => [key, values(value)[0]!]);
  return Object.fromEntries(all);
}

describe.each(CRITERIA)('criterion %s', (_name, options, extrasOf) => {
  const criterion = new SetCriterion(options);
  let extras: LossExtras;

  beforeAll(() => {
    extras = extrasOf();
  });

  it('can teach other slots than it matches by', () => {
    const [output, targets, others] = [someOutput(1), someTargets(2, [3, 2], 3), someTargets(7, [3, 2], 3)];
    const plain = criterion.compute(output, targets, extras);
    const taught = criterion.compute(output, targets, { ...extras, taughtMap: others.positiveMap });
    expect(values(taught.matching.queries)).toEqual(values(plain.matching.queries));
    expect(values(taught.parts.loss_bbox!)).toEqual(values(plain.parts.loss_bbox!));
    expect(values(taught.parts.loss_ce!)).not.toEqual(values(plain.parts.loss_ce!));
  });

  it('names the layers as DETR does', () => {
    const { parts } = criterion.compute(someOutput(1), someTargets(2, [3, 2], 3), extras);
    for (const key of ['loss_ce', 'loss_bbox', 'loss_giou']) {
      for (const suffix of ['', '_0', '_1']) expect(parts).toHaveProperty(key + suffix);
      expect(parts).not.toHaveProperty(`${key}_2`);
    }
  });

  it('gives each layer what it gives that layer alone', () => {
    const output = someOutput(1);
    const targets = someTargets(2, [3, 2], 3);
    const all = numbers(criterion, output, targets, extras);
    output.aux_outputs.forEach((layer, i) => {
      const alone = { ...output, ...layer, aux_outputs: [] };
      const own = numbers(criterion, alone, targets, extras);
      for (const key of ['loss_ce', 'loss_bbox', 'loss_giou']) {
        expect(all[`${key}_${i}`]).toBeCloseTo(own[key]!, 4);
      }
    });
  });

  it('does not see padding targets', () => {
    const output = someOutput(1);
    const targets = someTargets(2, [3, 0], 3);
    const bare = numbers(criterion, output, targets, extras);
    const padded = numbers(criterion, output, withPadding(targets, 4), extras);
    for (const key of Object.keys(bare)) expect(padded[key]).toBeCloseTo(bare[key]!, 4);
  });

  it('takes a batch without any target, with finite gradients', () => {
    const output = someOutput(1);
    const targets = someTargets(2, [0, 0], 2);
    const { parts } = criterion.compute(output, targets, extras);
    expect(values(parts.loss_bbox!)).toEqual([0]);
    expect(values(parts.loss_giou!)).toEqual([0]);
    const total = (logits: tf.Tensor, boxes: tf.Tensor) =>
      criterion.compute(
        { ...output, pred_logits: logits as tf.Tensor3D, pred_boxes: boxes as tf.Tensor3D },
        targets,
        extras,
      ).total;
    const [dLogits, dBoxes] = tf.grads(total)([output.pred_logits, output.pred_boxes]);
    expect(values(dLogits!).every(Number.isFinite)).toBe(true);
    expect(values(dLogits!).some((value) => value !== 0)).toBe(true);
    expect(values(dBoxes!).every((value) => value === 0)).toBe(true);
  });

  it('takes more targets than queries', () => {
    const output = someOutput(1);
    const { matching, total } = criterion.compute(output, someTargets(2, [9, 1], 9), extras);
    const found = values(matching.matched);
    const perLayer = SIZES.layers * 9;
    const count = (from: number) => found.slice(from, from + perLayer).reduce((sum, value) => sum + value, 0);
    expect([count(0), count(perLayer)]).toEqual([SIZES.layers * SIZES.queries, SIZES.layers]);
    expect(Number.isFinite(values(total)[0])).toBe(true);
  });

  it('gives gradients that agree with differences', () => {
    const output = someOutput(5);
    const targets = someTargets(6, [2, 1], 2);
    const lossOf = (boxes: tf.Tensor) =>
      criterion.compute({ ...output, pred_boxes: boxes as tf.Tensor3D }, targets, extras).total;
    const gradient = values(tf.grad(lossOf)(output.pred_boxes));
    const start = values(output.pred_boxes);
    const at = (k: number, by: number) => {
      const moved = start.map((value, i) => (i === k ? value + by : value));
      return values(lossOf(tf.tensor3d(moved, output.pred_boxes.shape)))[0]!;
    };
    const h = 2e-3;
    for (let k = 0; k < start.length; k += 5) {
      expect(Math.abs(gradient[k]! - (at(k, h) - at(k, -h)) / (2 * h))).toBeLessThan(0.1);
    }
  });
});

describe('SetCriterion', () => {
  it('refuses unknown losses with a suggestion', () => {
    const losses = ['boxs'] as unknown as CriterionOptions['losses'];
    expect(() => new SetCriterion({ losses })).toThrow(/unknown loss "boxs".*did you mean "boxes"/);
  });

  it('adds up what has a weight', () => {
    const criterion = new SetCriterion({ losses: ['boxes'], weights: { loss_bbox: 3 } });
    const all = numbers(criterion, someOutput(1), someTargets(2, [3, 2], 3), {});
    const sum = all.loss_bbox! + all.loss_bbox_0! + all.loss_bbox_1!;
    expect(all.total).toBeCloseTo(3 * sum, 4);
  });

  it('leaves no tensors behind inside a tidy', () => {
    const output = someOutput(1);
    const targets = someTargets(2, [3, 2], 3);
    const criterion = new SetCriterion();
    const before = tf.memory().numTensors;
    const loss = (x: tf.Tensor) =>
      criterion.compute({ ...output, pred_logits: x as tf.Tensor3D }, targets, { temperature: 0.07 }).total;
    tf.tidy(() => {
      tf.grad(loss)(output.pred_logits);
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('hides logits of padding tokens, even infinite ones', () => {
    const criterion = new SetCriterion({
      losses: ['token_focal'],
      matcher: { classCost: 'focal-token', class: 2, bbox: 5, giou: 2 },
    });
    const output = someOutput(1, { ...SIZES, layers: 1 });
    const mask = tf.concat([tf.ones([2, 5]), tf.zeros([2, 3])], 1) as tf.Tensor2D;
    const targets = someTargets(2, [3, 2], 3);
    const open = tf.mul(targets.positiveMap, tf.expandDims(mask, 1)) as tf.Tensor3D;
    const hidden = tf.where(
      tf.cast(tf.broadcastTo(tf.expandDims(mask, 1), [2, 6, 8]), 'bool'),
      output.pred_logits,
      tf.fill([2, 6, 8], Number.NEGATIVE_INFINITY),
    );
    const loss = (x: tf.Tensor) =>
      criterion.compute(
        { ...output, pred_logits: x as tf.Tensor3D },
        { ...targets, positiveMap: open },
        { tokenMask: mask },
      ).total;
    expect(Number.isFinite(values(loss(hidden))[0])).toBe(true);
    expect(values(tf.grad(loss)(hidden)).every(Number.isFinite)).toBe(true);
  });
});

describe('isfinal', () => {
  const options: Partial<CriterionOptions> = {
    losses: ['soft_token', 'boxes', 'isfinal'],
    weights: { loss_isfinal: 1 },
  };
  /** What each layer says of finality, the last layer last. */
  const finality = () =>
    Array.from(
      { length: SIZES.layers },
      (_, i) => uniform(new Random(40 + i), [SIZES.batch, SIZES.queries, 1], -2, 2) as tf.Tensor3D,
    );
  const given = (): [PaddedTargets, LossExtras] => [
    someTargets(5, [3, 1], 4),
    {
      isfinal: tf.tensor2d([
        [1, 0, 1, 1],
        [0, 1, 1, 1],
      ]),
    },
  ];

  it('teaches every layer what it would teach it as the last', () => {
    const output = someOutput(3);
    const layers = [...output.aux_outputs, output].map((layer, i) => ({
      ...layer,
      pred_isfinal: finality()[i]!,
      aux_outputs: [],
    }));
    const whole = { ...layers.at(-1)!, aux_outputs: layers.slice(0, -1) };
    const criterion = new SetCriterion(options);
    const { parts, total } = criterion.compute(whole, ...given());
    const each = layers.map((layer) => criterion.compute(layer, ...given()).parts);
    for (const key of ['loss_isfinal', 'accuracy_isfinal']) {
      const got = each.map((_, i) => values(parts[i < each.length - 1 ? `${key}_${i}` : key]!)[0]!);
      each.forEach((own, i) => {
        expect(got[i]).toBeCloseTo(values(own[key]!)[0]!, 5);
      });
    }
    const sum = each.reduce((all, own) => all + values(own.loss_isfinal!)[0]!, 0);
    expect(values(total)[0]).toBeCloseTo(sum, 4);
  });

  it('refuses layers of which one does not say it', () => {
    const output = someOutput(3);
    const criterion = new SetCriterion(options);
    expect(() => criterion.compute({ ...output, pred_isfinal: finality()[0]! }, ...given())).toThrow(
      /pred_isfinal of every layer/,
    );
  });
});

describe('classCriterion', () => {
  it('prefers the right class in the right place', () => {
    const targets = classTargets([[[0.5, 0.5, 0.2, 0.2]]], [[1]], 3);
    const output = (logits: number[]): DetectorOutput => ({
      pred_logits: tf.tensor3d([[logits, [-5, -5, -5]]]),
      pred_boxes: tf.tensor3d([
        [
          [0.5, 0.5, 0.2, 0.2],
          [0.1, 0.1, 0.1, 0.1],
        ],
      ]),
      aux_outputs: [],
    });
    const criterion = classCriterion();
    const right = values(criterion.compute(output([-5, 5, -5]), targets).total)[0]!;
    const wrong = values(criterion.compute(output([5, -5, -5]), targets).total)[0]!;
    expect(right).toBeLessThan(0.01);
    expect(wrong).toBeGreaterThan(1);
  });

  it('refuses a label outside the slots', () => {
    expect(() => classTargets([[[0.5, 0.5, 0.2, 0.2]]], [[3]], 3)).toThrow(/labels in 0\.\.2 for picture 0/);
  });
});
