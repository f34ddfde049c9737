// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import type { Backbone } from './backbone.js';
import { SwinBackbone } from './swin.js';
import { SWIN_VARIANTS, swinConfig } from './swin_config.js';

export type { FeatureMaps, ForwardOptions } from './backbone.js';
export { Backbone } from './backbone.js';
export { SwinBackbone, SwinModel } from './swin.js';
export type { SwinConfig } from './swin_config.js';
export { SWIN_VARIANTS, swinConfig } from './swin_config.js';
export { loadSwinBackbone, loadSwinModel } from './swin_weights.js';

/** A family of backbones. */
interface BackboneFamily {
  /** Published sizes by name. */
  variants: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** @param settings plain values, checked by the family @param source what messages call them */
  build(settings: Readonly<Record<string, unknown>>, source: string): Backbone;
}

/** Every family by the name that configurations use. A new backbone is a file and a row here. */
export const BACKBONES: Readonly<Record<string, BackboneFamily>> = {
  swin: {
    variants: { ...SWIN_VARIANTS },
    build: (settings, source) => new SwinBackbone(swinConfig(settings, source)),
  },
};

/**
 * A backbone with fresh weights.
 *
 * @param name a family (`swin`) or one of its sizes (`swin-tiny`)
 * @param settings overrides of the family's defaults or of the size
 * @throws UserError for an unknown name or key, or an impossible value
 */
export function buildBackbone(name: string, settings: Readonly<Record<string, unknown>> = {}): Backbone {
  for (const [family, { variants, build }] of Object.entries(BACKBONES)) {
    const variant = name === family ? {} : variants[name];
    if (variant) return build({ ...variant, ...settings }, `backbone ${name}`);
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
