// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../errors.js';
import { checkBackbone } from './backbones/index.js';
import {
  answersText,
  type DeformableDetrConfig,
  type ModelConfig,
  type ScaleMaeDetConfig,
} from './config.js';
import {
  count,
  flag,
  margin,
  multipleOf,
  names,
  object,
  oneOf,
  perChannel,
  type Rule,
  share,
  text,
} from './config_rules.js';
import { isRecord } from './config_tree.js';
import { LOGIT_KINDS } from './grounding_dino/index.js';
import {
  ALIGN_SCALES,
  CLASS_SCALES,
  QUESTION_SET_NAMES,
  type SoftTokenOptions,
  TRANSFORMER_KINDS,
} from './mdetr/index.js';
import { HEAD_KINDS, QUERY_SOURCES } from './mdetr_g.js';
import type { PreprocessConfig } from './preprocess.js';
import { PARITIES, PYRAMIDS } from './scalemae_det/index.js';
import { checkTextEncoder, PUBLISHED_TEXTS } from './text/index.js';

const COMMON = {
  model_type: text,
  preset: text,
  backbone: object,
  preprocess: object,
  imageSize: count,
  threshold: share,
};

/** `backbone` and `text`; what `config` may hold is the affair of the part that `name` names. */
const PART: Readonly<Record<'name' | 'config', Rule>> = { name: text, config: object };

/** `text` of models whose text encoder may come from outside. */
const BORROWING_PART = { ...PART, weights: { ...oneOf(PUBLISHED_TEXTS), optional: true } } as const;

/** What a detector is beside its backbone and its text encoder. */
type Inner<C extends ModelConfig> = C extends { transformer: infer T }
  ? T
  : C extends { detector: infer D }
    ? D
    : never;

type InnerRules<C extends ModelConfig> = Readonly<Record<keyof Inner<C>, Rule>>;

const slots: Rule = {
  what: 'a whole number from 2 up',
  accepts: (value) => count.accepts(value) && Number(value) > 1,
};

const MDETR_G: InnerRules<ConfigOf<'mdetr-g'>> = {
  dModel: multipleOf(4),
  heads: count,
  encoderLayers: count,
  decoderLayers: count,
  ffn: count,
  points: count,
  queries: count,
  head: oneOf(HEAD_KINDS),
  querySource: oneOf(QUERY_SOURCES),
  fineLevels: { what: 'a whole number from 0 up', accepts: (value) => value === 0 || count.accepts(value) },
  alignDim: count,
  slots,
  textToImage: flag,
  imageToText: flag,
  textNoise: {
    what: 'a number from 0 up',
    accepts: (value) => typeof value === 'number' && value >= 0,
    optional: true,
  },
};

const levels: Rule = {
  what: 'a whole number from 1 to 5',
  accepts: (value) => count.accepts(value) && Number(value) <= 5,
};

const DEFORMABLE_DETR: InnerRules<ConfigOf<'deformable-detr'>> = {
  dModel: multipleOf(32),
  encoderLayers: count,
  encoderHeads: count,
  encoderPoints: count,
  encoderFfn: count,
  decoderLayers: count,
  decoderHeads: count,
  decoderPoints: count,
  decoderFfn: count,
  levels,
  queries: count,
  boxRefine: flag,
  twoStage: flag,
  sharedClassHead: flag,
};

const SOFT_TOKEN: Readonly<Record<keyof SoftTokenOptions, Rule>> = {
  dModel: multipleOf(4),
  heads: count,
  encoderLayers: count,
  decoderLayers: count,
  ffn: count,
  queries: count,
  slots,
  alignDim: count,
  align: flag,
  pooled: flag,
};

const MDETR: InnerRules<ConfigOf<'mdetr'>> = {
  ...SOFT_TOKEN,
  questions: { ...oneOf(QUESTION_SET_NAMES), optional: true },
  final: { ...flag, optional: true },
};

const MDETR_G_UPSTREAM: InnerRules<ConfigOf<'mdetr-g-upstream'>> = {
  ...SOFT_TOKEN,
  kind: oneOf(TRANSFORMER_KINDS),
  levels,
  points: count,
  textAttention: flag,
  classScale: oneOf(CLASS_SCALES),
  alignScale: oneOf(ALIGN_SCALES),
};

const GROUNDING_DINO: InnerRules<ConfigOf<'grounding-dino'>> = {
  dModel: multipleOf(32),
  encoderLayers: count,
  encoderHeads: multipleOf(2),
  encoderPoints: count,
  encoderFfn: multipleOf(2),
  decoderLayers: count,
  decoderHeads: count,
  decoderPoints: count,
  decoderFfn: count,
  levels,
  queries: count,
  textTokens: count,
  logits: oneOf(LOGIT_KINDS),
  sharedBoxHead: flag,
  sharedClassHead: flag,
  temperature: { what: 'a number above 0', accepts: (value) => Number(value) > 0 },
  fusionDropPath: {
    what: 'a number from 0 to below 1',
    accepts: (value) => share.accepts(value) && Number(value) < 1,
  },
  referenceEps: margin,
  boxEps: margin,
  delimiters: {
    what: 'a list of token ids',
    accepts: (value) =>
      Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && Number(id) >= 0),
  },
};

