// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../../errors.js';
import { loadModelFolder } from '../../models/model_folder.js';
import { defaultConfig } from '../config/schema.js';
import { openDataset } from '../data/index.js';
import type { EvaluationRequest } from '../task_data.js';
import { buildLosses } from './losses.js';
import { type GroundingEvaluation, GroundingTask } from './task.js';

/** Evaluates a saved model on a dataset, with its own sentences and with swapped ones. */
export async function evaluateModel(
  request: EvaluationRequest,
): Promise<GroundingEvaluation & { description: string }> {
  const loaded = await loadModelFolder(request.folder);
  if (loaded.answers !== 'text') {
    loaded.model.dispose();
    throw new UserError(`${request.folder} holds a detector of classes, which answers no sentences`);
  }
  const evaluation = await openDataset(request.data, {
    split: request.split,
    imageSize: loaded.config.imageSize,
    augment: false,
    ...(request.limit > 0 ? { length: request.limit } : {}),
    ...(request.path === null ? {} : { path: request.path }),
  });
  const task = new GroundingTask({
    ...loaded,
    train: [],
    evaluation,
    batchSize: 1,
    losses: buildLosses(loaded.model, loaded.config, defaultConfig()),
  });
  try {
    const limit = request.limit > 0 ? request.limit : evaluation.length;
    const count = Math.min(limit, evaluation.length);
    return {
      ...(await task.evaluateBoth(limit)),
      description: `${request.folder} on ${evaluation.name}, ${count} pictures`,
    };
  } finally {
    task.dispose();
  }
}
