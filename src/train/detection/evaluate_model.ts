// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../../errors.js';
import { loadModelFolder } from '../../models/model_folder.js';
import { defaultConfig } from '../config/schema.js';
import { openDataset } from '../data/index.js';
import type { CocoEvaluation } from '../evaluators/index.js';
import type { EvaluationRequest } from '../task_data.js';
import { buildClassLosses } from './losses.js';
import { DetectionTask } from './task.js';

/** Evaluates a saved detector of classes on a dataset, by COCO's rules. */
export async function evaluateDetector(
  request: EvaluationRequest,
): Promise<{ evaluation: CocoEvaluation; labels: readonly string[]; description: string }> {
  const loaded = await loadModelFolder(request.folder);
  if (loaded.answers !== 'classes') {
    loaded.model.dispose();
    throw new UserError(`${request.folder} holds a detector that answers sentences`);
  }
  const evaluation = await openDataset(request.data, {
    split: request.split,
    imageSize: loaded.config.imageSize,
    augment: false,
    ...(request.limit > 0 ? { length: request.limit } : {}),
    ...(request.path === null ? {} : { path: request.path }),
  });
  const settings = defaultConfig();
  const losses = buildClassLosses(loaded.config, settings);
  const task = new DetectionTask({ ...loaded, train: [], evaluation, losses, settings });
  try {
    const limit = request.limit > 0 ? request.limit : evaluation.length;
    return {
      evaluation: await task.evaluateAll(limit),
      labels: loaded.config.labels,
      description: `${request.folder} on ${evaluation.name}, ${Math.min(limit, evaluation.length)} pictures`,
    };
  } finally {
    task.dispose();
  }
}
