// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../../../errors.js';
import { Random } from '../../../random.js';
import type { Dataset, Sample } from '../types.js';
import { augment } from './augment.js';
import {
  captionScene,
  type FormName,
  labelsIn,
  type Sentences,
  type VocabularyName,
} from './captions/index.js';
import { generateScene, type SceneOptions } from './generate.js';
import { KIND_NAMES } from './kinds/index.js';
import type { Caption, Scene } from './types.js';

export type Split = 'train' | 'val' | 'test';

/** First scene seed of each split and how many seeds it owns; the ranges do not meet. */
export const SPLIT_SEEDS: Record<Split, { first: number; count: number }> = {
  train: { first: 0, count: 0x40000000 },
  val: { first: 0x40000000, count: 0x20000000 },
  test: { first: 0x60000000, count: 0x20000000 },
};

export interface SceneDatasetOptions extends Omit<SceneOptions, 'roles' | 'clear'> {
  split: Split;
  /** Number of scenes. */
  length: number;
  /** Moves the window of scene seeds inside the split. Default 0. */
  seed?: number;
  /** Turns, mirrors and re-lights training scenes. Default true; never done when `get` has no `random`. */
  augment?: boolean;
  /** Restricts sentences to one form, where the scene offers it. */
  form?: FormName;
  /** How often each form of sentence occurs; default: by the difficulty of the scenes. */
  sentences?: Sentences;
  /** Words of the sentences and of the objects' labels; default: the plain ones. */
  vocabulary?: VocabularyName;
}

/** Made scenes as samples. Without `random` a sample depends on nothing but its index and the options. */
export class SceneDataset implements Dataset {
  readonly name: string;
  readonly length: number;
  readonly categories: readonly string[] = KIND_NAMES;

  constructor(private readonly options: SceneDatasetOptions) {
    const { split, length } = options;
    if (!Object.hasOwn(SPLIT_SEEDS, split)) {
      throw new UserError(`Unknown split "${split}" of the scenes. Known: train, val, test.`);
    }
    if (!Number.isInteger(length) || length < 1 || length > SPLIT_SEEDS[split].count) {
      throw new UserError(`The number of scenes must be a whole number from 1 up, but is ${length}.`);
    }
    this.name = `scenes-${split}`;
    this.length = length;
  }

  /** Seed of scene `index`. */
  sceneSeed(index: number): number {
    const { first, count } = SPLIT_SEEDS[this.options.split];
    const window = ((this.options.seed ?? 0) * 1_000_003) % count;
    return first + ((((window + index) % count) + count) % count);
  }

  /** The scene behind sample `index`, before augmentation. */
  scene(index: number): Scene {
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new RangeError(`[SceneDataset] expected an index below ${this.length} but received ${index}`);
    }
    return generateScene(this.sceneSeed(index), this.options);
  }

  async get(index: number, random?: Random): Promise<Sample> {
    let scene = this.scene(index);
    if (random && this.options.augment !== false) scene = augment(scene, random);
    const draw = random ?? new Random(scene.seed ^ 0x5ca1ab1e);
    const { form, ...said } = this.options;
    const caption = (form && captionScene(scene, draw, { ...said, form })) ?? captionScene(scene, draw, said);
    return toSample(scene, caption, `${this.name}/${scene.seed}`, said.vocabulary);
  }
}

/** A scene and one of its sentences in the form that training takes. */
export function toSample(scene: Scene, caption: Caption, id: string, vocabulary?: VocabularyName): Sample {
  const spans = new Map(caption.referred.map((r) => [r.object, r.spans]));
  return {
    id,
    image: scene.image,
    caption: caption.text,
    objects: scene.objects.map((object, i) => ({
      box: [...object.box],
      category: object.kind,
      labels:
        vocabulary === undefined
          ? [object.kind, object.colour]
          : labelsIn(vocabulary, object.kind, object.colour),
      spans: spans.get(i) ?? [],
    })),
    form: caption.form,
    metresPerPixel: scene.metresPerPixel,
  };
}

/** Sentences about made scenes of the training split, for training a tokenizer. */
export function sampleCaptions(n: number, seed: number): string[] {
  const random = new Random(seed);
  const captions: string[] = [];
  const perScene = 8;
  for (let i = 0; captions.length < n; i++) {
    const scene = generateScene(((seed * 1_000_003 + i) >>> 0) % SPLIT_SEEDS.train.count, {
      size: 64,
      scale: 0.6,
    });
    for (let j = 0; j < perScene && captions.length < n; j++) captions.push(captionScene(scene, random).text);
  }
  return captions;
}
