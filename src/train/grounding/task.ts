// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { iouXyxy } from '../../geo/index.js';
import type { ModelOf } from '../../models/build.js';
import type { TextDetectorConfig } from '../../models/config.js';
import { detectBatch } from '../../models/detect_batch.js';
import { disposeBatch, type PreparedBatch, prepareBatch } from '../../models/preprocess.js';
import type { Tokenizer } from '../../models/text/index.js';
import type { TextDetector } from '../../models/text_detector.js';
import type { Detection } from '../../models/types.js';
import { RandomStream, seedTensor } from '../../ops/index.js';
import type { Random } from '../../random.js';
import { drawOverlay } from '../../viz/overlay.js';
import type { Dataset, Sample } from '../data/types.js';
import { evaluateGrounded, type GroundedFigures, type GroundedSample } from '../evaluators/index.js';
import type { Figures, TaskLoss, TrainTask } from '../task.js';
import { TaskData, type WeightedDataset } from '../task_data.js';
import { buildTargets, disposeTargets, type GroundingTargets } from './batch.js';
import type { GroundingLosses, LossInput } from './losses.js';
import { TextFeatureCache } from './text_cache.js';

export interface GroundingTaskOptions {
  model: ModelOf<TextDetectorConfig>;
  config: TextDetectorConfig;
  tokenizer: Tokenizer;
  /** Contents of `tokenizer.json`, kept beside the weights. */
  tokenizerJson: string;
  train: WeightedDataset[];
  evaluation: Dataset;
  batchSize: number;
  losses: GroundingLosses;
}

/** What a training step is given. */
export interface GroundingBatch {
  samples: Sample[];
  input: PreparedBatch;
  targets: GroundingTargets;
  /** int32 `[2]`: decides what is dropped in the step, where the model drops anything. */
  seed: tf.Tensor1D;
}

/** The tensors of a batch that the loss depends on. */
export interface GroundingInputs {
  input: LossInput;
  targets: GroundingTargets;
  seed: tf.Tensor1D;
}

/** Figures for the model's own sentences, and for the same pictures with another picture's sentence. */
export interface GroundingEvaluation {
  figures: GroundedFigures;
  swapped: GroundedFigures;
  /** The same boxes ranked by their best overlap with the truth: what a perfect reading of the words would reach. */
  ceiling: GroundedFigures;
}

/** Tokens of a batch's captions are a multiple of this. */
const TEXT_MULTIPLE = 16;
/** Pictures evaluated at once. */
const EVALUATION_BATCH = 8;
/** Pictures drawn by `samples`. */
const SAMPLE_PICTURES = 6;

/** What the sentence of a sample refers to, beside what was found. */
function groundedSample({ id, form, image, objects }: Sample, found: readonly Detection[]): GroundedSample {
  const referred = objects.filter(({ spans }) => spans.length > 0);
  return {
    id,
    form,
    width: image.width,
    height: image.height,
    truth: referred.filter(({ crowd }) => crowd !== true).map(({ box }) => box),
    crowds: referred.filter(({ crowd }) => crowd === true).map(({ box }) => box),
    predictions: found.map(({ box, score }) => ({ box, score })),
  };
}

/** The predictions with their best overlap with any truth as score. */
function rankedByOverlap(sample: GroundedSample): GroundedSample {
  return {
    ...sample,
    predictions: sample.predictions.map(({ box }) => ({
      box,
      score: Math.max(0, ...sample.truth.map((truth) => iouXyxy(box, truth))),
    })),
  };
}

/** Training of a text-conditioned detector on pictures with sentences. */
export class GroundingTask implements TrainTask<GroundingBatch, GroundingInputs> {
  readonly model: ModelOf<TextDetectorConfig>;
  readonly stepsPerEpoch: number;
  readonly bestFigure = 'AP50';
  private readonly data: TaskData;
  /** Where the text encoder is not trained. */
  private readonly textFeatures: TextFeatureCache | null;

  constructor(private readonly options: GroundingTaskOptions) {
    this.model = options.model;
    const { textIsFixed, textEncoder } = this.model as TextDetector;
    this.textFeatures = textIsFixed ? new TextFeatureCache(textEncoder) : null;
    this.data = new TaskData(options.train, options.evaluation);
    this.stepsPerEpoch = this.data.stepsPerEpoch(options.batchSize);
  }

  parameters(): Map<string, tf.Variable> {
    return this.model.trainableParameters();
  }

  async batch(_step: number, random: Random): Promise<GroundingBatch> {
    const samples = await this.data.draw(this.options.batchSize, random);
    const input = this.withFeatures(this.prepare(samples));
    const targets = buildTargets(
      samples,
      input,
      {
        tokenizer: this.options.tokenizer,
        prompt: this.model.prompt,
        ...this.options.losses.targets(input.width, input.height),
      },
      random,
    );
    if (targets.labels) {
      const { ids, mask } = targets.labels.texts;
      Object.assign(targets.labels.texts, this.featuresOf(ids, mask));
    }
    return { samples, input, targets, seed: seedTensor(random) };
  }

