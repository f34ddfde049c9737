// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { backboneConfig, backboneNames, buildBackbone } from '../src/models/backbones/index.js';
import { buildModel } from '../src/models/build.js';
import { preset } from '../src/models/config.js';
import { groundingDinoNames, huggingFaceGroundingDinoConfig } from '../src/models/grounding_dino/index.js';
import type { Module } from '../src/models/module.js';
import type { NameMap } from '../src/models/weights/name_map.js';
import type { StoredTensor } from '../src/models/weights/safetensors.js';
import { saveStateDict } from '../src/models/weights/state_dict.js';
import { disturbVectors } from '../src/profile_model.js';
import { Random } from '../src/random.js';

/** A model with one input, and the same in another library. */
export interface BuiltCase {
  module: Module;
  /** Of pictures `[batch, H, W, 3]` and whatever else the case has; names are those of the peer. */
  inputs: Record<string, tf.Tensor>;
  /** Outputs by the names that the peer gives them. Runs as a compiled function with constant weights. */
  forward(inputs: Record<string, tf.Tensor>): Record<string, tf.Tensor>;
  peer: {
    /** A row of KINDS in models_torch.py. */
    kind: string;
    /** `config.json` there. */
    config: unknown;
    weights: Map<string, StoredTensor>;
    /** Inputs there; pictures are `[batch, 3, H, W]`. */
    inputs(): Record<string, tf.Tensor>;
    /** Largest difference of an output, as a share of its largest value. */
    tolerance: number;
    /** Share of the values that may be further off: proposals of almost equal scores change places. */
    strays?: number;
  };
}

/** A row of the benchmark. */
export interface ModelCase {
  name: string;
  /** What it takes of the peer's time at most. */
  goal: number;
  build(): BuiltCase;
}

/** Every model that is timed beside PyTorch. To add one: a row here and, for another library, a kind in models_torch.py. */
export const MODEL_CASES: readonly ModelCase[] = [
  { name: 'Grounding DINO tiny, 800 x 1066, one prompt', goal: 0.5, build: groundingDinoTiny },
  { name: 'Swin-T backbone, 800 x 800', goal: 0.7, build: swinTiny },
  backboneCase('MPViT-S', 'mpvit-small', 'mpvit'),
  backboneCase('CoaT-Lite-S', 'coat-lite-small', 'coat-lite'),
];

/** A picture of random values. */
export function randomPicture(height: number, width: number): tf.Tensor4D {
  const random = new Random(1);
  const values = Float32Array.from({ length: height * width * 3 }, () => random.normal());
  return tf.tensor4d(values, [1, height, width, 3]);
}

/** `[batch, H, W, C]` -> `[batch, C, H, W]` */
export function channelsFirst(x: tf.Tensor): tf.Tensor {
  return tf.transpose(x, [0, 3, 1, 2]);
}

/** All values of a model under the names of one origin. */
export function weightsNamed(
  module: Module,
  maps: readonly NameMap[],
  origin: string,
): Map<string, StoredTensor> {
  const names = maps.find((map) => map.origin === origin)!;
  return saveStateDict(module, { names, everyName: true });
}

/** "a white boat. a pier." as bert-base-uncased reads it. */
const PROMPT = [101, 1037, 2317, 4049, 1012, 1037, 11310, 1012, 102];

function groundingDinoTiny(): BuiltCase {
  const config = preset('grounding-dino-tiny');
  const model = buildModel(config, 0);
  disturbVectors(model);
  const pixels = randomPicture(800, 1066);
  const ids = tf.tensor2d([PROMPT], [1, PROMPT.length], 'int32');
  const mask = tf.ones<tf.Rank.R2>([1, PROMPT.length]);
  return {
    module: model,
    inputs: { pixels, ids, mask },
    forward: ({ pixels: x, ids: inputIds, mask: textMask }) => {
      const input = { pixels: x as tf.Tensor4D, pixelMask: null, inputIds, textMask };
      const { pred_logits, pred_boxes } = model.forward(input as Parameters<typeof model.forward>[0]);
      return { logits: pred_logits, boxes: pred_boxes };
    },
    peer: {
      kind: 'grounding-dino',
      config: huggingFaceGroundingDinoConfig(config),
      weights: weightsNamed(model, groundingDinoNames('swin-tiny'), 'Hugging Face'),
      inputs: () => ({ pixels: channelsFirst(pixels), ids, mask: tf.cast(mask, 'int32') }),
      tolerance: 2e-3,
      strays: 0.05,
    },
  };
}

function swinTiny(): BuiltCase {
  const settings = { out_features: ['stage1', 'stage2', 'stage3', 'stage4'] };
  const backbone = buildBackbone('swin-tiny', settings);
  disturbVectors(backbone);
  const pixels = randomPicture(800, 800);
  return {
    module: backbone,
    inputs: { pixels },
    forward: ({ pixels: x }) => {
      const { levels } = backbone.forward(x as tf.Tensor4D);
      return Object.fromEntries(levels.map((level, i) => [`map${i}`, level]));
    },
    peer: {
      kind: 'swin',
      config: { architectures: ['SwinBackbone'], ...backboneConfig('swin-tiny', settings) },
      weights: weightsNamed(backbone, backboneNames('swin-tiny'), 'Hugging Face'),
      inputs: () => ({ pixels: channelsFirst(pixels) }),
      tolerance: 2e-3,
    },
  };
}

/**
 * A backbone alone, under its original's names.
 * @param kind in models_torch.py
 */
function backboneCase(title: string, name: string, kind: string): ModelCase {
  return {
    name: `${title} backbone, 800 x 800`,
    goal: 0.7,
    build: () => {
      const module = buildBackbone(name);
      disturbVectors(module);
      const pixels = randomPicture(800, 800);
      return {
        module,
        inputs: { pixels },
        forward: ({ pixels: x }) => {
          const { levels } = module.forward(x as tf.Tensor4D);
          return Object.fromEntries(levels.map((level, i) => [`level${i}`, level]));
        },
        peer: {
          kind,
          config: backboneConfig(name),
          weights: weightsNamed(module, backboneNames(name), 'original'),
          inputs: () => ({ pixels: channelsFirst(pixels) }),
          tolerance: 1e-3,
        },
      };
    },
  };
}
