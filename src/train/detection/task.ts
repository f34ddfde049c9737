// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { DeformableDetrConfig } from '../../models/config.js';
import type { DeformableDetr, PictureInput } from '../../models/deformable_detr/index.js';
import { detectClasses } from '../../models/detect_classes.js';
import { batchPixels } from '../../models/preprocess.js';
import type { Detection, PaddedTargets } from '../../models/types.js';
import type { Random } from '../../random.js';
import { drawOverlay } from '../../viz/overlay.js';
import type { RunConfig } from '../config/schema.js';
import type { Dataset, Sample } from '../data/types.js';
import type { CocoEvaluation } from '../evaluators/index.js';
import type { ParameterGroup } from '../optimizer.js';
import type { Figures, TaskLoss, TrainTask } from '../task.js';
import { TaskData, type WeightedDataset } from '../task_data.js';
import type { DetectionCriterion } from './criterion.js';
import { detectionFigures, evaluateDetections } from './evaluate.js';
import { detectionTargets } from './targets.js';

export interface DetectionTaskOptions {
  model: DeformableDetr;
  config: DeformableDetrConfig;
  train: WeightedDataset[];
  evaluation: Dataset;
  losses: DetectionCriterion;
  settings: Pick<RunConfig, 'batchSize' | 'backboneLrMultiplier' | 'weightDecay'>;
}

/** What a training step is given. */
export interface DetectionBatch {
  samples: Sample[];
  input: PictureInput;
  targets: PaddedTargets;
}

/** The tensors of a batch that the loss depends on. */
export interface DetectionInputs {
  input: PictureInput;
  targets: PaddedTargets;
}

/** Pictures evaluated at once. */
const EVALUATION_BATCH = 4;
/** Pictures drawn by `samples`. */
const SAMPLE_PICTURES = 6;
/** Layers that say where to look learn at this part of the rate (Zhu et al. 2021). */
const PLACES = { includes: ['reference_points', 'sampling_offsets'], lrMultiplier: 0.1 } as const;

/** Training of a detector of classes on pictures with boxes. */
export class DetectionTask implements TrainTask<DetectionBatch, DetectionInputs> {
  readonly model: DeformableDetr;
  readonly stepsPerEpoch: number;
  readonly bestFigure = 'AP50';
  private readonly data: TaskData;

  constructor(private readonly options: DetectionTaskOptions) {
    this.model = options.model;
    this.data = new TaskData(options.train, options.evaluation);
    this.stepsPerEpoch = this.data.stepsPerEpoch(options.settings.batchSize);
  }

  parameters(): Map<string, tf.Variable> {
    return this.model.trainableParameters();
  }

  parameterGroups(): ParameterGroup[] {
    const { backboneLrMultiplier, weightDecay } = this.options.settings;
    return [
      {
        name: 'backbone',
        match: { includes: ['backbone.'] },
        lrMultiplier: backboneLrMultiplier,
        weightDecay,
      },
      {
        name: 'places',
        match: { includes: PLACES.includes },
        lrMultiplier: PLACES.lrMultiplier,
        weightDecay,
      },
      { name: 'main', match: {}, weightDecay },
    ];
  }

  async batch(_step: number, random: Random): Promise<DetectionBatch> {
    const samples = await this.data.draw(this.options.settings.batchSize, random);
    const { config } = this.options;
    const targets = detectionTargets(samples, config.labels);
    const images = samples.map(({ image }) => image);
    const { pixels, mask } = batchPixels(images, config.preprocess);
    return { samples, input: { pixels, pixelMask: mask }, targets };
  }

  inputs({ input, targets }: DetectionBatch): DetectionInputs {
    return { input, targets };
  }

  loss({ input, targets }: DetectionInputs): TaskLoss {
    const output = this.model.forward(input, { training: true });
    const { total, parts } = this.options.losses.compute(output, targets);
    return { total, parts };
  }

  sampleIds({ samples }: DetectionBatch): string[] {
    return samples.map(({ id }) => id);
  }

  disposeBatch({ input, targets }: DetectionBatch): void {
    input.pixels.dispose();
    input.pixelMask?.dispose();
    tf.dispose([targets.boxes, targets.mask, targets.positiveMap]);
  }

  async evaluate(limit?: number): Promise<Figures> {
    return detectionFigures(await this.evaluateAll(limit), this.options.config.labels);
  }

  /** COCO's evaluation on at most `limit` pictures. */
  async evaluateAll(limit?: number): Promise<CocoEvaluation> {
    const samples = await this.data.held(limit);
    const found: Detection[][] = [];
    for (let start = 0; start < samples.length; start += EVALUATION_BATCH) {
      found.push(...(await this.detect(samples.slice(start, start + EVALUATION_BATCH), 0)));
    }
    return evaluateDetections(samples, found, this.options.config.labels);
  }

  private detect(samples: readonly Sample[], threshold: number): Promise<Detection[][]> {
    const images = samples.map(({ image }) => image);
    return detectClasses(this.options, images, [], threshold);
  }

  async samples(dir: string, step: number): Promise<string[]> {
    const samples = await this.data.held(SAMPLE_PICTURES);
    const found = await this.detect(samples, this.options.config.threshold);
    await mkdir(dir, { recursive: true });
    return Promise.all(
      samples.map(async (sample, i) => {
        const path = join(dir, `step-${String(step).padStart(6, '0')}-${i}.png`);
        await writeFile(path, await drawOverlay(sample.image, found[i]!, { title: sample.id }));
        return path;
      }),
    );
  }

  async describe(): Promise<Record<string, string>> {
    return { 'config.json': `${JSON.stringify(this.options.config, null, 2)}\n` };
  }

  dispose(): void {
    this.model.dispose();
  }
}
