// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import { chooseNames, type NameMap, type ShapeOf, shapesBy } from '../weights/name_map.js';
import type { Backbone, LevelLayout } from './backbone.js';
import { CoatBackbone } from './coat.js';
import { COAT_VARIANTS, coatConfig, coatLayout } from './coat_config.js';
import { COAT_NAMES, inferCoat } from './coat_weights.js';
import { EfficientNetBackbone } from './efficientnet.js';
import { EFFICIENTNET_VARIANTS, efficientNetConfig, efficientNetLayout } from './efficientnet_config.js';
import { EFFICIENTNET_NAMES, inferEfficientNet } from './efficientnet_weights.js';
import { MpvitBackbone } from './mpvit.js';
import { MPVIT_VARIANTS, mpvitConfig, mpvitLayout } from './mpvit_config.js';
import { inferMpvit, MPVIT_NAMES } from './mpvit_weights.js';
import { ResNetBackbone } from './resnet.js';
import { RESNET_VARIANTS, resnetConfig, resnetLayout } from './resnet_config.js';
import { inferResNet, RESNET_NAMES } from './resnet_weights.js';
import { SwinBackbone } from './swin.js';
import { SWIN_VARIANTS, swinConfig, swinLayout } from './swin_config.js';
import { SwinV2Backbone } from './swin_v2.js';
import { SWIN_V2_VARIANTS, swinV2Config, swinV2Layout } from './swin_v2_config.js';
import { inferSwinV2, SWIN_V2_NAMES } from './swin_v2_weights.js';
import { inferSwin, SWIN_NAMES } from './swin_weights.js';
import { VitBackbone } from './vit.js';
import { VIT_VARIANTS, vitConfig, vitLayout } from './vit_config.js';
import { inferVit, VIT_NAMES } from './vit_weights.js';

export type { FeatureMaps, ForwardOptions, LevelLayout } from './backbone.js';
export { Backbone, cellsOf } from './backbone.js';
export { CoatBackbone } from './coat.js';
export type { CoatConfig } from './coat_config.js';
export { COAT_VARIANTS, coatConfig } from './coat_config.js';
export { EfficientNetBackbone } from './efficientnet.js';
export type { EfficientNetConfig } from './efficientnet_config.js';
export { EFFICIENTNET_VARIANTS, efficientNetConfig } from './efficientnet_config.js';
export { gsdPositions } from './gsd_positions.js';
export { MpvitBackbone } from './mpvit.js';
export type { MpvitConfig } from './mpvit_config.js';
export { MPVIT_VARIANTS, mpvitConfig } from './mpvit_config.js';
export { ResNetBackbone } from './resnet.js';
export type { ResNetConfig } from './resnet_config.js';
export { RESNET_VARIANTS, resnetConfig } from './resnet_config.js';
export { loadResNetBackbone } from './resnet_weights.js';
export { SwinBackbone, SwinModel } from './swin.js';
export type { SwinConfig } from './swin_config.js';
export { SWIN_VARIANTS, swinConfig } from './swin_config.js';
export { SwinV2Backbone } from './swin_v2.js';
export type { SwinV2Config } from './swin_v2_config.js';
export { SWIN_V2_VARIANTS, swinV2Config } from './swin_v2_config.js';
export { loadSwinBackbone, loadSwinModel } from './swin_weights.js';
export { VitBackbone } from './vit.js';
export type { VitConfig } from './vit_config.js';
export { VIT_VARIANTS, vitConfig } from './vit_config.js';

/** A family of backbones. */
interface BackboneFamily {
  /** Published sizes by name. */
  variants: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** @param settings plain values, checked by the family @param source what messages call them */
  build(settings: Readonly<Record<string, unknown>>, source: string): Backbone;
  /** @throws UserError that begins with `source` when nothing could be built of the settings */
  check(settings: Readonly<Record<string, unknown>>, source: string): object;
  /** Sizes of its maps. */
  layout(settings: Readonly<Record<string, unknown>>): LevelLayout;
  /** How published weights are named. */
  names: readonly NameMap[];
  /** Settings that shapes of weights tell. */
  infer(shapeOf: ShapeOf): object;
}

/** Every family by the name that configurations use. A new backbone is a file and a row here. */
const BACKBONES: Readonly<Record<string, BackboneFamily>> = {
  swin: {
    variants: { ...SWIN_VARIANTS },
    build: (settings, source) => new SwinBackbone(swinConfig(settings, source)),
    check: swinConfig,
    layout: (settings) => swinLayout(swinConfig(settings)),
    names: SWIN_NAMES,
    infer: inferSwin,
  },
  'swin-v2': {
    variants: { ...SWIN_V2_VARIANTS },
    build: (settings, source) => new SwinV2Backbone(swinV2Config(settings, source)),
    check: swinV2Config,
    layout: (settings) => swinV2Layout(swinV2Config(settings)),
    names: SWIN_V2_NAMES,
    infer: inferSwinV2,
  },
  coat: {
    variants: { ...COAT_VARIANTS },
    build: (settings, source) => new CoatBackbone(coatConfig(settings, source)),
    check: coatConfig,
    layout: (settings) => coatLayout(coatConfig(settings)),
    names: COAT_NAMES,
    infer: inferCoat,
  },
  mpvit: {
    variants: { ...MPVIT_VARIANTS },
    build: (settings, source) => new MpvitBackbone(mpvitConfig(settings, source)),
    check: mpvitConfig,
    layout: (settings) => mpvitLayout(mpvitConfig(settings)),
    names: MPVIT_NAMES,
    infer: inferMpvit,
  },
  resnet: {
    variants: { ...RESNET_VARIANTS },
    build: (settings, source) => new ResNetBackbone(resnetConfig(settings, source)),
    check: resnetConfig,
    layout: (settings) => resnetLayout(resnetConfig(settings)),
    names: RESNET_NAMES,
    infer: inferResNet,
  },
  efficientnet: {
    variants: { ...EFFICIENTNET_VARIANTS },
    build: (settings, source) => new EfficientNetBackbone(efficientNetConfig(settings, source)),
    check: efficientNetConfig,
    layout: (settings) => efficientNetLayout(efficientNetConfig(settings)),
    names: EFFICIENTNET_NAMES,
    infer: inferEfficientNet,
  },
  scalemae: {
    variants: { ...VIT_VARIANTS },
    build: (settings, source) => new VitBackbone(vitConfig(settings, source)),
    check: vitConfig,
    layout: (settings) => vitLayout(vitConfig(settings)),
    names: VIT_NAMES,
    infer: inferVit,
  },
};

