// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { BACKWARD, type NodeProfile, type Profile, profileFunction } from './engine/index.js';
import { UserError } from './errors.js';
import { PRESETS } from './models/config.js';
import type { Module } from './models/module.js';
import { withModuleScopes } from './models/module_scopes.js';
import { ScaleMaeDet } from './models/scalemae_det/index.js';
import { Random } from './random.js';
import { buildTask } from './train/build_task.js';
import { defaultConfig } from './train/config.js';
import { DetectionTask } from './train/detection/task.js';
import { Ema } from './train/ema.js';
import { GroundingTask } from './train/grounding/task.js';
import { defaultGroups } from './train/groups.js';
import { AdamW } from './train/optimizer.js';
import { Stepper } from './train/run/step.js';
import type { TrainTask } from './train/task.js';

export interface ProfileModelOptions {
  /** Side of the pictures; default: the model's own. */
  size?: number;
  /** Pictures in a batch; default 1. */
  batch?: number;
  /** A training step instead of a prediction; default false. */
  train?: boolean;
  /** Runs that are measured; default 5. */
  runs?: number;
}

/**
 * What a prediction, or a training step, of a model spends its time on, by TensorFlow's own statistics of every node. The
 * pictures are made scenes. Scopes of nodes are the names of modules; beside them there are `losses` and `optimizer`.
 * @param model a model folder, or the name of a preset: that has fresh weights
 * @throws UserError if there is no such model, or if the engine is not `tensorflow`
 */
export async function profileModel(model: string, options: ProfileModelOptions = {}): Promise<Profile> {
  const { batch: batchSize = 1, train = false, runs = 5, size } = options;
  const isPreset = Object.hasOwn(PRESETS, model);
  const config = {
    ...defaultConfig(),
    batchSize,
    ...(isPreset ? { model } : { load: model }),
    ...(size === undefined ? {} : { imageSize: size }),
  };
  const task = await buildTask(config);
  let batch: unknown = null;
  try {
    if (isPreset) disturbVectors(task.model);
    const random = new Random(1);
    batch = await task.batch(0, random);
    const made = batch;
    return await withModuleScopes(task.model, async () => {
      if (!train) return profilePrediction(task, made, runs);
      const groups = task.parameterGroups?.() ?? defaultGroups(config);
      const optimizer = new AdamW(task.parameters(), { lr: config.lr, clipNorm: config.clipNorm, groups });
      const ema = config.ema > 0 ? new Ema(optimizer.store, config.ema) : null;
      try {
        return await new Stepper({ task, optimizer, config, ema, total: 1 }, true).profile(made, runs);
      } finally {
        optimizer.dispose();
      }
    });
  } finally {
    if (batch !== null) task.disposeBatch(batch);
    task.dispose();
  }
}

function profilePrediction(task: TrainTask, batch: unknown, runs: number): Profile {
  const options = { name: 'prediction', frozen: true, runs };
  if (task instanceof GroundingTask) {
    const { input } = task.inputs(batch as Parameters<GroundingTask['inputs']>[0]);
    const predict = (given: typeof input) => {
      const { pred_logits, pred_boxes } = task.model.forward(given, given.wordMask);
      return [pred_logits, pred_boxes];
    };
    return profileFunction(predict, [input], options);
  }
  if (task instanceof DetectionTask) {
    const { input } = task.inputs(batch as Parameters<DetectionTask['inputs']>[0]);
    const { model } = task;
    const predict = (given: typeof input) => {
      if (model instanceof ScaleMaeDet) return Object.values(model.detections(model.forward(given)));
      const { pred_logits, pred_boxes } = model.forward(given);
      return [pred_logits, pred_boxes];
    };
    return profileFunction(predict, [input], options);
  }
  throw new UserError('this model has no predictions that can be profiled; try its training step');
}

/**
 * Biases and norms of fresh weights are zeros and ones, and TensorFlow leaves out what they do: makes them what they are in
 * a trained model.
 */
export function disturbVectors(model: Module): void {
  const random = new Random(2);
  for (const { variable } of model.namedParameters().values()) {
    if (variable.rank !== 1) continue;
    tf.tidy(() => {
      const noise = tf.tensor1d(Float32Array.from({ length: variable.size }, () => 0.02 * random.uniform()));
      variable.assign(tf.add(variable, noise));
    });
  }
}

/**
 * The module of a node, all layers of a stack as one: `model.encoder.layers.*.fc1`. Stages of a backbone stay apart.
 */
export function moduleOf({ scope }: Pick<NodeProfile, 'scope'>): string {
  if (scope === '' || scope === BACKWARD) return scope;
  let first = /\bstages\.\d/.test(scope);
  return scope.replace(/\.\d+(?=\.|$)/g, (number) => {
    const keep = first;
    first = false;
    return keep ? number : '.*';
  });
}
