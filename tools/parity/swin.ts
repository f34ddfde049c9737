// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import type * as tf from '@tensorflow/tfjs';
import { loadSwinBackbone, loadSwinModel, type SwinBackbone } from '../../src/models/backbones/index.js';
import type { CaseContext } from './context.js';
import { type Network, runNetwork } from './network.js';

/** What the fixtures of Swin have in common. */
const NAMES: Pick<Network, 'picture' | 'tapName' | 'ownName'> = {
  picture: 'pixel_values',
  tapName: (tap) => (tap.startsWith('raw.') ? `out/${tap}` : `mid/${tap}`),
  ownName: (name) => name.replace(/^swin\./, ''),
};

/** Kind `backbone` of area `swin`. */
export async function runSwinBackbone(context: CaseContext): Promise<void> {
  const backbone = await loadBackbone(dirname(context.fileLike('config.json')), context);
  const stages = backbone.config.out_features;
  const run = (pixels: tf.Tensor4D, taps?: Map<string, tf.Tensor>) => {
    const { levels } = backbone.forward(pixels, { taps });
    return new Map(stages.map((stage, i) => [stage, levels[i]!]));
  };
  runNetwork(context, { ...NAMES, module: backbone, run });
}

/** Kind `model` of area `swin`. */
export async function runSwinModel(context: CaseContext): Promise<void> {
  const { model } = await loadSwinModel(dirname(context.fileLike('config.json')));
  const run = (pixels: tf.Tensor4D, taps?: Map<string, tf.Tensor>) => {
    const { lastHiddenState, poolerOutput } = model.forward(pixels, { taps });
    return new Map<string, tf.Tensor>([
      ['last_hidden_state', lastHiddenState],
      ['pooler_output', poolerOutput],
    ]);
  };
  runNetwork(context, { ...NAMES, module: model, run });
}

/** Values of stages behind the last wanted one may be stored too: then the network has to go on to them. */
async function loadBackbone(folder: string, context: CaseContext): Promise<SwinBackbone> {
  const { backbone } = await loadSwinBackbone(folder);
  const stored = context
    .expected(/^out\/raw\.stage\d+$/)
    .map((name) => Number(name.slice('out/raw.stage'.length)));
  const deepest = Math.max(0, ...stored);
  if (backbone.config.out_features.some((name) => name === `stage${deepest}`) || deepest === 0)
    return backbone;
  backbone.dispose();
  const stages = Array.from({ length: deepest }, (_, i) => `stage${i + 1}`);
  return (await loadSwinBackbone(folder, { out_features: stages })).backbone;
}
