// SPDX-License-Identifier: Apache-2.0
import { inScope } from '../engine/index.js';
import type { Module } from './module.js';

/** What modules compute with. */
const METHODS = ['forward', 'encode', 'attend'] as const;

type Method = (...args: unknown[]) => unknown;

/**
 * Runs `fn` while whatever the parts of `model` compute bears their dotted names, for a profile by module.
 * A part that is registered twice goes by its first name.
 */
export async function withModuleScopes<T>(model: Module, fn: () => Promise<T>): Promise<T> {
  const wrapped: { owner: Record<string, unknown>; method: string }[] = [];
  const seen = new Set<Module>();
  for (const [name, module] of model.namedModules()) {
    if (seen.has(module)) continue;
    seen.add(module);
    const owner = module as unknown as Record<string, unknown>;
    for (const method of METHODS) {
      const original = owner[method];
      if (typeof original !== 'function') continue;
      owner[method] = (...args: unknown[]) => inScope(name, () => (original as Method).apply(module, args));
      wrapped.push({ owner, method });
    }
  }
  try {
    return await fn();
  } finally {
    // The methods of the classes show again.
    for (const { owner, method } of wrapped) delete owner[method];
  }
}
