// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { LayerNorm } from '../layers/basic.js';
import { dropPath } from '../layers/dropout.js';
import { resizeBilinear } from '../layers/resize.js';
import { Module } from '../module.js';
import type { ForwardOptions } from './backbone.js';
import { BLOCK_EPS, type ConvAttentionOptions, TransformerMlp } from './conv_attention_block.js';
import {
  type ConvPositionEncoding,
  type ConvRelativeEncoding,
  FactorisedAttention,
  joinTokens,
  splitTokens,
  type TokenGrid,
} from './factorised_attention.js';

/** Encodings of a stage, which all its blocks share. */
export interface StageEncodings {
  position: ConvPositionEncoding;
  relative: ConvRelativeEncoding;
}

/**
 * A block in which stages 2 to 4 exchange what they attended to, resized to each other. Parameters end in the number of their
 * stage; the MLP is one under three names.
 */
export class CoatParallelBlock extends Module {
  private readonly norm1: LayerNorm[];
  private readonly attention: FactorisedAttention[];
  private readonly norm2: LayerNorm[];
  private readonly mlp: TransformerMlp;

  /** @param encodings of stages 2, 3 and 4; they belong to the network */
  constructor(
    private readonly options: ConvAttentionOptions,
    private readonly encodings: readonly StageEncodings[],
  ) {
    super();
    const { channels, hidden } = options;
    const each = <T extends Module>(name: string, make: (encodings: StageEncodings) => T) =>
      encodings.map((own, i) => this.child(`${name}${i + 2}`, make(own)));
    this.norm1 = each('norm1', () => new LayerNorm(channels, BLOCK_EPS));
    this.attention = each('factoratt_crpe', ({ relative }) => new FactorisedAttention(channels, relative));
    this.norm2 = each('norm2', () => new LayerNorm(channels, BLOCK_EPS));
    const mlp = new TransformerMlp(channels, hidden);
    this.mlp = each('mlp', () => mlp)[0]!;
  }

  /** @param stages tokens of stages 2, 3 and 4 @returns the same shapes */
  forward(stages: readonly tf.Tensor3D[], grids: readonly TokenGrid[], pass: ForwardOptions): tf.Tensor3D[] {
    const run = () => this.run(stages, grids, pass);
    return pass.taps ? run() : tf.tidy(run);
  }

  private run(
    stages: readonly tf.Tensor3D[],
    grids: readonly TokenGrid[],
    pass: ForwardOptions,
  ): tf.Tensor3D[] {
    const { dropPath: rate } = this.options;
    const placed = stages.map((tokens, i) => this.encodings[i]!.position.forward(tokens, grids[i]!));
    const attended = placed.map((tokens, i) =>
      this.attention[i]!.forward(this.norm1[i]!.forward(tokens) as tf.Tensor3D, grids[i]!),
    );
    return exchange(attended, grids).map((sum, i) => {
      const { batch } = grids[i]!;
      const middle = tf.add(placed[i]!, dropPath(sum, batch, rate, pass));
      const mixed = this.mlp.forward(this.norm2[i]!.forward(middle)) as tf.Tensor3D;
      return tf.add(middle, dropPath(mixed, batch, rate, pass));
    });
  }
}

/** For each stage the sum of all, maps resized to its own and class tokens as they are. */
function exchange(stages: readonly tf.Tensor3D[], grids: readonly TokenGrid[]): tf.Tensor3D[] {
  const parts = stages.map((tokens, i) => splitTokens(tokens, grids[i]!));
  const classes = tf.addN(parts.map((part) => part.classes!));
  return grids.map(({ height, width }) =>
    joinTokens(classes, tf.addN(parts.map(({ map }) => resizeBilinear(map, [height, width])))),
  );
}
