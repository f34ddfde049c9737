// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { ModelOf } from '../../models/build.js';
import type { ClassDetectorConfig } from '../../models/config.js';
import type { PictureInput } from '../../models/deformable_detr/index.js';
import { detectClasses } from '../../models/detect_classes.js';
import { metresTensor } from '../../models/metres.js';
import { batchPixels } from '../../models/preprocess.js';
import type { Detection, PaddedTargets } from '../../models/types.js';
import { RandomStream, seedTensor } from '../../ops/index.js';
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
import type { RegionLosses } from './region_losses.js';
import { detectionTargets } from './targets.js';

/** A detector of classes. */
type ClassDetector = ModelOf<ClassDetectorConfig>;

export interface DetectionTaskOptions {
  model: ClassDetector;
  config: ClassDetectorConfig;
  train: WeightedDataset[];
  evaluation: Dataset;
  losses: DetectionCriterion | RegionLosses;
  settings: Pick<RunConfig, 'batchSize' | 'backboneLrMultiplier' | 'weightDecay'>;
}

/** What a training step is given. */
export interface DetectionBatch {
  samples: Sample[];
  input: PictureInput;
  targets: PaddedTargets;
  /** What the step draws from. */
  seed: tf.Tensor1D;
}

/** The tensors of a batch that the loss depends on. */
export interface DetectionInputs {
  input: PictureInput;
  targets: PaddedTargets;
  seed: tf.Tensor1D;
}

/** How a detector's losses are taken. */
interface ClassLosses {
  lossOf(model: ClassDetector, input: PictureInput, targets: PaddedTargets, random: RandomStream): TaskLoss;
}

/** Pictures evaluated at once. */
const EVALUATION_BATCH = 4;
/** Pictures drawn by `samples`. */
const SAMPLE_PICTURES = 6;
/** Layers that say where to look learn at this part of the rate (Zhu et al. 2021). */
const PLACES = { includes: ['reference_points', 'sampling_offsets'], lrMultiplier: 0.1 } as const;

/** Training of a detector of classes on pictures with boxes. */
export class DetectionTask implements TrainTask<DetectionBatch, DetectionInputs> {
  readonly model: ClassDetector;
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
    const metres = samples.map(({ metresPerPixel }) => metresPerPixel);
    const gsd = metresTensor(config, metres);
    const { pixels, mask } = batchPixels(images, config.preprocess);
    return { samples, input: { pixels, pixelMask: mask, gsd }, targets, seed: seedTensor(random) };
  }

  inputs({ input, targets, seed }: DetectionBatch): DetectionInputs {
    return { input, targets, seed };
  }

  loss({ input, targets, seed }: DetectionInputs): TaskLoss {
    // The losses are those of the model's type.
    const losses = this.options.losses as ClassLosses;
    return losses.lossOf(this.model, input, targets, new RandomStream(seed));
  }

  sampleIds({ samples }: DetectionBatch): string[] {
    return samples.map(({ id }) => id);
  }

  disposeBatch({ input, targets, seed }: DetectionBatch): void {
    const { pixels, pixelMask, gsd } = input;
    tf.dispose([pixels, pixelMask ?? [], gsd ?? [], seed]);
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
    const metres = samples.map(({ metresPerPixel }) => metresPerPixel);
    return detectClasses(this.options, images, [], threshold, metres);
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