const sizes: Rule = {
  what: 'a list of numbers above 0',
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((size) => Number(size) > 0),
};

const SCALEMAE_DET: InnerRules<ScaleMaeDetConfig> = {
  channels: count,
  pyramid: oneOf(PYRAMIDS),
  anchorSizes: {
    what: 'a list of as many numbers above 0 for each map',
    accepts: (value) =>
      Array.isArray(value) &&
      value.every((list) => sizes.accepts(list) && list.length === (value[0] as unknown[]).length),
  },
  anchorRatios: sizes,
  candidates: count,
  proposals: count,
  trainingCandidates: count,
  trainingProposals: count,
  hidden: count,
  leastScore: share,
  detections: count,
  parity: oneOf(PARITIES),
};

const PREPROCESS: Readonly<Record<keyof PreprocessConfig, Rule>> = {
  mean: perChannel('three numbers', Number.isFinite),
  std: perChannel('three numbers above 0', (v) => Number.isFinite(v) && v > 0),
  multiple: count,
};

/** Where a configuration came from and how its faults are reported. */
export interface ConfigSource {
  /** File or key that messages begin with. */
  name: string;
  /** What to do about a fault. */
  remedy: string;
  exitCode: number;
}

type ConfigOf<T extends ModelConfig['model_type']> = Extract<ModelConfig, { model_type: T }>;

/** What a type of model may be configured with. */
interface ModelRules<C extends ModelConfig> {
  /** Keys of the whole. */
  keys: Readonly<Record<keyof C, Rule>>;
  /** Keys of `transformer`, or of `detector` where there is none. */
  inner: InnerRules<C>;
  /** Keys of the transformer that divide `dModel`. */
  heads: readonly (keyof Inner<C>)[];
  /** Sizes that must go together otherwise. */
  check?(config: C, source: ConfigSource): void;
}

/** Types of models by `model_type`. A new one is a row here, in `build.ts` and in `config.ts`. */
const MODELS: { readonly [T in ModelConfig['model_type']]: ModelRules<ConfigOf<T>> } = {
  'mdetr-g': { keys: { ...COMMON, transformer: object, text: object }, inner: MDETR_G, heads: ['heads'] },
  mdetr: { keys: { ...COMMON, transformer: object, text: object }, inner: MDETR, heads: ['heads'] },
  'mdetr-g-upstream': {
    keys: { ...COMMON, transformer: object, text: object },
    inner: MDETR_G_UPSTREAM,
    heads: ['heads'],
    check: checkVanilla,
  },
  'grounding-dino': {
    keys: { ...COMMON, transformer: object, text: object },
    inner: GROUNDING_DINO,
    heads: ['encoderHeads', 'decoderHeads'],
    check: checkFusion,
  },
  'deformable-detr': {
    keys: { ...COMMON, transformer: object, labels: names },
    inner: DEFORMABLE_DETR,
    heads: ['encoderHeads', 'decoderHeads'],
    check: ({ transformer }, source) => checkStages(transformer, source),
  },
  'scalemae-det': {
    keys: { ...COMMON, detector: object, labels: names },
    inner: SCALEMAE_DET,
    heads: [],
    check: checkMaps,
  },
};

const MODEL_TYPES = Object.keys(MODELS);

/**
 * Checks a whole configuration: every key there, none unknown, every value of its kind, sizes that go together.
 * @throws UserError naming source and key, and the key that was probably meant
 */
export function checkModelConfig(value: unknown, source: ConfigSource): ModelConfig {
  const type = (value as { model_type: keyof typeof MODELS }).model_type;
  if (!MODEL_TYPES.includes(type)) {
    fail(source, `model_type must be one of ${MODEL_TYPES.join(', ')}, but it is ${JSON.stringify(type)}`);
  }
  const rules = MODELS[type] as unknown as ModelRules<ModelConfig>;
  const config = checkKeys(value, rules.keys, '', source) as unknown as ModelConfig;
  checkKeys(config.backbone, PART, 'backbone.', source);
  checkKeys(config.preprocess, PREPROCESS, 'preprocess.', source);
  if (answersText(config)) {
    checkKeys(config.text, type === 'mdetr-g' ? BORROWING_PART : PART, 'text.', source);
  }
  const inner = 'detector' in config ? 'detector' : 'transformer';
  const values = checkKeys(
    (config as unknown as Record<string, unknown>)[inner],
    rules.inner,
    `${inner}.`,
    source,
  );
  for (const key of rules.heads) checkDivides(values, key, source);
  rules.check?.(config, source);
  checkParts(config, source);
  return config;
}

