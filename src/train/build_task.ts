// SPDX-License-Identifier: Apache-2.0
import { answersText, preset } from '../models/config.js';
import { modelAnswers } from '../models/model_folder.js';
import type { RunConfig } from './config/schema.js';
import { buildDetectionTask } from './detection/build_task.js';
import { buildGroundingTask } from './grounding/build_task.js';
import type { TrainTask } from './task.js';

/** The training task that a run's configuration describes: of sentences or of classes, as its model answers. */
export async function buildTask(config: RunConfig): Promise<TrainTask> {
  const answers =
    config.load === null
      ? answersText(preset(config.model))
        ? 'text'
        : 'classes'
      : await modelAnswers(config.load);
  return (answers === 'text' ? buildGroundingTask(config) : buildDetectionTask(config)) as Promise<TrainTask>;
}
