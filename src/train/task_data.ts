// SPDX-License-Identifier: Apache-2.0
import type { ModelConfig } from '../models/config.js';
import { overrideModelConfig } from '../models/config_override.js';
import type { Random } from '../random.js';
import type { RunConfig } from './config/schema.js';
import { openDataset } from './data/index.js';
import type { Dataset, Sample } from './data/types.js';

/** A training set and how often it is drawn from, relative to the others. */
export interface WeightedDataset {
  dataset: Dataset;
  weight: number;
}

/** What a saved model is evaluated on. */
export interface EvaluationRequest {
  /** Model folder. */
  folder: string;
  /** Dataset by name. */
  data: string;
  /** Where it lies, for datasets that are files. */
  path: string | null;
  split: string;
  /** Pictures; 0 = all. */
  limit: number;
}

/** Pictures of a task: training samples drawn at random, evaluation samples read once and kept. */
export class TaskData {
  private readonly kept: Sample[] = [];

  constructor(
    private readonly train: readonly WeightedDataset[],
    readonly evaluation: Dataset,
  ) {}

  /** Steps that see every training picture once. */
  stepsPerEpoch(batchSize: number): number {
    const pictures = this.train.reduce((sum, { dataset }) => sum + dataset.length, 0);
    return Math.max(1, Math.ceil(pictures / batchSize));
  }

  /** `count` training samples. */
  async draw(count: number, random: Random): Promise<Sample[]> {
    const samples: Sample[] = [];
    for (let i = 0; i < count; i++) {
      const { dataset } = this.pick(random);
      samples.push(await dataset.get(random.integer(dataset.length), random));
    }
    return samples;
  }

  private pick(random: Random): WeightedDataset {
    let left = random.uniform() * this.train.reduce((sum, { weight }) => sum + weight, 0);
    for (const set of this.train) {
      left -= set.weight;
      if (left < 0) return set;
    }
    return this.train.at(-1)!;
  }

  /** The first samples to evaluate on. */
  async held(limit = this.evaluation.length): Promise<Sample[]> {
    const count = Math.min(limit, this.evaluation.length);
    for (let i = this.kept.length; i < count; i++) this.kept.push(await this.evaluation.get(i));
    return this.kept.slice(0, count);
  }
}

/** The model's configuration with what the run changes of it. */
export function adaptModel<C extends ModelConfig>(base: C, run: RunConfig): C {
  const config = overrideModelConfig(base, run.modelOverrides);
  return { ...config, imageSize: run.imageSize ?? config.imageSize };
}

/** The datasets to train on: those of `mix`, or the one of `data`. */
export async function trainingSets(config: RunConfig, imageSize: number): Promise<WeightedDataset[]> {
  const mix = Object.entries(config.mix).filter(([, weight]) => weight > 0);
  const wanted: [string, number][] = mix.length > 0 ? mix : [[config.data, 1]];
  return Promise.all(
    wanted.map(async ([name, weight]) => ({
      weight,
      dataset: await open(config, imageSize, name, config.split, config.trainSize),
    })),
  );
}

export function evaluationSet(config: RunConfig, imageSize: number): Promise<Dataset> {
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
