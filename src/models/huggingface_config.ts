// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../errors.js';
import { backboneConfig } from './backbones/index.js';
import type { DeformableSizes } from './deformable_sizes.js';
import { type TextEncoderConfig, textEncoderSettings } from './text/index.js';

type Settings = Readonly<Record<string, unknown>>;

/** Reads settings of a detector's `config.json` as Hugging Face writes it; every fault is a UserError naming the file. */
export interface HuggingFaceSettings {
  fail(what: string): never;
  /** A whole number above 0. @param missing what it is where the file does not say */
  count(key: string, missing: number): number;
  /** The keys of a text encoder that mean something here. */
  textEncoder(name: string, given: Settings): Partial<TextEncoderConfig>;
}

/**
 * @param source what messages call the file
 * @param types values of `model_type` that are taken
 * @param fixed keys whose other values are not supported, and the one that is
 * @throws UserError for a model of another type, and for settings that are not supported
 */
export function huggingFaceSettings(
  config: Settings,
  source: string,
  types: readonly string[],
  fixed: Settings,
): HuggingFaceSettings {
  const fail = (what: string): never => {
    throw new UserError(`${source}: ${what}`, EXIT_CODES.checkpoint);
  };
  if (!types.includes(String(config.model_type))) {
    const wanted = types.map((type) => JSON.stringify(type)).join(' or ');
    fail(`model_type is ${JSON.stringify(config.model_type)}, expected ${wanted}`);
  }
  for (const [key, value] of Object.entries(fixed)) {
    if ((config[key] ?? value) !== value)
      fail(`${key} ${JSON.stringify(config[key])} is not supported, only ${JSON.stringify(value)}`);
  }
  return {
    fail,
    count(key, missing) {
      const value = config[key] ?? missing;
      if (!Number.isSafeInteger(value) || (value as number) < 1)
        fail(`${key} must be a whole number above 0, but it is ${JSON.stringify(value)}`);
      return value as number;
    },
    textEncoder(name, given) {
      const known = Object.keys(textEncoderSettings(name, {}));
      return Object.fromEntries(Object.entries(given).filter(([key]) => known.includes(key)));
    },
  };
}

/** Keys of sizes that Deformable DETR and what is built on it share, and the values where a file leaves one out (null: not the same). */
const SIZES: Readonly<
  Record<Exclude<keyof DeformableSizes, 'queries'>, readonly [key: string, missing: number | null]>
> = {
  dModel: ['d_model', 256],
  encoderLayers: ['encoder_layers', 6],
  encoderHeads: ['encoder_attention_heads', 8],
  encoderPoints: ['encoder_n_points', 4],
  encoderFfn: ['encoder_ffn_dim', null],
  decoderLayers: ['decoder_layers', 6],
  decoderHeads: ['decoder_attention_heads', 8],
  decoderPoints: ['decoder_n_points', 4],
  decoderFfn: ['decoder_ffn_dim', null],
  levels: ['num_feature_levels', 4],
};

/** Sizes of a transformer, as a detector's `config.json` gives them. @param ffn inner width where the file does not say */
export function readDeformableSizes(
  read: HuggingFaceSettings,
  queries: number,
  ffn: number,
): DeformableSizes {
  const sizes = Object.entries(SIZES).map(([name, [key, missing]]) => [
    name,
    read.count(key, missing ?? ffn),
  ]);
  return { ...(Object.fromEntries(sizes) as Omit<DeformableSizes, 'queries'>), queries };
}

/**
 * What the `config.json` of all these detectors says of sizes and backbone: the reverse of `readDeformableSizes`.
 * @param dilated keys that say how a dilated backbone is described
 * @throws UserError for a dilated backbone without them
 */
export function huggingFaceDetector(
  sizes: DeformableSizes,
  backbone: { name: string; config: Settings },
  dilated: object | null = null,
): Record<string, unknown> {
  const whole = backboneConfig(backbone.name, backbone.config);
  if (whole.dilation === true && !dilated) {
    throw new UserError(
      'Hugging Face has no such detector with dilation; use other names',
      EXIT_CODES.checkpoint,
    );
  }
  const named = Object.entries(SIZES).map(([name, [key]]) => [key, sizes[name as keyof typeof SIZES]]);
  return {
    backbone: null,
    backbone_config: whole,
    use_pretrained_backbone: false,
    use_timm_backbone: false,
    ...(dilated ?? {}),
    ...Object.fromEntries(named),
    num_queries: sizes.queries,
  };
}

/** The backbone that a detector's `config.json` describes, with its own keys; null where it only names one. */
export function huggingFaceBackbone(config: Settings): { name: string; config: Settings } | null {
  const inner = config.backbone_config as Settings | null | undefined;
  return inner ? { name: String(inner.model_type), config: { ...inner } } : null;
}
