// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { buildModel } from '../../models/build.js';
import { BUNDLED_TOKENIZER } from '../../models/bundled.js';
import { type ModelConfig, preset } from '../../models/config.js';
import { overrideModelConfig } from '../../models/config_override.js';
import type { MdetrG } from '../../models/mdetr_g.js';
import { loadModelFolder } from '../../models/model_folder.js';
import { Tokenizer } from '../../models/text/index.js';
import type { RunConfig } from '../config/schema.js';
import { openDataset } from '../data/index.js';
import type { Dataset } from '../data/types.js';
import { buildLosses } from './losses.js';
import { GroundingTask, type WeightedDataset } from './task.js';

interface ModelParts {
  model: MdetrG;
  config: ModelConfig;
  tokenizer: Tokenizer;
  tokenizerJson: string;
}

/** The training task that a run's configuration describes. */
export async function buildGroundingTask(config: RunConfig): Promise<GroundingTask> {
  const adapt = (base: ModelConfig) => adaptModel(base, config);
  const parts = config.load === null ? await freshModel(config) : await loadModelFolder(config.load, adapt);
  const { imageSize } = parts.config;
  return new GroundingTask({
    ...parts,
    train: await trainingSets(config, imageSize),
    evaluation: await evaluationSet(config, imageSize),
    batchSize: config.batchSize,
    losses: buildLosses(parts.config.transformer.head, config),
  });
}

/** The model's configuration with what the run changes of it. */
function adaptModel(base: ModelConfig, run: RunConfig): ModelConfig {
  const config = overrideModelConfig(base, run.modelOverrides);
  return { ...config, imageSize: run.imageSize ?? config.imageSize };
}

async function freshModel(config: RunConfig): Promise<ModelParts> {
  const tokenizerJson = await readFile(BUNDLED_TOKENIZER, 'utf8');
  const tokenizer = Tokenizer.fromJson(JSON.parse(tokenizerJson), BUNDLED_TOKENIZER);
  const model = adaptModel(preset(config.model), config);
  model.text = { ...model.text, config: { ...model.text.config, vocab_size: tokenizer.vocabularySize } };
  return { model: buildModel(model, config.seed), config: model, tokenizer, tokenizerJson };
}

/** The datasets to train on: those of `mix`, or the one of `data`. */
async function trainingSets(config: RunConfig, imageSize: number): Promise<WeightedDataset[]> {
  const mix = Object.entries(config.mix).filter(([, weight]) => weight > 0);
  const wanted: [string, number][] = mix.length > 0 ? mix : [[config.data, 1]];
  return Promise.all(
    wanted.map(async ([name, weight]) => ({
      weight,
      dataset: await open(config, imageSize, name, config.split, config.trainSize),
    })),
  );
}

function evaluationSet(config: RunConfig, imageSize: number): Promise<Dataset> {
  return open(config, imageSize, config.evalData ?? config.data, config.evalSplit, config.evalLimit);
}

function open(
  config: RunConfig,
  imageSize: number,
  name: string,
  split: string,
  length: number,
): Promise<Dataset> {
  return openDataset(name, {
    split,
    imageSize,
    augment: config.augment,
    ...(length > 0 ? { length } : {}),
    ...(config.dataPath === null ? {} : { path: config.dataPath }),
  });
}
