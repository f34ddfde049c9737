// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { loadSwinBackbone, loadSwinModel, type SwinBackbone } from '../../src/models/backbones/index.js';
import type { Module, ParameterLayout } from '../../src/models/module.js';
import { storeTensor } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';

/** A network with weights, run once: results by the fixtures' names in this library's layout. */
interface Network {
  module: Module;
  run(pixels: tf.Tensor4D, taps: Map<string, tf.Tensor>): Map<string, tf.Tensor>;
}

/** Kinds `backbone` and `model`: values inside, results, gradients of the pixels and of parameters. */
export async function runSwin(context: CaseContext): Promise<void> {
  const folder = dirname(context.fileLike('config.json'));
  const { module, run } = await NETWORKS[context.entry.kind!]!(folder, context);
  const pixels = context.track(
    tf.tidy(() => tf.variable(tf.transpose(context.tensor('in/pixel_values'), [0, 2, 3, 1]))),
  );
  const { results, taps } = context.compute(() => {
    const inner = new Map<string, tf.Tensor>();
    const outer = run(pixels as tf.Tensor as tf.Tensor4D, inner);
    return { results: Object.fromEntries(outer), taps: Object.fromEntries(inner) };
  });
  for (const [name, value] of Object.entries(results)) compareMap(context, `out/${name}`, value);
  for (const [name, value] of Object.entries(taps)) {
    compareMap(context, name.startsWith('raw.') ? `out/${name}` : `mid/${name}`, value);
  }
  compareGradients(context, module, pixels, run);
  module.dispose();
}

const NETWORKS: Readonly<Record<string, (folder: string, context: CaseContext) => Promise<Network>>> = {
  backbone: async (folder, context) => {
    const backbone = await loadBackbone(folder, context);
    const stages = backbone.config.out_features;
    return {
      module: backbone,
      run: (pixels, taps) => {
        const { levels } = backbone.forward(pixels, { taps });
        return new Map(stages.map((stage, i) => [stage, levels[i]!]));
      },
    };
  },
  model: async (folder) => {
    const { model } = await loadSwinModel(folder);
    return {
      module: model,
      run: (pixels, taps) => {
        const { lastHiddenState, poolerOutput } = model.forward(pixels, { taps });
        return new Map<string, tf.Tensor>([
          ['last_hidden_state', lastHiddenState],
          ['pooler_output', poolerOutput],
        ]);
      },
    };
  },
};

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

/** Compares a result; maps `[batch, H, W, C]` are stored `[batch, C, H, W]`. */
function compareMap(context: CaseContext, name: string, value: tf.Tensor): void {
  if (!context.has(name)) return;
  context.compare(name, value.rank === 4 ? tf.transpose(value, [0, 3, 1, 2]) : value);
}

function compareGradients(
  context: CaseContext,
  module: Module,
  pixels: tf.Variable,
  run: Network['run'],
): void {
  const parameters = module.namedParameters();
  const wanted = context.expected(/^grad\//).map((name) => name.slice('grad/'.length));
  const leaves: { name: string; variable: tf.Variable; layout: ParameterLayout }[] = [];
  for (const name of wanted) {
    const parameter = parameters.get(name.replace(/^swin\./, ''));
    if (name === 'pixel_values') leaves.push({ name, variable: pixels, layout: 'same' });
    else if (parameter) leaves.push({ name, variable: parameter.variable, layout: parameter.layout });
  }
  const gradients = context.gradients(
    leaves.map(({ variable }) => variable),
    () => {
      const results = run(pixels as tf.Tensor as tf.Tensor4D, new Map());
      const terms = [...results]
        .filter(([name]) => context.has(`in/upstream.${name}`))
        .map(([name, value]) => tf.sum(tf.mul(value, upstreamOf(context, name))) as tf.Scalar);
      return tf.addN(terms);
    },
  );
  leaves.forEach(({ name, variable, layout }, i) => {
    const gradient = gradients[i] ?? tf.zerosLike(variable);
    if (name === 'pixel_values') compareMap(context, 'grad/pixel_values', gradient);
    else
      context.compare(
        `grad/${name}`,
        storeTensor(gradient, layout) as { shape: number[]; data: Float32Array },
      );
  });
}

function upstreamOf(context: CaseContext, name: string): tf.Tensor {
  const upstream = context.tensor(`in/upstream.${name}`);
  return upstream.rank === 4 ? tf.transpose(upstream, [0, 2, 3, 1]) : upstream;
}
