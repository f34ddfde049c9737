// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { backboneNames, gsdPositions, VitBackbone, vitConfig } from '../../src/models/backbones/index.js';
import { readSafetensorsSync } from '../../src/models/weights/safetensors.js';
import { loadStateDict } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';
import { runNetwork } from './network.js';

/** Kind `positions`: tables of positions for several resolutions, and for none. */
export function runPositions(context: CaseContext): void {
  const { dim, grid, cls_token } = context.config as { dim: number; grid: number; cls_token: boolean };
  const gsd = context.tensor<tf.Tensor1D>('in/gsd');
  const { table, plain } = context.compute(() => {
    const rows = (map: tf.Tensor4D) => {
      const places = tf.reshape(map, [map.shape[0], grid * grid, dim]);
      return cls_token ? tf.concat([tf.zeros([map.shape[0], 1, dim]), places], 1) : places;
    };
    return {
      table: rows(gsdPositions([grid, grid], dim, gsd)),
      plain: tf.squeeze(rows(gsdPositions([grid, grid], dim, 1)), [0]),
    };
  });
  context.compare('out/table', table);
  context.compare('out/plain', plain);
}

/** Kind `vit`: tokens, values inside, gradients. */
export function runVit(context: CaseContext): void {
  const { repo, dim, depth, heads } = context.config as Record<'dim' | 'depth' | 'heads', number> & {
    repo: string;
  };
  const settings = { embed_dim: dim, depth, num_heads: heads, class_token: repo === 'scale_mae' };
  const backbone = new VitBackbone(vitConfig(settings));
  const source = context.fileLike('weights.safetensors');
  loadStateDict(backbone, readSafetensorsSync(source), { names: backboneNames('scalemae')[0]!, source });
  const gsd = context.tensor<tf.Tensor1D>('in/input_res');
  runNetwork(context, {
    module: backbone,
    picture: 'image',
    run: (pixels, taps = new Map()) => {
      backbone.forward(pixels, { taps, gsd });
      return new Map([['tokens', taps.get('tokens')!]]);
    },
    tapName: (tap) => `mid/${tap}`,
    ownName: (name) => name,
  });
}
