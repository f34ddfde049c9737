// SPDX-License-Identifier: Apache-2.0
// Times mdetr-g-tiny with fresh weights: answering one sentence, and the parts of a training step.
import * as tf from '@tensorflow/tfjs';
import { ready } from '../src/engine/index.js';
import { Random } from '../src/random.js';
import { defaultConfig } from '../src/train/config.js';
import { buildGroundingTask } from '../src/train/grounding/build_task.js';
import { fastest, printTable } from './timing.js';

const BATCHES = [1, 8];

await ready({ engine: 'tensorflow' });
const rows: (string | number)[][] = [];
for (const batchSize of BATCHES) {
  const task = await buildGroundingTask({ ...defaultConfig(), batchSize });
  const began = performance.now();
  const batch = await task.batch(0, new Random(1));
  const prepared = performance.now() - began;
  const { input } = batch;
  const inputs = task.inputs(batch);
  const parameters = [...task.parameters().values()];
  rows.push([
    `${batchSize} x ${input.height} x ${input.width}`,
    prepared,
    fastest(() => task.model.forward(input, input.wordMask).pred_boxes),
    fastest(() => task.loss(inputs).total),
    fastest(() => Object.values(tf.variableGrads(() => task.loss(inputs).total, parameters).grads)),
  ]);
  task.disposeBatch(batch);
  task.dispose();
}
printTable('mdetr-g-tiny', ['pictures', 'batch made', 'forward', 'loss', 'loss and gradients'], rows);
