// SPDX-License-Identifier: Apache-2.0
import { SCHEDULE_NAMES, type ScheduleName } from '../schedule.js';
import {
  anyByName,
  boolean,
  choice,
  type Field,
  integer,
  integers,
  number,
  numbersByName,
  optionalInteger,
  optionalText,
  text,
} from './fields.js';

const MODEL = 'Model';
const DATA = 'Data';
const OPTIMISER = 'Optimiser';
const LOSSES = 'Losses';
const RUN = 'Run';
const MACHINE = 'Machine';

/**
 * Every key of a training run: the one source of the TypeScript type, the defaults, the checks, the command-line
 * flags, the JSON Schema and the documentation table. To add a key, add a row.
 */
export const CONFIG_SCHEMA = {
  // ---- Model ----
  model: text({ default: 'mdetr-g-tiny', group: MODEL, help: 'Preset of the model' }),
  modelOverrides: anyByName({
    default: {},
    group: MODEL,
    help: "Keys of the model's own configuration that differ from the preset's or the loaded model's (transformer.queries=60)",
  }),
  load: optionalText({
    default: null,
    group: MODEL,
    help: 'Folder of a model or checkpoint whose weights to start from; step count and optimizer start anew',
  }),

  // ---- Data ----
  data: text({ default: 'scenes', group: DATA, help: 'Dataset to train on' }),
  dataPath: optionalText({ default: null, group: DATA, help: 'Where the dataset lies, where it has files' }),
  split: text({ default: 'train', group: DATA, help: 'Part of the dataset to train on' }),
  evalData: optionalText({ default: null, group: DATA, help: 'Dataset to evaluate on; null = the same' }),
  evalSplit: text({ default: 'val', group: DATA, help: 'Part of the dataset to evaluate on' }),
  mix: numbersByName({
    default: {},
    min: 0,
    group: DATA,
    help: 'Datasets to draw from and how often, relative to each other, instead of one dataset',
  }),
  imageSize: optionalInteger({
    default: null,
    min: 32,
    max: 4096,
    group: DATA,
    help: "Side of the training pictures in pixels; null = the model's own",
  }),
  trainSize: integer({
    default: 0,
    min: 0,
    group: DATA,
    help: 'Pictures that make an epoch; 0 = all the dataset has',
  }),
  augment: boolean({ default: true, group: DATA, help: 'Flip and turn pictures, with their sentences' }),
  batchSize: integer({ default: 8, min: 1, max: 4096, group: DATA, help: 'Pictures of a step' }),

  // ---- Optimiser ----
  steps: integer({ default: 3000, min: 1, group: OPTIMISER, help: 'Steps of the whole run' }),
  epochs: optionalInteger({
    default: null,
    min: 1,
    group: OPTIMISER,
    help: 'Passes through the data; when given, it decides the number of steps',
  }),
  lr: number({ default: 6e-4, min: 0, above: true, max: 10, group: OPTIMISER, help: 'Base learning rate' }),
  textLrMultiplier: number({
    default: 1,
    min: 0,
    max: 100,
    group: OPTIMISER,
    help: "Times the base rate for the text encoder's parameters; 0 = frozen",
  }),
  backboneLrMultiplier: number({
    default: 1,
    min: 0,
    max: 100,
    group: OPTIMISER,
    help: "Times the base rate for the backbone's parameters; 0 = frozen",
  }),
  schedule: choice<ScheduleName>({
    default: 'cosine',
    choices: SCHEDULE_NAMES,
    group: OPTIMISER,
    help: 'How the learning rate changes over the run',
  }),
  warmup: integer({
    default: 100,
    min: 0,
    group: OPTIMISER,
    help: 'Steps over which the learning rate rises',
  }),
  lrDropEvery: optionalInteger({
    default: null,
    min: 1,
    group: OPTIMISER,
    help: 'Schedule "step": steps between two drops',
  }),
  lrMilestones: integers({
    default: [],
    min: 0,
    group: OPTIMISER,
    help: 'Schedule "multi_step": steps at which the rate drops',
  }),
  lrGamma: number({
    default: 0.1,
    min: 0,
    above: true,
    max: 1,
    group: OPTIMISER,
    help: 'Schedules "step" and "multi_step": factor of a drop',
  }),
  lrFloor: number({
    default: 0,
    min: 0,
    max: 1,
    group: OPTIMISER,
    help: 'Schedule "cosine": rate at the end, as a part of the full one',
  }),
  weightDecay: number({ default: 1e-4, min: 0, max: 1, group: OPTIMISER, help: 'Weight decay of matrices' }),
  beta1: number({
    default: 0.9,
    min: 0,
    max: 0.9999,
    group: OPTIMISER,
    help: "AdamW's decay of the first moment",
  }),
  beta2: number({
    default: 0.999,
    min: 0,
    max: 0.99999,
    group: OPTIMISER,
    help: "AdamW's decay of the second moment",
  }),
  clipNorm: number({
    default: 1,
    min: 0,
    group: OPTIMISER,
    help: 'Largest norm of all gradients together; 0 = no clipping',
  }),
  ema: number({
    default: 0.998,
    min: 0,
    max: 0.999999,
    group: OPTIMISER,
    help: 'Decay of the averaged weights that evaluation uses; 0 = none',
  }),
  emaWarmup: boolean({
    default: true,
    group: OPTIMISER,
    help: 'Let the averaged weights forget the first ones quickly, by a lower decay in the first steps',
  }),

  // ---- Losses ----
  lossWeights: numbersByName({
    default: {},
    min: 0,
    group: LOSSES,
    help: "Weights of the losses that differ from the model's own, by name (tokens, bbox, giou, ...)",
  }),
  auxWeight: number({
    default: 1,
    min: 0,
    group: LOSSES,
    help: 'Weight of the losses on the earlier decoder layers; 0 = none',
  }),
  denseWeight: number({
    default: 1,
    min: 0,
    group: LOSSES,
    help: 'Weight of the dense loss on encoder tokens (head token-sigmoid); 0 = none',
  }),
  denseTokens: integer({
    default: 5,
    min: 1,
    max: 100,
    group: LOSSES,
    help: 'Encoder tokens that each object supervises in the dense loss',
  }),
  denoisingWeight: number({
    default: 1,
    min: 0,
    group: LOSSES,
    help: 'Weight of the denoising loss (head token-sigmoid); 0 = none',
  }),
  denoisingGroups: integer({
    default: 2,
    min: 1,
    max: 100,
    group: LOSSES,
    help: 'Noised copies of each box given to the decoder: one to mend, one to refuse, and so on by turns',
  }),
  denoisingNoise: number({
    default: 0.4,
    min: 0,
    above: true,
    max: 1,
    group: LOSSES,
    help: 'How far boxes to mend are moved, in halves of their size; those to refuse go two to four times as far',
  }),

  // ---- Run ----
  recipe: optionalText({ default: null, group: RUN, help: 'Named configuration to start from' }),
  out: optionalText({ default: null, group: RUN, help: 'Folder of the run; null = runs/MODEL-DATE-TIME' }),
  resume: optionalText({
    default: null,
    group: RUN,
    help: 'Run or checkpoint folder to continue exactly, or "auto": the last checkpoint in out if there is one',
  }),
  seed: integer({ default: 42, min: 0, max: 2 ** 32 - 1, group: RUN, help: 'Start of everything random' }),
  evalEvery: integer({
    default: 500,
    min: 0,
    group: RUN,
    help: 'Steps between two evaluations; 0 = only at the end',
  }),
  evalAtStart: boolean({
    default: false,
    group: RUN,
    help: 'Evaluate before the first step too, to see what training adds',
  }),
  evalLimit: integer({ default: 200, min: 0, group: RUN, help: 'Pictures of an evaluation; 0 = all' }),
  checkpointEvery: integer({
    default: 500,
    min: 0,
    group: RUN,
    help: 'Steps between two checkpoints; 0 = only at the end',
  }),
  keepCheckpoints: integer({
    default: 2,
    min: 1,
    group: RUN,
    help: 'Newest checkpoints to keep, the best one apart',
  }),
  sampleEvery: integer({
    default: 500,
    min: 0,
    group: RUN,
    help: 'Steps between two sets of sample pictures; 0 = none',
  }),
  logEvery: integer({ default: 10, min: 1, group: RUN, help: 'Steps between two lines of the log' }),
  tensorboard: boolean({ default: true, group: RUN, help: 'Write TensorBoard event files' }),

  // ---- Machine ----
  engine: choice({
    default: 'auto',
    choices: ['auto', 'tensorflow', 'wasm', 'cpu'],
    group: MACHINE,
    help: 'What computes; auto = the best one present',
  }),
  threads: integer({
    default: 0,
    min: 0,
    max: 1024,
    group: MACHINE,
    help: 'Threads to compute with; 0 = all cores',
  }),
  eager: boolean({
    default: false,
    group: MACHINE,
    help: 'Run operation by operation instead of compiled: slower, for finding faults',
  }),
} as const satisfies Record<string, Field<unknown>>;

export type ConfigKey = keyof typeof CONFIG_SCHEMA;

/** A complete configuration of a run; see CONFIG_SCHEMA for what every key means. */
export type RunConfig = {
  -readonly [K in ConfigKey]: (typeof CONFIG_SCHEMA)[K] extends Field<infer T> ? T : never;
};

export const CONFIG_KEYS = Object.keys(CONFIG_SCHEMA) as ConfigKey[];

/** The field of a key. */
export function fieldOf(key: ConfigKey): Field<unknown> {
  return CONFIG_SCHEMA[key];
}

/** Every key with its default. */
export function defaultConfig(): RunConfig {
  return Object.fromEntries(CONFIG_KEYS.map((key) => [key, fieldOf(key).default])) as RunConfig;
}