/**
 * A backbone with fresh weights.
 *
 * @param name a family (`swin`, `resnet`) or one of its sizes (`swin-tiny`, `resnet-50`)
 * @param settings overrides of the family's defaults or of the size
 * @throws UserError for an unknown name or key, or an impossible value
 */
export function buildBackbone(name: string, settings: Readonly<Record<string, unknown>> = {}): Backbone {
  const { family, variant } = find(name);
  return family.build({ ...variant, ...settings }, `backbone ${name}`);
}

/** Checks that a backbone can be made of these settings. @throws UserError that begins with `source` */
export function checkBackbone(
  name: string,
  settings: Readonly<Record<string, unknown>>,
  source: string,
): void {
  const { family, variant } = find(name);
  family.check({ ...variant, ...settings }, source);
}

/** Strides and channels of a family's or size's maps, without building it. @throws UserError as {@link buildBackbone} */
export function backboneLayout(name: string, settings: Readonly<Record<string, unknown>> = {}): LevelLayout {
  const { family, variant } = find(name);
  return family.layout({ ...variant, ...settings });
}

/**
 * How published weights of a family or size are named.
 * @throws UserError for an unknown name
 */
export function backboneNames(name: string): readonly NameMap[] {
  return find(name).family.names;
}

/** Every family, by the name that configurations use. */
export function backboneFamilies(): string[] {
  return Object.keys(BACKBONES);
}

/** Whether a backbone wants to know metres per pixel. @throws UserError for an unknown name */
export function backboneCountsMetres(name: string): boolean {
  return find(name).family === BACKBONES.scalemae;
}

/** A backbone as `buildBackbone` takes it. */
export interface BackboneSettings {
  name: string;
  config: Readonly<Record<string, unknown>>;
}

/** All settings of a backbone, with its family as `model_type`: the `config.json` of a folder of it. */
export function backboneConfig(
  name: string,
  settings: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const { family, variant } = find(name);
  const [type] = Object.entries(BACKBONES).find(([, row]) => row === family)!;
  return { model_type: type, ...family.check({ ...variant, ...settings }, `backbone ${name}`) };
}

/** Whether the last stage of a backbone keeps the size of the map (DC5). @throws UserError as {@link buildBackbone} */
export function isDilated({ name, config }: BackboneSettings): boolean {
  return backboneConfig(name, config).dilation === true;
}

/**
 * The backbone that weights are of, as far as their names and shapes tell.
 * @param shapes by the file's names
 */
export function inferBackbone(shapes: ReadonlyMap<string, readonly number[]>): BackboneSettings | null {
  for (const [family, { names, infer, variants, check }] of Object.entries(BACKBONES)) {
    const map = chooseNames(names, shapes.keys());
    if (!map) continue;
    const { out_features, image_size, ...settings } = infer(shapesBy(map, shapes)) as Record<string, unknown>;
    // What a size leaves open.
    const open = {
      ...(out_features === undefined ? {} : { out_features }),
      ...(image_size === undefined ? {} : { image_size }),
    };
    check({ ...settings, ...open }, `backbone ${family}`);
    const same = (variant: Readonly<Record<string, unknown>>) =>
      JSON.stringify(check({ ...variant, ...settings }, family)) === JSON.stringify(check(variant, family));
    const size = Object.keys(variants).find((name) => same(variants[name]!));
    return size === undefined
      ? { name: family, config: { ...settings, ...open } }
      : { name: size, config: open };
  }
  return null;
}

/** Names of all published sizes, family by family. */
export function backboneSizes(): string[] {
  return Object.values(BACKBONES).flatMap(({ variants }) => Object.keys(variants));
}

function find(name: string): { family: BackboneFamily; variant: Readonly<Record<string, unknown>> } {
  for (const [own, family] of Object.entries(BACKBONES)) {
    const variant = name === own ? {} : family.variants[name];
    if (variant) return { family, variant };
  }
  const known = Object.entries(BACKBONES).flatMap(([family, { variants }]) => [
    family,
    ...Object.keys(variants),
  ]);
  const near = didYouMean(name, known);
  throw new UserError(
    `unknown backbone ${name}${near ? ` (did you mean ${near}?)` : `; known: ${known.join(', ')}`}`,
    EXIT_CODES.usage,
  );
}