function checkDivides(
  transformer: Readonly<Record<string, unknown>>,
  key: string,
  source: ConfigSource,
): void {
  const dModel = Number(transformer.dModel);
  const heads = Number(transformer[key]);
  if (dModel % heads === 0) return;
  fail(source, `transformer.${key} is ${heads}, which does not divide transformer.dModel, ${dModel}`);
}

/** Maps of each pyramid. */
const MAPS: Readonly<Record<ScaleMaeDetConfig['detector']['pyramid'], number>> = { scalemae: 4, vitdet: 5 };

function checkMaps({ detector, labels }: ScaleMaeDetConfig, source: ConfigSource): void {
  const { pyramid, anchorSizes, parity } = detector;
  const maps = MAPS[pyramid];
  if (anchorSizes.length !== maps)
    fail(source, `detector.anchorSizes must have ${maps} lists with detector.pyramid "${pyramid}"`);
  if (parity === 'upstream' && pyramid !== 'scalemae')
    fail(source, 'detector.pyramid must be "scalemae" with detector.parity "upstream"');
  if (parity === 'upstream' && labels.length < 2)
    fail(
      source,
      'labels must be two or more with detector.parity "upstream", where the first is the background',
    );
}

function checkStages(
  { boxRefine, twoStage, sharedClassHead }: DeformableDetrConfig['transformer'],
  source: ConfigSource,
): void {
  if (twoStage && !boxRefine) {
    fail(source, 'transformer.twoStage needs transformer.boxRefine, which refines what is proposed');
  }
  if (!boxRefine && !sharedClassHead) {
    fail(source, 'transformer.sharedClassHead must be true without transformer.boxRefine');
  }
  if (twoStage && sharedClassHead) {
    fail(source, 'transformer.sharedClassHead must be false with transformer.twoStage');
  }
}

function checkVanilla({ transformer }: ConfigOf<'mdetr-g-upstream'>, source: ConfigSource): void {
  if (transformer.kind === 'vanilla' && transformer.levels !== 1)
    fail(source, 'transformer.levels must be 1 with transformer.kind "vanilla"');
}

/** Fusion has half of the encoder's heads and half of its feed-forward width. */
function checkFusion({ transformer }: ConfigOf<'grounding-dino'>, source: ConfigSource): void {
  const { encoderFfn, encoderHeads } = transformer;
  if (encoderFfn % encoderHeads === 0) return;
  fail(
    source,
    `transformer.encoderHeads is ${encoderHeads}, which does not divide transformer.encoderFfn, ${encoderFfn}`,
  );
}

/** What the parts' own code says of their settings. */
function checkParts(config: ModelConfig, source: ConfigSource): void {
  try {
    checkBackbone(config.backbone.name, { ...config.backbone.config }, `${source.name}: backbone.config`);
    if (answersText(config))
      checkTextEncoder(config.text.name, { ...config.text.config }, `${source.name}: text.config`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.message, source.exitCode, { cause: error });
  }
}

/** Checks a parsed `config.json`. @param path named in the error */
export function parseModelConfig(value: unknown, path: string): ModelConfig {
  if (!isRecord(value) || !MODEL_TYPES.includes(value.model_type as string)) {
    const what = isRecord(value)
      ? `model_type is ${JSON.stringify(value.model_type)}, expected one of ${MODEL_TYPES.join(', ')}`
      : 'it holds no JSON object';
    throw new UserError(
      `${path} is not the configuration of a tfgeo model: ${what}. Was the folder written by tfgeo?`,
      EXIT_CODES.checkpoint,
    );
  }
  return checkModelConfig(value, {
    name: path,
    remedy: 'correct it, or copy the model folder again',
    exitCode: EXIT_CODES.checkpoint,
  });
}

function checkKeys(
  value: unknown,
  rules: Readonly<Record<string, Rule>>,
  prefix: string,
  source: ConfigSource,
): Record<string, unknown> {
  const record = value as Record<string, unknown>;
  const known = Object.keys(rules);
  for (const key of Object.keys(record)) {
    if (known.includes(key)) continue;
    const near = didYouMean(key, known);
    fail(source, `unknown key "${prefix}${key}"${near ? `, did you mean "${prefix}${near}"?` : ''}`);
  }
  for (const [key, rule] of Object.entries(rules)) {
    if (record[key] === undefined && rule.optional) continue;
    if (record[key] === undefined) fail(source, `"${prefix}${key}" is missing`);
    if (rule.accepts(record[key])) continue;
    fail(source, `${prefix}${key} must be ${rule.what}, but it is ${JSON.stringify(record[key])}`);
  }
  return record;
}

function fail({ name, remedy, exitCode }: ConfigSource, what: string): never {
  throw new UserError(`${name}: ${what}${what.endsWith('?') ? ' ' : '; '}${remedy}`, exitCode);
}
