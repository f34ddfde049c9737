// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import type { Backbone } from './backbone.js';
import { ResNetBackbone } from './resnet.js';
import { RESNET_VARIANTS, resnetConfig } from './resnet_config.js';
import { SwinBackbone } from './swin.js';
import { SWIN_VARIANTS, swinConfig } from './swin_config.js';

export type { FeatureMaps, ForwardOptions } from './backbone.js';
export { Backbone } from './backbone.js';
export { ResNetBackbone } from './resnet.js';
export type { ResNetConfig } from './resnet_config.js';
export { RESNET_VARIANTS, resnetConfig } from './resnet_config.js';
export { loadResNetBackbone, renameResNet } from './resnet_weights.js';
export { SwinBackbone, SwinModel } from './swin.js';
export type { SwinConfig } from './swin_config.js';
export { SWIN_VARIANTS, swinConfig } from './swin_config.js';
export { loadSwinBackbone, loadSwinModel, renameSwinBackbone } from './swin_weights.js';

/** A family of backbones. */
interface BackboneFamily {
  /** Published sizes by name. */
  variants: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** @param settings plain values, checked by the family @param source what messages call them */
  build(settings: Readonly<Record<string, unknown>>, source: string): Backbone;
  /** @throws UserError that begins with `source` when nothing could be built of the settings */
  check(settings: Readonly<Record<string, unknown>>, source: string): void;
}

/** Every family by the name that configurations use. A new backbone is a file and a row here. */
const BACKBONES: Readonly<Record<string, BackboneFamily>> = {
  swin: {
    variants: { ...SWIN_VARIANTS },
    build: (settings, source) => new SwinBackbone(swinConfig(settings, source)),
    check: swinConfig,
  },
  resnet: {
    variants: { ...RESNET_VARIANTS },
    build: (settings, source) => new ResNetBackbone(resnetConfig(settings, source)),
    check: resnetConfig,
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
