// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { didYouMean, UserError } from '../../errors.js';
import type { DetectorOutput, PaddedTargets } from '../../models/types.js';
import { lossBoxes } from './box_losses.js';
import { type CardinalityRule, cardinalityError } from './cardinality.js';
import type { LossContext, LossExtras, LossValues } from './context.js';
import { countTargets, stackLayers } from './context.js';
import { lossContrastiveAlign } from './contrastive_align.js';
import type { FocalOptions } from './focal.js';
import { FOCAL_DEFAULTS } from './focal.js';
import { lossIsfinal } from './isfinal.js';
import type { MatcherOptions, Matching } from './matcher.js';
import { match } from './matcher.js';
import { lossSoftToken } from './soft_token.js';
import { lossTokenFocal } from './token_focal.js';

/** Settings of a set criterion; see `criterionDefaults` for what may be left out. */
export interface CriterionOptions {
  /** Rows of LOSSES to compute. */
  losses: readonly LossName[];
  /** Weight of each key in the total; keys without a weight are reported only. */
  weights: Readonly<Record<string, number>>;
  /** What losses of earlier decoder layers count, relative to the last one's. */
  auxWeight: number;
  matcher: MatcherOptions;
  /** Weight of unmatched queries in `soft_token`. */
  eosCoef: number;
  focal: FocalOptions;
  /** Divisor of `token_focal`. */
  focalNormaliser: 'boxes' | 'tokens';
  /** Whether `contrastive_align` hides padding tokens (MDETR-G) or not (MDETR). */
  maskPadding: boolean;
  /** What `cardinality` counts as an object. */
  cardinality: CardinalityRule;
}

/** Weighted total, and every loss by its key; `_N` marks decoder layer N where it is not the last. */
export interface CriterionResult {
  total: tf.Scalar;
  /** Unweighted scalars, the reference's keys. */
  parts: Record<string, tf.Scalar>;
  matching: Matching;
}

/** All losses by name. To add one: a file with its function, and a row here. */
const LOSSES = {
  soft_token: (context, { eosCoef }) => lossSoftToken(context, { eosCoef }),
  token_focal: (context, { focal, focalNormaliser }) =>
    lossTokenFocal(context, { focal, normaliser: focalNormaliser }),
  boxes: (context) => lossBoxes(context),
  contrastive_align: (context, { maskPadding }) => lossContrastiveAlign(context, { maskPadding }),
  isfinal: (context) => lossIsfinal(context),
  cardinality: (context, { cardinality }) => cardinalityError(context, { rule: cardinality }),
} as const satisfies Record<string, (context: LossContext, options: CriterionOptions) => LossValues>;

export type LossName = keyof typeof LOSSES;

/** Names that `losses` may hold. */
const LOSS_NAMES = Object.keys(LOSSES) as LossName[];

/** MDETR's settings (Kamath et al. 2021). */
const criterionDefaults: CriterionOptions = {
  losses: ['soft_token', 'boxes', 'contrastive_align', 'cardinality'],
  weights: { loss_ce: 1, loss_bbox: 5, loss_giou: 2, loss_contrastive_align: 1, loss_isfinal: 1 },
  auxWeight: 1,
  matcher: { classCost: 'softmax-token', class: 1, bbox: 5, giou: 2 },
  eosCoef: 0.1,
  focal: FOCAL_DEFAULTS,
  focalNormaliser: 'boxes',
  maskPadding: false,
  cardinality: 'last-slot',
};

/**
 * Matches predictions with targets and sums the losses of all decoder layers. Pure tensor work: it can run inside
 * `tf.variableGrads`, and nothing is read back.
 */
export class SetCriterion {
  readonly options: CriterionOptions;

  constructor(options: Partial<CriterionOptions> = {}) {
    this.options = { ...criterionDefaults, ...options };
    for (const name of this.options.losses) {
      if (name in LOSSES) continue;
      const near = didYouMean(name, LOSS_NAMES);
      throw new UserError(
        `unknown loss "${name}"${near ? `: did you mean "${near}"?` : ''} Known: ${LOSS_NAMES.join(', ')}`,
      );
    }
  }

  /**
   * @param output predictions; earlier decoder layers in `aux_outputs`
   * @param targets padded, real ones first; a batch without any target is fine
   */
  compute(output: DetectorOutput, targets: PaddedTargets, extras: LossExtras = {}): CriterionResult {
    const outputs = stackLayers(output);
    const matching = match(outputs, targets, this.options.matcher);
    const { taughtMap: positiveMap = targets.positiveMap } = extras;
    const numBoxes = countTargets(targets);
    const context: LossContext = {
      outputs,
      targets: { ...targets, positiveMap },
      matching,
      numBoxes,
      extras,
    };
    const values: LossValues = {};
    for (const name of this.options.losses) Object.assign(values, LOSSES[name](context, this.options));
    return { total: this.weightedSum(values), parts: splitLayers(values), matching };
  }

  private weightedSum(values: LossValues): tf.Scalar {
    const weighted: tf.Tensor[] = [];
    for (const [key, value] of Object.entries(values)) {
      const weight = this.options.weights[key] ?? 0;
      if (weight !== 0) weighted.push(tf.mul(this.byLayer(value), weight));
    }
    return (weighted.length > 0 ? tf.sum(tf.concat(weighted, 0)) : tf.scalar(0)) as tf.Scalar;
  }

  /** Values of earlier layers at their share. @param value `[layers]` */
  private byLayer(value: tf.Tensor1D): tf.Tensor {
    const { auxWeight } = this.options;
    if (auxWeight === 1 || value.size === 1) return value;
    const shares = Array.from({ length: value.size }, (_, i) => (i < value.size - 1 ? auxWeight : 1));
    return tf.mul(value, tf.tensor1d(shares));
  }
}

/** `{ loss: [a, b, c] }` becomes `{ loss_0: a, loss_1: b, loss: c }`. */
function splitLayers(values: LossValues): Record<string, tf.Scalar> {
  const names = Object.entries(values).flatMap(([key, { size }]) =>
    Array.from({ length: size }, (_, layer) => (layer === size - 1 ? key : `${key}_${layer}`)),
  );
  if (names.length === 0) return {};
  const scalars = tf.unstack(tf.concat(Object.values(values), 0)) as tf.Scalar[];
  return Object.fromEntries(names.map((name, i) => [name, scalars[i]!]));
}
