// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { BatchNorm } from '../layers/batch_norm.js';
import { depthwiseConvolution } from '../layers/depthwise.js';
import { hardSwish } from '../layers/hard_swish.js';
import { ConvolutionNorm, normedConvolution } from '../layers/normed_convolution.js';
import { Module } from '../module.js';
import type { ForwardOptions } from './backbone.js';
import { ConvAttentionBlock, type ConvAttentionOptions } from './conv_attention_block.js';
import {
  ConvPositionEncoding,
  ConvRelativeEncoding,
  joinTokens,
  type TokenGrid,
} from './factorised_attention.js';

interface PathOptions {
  channels: number;
  hidden: number;
  /** Probability of dropping a branch, for each layer. */
  dropPaths: number[];
}

/** A block that has the path's relative encoding under a name of its own too, as the reference does. */
class PathLayer extends ConvAttentionBlock {
  constructor(options: ConvAttentionOptions, position: ConvPositionEncoding, relative: ConvRelativeEncoding) {
    super(options, position, relative);
    this.child('crpe', relative);
  }
}

/** Transformer layers `MHCA_layers.N` on one path's tokens. */
class Path extends Module {
  private readonly layers: PathLayer[];

  constructor(options: PathOptions) {
    super();
    const position = this.child('cpe', new ConvPositionEncoding(options.channels));
    const relative = this.child('crpe', new ConvRelativeEncoding(options.channels));
    this.layers = this.children(
      'MHCA_layers',
      options.dropPaths.map((dropPath) => {
        return new PathLayer({ ...options, dropPath }, position, relative);
      }),
    );
  }

  forward(map: tf.Tensor4D, pass: ForwardOptions, prefix: string): tf.Tensor4D {
    const [batch, height, width] = map.shape;
    const grid: TokenGrid = { batch, height, width, extra: 0 };
    let tokens = joinTokens(null, map);
    this.layers.forEach((layer, i) => {
      tokens = layer.forward(tokens, grid, pass, `${prefix}layer${i}.`);
    });
    return tf.reshape(tokens, map.shape);
  }
}

/** The local branch of a stage: 1x1, depthwise 3x3 and 1x1 convolutions beside their input. */
class LocalBranch extends Module {
  private readonly first: ConvolutionNorm;
  private readonly depthwise: tf.Variable;
  private readonly norm: BatchNorm;
  private readonly second: ConvolutionNorm;

  constructor(private readonly channels: number) {
    super();
    this.first = this.child('conv1', new ConvolutionNorm(channels, channels));
    this.depthwise = this.parameter('dwconv.weight', {
      shape: [3, 3, channels, 1],
      init: { kind: 'normal', std: Math.sqrt(2 / (9 * channels)) },
      layout: 'depthwise',
    });
    this.norm = this.child('norm', new BatchNorm(channels));
    this.second = this.child('conv2', new ConvolutionNorm(channels, channels, { activation: false }));
  }

  forward(x: tf.Tensor4D, training: boolean): tf.Tensor4D {
    const first = this.first.forward(x, training);
    const middle = normedConvolution(
      (weight, bias) => depthwiseConvolution(first, weight, bias, { stride: 1, padding: 1 }),
      this.depthwise as tf.Tensor as tf.Tensor4D,
      [1, 1, this.channels, 1],
      this.norm,
      training,
    );
    return tf.add(x, this.second.forward(hardSwish(middle), training));
  }
}

export interface MpvitStageOptions extends PathOptions {
  paths: number;
  /** Channels that the stage gives. */
  outputs: number;
}

/** The local branch and the paths of a stage side by side, brought together by a 1x1 convolution. */
export class MpvitStage extends Module {
  private readonly paths: Path[];
  private readonly local: LocalBranch;
  private readonly aggregate: ConvolutionNorm;

  constructor(options: MpvitStageOptions) {
    super();
    const { channels, paths, outputs } = options;
    this.paths = this.children(
      'mhca_blks',
      Array.from({ length: paths }, () => new Path(options)),
    );
    this.local = this.child('InvRes', new LocalBranch(channels));
    this.aggregate = this.child('aggregate', new ConvolutionNorm((paths + 1) * channels, outputs));
  }

  /** @param inputs a map `[batch, H, W, C]` for each path @returns `[batch, H, W, outputs]` */
  forward(inputs: readonly tf.Tensor4D[], pass: ForwardOptions, prefix: string): tf.Tensor4D {
    const training = pass.training ?? false;
    const local = this.local.forward(inputs[0]!, training);
    pass.taps?.set(`${prefix}inv_res`, local);
    const maps = this.paths.map((path, i) => path.forward(inputs[i]!, pass, `${prefix}path${i}.`));
    return this.aggregate.forward(tf.concat([local, ...maps], 3), training);
  }
}
