// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { buildModel, type ModelOf } from '../../models/build.js';
import { answersText, type ClassDetectorConfig, preset } from '../../models/config.js';
import { loadModelFolder } from '../../models/model_folder.js';
import type { RunConfig } from '../config/schema.js';
import type { Dataset } from '../data/types.js';
import { adaptModel, evaluationSet, trainingSets, type WeightedDataset } from '../task_data.js';
import { buildClassLosses } from './losses.js';
import { DetectionTask } from './task.js';

interface ModelParts {
  model: ModelOf<ClassDetectorConfig>;
  config: ClassDetectorConfig;
}

/**
 * The training task that a run's configuration describes. A fresh model learns the classes of its training data unless
 * `modelOverrides.labels` says which; a saved one keeps its list.
 * @throws UserError for a model that is asked with sentences, and for data with classes that the model does not know
 */
export async function buildDetectionTask(config: RunConfig): Promise<DetectionTask> {
  const saved = config.load === null ? null : await savedModel(config, config.load);
  const base = saved?.config ?? freshConfig(config);
  const losses = buildClassLosses(base, config);
  const train = await trainingSets(config, base.imageSize);
  const parts = saved ?? freshModel(base, config, train);
  const evaluation = await evaluationSet(config, base.imageSize);
  for (const dataset of [...train.map((set) => set.dataset), evaluation]) {
    checkClasses(dataset, parts.config.labels);
  }
  return new DetectionTask({ ...parts, train, evaluation, losses, settings: config });
}

async function savedModel(config: RunConfig, folder: string): Promise<ModelParts> {
  const loaded = await loadModelFolder(folder, (base) => adaptModel(base, config));
  if (loaded.answers === 'classes') return { model: loaded.model, config: loaded.config };
  loaded.model.dispose();
  throw new UserError(`${folder} holds a detector that answers sentences, which learns no list of classes`);
}

function freshConfig(config: RunConfig): ClassDetectorConfig {
  const model = adaptModel(preset(config.model), config);
  if (!answersText(model)) return model;
  throw new UserError(
    `${config.model} is a detector that answers sentences, which learns no list of classes`,
  );
}

function freshModel(
  base: ClassDetectorConfig,
  { modelOverrides, seed }: RunConfig,
  train: readonly WeightedDataset[],
): ModelParts {
  const found = [...new Set(train.flatMap(({ dataset }) => dataset.categories ?? []))];
  const labels = 'labels' in modelOverrides || found.length === 0 ? base.labels : found;
  const config = { ...base, labels };
  return { model: buildModel(config, seed), config };
}

function checkClasses({ name, categories }: Dataset, labels: readonly string[]): void {
  const other = categories?.find((category) => !labels.includes(category));
  if (other === undefined) return;
  throw new UserError(
    `${name}: has the class "${other}", which the model does not know (it knows ${labels.join(', ')}); ` +
      'set modelOverrides: { labels: [...] } to the classes of the data',
    EXIT_CODES.data,
  );
}
