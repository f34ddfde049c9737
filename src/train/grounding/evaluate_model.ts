// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../../errors.js';
import { type LoadedTextDetector, loadModelFolder } from '../../models/model_folder.js';
import { defaultConfig } from '../config/schema.js';
import { openDataset, seenWordsOf } from '../data/index.js';
import type { GroundedFigures } from '../evaluators/index.js';
import type { EvaluationRequest } from '../task_data.js';
import { buildLosses } from './losses.js';
import { type GroundingEvaluation, GroundingTask } from './task.js';

/** Figures of a saved model. */
export interface ModelEvaluation extends GroundingEvaluation {
  description: string;
  /** Where the data's words are meant to be new to a model: the same pictures and sentences in words of training. */
  seenWords: { data: string; figures: GroundedFigures } | null;
}

/** Evaluates a saved model on a dataset, with its own sentences and with swapped ones. */
export async function evaluateModel(request: EvaluationRequest): Promise<ModelEvaluation> {
  const loaded = await loadModelFolder(request.folder);
  try {
    if (loaded.answers !== 'text') {
      throw new UserError(`${request.folder} holds a detector of classes, which answers no sentences`);
    }
    const { task, count, name } = await openTask(loaded, request);
    const own = await task.evaluateBoth(count);
    const seen = seenWordsOf(request.data);
    return {
      ...own,
      description: `${request.folder} on ${name}, ${count} pictures`,
      seenWords:
        seen === null ? null : { data: seen, figures: await figuresOn(loaded, { ...request, data: seen }) },
    };
  } finally {
    loaded.model.dispose();
  }
}

async function figuresOn(loaded: LoadedTextDetector, request: EvaluationRequest): Promise<GroundedFigures> {
  const { task, count } = await openTask(loaded, request);
  return task.evaluateOwn(count);
}

/** A task that evaluates on the data of a request, and how many pictures of it are wanted. */
async function openTask(loaded: LoadedTextDetector, { data, path, split, limit }: EvaluationRequest) {
  const evaluation = await openDataset(data, {
    split,
    imageSize: loaded.config.imageSize,
    augment: false,
    ...(limit > 0 ? { length: limit } : {}),
    ...(path === null ? {} : { path }),
  });
  const task = new GroundingTask({
    ...loaded,
    train: [],
    evaluation,
    batchSize: 1,
    losses: buildLosses(loaded.model, loaded.config, defaultConfig()),
  });
  const count = limit > 0 ? Math.min(limit, evaluation.length) : evaluation.length;
  return { task, count, name: evaluation.name };
}