  private withFeatures(input: PreparedBatch): PreparedBatch {
    const { features } = this.featuresOf(input.inputIds, input.textMask);
    return features ? { ...input, textFeatures: features } : input;
  }

  private featuresOf(ids: tf.Tensor2D, mask: tf.Tensor2D): { features?: tf.Tensor3D } {
    return this.textFeatures ? { features: this.textFeatures.features(ids, mask) } : {};
  }

  private prepare(samples: readonly Sample[]): PreparedBatch {
    return prepareBatch(
      samples.map(({ image }) => image),
      samples.map(({ caption }) => caption),
      this.options.tokenizer,
      this.model.prompt,
      this.options.config.preprocess,
      TEXT_MULTIPLE,
    );
  }

  inputs({ input, targets, seed }: GroundingBatch): GroundingInputs {
    const { pixels, pixelMask, inputIds, textMask, wordMask, textFeatures } = input;
    const text = { inputIds, textMask, wordMask, ...(textFeatures ? { textFeatures } : {}) };
    return { input: { pixels, pixelMask, ...text }, targets, seed };
  }

  loss({ input, targets, seed }: GroundingInputs): TaskLoss {
    return this.options.losses.compute(input, targets, new RandomStream(seed));
  }

  sampleIds({ samples }: GroundingBatch): string[] {
    return samples.map(({ id }) => id);
  }

  disposeBatch({ input, targets, seed }: GroundingBatch): void {
    tf.dispose(seed);
    disposeBatch(input);
    disposeTargets(targets);
  }

  async evaluate(limit?: number): Promise<Figures> {
    const { figures, swapped } = await this.evaluateBoth(limit);
    const result: Figures = {
      AP: figures.AP,
      AP50: figures.AP50,
      swappedAP50: swapped.AP50,
      gapAP50: figures.AP50 - swapped.AP50,
    };
    for (const [form, { AP50 }] of Object.entries(figures.byForm))
      if (AP50 >= 0) result[`form/${form}/AP50`] = AP50;
    return result;
  }

  /** Evaluates with the right sentences and with those of the next picture, against the same truth. */
  async evaluateBoth(limit?: number): Promise<GroundingEvaluation> {
    const samples = await this.data.held(limit);
    const captions = samples.map(({ caption }) => caption);
    const others = captions.map((_, i) => captions[(i + 1) % captions.length]!);
    const predicted = await this.predict(samples, captions);
    return {
      figures: evaluateGrounded(predicted),
      swapped: evaluateGrounded(await this.predict(samples, others)),
      ceiling: evaluateGrounded(predicted.map(rankedByOverlap)),
    };
  }

  /** Evaluates with the right sentences. */
  async evaluateOwn(limit?: number): Promise<GroundedFigures> {
    const samples = await this.data.held(limit);
    const captions = samples.map(({ caption }) => caption);
    return evaluateGrounded(await this.predict(samples, captions));
  }

  private async predict(samples: Sample[], captions: string[]): Promise<GroundedSample[]> {
    const results: GroundedSample[] = [];
    for (let start = 0; start < samples.length; start += EVALUATION_BATCH) {
      const some = samples.slice(start, start + EVALUATION_BATCH);
      const found = await this.detect(some, captions.slice(start, start + EVALUATION_BATCH), 0);
      results.push(...some.map((sample, i) => groundedSample(sample, found[i]!)));
    }
    return results;
  }

  private detect(samples: Sample[], captions: string[], threshold: number): Promise<Detection[][]> {
    const images = samples.map(({ image }) => image);
    return detectBatch(this.options, images, captions, threshold);
  }

  async samples(dir: string, step: number): Promise<string[]> {
    const samples = await this.data.held(SAMPLE_PICTURES);
    const captions = samples.map(({ caption }) => caption);
    const found = await this.detect(samples, captions, this.options.config.threshold);
    await mkdir(dir, { recursive: true });
    return Promise.all(
      samples.map(async (sample, i) => {
        const path = join(dir, `step-${String(step).padStart(6, '0')}-${i}.png`);
        await writeFile(path, await drawOverlay(sample.image, found[i]!, { title: captions[i]! }));
        return path;
      }),
    );
  }

  async describe(): Promise<Record<string, string>> {
    return {
      'config.json': `${JSON.stringify(this.options.config, null, 2)}\n`,
      'tokenizer.json': this.options.tokenizerJson,
    };
  }

  dispose(): void {
    this.model.dispose();
  }
}
