// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../errors.js';
import { checkBackbone } from './backbones/index.js';
import { answersText, type DeformableDetrConfig, type ModelConfig } from './config.js';
import { isRecord } from './config_tree.js';
import { LOGIT_KINDS } from './grounding_dino/index.js';
import { ALIGN_SCALES, CLASS_SCALES, TRANSFORMER_KINDS } from './mdetr/index.js';
import { HEAD_KINDS, QUERY_SOURCES } from './mdetr_g.js';
import type { PreprocessConfig } from './preprocess.js';
import { checkTextEncoder, PUBLISHED_TEXTS } from './text/index.js';

/** What a key may hold. */
interface Rule {
  /** The key may be left out. */
  optional?: true;
  /** In words: `a whole number above 0`. */
  what: string;
  accepts(value: unknown): boolean;
}

const count: Rule = {
  what: 'a whole number above 0',
  accepts: (value) => Number.isSafeInteger(value) && (value as number) > 0,
};
const flag: Rule = { what: 'true or false', accepts: (value) => typeof value === 'boolean' };
const text: Rule = { what: 'text', accepts: (value) => typeof value === 'string' && value !== '' };
const share: Rule = {
  what: 'a number from 0 to 1',
  accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1,
};
const object: Rule = { what: 'an object', accepts: isRecord };
const oneOf = (values: readonly string[]): Rule => ({
  what: `one of ${values.join(', ')}`,
  accepts: (value) => values.includes(value as string),
});
const perChannel = (what: string, fits: (value: number) => boolean): Rule => ({
  what,
  accepts: (value) => Array.isArray(value) && value.length === 3 && value.every((v) => fits(v)),
});

const names: Rule = {
  what: 'a list of names',
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((name) => text.accepts(name)),
};

const COMMON = {
  model_type: text,
  preset: text,
  backbone: object,
  transformer: object,
  preprocess: object,
  imageSize: count,
  threshold: share,
};

/** `backbone` and `text`; what `config` may hold is the affair of the part that `name` names. */
const PART: Readonly<Record<'name' | 'config', Rule>> = { name: text, config: object };

/** `text` of models whose text encoder may come from outside. */
const BORROWING_PART = { ...PART, weights: { ...oneOf(PUBLISHED_TEXTS), optional: true } } as const;

const multipleOf = (n: number): Rule => ({
  what: `a multiple of ${n}`,
  accepts: (value) => count.accepts(value) && Number(value) % n === 0,
});

type TransformerRules<C extends ModelConfig> = Readonly<Record<keyof C['transformer'], Rule>>;

const slots: Rule = {
  what: 'a whole number from 2 up',
  accepts: (value) => count.accepts(value) && Number(value) > 1,
};

const MDETR_G: TransformerRules<ConfigOf<'mdetr-g'>> = {
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

const DEFORMABLE_DETR: TransformerRules<ConfigOf<'deformable-detr'>> = {
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

const MDETR: TransformerRules<ConfigOf<'mdetr'>> = {
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

const MDETR_G_UPSTREAM: TransformerRules<ConfigOf<'mdetr-g-upstream'>> = {
  ...MDETR,
  kind: oneOf(TRANSFORMER_KINDS),
  levels,
  points: count,
  textAttention: flag,
  classScale: oneOf(CLASS_SCALES),
  alignScale: oneOf(ALIGN_SCALES),
};

const GROUNDING_DINO: TransformerRules<ConfigOf<'grounding-dino'>> = {
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
  delimiters: {
    what: 'a list of token ids',
    accepts: (value) =>
      Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && Number(id) >= 0),
  },
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
  transformer: TransformerRules<C>;
  /** Keys of the transformer that divide `dModel`. */
  heads: readonly (keyof C['transformer'])[];
  /** Sizes that must go together otherwise. */
  check?(config: C, source: ConfigSource): void;
}

/** Types of models by `model_type`. A new one is a row here, in `build.ts` and in `config.ts`. */
const MODELS: { readonly [T in ModelConfig['model_type']]: ModelRules<ConfigOf<T>> } = {
  'mdetr-g': { keys: { ...COMMON, text: object }, transformer: MDETR_G, heads: ['heads'] },
  mdetr: { keys: { ...COMMON, text: object }, transformer: MDETR, heads: ['heads'] },
  'mdetr-g-upstream': {
    keys: { ...COMMON, text: object },
    transformer: MDETR_G_UPSTREAM,
    heads: ['heads'],
    check: checkVanilla,
  },
  'grounding-dino': {
    keys: { ...COMMON, text: object },
    transformer: GROUNDING_DINO,
    heads: ['encoderHeads', 'decoderHeads'],
    check: checkFusion,
  },
  'deformable-detr': {
    keys: { ...COMMON, labels: names },
    transformer: DEFORMABLE_DETR,
    heads: ['encoderHeads', 'decoderHeads'],
    check: ({ transformer }, source) => checkStages(transformer, source),
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
  checkKeys(config.transformer, rules.transformer, 'transformer.', source);
  for (const key of rules.heads) checkDivides(config.transformer, key, source);
  rules.check?.(config, source);
  checkParts(config, source);
  return config;
}

function checkDivides(transformer: ModelConfig['transformer'], key: string, source: ConfigSource): void {
  const { dModel } = transformer;
  const heads = Number((transformer as unknown as Readonly<Record<string, unknown>>)[key]);
  if (dModel % heads === 0) return;
  fail(source, `transformer.${key} is ${heads}, which does not divide transformer.dModel, ${dModel}`);
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
