// SPDX-License-Identifier: Apache-2.0
import type { RunConfig } from './config/schema.js';
import type { ParameterGroup } from './optimizer.js';

/**
 * Parameter groups of a detector: backbone, text encoder and the rest (`main`), each with its rate. Only matrices are
 * decayed (groups without a suffix); biases, norms, scales and sampling offsets are not (suffix `/undecayed`).
 */
export function defaultGroups(config: RunConfig): ParameterGroup[] {
  const parts = [
    { name: 'backbone', includes: ['backbone.'], lrMultiplier: config.backboneLrMultiplier },
    { name: 'text', includes: ['text_encoder.'], lrMultiplier: config.textLrMultiplier },
    { name: 'main', includes: [''], lrMultiplier: 1 },
  ];
  return parts.flatMap(({ name, includes, lrMultiplier }) => [
    {
      name,
      match: { includes, minRank: 2, excludes: ['sampling_offsets'] },
      lrMultiplier,
      weightDecay: config.weightDecay,
    },
    { name: `${name}/undecayed`, match: { includes }, lrMultiplier, weightDecay: 0 },
  ]);
}

/** Rates of the groups without a suffix: those with one have the same. */
export function shownRates(rates: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(rates).filter(([name]) => !name.includes('/')));
}
